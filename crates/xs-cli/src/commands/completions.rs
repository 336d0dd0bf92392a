//! `xs completions`: what a shell completes.

use clap::{Args as ClapArgs, Command, CommandFactory as _, ValueHint};
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
    clap_complete::generate(args.shell, &mut without_files(Args::command()), "xs", &mut script);
    output::print(&script)
}

/// Names of files are offered where a file is asked for, and not wherever nothing else is known.
fn without_files(command: Command) -> Command {
    let hinted = command.mut_args(|argument| {
        let is_unknown = argument.get_value_hint() == ValueHint::Unknown && argument.get_possible_values().is_empty();
        match is_unknown && argument.get_action().takes_values() {
            true => argument.value_hint(ValueHint::Other),
            false => argument,
        }
    });
    hinted.mut_subcommands(without_files)
}
