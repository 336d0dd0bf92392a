//! `xs last`: the newest frames.

use std::str::FromStr;

use clap::Args;
use http::Method;
use xs::{Error, ErrorKind, Filter, Follow};
use xs_client::Request;
use xs_wire::{LastQuery, paths};

use crate::args::{Common, Target};
use crate::failure::{Failure, Result};
use crate::output;

#[derive(Debug, Args)]
pub(crate) struct Last {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Of these topics: a comma list of names and patterns; all when left out
    topic: Option<Which>,
    /// How many [default: 1]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) n: Option<u64>,
    /// Go on with what is appended
    #[arg(short, long)]
    follow: bool,
    /// Add the time of the id to each frame
    #[arg(long)]
    with_timestamp: bool,
}

/// Topics, or how many frames of all: no topic begins with a digit.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    Topics(Filter),
    Count(u64),
}

impl FromStr for Which {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return text.parse().map(Self::Topics);
        }
        match text.parse() {
            Ok(n @ 1..) => Ok(Self::Count(n)),
            _ => {
                let message =
                    format!("{text:?} is neither a topic, which begins with no digit, nor a number of frames");
                Err(Error::new(ErrorKind::InvalidInput, message))
            }
        }
    }
}

/// The topics, and how many.
fn chosen(which: Option<Which>, n: Option<u64>) -> Result<(Filter, u64)> {
    match (which, n) {
        (None, n) => Ok((Filter::all(), n.unwrap_or(1))),
        (Some(Which::Topics(filter)), n) => Ok((filter, n.unwrap_or(1))),
        (Some(Which::Count(count)), None) => Ok((Filter::all(), count)),
        (Some(Which::Count(count)), Some(n)) => Err(Failure::usage(format!(
            "{count} is no topic, and {n} says how many already: xs last <addr> [topic] [n]"
        ))),
    }
}

pub(crate) async fn run(args: Last, common: &Common) -> Result<()> {
    let (filter, last) = chosen(args.topic, args.n)?;
    let follow = if args.follow { Follow::On } else { Follow::Off };
    let query = LastQuery { last, follow, with_timestamp: args.with_timestamp }.to_query();
    let request = Request::new(Method::GET, format!("{}{}", paths::last(&filter), query.finish()));
    output::frames(request, &args.target, common).await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_how_many_and_a_name_is_which() {
        let chosen = |which: Option<&str>, n| {
            let (filter, last) = chosen(which.map(|which| which.parse().unwrap()), n).ok()?;
            Some((filter.to_string(), last))
        };
        let some = |filter: &str, last| Some((filter.to_owned(), last));
        assert_eq!(chosen(None, None), some("*", 1));
        assert_eq!(chosen(Some("a.*,b"), None), some("a.*,b", 1));
        assert_eq!(chosen(Some("a"), Some(5)), some("a", 5));
        assert_eq!(chosen(Some("5"), None), some("*", 5));
        assert_eq!(chosen(Some("5"), Some(6)), None);
        for bad in ["", "0", "-1", "5x", "a..b", "99999999999999999999"] {
            assert!(bad.parse::<Which>().is_err(), "{bad}");
        }
    }
}
