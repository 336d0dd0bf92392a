//! `xs topics`: a listing.

use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use http::Method;
use jiff::Zoned;
use xs_client::Request;
use xs_wire::{TopicEntry, TopicsQuery, from_json, paths};

use crate::args::{Common, Target};
use crate::failure::{Failure, Result};
use crate::output::{self, Body};
use crate::terminal::{self, table::table, time};
use crate::{connect, lines};

/// The most rows of a table, which is laid out when all of them are there.
const ROWS_MAX: usize = 10_000;

#[derive(Debug, Args)]
pub(crate) struct Topics {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only topics whose name starts with this
    prefix: Option<String>,
}

pub(crate) async fn run(args: Topics, common: &Common) -> Result<()> {
    let person_reads = terminal::person_reads(common);
    // One more than fits tells that there are more.
    let limit = person_reads.then_some(ROWS_MAX + 1);
    let query = TopicsQuery { prefix: args.prefix.unwrap_or_default(), after: None, limit }.to_query();
    let request = Request::new(Method::GET, format!("{}{}", paths::TOPICS, query.finish()));
    if !person_reads {
        return output::bytes(request, &args.target, common, Body::Lines).await;
    }
    let client = connect::client(&args.target, common)?;
    let response = output::call(&client, request, output::JSON).await?;
    let now = Zoned::now();
    let rows = lines::of(response).map(|line| {
        let TopicEntry { topic, last_id, .. } = from_json(&line.map_err(|error| output::broken_off(&error))?)?;
        Ok::<_, Failure>([topic.to_string(), last_id.to_string(), time::moment(last_id, &now)])
    });
    let mut rows: Vec<_> = rows.try_collect().await?;
    if rows.is_empty() {
        return Ok(());
    }
    let has_more = rows.len() > ROWS_MAX;
    rows.truncate(ROWS_MAX);
    output::print_line(&table(["topic", "last id", "last activity"], rows, terminal::width()))?;
    match has_more {
        true => output::print_line("… and more: narrow it down with a prefix, or use --json"),
        false => Ok(()),
    }
}
