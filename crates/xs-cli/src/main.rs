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

use std::ffi::OsString;
use std::process::ExitCode;

#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let argv: Vec<OsString> = std::env::args_os().collect();
    let address = std::env::var_os("XS_ADDR").filter(|address| !address.is_empty());
    let has_address = address.is_some();
    let args = match short_form::parse(argv.clone(), address) {
        Ok(args) => args,
        Err(error) => return terminal::usage::report(error, &argv, has_address),
    };
    match commands::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
