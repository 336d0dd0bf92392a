//! The paths of the routes. What is put into them needs no escaping: a topic, a pattern, an id and a
//! hash hold only what a path may hold.

use xs_core::{ContentHash, Filter, FrameId, Topic};

/// `GET`: read, with [`ReadQuery`](crate::ReadQuery).
pub const ROOT: &str = "/";
/// `POST`: append many frames at once.
pub const APPEND: &str = "/append";
/// `GET`: the last frame of all, with [`LastQuery`](crate::LastQuery).
pub const LAST: &str = "/last";
/// `GET`: topics, with [`TopicsQuery`](crate::TopicsQuery).
pub const TOPICS: &str = "/topics";
/// `POST`: store content.
pub const CAS: &str = "/cas";
/// `POST`: frames as they are.
pub const IMPORT: &str = "/import";
/// `GET`: what answers.
pub const VERSION: &str = "/version";
/// `GET`: whether it works.
pub const HEALTH: &str = "/healthz";
/// `GET`: its numbers, as Prometheus reads them.
pub const METRICS: &str = "/metrics";
/// `GET`: the description of all this.
pub const OPENAPI: &str = "/openapi.json";
/// `GET`: the console.
pub const UI: &str = "/ui";

/// `POST`: append one frame, with [`AppendQuery`](crate::AppendQuery).
pub fn append(topic: &Topic) -> String {
    format!("{APPEND}/{topic}")
}

/// `GET`, `DELETE`: one frame.
pub fn frame(id: FrameId) -> String {
    format!("{ROOT}{id}")
}

/// `GET`: the last frame that a filter selects, with [`LastQuery`](crate::LastQuery).
pub fn last(filter: &Filter) -> String {
    match *filter == Filter::all() {
        true => LAST.to_owned(),
        false => format!("{LAST}/{filter}"),
    }
}

/// `GET`, `HEAD`: content.
pub fn content(hash: &ContentHash) -> String {
    format!("{CAS}/{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_stands_in_a_uri_as_it_is() {
        let topic = Topic::parse("_A-z.9").unwrap();
        let filter: Filter = "a.*,b-c,d_e.*".parse().unwrap();
        // Base64 has all of its letters in the digests of a few contents.
        let contents = (0..100u8).map(|byte| content(&ContentHash::of(&[byte])));
        let fixed = [ROOT, APPEND, LAST, TOPICS, CAS, IMPORT, VERSION, HEALTH, METRICS, OPENAPI, UI];
        let made = [append(&topic), frame(FrameId::MAX), last(&filter), last(&Filter::all())];
        for path in fixed.map(str::to_owned).into_iter().chain(made).chain(contents) {
            let parsed: http::uri::PathAndQuery = path.parse().unwrap();
            assert_eq!((parsed.path(), parsed.query()), (path.as_str(), None));
        }
        assert_eq!(last(&filter), "/last/a.*,b-c,d_e.*");
        assert_eq!(last(&Filter::all()), "/last");
        assert_eq!(append(&topic), "/append/_A-z.9");
    }
}
