//! Frames as rows, and back.

use std::str::FromStr;

use rusqlite::Row;
use xs_core::kv::codec;
use xs_core::kv::keys::Tail;
use xs_core::{Error, ErrorKind, Frame, FrameId, Meta, Result, Topic};

/// A row of `frames` to insert: its columns in order.
pub(crate) type FrameRow<'a> =
    (String, &'a str, Option<String>, Option<&'a str>, Option<String>, i64, Option<i64>, u32);

/// The row of a frame.
pub(crate) fn of_frame(frame: &Frame) -> FrameRow<'_> {
    (
        frame.id.to_string(),
        frame.topic.as_str(),
        frame.hash.map(|hash| hash.to_string()),
        frame.meta.as_ref().map(Meta::as_str),
        frame.ttl.map(|ttl| ttl.to_string()),
        signed(frame.id.timestamp_ms()),
        frame.expires_at_ms().map(signed),
        codec::checksum_of(frame),
    )
}

/// A time as SQLite holds it: what lies beyond the year 292 million is cut off there.
pub(crate) fn signed(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// The frame of a row, whose first columns are those of `frames`. The outer error is SQLite's; the
/// inner one is `Corrupt`, naming the frame.
///
/// `last` is the topic of the frame before: frames that follow each other with the same topic
/// share it.
pub(crate) fn frame(row: &Row<'_>, last: &mut Option<Topic>) -> rusqlite::Result<Result<Frame>> {
    let id: &str = row.get_ref(0)?.as_str()?;
    let frame = parts(row, last).ok().flatten();
    Ok(frame.ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, format!("frame {id} is damaged: its row does not match its checksum"))
    }))
}

/// The frame, or `None` where the columns do not make the one that was stored.
fn parts(row: &Row<'_>, last: &mut Option<Topic>) -> rusqlite::Result<Option<Frame>> {
    let name = row.get_ref(1)?.as_str()?;
    if last.as_ref().is_none_or(|last| last.as_str() != name) {
        *last = Topic::parse(name).ok();
    }
    let meta = row.get_ref(3)?.as_str_or_null()?.map(Meta::from_stored);
    let (hash, ttl) = (parse(row.get_ref(2)?.as_str_or_null()?), parse(row.get_ref(4)?.as_str_or_null()?));
    let (Ok(id), Some(topic), Some(hash), Some(ttl)) = (row.get_ref(0)?.as_str()?.parse(), last.clone(), hash, ttl)
    else {
        return Ok(None);
    };
    let frame = Frame { id, topic, hash, meta, ttl };
    let sound = codec::checksum_of(&frame) == row.get::<_, u32>(7)?
        && signed(frame.id.timestamp_ms()) == row.get::<_, i64>(5)?
        && frame.expires_at_ms().map(signed) == row.get::<_, Option<i64>>(6)?;
    Ok(sound.then_some(frame))
}

/// The value of a text; the inner `None` where there is none, the outer one where it is no such.
fn parse<T: FromStr>(text: Option<&str>) -> Option<Option<T>> {
    text.map(str::parse).transpose().ok()
}

/// The id in a column.
pub(crate) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<FrameId> {
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error: Error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// The columns of `stream` behind its key.
pub(crate) fn of_tail(tail: Tail) -> (i64, String, u32) {
    (signed(tail.sequence), tail.last_id.to_string(), tail.checksum())
}

/// The tail in those columns; `None` where they do not match their checksum.
pub(crate) fn tail(row: &Row<'_>) -> rusqlite::Result<Option<Tail>> {
    let Ok(sequence) = u64::try_from(row.get::<_, i64>(0)?) else { return Ok(None) };
    let tail = Tail { sequence, last_id: id(row, 1)? };
    Ok((tail.checksum() == row.get::<_, u32>(2)?).then_some(tail))
}
