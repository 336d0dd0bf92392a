//! `xs health`: whether a server takes writes.

use clap::Args;
use http::Method;
use xs_client::Request;
use xs_wire::paths;

use crate::args::{Common, Target};
use crate::connect;
use crate::failure::{Failure, Result};
use crate::output::{self, Body};
use crate::terminal;

#[derive(Debug, Args)]
pub(crate) struct Health {
    #[command(flatten)]
    pub(crate) target: Target,
}

pub(crate) async fn run(args: Health, common: &Common) -> Result<()> {
    if !terminal::person_reads(common) {
        let request = Request::new(Method::GET, paths::HEALTH);
        return output::bytes(request, &args.target, common, Body::Lines).await;
    }
    let client = connect::client(&args.target, common)?;
    client.health().await.map_err(|error| Failure::of_call(&error))?;
    output::print_line("well: the server answers, and its store takes writes")
}
