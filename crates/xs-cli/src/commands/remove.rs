//! `xs remove`: a frame that is not wanted any more.

use clap::Args;
use xs::FrameId;

use crate::args::{Common, Target};
use crate::connect;
use crate::failure::{Failure, Result};

#[derive(Debug, Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The id of the frame
    id: FrameId,
}

pub(crate) async fn run(args: Remove, common: &Common) -> Result<()> {
    let client = connect::client(&args.target, common)?;
    match client.remove(args.id).await {
        Ok(()) => Ok(()),
        Err(error) => Err(Failure::of_call_to(&client, &error).await),
    }
}
