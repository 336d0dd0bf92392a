//! `xs`: the command line.

mod archive;
mod args;
mod commands;
mod connect;
mod failure;
mod history;
mod lines;
mod log_filter;
mod output;
mod short_form;
mod signals;
mod terminal;
mod top;
mod units;

use std::process::ExitCode;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let argv = std::env::args_os().collect();
    let args = match short_form::parse(argv, std::env::var_os("XS_ADDR")) {
        Ok(args) => args,
        Err(error) => error.exit(),
    };
    match commands::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
