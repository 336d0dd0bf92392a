//! What each command sends, and what it prints.

use std::io::IsTerminal as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Method, header};

use crate::args::{Append, Cat, Command, Last};
use crate::client::Call;
use crate::failure::Result;
use crate::output::pipe;
use crate::{copy, ids, serve};

pub(crate) async fn run(command: Command) -> Result<()> {
    match command {
        Command::Serve(args) => serve::run(args).await,
        Command::Cat(args) => cat(args).await,
        Command::Append(args) => append(args).await,
        Command::Cas { addr, hash } => {
            pipe(Call::new(Method::GET, format!("/cas/{hash}")).send(&addr).await?, false).await
        }
        Command::CasPost { addr } => {
            pipe(Call::new(Method::POST, "/cas").body(tokio::io::stdin()).send(&addr).await?, true).await
        }
        Command::Get { addr, id, with_timestamp } => {
            let call = Call::new(Method::GET, format!("/{id}")).flag("with-timestamp", with_timestamp);
            pipe(call.send(&addr).await?, true).await
        }
        Command::Last(args) => last(args).await,
        Command::Remove { addr, id } => {
            Call::new(Method::DELETE, format!("/{id}")).send(&addr).await?;
            Ok(())
        }
        Command::Topics { addr, prefix } => {
            pipe(Call::new(Method::GET, "/topics").param("prefix", prefix).send(&addr).await?, true).await
        }
        Command::Import { addr } => {
            pipe(Call::new(Method::POST, "/import").body(tokio::io::stdin()).send(&addr).await?, true).await
        }
        Command::Copy(args) => copy::run(args).await,
        Command::Version { addr } => pipe(Call::new(Method::GET, "/version").send(&addr).await?, true).await,
        Command::Scru128 { command } => ids::run(command),
    }
}

async fn cat(args: Cat) -> Result<()> {
    let follow = match (args.follow, args.pulse) {
        (_, Some(ms)) => Some(ms.to_string()),
        (true, None) => Some(String::new()),
        (false, None) => None,
    };
    let mut call = Call::new(Method::GET, "/")
        .param("follow", follow)
        .flag("new", args.new)
        .param("after", args.after)
        .param("from", args.from)
        .param("limit", args.limit)
        .param("last", args.last)
        .param("topic", args.topic)
        .flag("with-timestamp", args.with_timestamp);
    if args.sse {
        call = call.header(header::ACCEPT.as_str(), "text/event-stream".to_owned());
    }
    pipe(call.send(&args.addr).await?, false).await
}

async fn append(args: Append) -> Result<()> {
    let mut call = Call::new(Method::POST, format!("/append/{}", args.topic))
        .param("ttl", args.ttl)
        .param("expect", args.expect)
        .flag("with-timestamp", args.with_timestamp);
    if let Some(meta) = args.meta {
        // Refused here, before anything is read or sent.
        xs::Meta::parse(&meta)?;
        call = call.header("xs-meta", STANDARD.encode(meta));
    }
    // A person at a terminal appends without content rather than being waited for.
    if !std::io::stdin().is_terminal() {
        call = call.body(tokio::io::stdin());
    }
    pipe(call.send(&args.addr).await?, true).await
}

async fn last(args: Last) -> Result<()> {
    let path = match &args.topic {
        Some(filter) => format!("/last/{filter}"),
        None => "/last".to_owned(),
    };
    let call = Call::new(Method::GET, path)
        .param("last", (args.n != 1).then_some(args.n))
        .flag("follow", args.follow)
        .flag("with-timestamp", args.with_timestamp);
    pipe(call.send(&args.addr).await?, true).await
}
