//! `xs completions`: what a shell completes.

use clap::{Args as ClapArgs, CommandFactory as _};
use clap_complete::Shell;

use crate::args::Args;
use crate::failure::Result;
use crate::output;

#[derive(Debug, ClapArgs)]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(args: Completions) -> Result<()> {
    // Into memory first: what generates them takes a closed pipe for a defect.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "xs", &mut script);
    output::print(&script)
}
