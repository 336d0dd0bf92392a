//! `xs version`: what answers.

use clap::Args;
use http::Method;
use xs_client::Request;
use xs_wire::paths;

use crate::args::{Common, Target};
use crate::connect;
use crate::failure::{Failure, Result};
use crate::output::{self, Body};
use crate::terminal::{self, table::table};

#[derive(Debug, Args)]
pub(crate) struct Version {
    #[command(flatten)]
    pub(crate) target: Target,
}

pub(crate) async fn run(args: Version, common: &Common) -> Result<()> {
    if !terminal::person_reads(common) {
        let request = Request::new(Method::GET, paths::VERSION);
        return output::bytes(request, &args.target, common, Body::Lines).await;
    }
    let client = connect::client(&args.target, common)?;
    let version = client.version().await.map_err(|error| Failure::of_call(&error))?;
    let rows = [
        ("server", version.version),
        ("index", version.index),
        ("content", version.cas),
        ("format", version.format.to_string()),
        ("this command", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let rows = rows.map(|(what, version)| [what.to_owned(), version]);
    output::print_line(&table(["what", "version"], rows, terminal::width()))
}
