//! `xs cas-post`: content in.

use std::io::IsTerminal as _;

use clap::Args;
use http::Method;
use xs::Content;
use xs_client::Request;
use xs_wire::paths;

use crate::args::{Common, Target};
use crate::failure::Result;
use crate::output::{self, Body};
use crate::terminal::progress;

#[derive(Debug, Args)]
pub(crate) struct CasPost {
    #[command(flatten)]
    pub(crate) target: Target,
}

pub(crate) async fn run(args: CasPost, common: &Common) -> Result<()> {
    let mut content = Content::reader(tokio::io::stdin());
    if !std::io::stdin().is_terminal() {
        content = progress::sent(content)?;
    }
    let request = Request::new(Method::POST, paths::CAS).body(content);
    output::bytes(request, &args.target, common, Body::Lines).await
}
