//! The words and flags of the command line.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use xs::{Filter, FrameId, Ttl};
use xs_server::Exposure;

use crate::address::Address;

/// An event stream store: one append-only stream of frames, durable on disk.
#[derive(Debug, Parser)]
#[command(name = "xs", version, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a store, making it where there is none
    Serve(Serve),
    /// Print frames
    Cat(Cat),
    /// Append a frame; its content comes from standard input
    Append(Append),
    /// Print content
    Cas {
        /// A store directory, a socket, :port, host:port or http://host:port
        addr: Address,
        /// The hash of the content
        hash: xs::ContentHash,
    },
    /// Store content from standard input, and print its hash
    CasPost {
        /// A store directory, a socket, :port, host:port or http://host:port
        addr: Address,
    },
    /// Print a frame
    Get {
        /// A store directory, a socket, :port, host:port or http://host:port
        addr: Address,
        /// The id of the frame
        id: FrameId,
        /// Add the time of the id
        #[arg(long)]
        with_timestamp: bool,
    },
    /// Print the last frames
    #[command(visible_alias = "head")]
    Last(Last),
    /// Remove a frame
    Remove {
        /// A store directory, a socket, :port, host:port or http://host:port
        addr: Address,
        /// The id of the frame
        id: FrameId,
    },
    /// List topics with their last ids
    Topics {
        /// A store directory, a socket, :port, host:port or http://host:port
        addr: Address,
        /// Only topics whose name starts with this
        prefix: Option<String>,
    },
    /// Store frames from standard input as they are, ids included: NDJSON
    Import {
        /// A store directory, a socket, :port, host:port or http://host:port
        addr: Address,
    },
    /// Copy a store that nobody serves into one of other parts
    Copy(Copy),
    /// Print the version of a server
    Version {
        /// A store directory, a socket, :port, host:port or http://host:port
        addr: Address,
    },
    /// Make an id, or look into one
    Scru128 {
        #[command(subcommand)]
        command: Option<Scru128>,
    },
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    /// The directory of the store
    pub(crate) path: PathBuf,
    /// Listen here too: :port, host:port (loopback), or a socket path; repeatable
    #[arg(long, value_name = "ADDR")]
    pub(crate) expose: Vec<Exposure>,
    /// The index of a new store: fjall, redb or sqlite [default: fjall]
    #[arg(long)]
    pub(crate) index: Option<String>,
    /// The content store of a new store: fs, or a URL such as s3://bucket/prefix [default: fs]
    #[arg(long, value_name = "fs|URL")]
    pub(crate) cas: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Copy {
    /// The directory of the store
    pub(crate) from: PathBuf,
    /// The directory of the copy: empty, missing, or one where this copy was cut short
    pub(crate) to: PathBuf,
    /// The index of the copy: fjall, redb or sqlite [default: fjall]
    #[arg(long)]
    pub(crate) index: Option<String>,
    /// The content store of the copy: fs, or a URL such as s3://bucket/prefix [default: fs]
    #[arg(long, value_name = "fs|URL")]
    pub(crate) cas: Option<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Cat {
    /// A store directory, a socket, :port, host:port or http://host:port
    pub(crate) addr: Address,
    /// Go on with what is appended
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// While following, print a pulse each time so many milliseconds have passed
    #[arg(short, long, value_name = "MS", requires = "follow", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) pulse: Option<u64>,
    /// Skip history
    #[arg(short, long)]
    pub(crate) new: bool,
    /// Start after this id
    #[arg(short, long, value_name = "ID")]
    pub(crate) after: Option<FrameId>,
    /// Start at this id
    #[arg(long, value_name = "ID")]
    pub(crate) from: Option<FrameId>,
    /// Stop after so many frames
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Of history, only the newest so many
    #[arg(long, value_name = "N")]
    pub(crate) last: Option<u64>,
    /// Only these topics: a comma list of names and patterns such as user.*
    #[arg(short = 'T', long, value_name = "FILTER")]
    pub(crate) topic: Option<Filter>,
    /// Print server-sent events
    #[arg(long)]
    pub(crate) sse: bool,
    /// Add the time of the id to each frame
    #[arg(long)]
    pub(crate) with_timestamp: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Append {
    /// A store directory, a socket, :port, host:port or http://host:port
    pub(crate) addr: Address,
    /// The topic of the frame
    pub(crate) topic: xs::Topic,
    /// A JSON value that the frame carries
    #[arg(long, value_name = "JSON")]
    pub(crate) meta: Option<String>,
    /// forever, ephemeral, time:<ms> or last:<n>
    #[arg(long)]
    pub(crate) ttl: Option<Ttl>,
    /// Append only if the topic is empty (none), or if this is its last id
    #[arg(long, value_name = "none|ID")]
    pub(crate) expect: Option<String>,
    /// Add the time of the id to the frame
    #[arg(long)]
    pub(crate) with_timestamp: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Last {
    /// A store directory, a socket, :port, host:port or http://host:port
    pub(crate) addr: Address,
    /// Of these topics: a comma list of names and patterns; all when left out
    pub(crate) topic: Option<Filter>,
    /// How many
    #[arg(default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) n: u64,
    /// Go on with what is appended
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Add the time of the id to each frame
    #[arg(long)]
    pub(crate) with_timestamp: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Scru128 {
    /// Print the fields of an id as JSON
    Unpack {
        /// The id, or - for standard input
        id: String,
    },
    /// Make an id of its fields, JSON from standard input
    Pack,
}
