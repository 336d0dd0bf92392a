//! `xs scru128`: ids and their fields, in the form that cross.stream gives them.

use std::io::Read as _;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};
use crate::output::print_line;

#[derive(Debug, Args)]
pub(crate) struct Scru128 {
    #[command(subcommand)]
    command: Option<Word>,
}

#[derive(Debug, Subcommand)]
enum Word {
    /// Print the fields of an id as JSON
    Unpack {
        /// The id, or - for standard input
        id: String,
    },
    /// Make an id of its fields, JSON from standard input
    Pack,
}

/// The fields of an id.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Fields {
    /// Seconds since 1970.
    timestamp: f64,
    counter_hi: u32,
    counter_lo: u32,
    /// The entropy in hexadecimal.
    node: String,
}

pub(crate) fn run(args: Scru128) -> Result<()> {
    let line = match args.command {
        None => scru128::new().to_string(),
        Some(Word::Unpack { id }) if id == "-" => unpack(standard_input()?.trim())?,
        Some(Word::Unpack { id }) => unpack(&id)?,
        Some(Word::Pack) => pack(&standard_input()?)?,
    };
    print_line(&line)
}

fn standard_input() -> Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| Failure::io("reading standard input", &error))?;
    Ok(text)
}

fn unpack(text: &str) -> Result<String> {
    let id: xs::FrameId = text.parse().map_err(|error: xs::Error| Failure::usage(error.to_string()))?;
    let id = scru128::Id::from_u128(id.to_u128());
    // 48 bits of milliseconds are exact in a float.
    #[allow(clippy::cast_precision_loss)]
    let timestamp = id.timestamp() as f64 / 1000.0;
    let fields = Fields {
        timestamp,
        counter_hi: id.counter_hi(),
        counter_lo: id.counter_lo(),
        node: format!("{:08x}", id.entropy()),
    };
    serde_json::to_string_pretty(&fields).map_err(|error| Failure::new(error.to_string()))
}

fn pack(text: &str) -> Result<String> {
    let fields: Fields =
        serde_json::from_str(text).map_err(|error| Failure::new(format!("not the fields of an id: {error}")))?;
    let entropy = u32::from_str_radix(&fields.node, 16)
        .map_err(|error| Failure::new(format!("node {:?}: {error}", fields.node)))?;
    let ms = (fields.timestamp * 1000.0).round();
    if !(0.0..281_474_976_710_656.0).contains(&ms) {
        return Err(Failure::new(format!("timestamp {} does not fit an id", fields.timestamp)));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "its range was checked")]
    let id = scru128::Id::try_from_fields(ms as u64, fields.counter_hi, fields.counter_lo, entropy);
    id.map(|id| id.to_string()).map_err(|error| Failure::new(format!("not the fields of an id: {error}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn fields_make_the_id_that_they_came_from() {
        for id in ["03d4q1qhbiv09ovtuhokw5yxv", "0000000000000000000000000", "f5lxx1zz5pnorynqglhzmsp33"] {
            assert_eq!(pack(&unpack(id).unwrap()).unwrap(), id);
        }
        for bad in [
            "{}",
            "",
            "{\"timestamp\":-1,\"counter_hi\":0,\"counter_lo\":0,\"node\":\"0\"}",
            "{\"timestamp\":1,\"counter_hi\":99999999,\"counter_lo\":0,\"node\":\"0\"}",
            "{\"timestamp\":1,\"counter_hi\":0,\"counter_lo\":0,\"node\":\"xyz\"}",
        ] {
            assert!(pack(bad).is_err(), "{bad}");
        }
    }
}
