//! `xs`: the command line.

mod address;
mod args;
mod client;
mod commands;
mod copy;
mod failure;
mod ids;
mod output;
mod serve;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let args = args::Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failure::Failure::new(format!("starting a runtime: {error}")).report(),
    };
    let result = runtime.block_on(commands::run(args.command));
    // A read of standard input that is still waiting must not keep the process.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
