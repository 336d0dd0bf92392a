//! The queries, each a string that is known when this is compiled.
//!
//! Each goes along one index from one end of a range to the other, so that a page costs the page
//! (S4): the tests look at SQLite's plan of every one.

use rusqlite::{Connection, OptionalExtension as _, params};
use xs_core::{
    ContentHash, Direction, Frame, FrameId, PageBuilder, Pattern, Result, Scan, ScanPage, Topic, TopicPage, TopicTail,
};

use crate::connection::Place;
use crate::error::damaged;
use crate::row;

/// The columns that [`row::frame`] reads, of `$frames`, then the rest of a statement.
macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT f.id, f.topic, f.hash, f.meta, f.ttl, f.timestamp_ms, f.expires_ms, f.checksum ", $rest)
    };
}

const GET: &str = select!("FROM frames AS f WHERE f.id = ?1");

/// Frames from `?1` to `?2`, at most `?3`.
const ALL: [&str; 2] = [
    select!("FROM frames AS f WHERE f.id BETWEEN ?1 AND ?2 ORDER BY f.id ASC LIMIT ?3"),
    select!("FROM frames AS f WHERE f.id BETWEEN ?1 AND ?2 ORDER BY f.id DESC LIMIT ?3"),
];

/// Those of topic `?4`.
const EXACT: [&str; 2] = [
    select!(
        "FROM frames AS f INDEXED BY frames_by_topic
         WHERE f.topic = ?4 AND f.id BETWEEN ?1 AND ?2 ORDER BY f.id ASC LIMIT ?3"
    ),
    select!(
        "FROM frames AS f INDEXED BY frames_by_topic
         WHERE f.topic = ?4 AND f.id BETWEEN ?1 AND ?2 ORDER BY f.id DESC LIMIT ?3"
    ),
];

/// Those below `?4`. An outer join, so that an entry whose frame is gone shows instead of being
/// passed over.
const BELOW: [&str; 2] = [
    select!(
        "FROM ancestors AS a LEFT JOIN frames AS f ON f.id = a.id
         WHERE a.ancestor = ?4 AND a.id BETWEEN ?1 AND ?2 ORDER BY a.id ASC LIMIT ?3"
    ),
    select!(
        "FROM ancestors AS a LEFT JOIN frames AS f ON f.id = a.id
         WHERE a.ancestor = ?4 AND a.id BETWEEN ?1 AND ?2 ORDER BY a.id DESC LIMIT ?3"
    ),
];

/// The first topic from, or after, `?1`.
const TOPIC_FROM: &str = "SELECT topic FROM frames INDEXED BY frames_by_topic WHERE topic >= ?1 ORDER BY topic LIMIT 1";
const TOPIC_AFTER: &str = "SELECT topic FROM frames INDEXED BY frames_by_topic WHERE topic > ?1 ORDER BY topic LIMIT 1";

/// Where nothing of time `?1` or later is left out: it is cut off as the column is.
const EXPIRING: &str = "SELECT id, ttl FROM frames INDEXED BY frames_by_expiry
     WHERE expires_ms <= ?1 ORDER BY expires_ms, id LIMIT ?2";

const REFERENCED: &str = "SELECT 1 FROM frames INDEXED BY frames_by_hash WHERE hash = ?1 LIMIT 1";

/// The frame with this id.
pub(crate) fn get(connection: &Connection, place: &Place, id: FrameId) -> Result<Option<Frame>> {
    let read = |statement: &mut rusqlite::CachedStatement<'_>| {
        statement.query_row((id.to_string(),), |row| row::frame(row, &mut None)).optional()
    };
    let found = connection.prepare_cached(GET).and_then(|mut statement| read(&mut statement));
    found.map_err(|error| place.reading(error))?.transpose()
}

fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// One page of frames.
pub(crate) fn scan(connection: &Connection, place: &Place, scan: &Scan) -> Result<ScanPage> {
    let mut page = PageBuilder::new(scan);
    let Some((least, greatest)) = scan.range.inclusive() else { return Ok(page.finish(true)) };
    let direction = match scan.direction {
        Direction::Ascending => 0,
        Direction::Descending => 1,
    };
    let (statements, topic) = match &scan.pattern {
        Pattern::All => (&ALL, None),
        Pattern::Exact(topic) => (&EXACT, Some(topic)),
        Pattern::Below(topic) => (&BELOW, Some(topic)),
    };
    let doing = |error| place.reading(error);
    let sql = statements.get(direction).copied().unwrap_or_default();
    let mut statement = connection.prepare_cached(sql).map_err(doing)?;
    let (least, greatest, limit) = (least.to_string(), greatest.to_string(), limit(scan.limit.max(1)));
    let rows = match topic {
        None => statement.query(params![least, greatest, limit]),
        Some(topic) => statement.query(params![least, greatest, limit, topic.as_str()]),
    };
    let mut rows = rows.map_err(doing)?;
    let mut last = None;
    while let Some(row) = rows.next().map_err(doing)? {
        if matches!(row.get_ref(0).map_err(doing)?, rusqlite::types::ValueRef::Null) {
            return Err(damaged(place, "a frame is in ancestors, but not in frames"));
        }
        if !page.push(row::frame(row, &mut last).map_err(doing)??) {
            return Ok(page.finish(false));
        }
    }
    Ok(page.finish(true))
}

/// Jumps from topic to topic: its cost follows from the topics, not from their frames.
///
/// All in one transaction, so that a commit in between does not take the last frame of a topic
/// that was just found.
pub(crate) fn topics(connection: &Connection, place: &Place, page: &TopicPage) -> Result<Vec<TopicTail>> {
    let _snapshot = connection.unchecked_transaction().map_err(|error| place.reading(error))?;
    let mut found: Vec<TopicTail> = Vec::new();
    let mut next = match &page.after {
        Some(after) if after.as_str() >= page.prefix.as_str() => topic(connection, place, TOPIC_AFTER, after.as_str())?,
        _ => topic(connection, place, TOPIC_FROM, &page.prefix)?,
    };
    while let Some(topic_found) =
        next.filter(|topic| found.len() < page.limit && topic.as_str().starts_with(&page.prefix))
    {
        next = topic(connection, place, TOPIC_AFTER, topic_found.as_str())?;
        let newest = Scan { direction: Direction::Descending, ..Scan::new(Pattern::Exact(topic_found.clone()), 1) };
        let last = scan(connection, place, &newest)?.frames.pop();
        let last = last.ok_or_else(|| damaged(place, "a topic is in the index, but has no frame"))?;
        found.push(TopicTail { topic: topic_found, last });
    }
    Ok(found)
}

fn topic(connection: &Connection, place: &Place, sql: &str, from: &str) -> Result<Option<Topic>> {
    let read = |statement: &mut rusqlite::CachedStatement<'_>| {
        statement.query_row((from,), |row| row.get::<_, String>(0)).optional()
    };
    let name = connection.prepare_cached(sql).and_then(|mut statement| read(&mut statement));
    let name = name.map_err(|error| place.reading(error))?;
    name.map(|name| Topic::parse(&name).map_err(|_| damaged(place, "a topic is none"))).transpose()
}

/// What expires up to `before_ms`, soonest first.
pub(crate) fn expiring(
    connection: &Connection,
    place: &Place,
    before_ms: u64,
    at_most: usize,
) -> Result<Vec<(u64, FrameId)>> {
    let doing = |error| place.reading(error);
    let mut statement = connection.prepare_cached(EXPIRING).map_err(doing)?;
    let mut rows = statement.query((row::signed(before_ms), limit(at_most))).map_err(doing)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().map_err(doing)? {
        let id = row::id(row, 0).map_err(doing)?;
        let ttl: Option<String> = row.get(1).map_err(doing)?;
        let ttl = ttl.and_then(|ttl| ttl.parse::<xs_core::Ttl>().ok());
        let at_ms = ttl.and_then(|ttl| ttl.expires_at_ms(id));
        let at_ms = at_ms.ok_or_else(|| damaged(place, &format!("frame {id} expires, but its ttl does not say so")))?;
        if at_ms <= before_ms {
            found.push((at_ms, id));
        }
    }
    // Times beyond what the column holds are all alike there.
    found.sort_unstable();
    Ok(found)
}

/// Whether a frame refers to this content.
pub(crate) fn is_referenced(connection: &Connection, place: &Place, hash: ContentHash) -> Result<bool> {
    connection
        .prepare_cached(REFERENCED)
        .and_then(|mut statement| statement.exists((hash.to_string(),)))
        .map_err(|error| place.reading(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;

    /// What SQLite does for a statement, a line for each step.
    fn plan(connection: &Connection, sql: &str) -> Vec<String> {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let nulls = vec![rusqlite::types::Null; statement.parameter_count()];
        let rows = statement.query_map(rusqlite::params_from_iter(nulls), |row| row.get(3)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn every_query_goes_along_one_index() {
        let mut connection = Connection::open_in_memory().unwrap();
        schema::create(&mut connection).unwrap();
        let by_topic = "SEARCH f USING INDEX frames_by_topic (topic=? AND id>? AND id<?)";
        let below = "SEARCH a USING PRIMARY KEY (ancestor=? AND id>? AND id<?)";
        let one = "SEARCH f USING PRIMARY KEY (id=?)";
        let joined = "SEARCH f USING PRIMARY KEY (id=?) LEFT-JOIN";
        let topics = "SEARCH frames USING COVERING INDEX frames_by_topic (topic>?)";
        let expected: Vec<(&str, Vec<&str>)> = [
            ALL.map(|sql| (sql, vec!["SEARCH f USING PRIMARY KEY (id>? AND id<?)"])).to_vec(),
            EXACT.map(|sql| (sql, vec![by_topic])).to_vec(),
            BELOW.map(|sql| (sql, vec![below, joined])).to_vec(),
            vec![(GET, vec![one]), (TOPIC_FROM, vec![topics]), (TOPIC_AFTER, vec![topics])],
            vec![(EXPIRING, vec!["SEARCH frames USING INDEX frames_by_expiry (expires_ms<?)"])],
            vec![(REFERENCED, vec!["SEARCH frames USING COVERING INDEX frames_by_hash (hash=?)"])],
        ]
        .concat();
        for analyzed in [false, true] {
            if analyzed {
                // Statistics of a table that is all one topic must not talk it into sorting.
                for n in 0..500u32 {
                    let id = FrameId::from_u128(u128::from(n) << 64);
                    let frame = Frame::topic("a.b").unwrap().with_id(id);
                    connection
                        .execute("INSERT INTO frames VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", row::of_frame(&frame))
                        .unwrap();
                    connection.execute("INSERT INTO ancestors VALUES ('a', ?1)", (id.to_string(),)).unwrap();
                }
                connection.execute("ANALYZE", ()).unwrap();
            }
            for (sql, steps) in &expected {
                assert_eq!(plan(&connection, sql), *steps, "{sql}, analyzed: {analyzed}");
            }
        }
    }
}
