//! `xs health`: whether a server takes writes.

use clap::Args;

use crate::args::{Common, Target};
use crate::connect;
use crate::failure::{Failure, Result};
use crate::output;
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct Health {
    #[command(flatten)]
    pub(crate) target: Target,
}

pub(crate) async fn run(args: Health, common: &Common) -> Result<()> {
    let client = connect::client(&args.target, common)?;
    client.health().await.map_err(|error| Failure::of_call(&error))?;
    output::print_line(match terminal::person_reads(common) {
        true => "well: the server answers, and its store takes writes",
        false => r#"{"status":"ok"}"#,
    })
}
