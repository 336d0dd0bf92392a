//! What goes over HTTP between the server and the client of xs: parameters, frames, errors, paths.
//! Both sides take it from here, so that what one writes the other reads.
//!
//! * [`Params`] reads a query strictly, [`Query`] writes one; [`ReadQuery`], [`LastQuery`],
//!   [`AppendQuery`] and [`TopicsQuery`] are those of the routes, both ways.
//! * [`AppendLine`] is a frame to append, both ways.
//! * [`frame_json`] and [`Framing`] write frames; [`LineSplitter`] takes a stream of them apart.
//! * [`ErrorBody`], [`status`] and [`error_of`] carry an [`Error`](xs_core::Error) over; [`BareStatus`] tells one
//!   that no server of xs has put into words, and [`brief()`] keeps messages short.
//! * [`paths`] spells the routes.
//!
//! Nothing here does I/O, and no HTTP implementation is in this crate's dependency tree.
//!
//! ```
//! use xs_core::{ReadOptions, Topic};
//! use xs_wire::{Params, ReadQuery, paths};
//!
//! let options = ReadOptions::follow().filter(Topic::parse("clip.add")?).limit(3);
//! let query = ReadQuery { options, with_timestamp: false }.to_query().finish();
//! assert_eq!(format!("{}{query}", paths::ROOT), "/?follow=&limit=3&topic=clip.add");
//!
//! let read = ReadQuery::parse(Params::parse(query.strip_prefix('?')))?;
//! assert_eq!(read.options.limit, Some(3));
//! # Ok::<(), xs_core::Error>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic))]

mod append;
mod brief;
mod error;
mod frame;
mod framing;
mod json;
mod lines;
mod options;
mod params;
pub mod paths;

pub use append::AppendLine;
pub use brief::brief;
pub use error::{BareStatus, ErrorBody, ErrorFields, error_of, status};
pub use frame::{META_HEADER, decode_meta, encode_meta, frame_json, modified_ms, modified_text, timestamp};
pub use framing::Framing;
pub use json::{Health, TopicEntry, Version, from_json, to_json};
pub use lines::{FRAME_LINE_BYTES_MAX, LineSplitter};
pub use options::{AppendQuery, LastQuery, ReadQuery, TopicsQuery};
pub use params::{Params, Query};
