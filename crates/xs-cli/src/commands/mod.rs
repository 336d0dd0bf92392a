//! What each command does, a file for each.

pub(crate) mod append;
pub(crate) mod cas;
pub(crate) mod cas_post;
pub(crate) mod cat;
pub(crate) mod completions;
pub(crate) mod copy;
pub(crate) mod export;
pub(crate) mod get;
pub(crate) mod health;
pub(crate) mod import;
pub(crate) mod last;
pub(crate) mod man;
pub(crate) mod remove;
pub(crate) mod scru128;
pub(crate) mod serve;
pub(crate) mod top;
pub(crate) mod topics;
pub(crate) mod version;

use tokio::runtime::Builder;

use crate::args::{Args, Command};
use crate::failure::{Failure, Result};

pub(crate) fn run(args: Args) -> Result<()> {
    let Args { common, command } = args;
    match command {
        Command::Serve(args) => work(serve::run(args, &common)),
        Command::Copy(args) => work(copy::run(args, &common)),
        Command::Cat(args) => call(cat::run(args, &common)),
        Command::Append(args) => call(append::run(args, &common)),
        Command::Cas(args) => call(cas::run(args, &common)),
        Command::CasPost(args) => call(cas_post::run(args, &common)),
        Command::Get(args) => call(get::run(args, &common)),
        Command::Last(args) => call(last::run(args, &common)),
        Command::Remove(args) => call(remove::run(args, &common)),
        Command::Topics(args) => call(topics::run(args, &common)),
        Command::Top(args) => call(top::run(args, &common)),
        Command::Import(args) => call(import::run(args, &common)),
        Command::Export(args) => call(export::run(args, &common)),
        Command::Version(args) => call(version::run(args, &common)),
        Command::Health(args) => call(health::run(args, &common)),
        Command::Scru128(args) => scru128::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}

/// What has a store open uses every core.
fn work(command: impl Future<Output = Result<()>>) -> Result<()> {
    block_on(Builder::new_multi_thread(), command)
}

/// What calls a server has one thing to wait for, and is to be up at once.
fn call(command: impl Future<Output = Result<()>>) -> Result<()> {
    block_on(Builder::new_current_thread(), command)
}

fn block_on(mut builder: Builder, command: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = builder.enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(format!("starting a runtime: {error}")))?;
    let result = runtime.block_on(command);
    // A read of standard input that is still waiting must not keep the process.
    runtime.shutdown_background();
    result
}
