//! `xs cat`: frames.

use std::time::Duration;

use clap::Args;
use http::{Method, header};
use xs::{Filter, Follow, FrameId, ReadOptions};
use xs_client::Request;
use xs_wire::{Framing, ReadQuery, paths};

use crate::args::{Common, Target};
use crate::failure::Result;
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct Cat {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Go on with what is appended
    #[arg(short, long)]
    follow: bool,
    /// Go on, and print a pulse each time so many milliseconds have passed
    #[arg(short, long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pulse: Option<u64>,
    /// Skip history
    #[arg(short, long)]
    new: bool,
    /// Start after this id
    #[arg(short, long, value_name = "ID")]
    after: Option<FrameId>,
    /// Start at this id
    #[arg(long, value_name = "ID")]
    from: Option<FrameId>,
    /// Stop after so many frames
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Of history, only the newest so many
    #[arg(long, value_name = "N")]
    last: Option<u64>,
    /// Only these topics: a comma list of names and patterns such as user.*
    #[arg(short = 'T', long, value_name = "FILTER")]
    topic: Option<Filter>,
    /// Print server-sent events
    #[arg(long)]
    sse: bool,
    /// Add the time of the id to each frame
    #[arg(long)]
    with_timestamp: bool,
}

pub(crate) async fn run(args: Cat, common: &Common) -> Result<()> {
    let follow = match (args.follow, args.pulse) {
        (_, Some(ms)) => Follow::Pulse(Duration::from_millis(ms)),
        (true, None) => Follow::On,
        (false, None) => Follow::Off,
    };
    let options = ReadOptions {
        filter: args.topic.unwrap_or_default(),
        after: args.after,
        from: args.from,
        limit: args.limit,
        last: args.last,
        new: args.new,
        follow,
        threshold: true,
    };
    let query = ReadQuery { options, with_timestamp: args.with_timestamp }.to_query();
    let request = Request::new(Method::GET, format!("{}{}", paths::ROOT, query.finish()));
    match args.sse {
        // They were asked for as they are.
        true => {
            let request = request.header(header::ACCEPT, Framing::Sse.content_type());
            output::events(request, &args.target, common).await
        }
        false => output::frames(request, &args.target, common).await,
    }
}
