//! `xs cas`: content out.

use clap::Args;
use http::Method;
use xs::ContentHash;
use xs_client::Request;
use xs_wire::paths;

use crate::args::{Common, Target};
use crate::failure::Result;
use crate::output::{self, Body};

#[derive(Debug, Args)]
pub(crate) struct Cas {
    #[command(flatten)]
    pub(crate) target: Target,
    /// The hash of the content
    hash: ContentHash,
}

pub(crate) async fn run(args: Cas, common: &Common) -> Result<()> {
    let request = Request::new(Method::GET, paths::content(&args.hash));
    output::bytes(request, &args.target, common, Body::Content).await
}
