//! The words of the command line. The flags of each are with what it does, in `commands`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueHint};

use crate::commands::append::Append;
use crate::commands::cas::Cas;
use crate::commands::cas_post::CasPost;
use crate::commands::cat::Cat;
use crate::commands::completions::Completions;
use crate::commands::copy::Copy;
use crate::commands::export::Export;
use crate::commands::get::Get;
use crate::commands::health::Health;
use crate::commands::import::Import;
use crate::commands::last::Last;
use crate::commands::man::Man;
use crate::commands::remove::Remove;
use crate::commands::scru128::Scru128;
use crate::commands::serve::Serve;
use crate::commands::top::Top;
use crate::commands::topics::Topics;
use crate::commands::version::Version;
use crate::terminal::colour::ColourChoice;

/// What is read from the environment, for the end of the help.
const ENVIRONMENT: &str = "\
Environment:
  XS_ADDR    The address, where a command is given none
  XS_TOKEN   The token, where the address has none
  XS_TLS_CA  As --tls-ca
  XS_LOG     What serve logs, such as info or xs_server=debug
  NO_COLOR   Set to anything: no colours";

/// An event stream store: one append-only stream of frames, durable on disk.
#[derive(Debug, Parser)]
#[command(name = "xs", version, arg_required_else_help = true, after_help = ENVIRONMENT)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct Common {
    /// On a terminal, too, print what the server sends as it is
    #[arg(long, global = true, help_heading = "Everywhere")]
    pub(crate) json: bool,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", help_heading = "Everywhere")]
    pub(crate) color: ColourChoice,
    /// Trust the certificates in this file (PEM), instead of those of the system
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    pub(crate) tls_ca: Option<PathBuf>,
}

/// Which server is called. The text may hold a token.
#[derive(Clone, ClapArgs)]
pub(crate) struct Target {
    /// A store directory, a socket, :port, host:port, http://host:port or https://host:port; XS_ADDR when left out
    #[arg(value_hint = ValueHint::AnyPath)]
    pub(crate) addr: String,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Target")
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a store, making it where there is none
    Serve(Serve),
    /// Print frames
    Cat(Cat),
    /// Append a frame; its content comes from standard input
    ///
    /// From a terminal nothing is read, so that a frame which is typed has no content: give it some with a pipe, as in
    /// echo text | xs append, or from a file, with <.
    Append(Append),
    /// Print content
    Cas(Cas),
    /// Store content from standard input, and print its hash
    CasPost(CasPost),
    /// Print a frame
    Get(Get),
    /// Print the last frames
    #[command(visible_alias = "head")]
    Last(Last),
    /// Remove a frame
    Remove(Remove),
    /// List topics with their last ids
    Topics(Topics),
    /// Show topics with what happens on them, live
    Top(Top),
    /// Store frames as they are, ids included: NDJSON from standard input, or what export wrote
    Import(Import),
    /// Write all frames and their content into a directory
    Export(Export),
    /// Copy a store that nobody serves into one of other parts
    Copy(Copy),
    /// Print the version of a server
    Version(Version),
    /// Say whether a server is well: exit code 1 where it is not
    Health(Health),
    /// Make an id, or look into one
    Scru128(Scru128),
    /// Print the completions for a shell
    Completions(Completions),
    /// Print the manual page, or write all of them into a directory
    Man(Man),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_words_and_flags_go_together() {
        super::Args::command().debug_assert();
    }
}
