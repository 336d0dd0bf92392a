//! The queries of the routes that take options.

use xs_core::{Expect, Filter, Follow, FrameId, ReadOptions, Result, Topic, Ttl};

use crate::error::invalid;
use crate::params::{Params, Query};

const WITH_TIMESTAMP: &str = "with-timestamp";

/// The query of `GET /`.
#[derive(Clone, Debug, Default)]
pub struct ReadQuery {
    /// What to read. Over HTTP a follower of history always gets its threshold.
    pub options: ReadOptions,
    /// Whether frames are to have their time.
    pub with_timestamp: bool,
}

impl ReadQuery {
    /// Takes all parameters; `InvalidInput` names one that is wrong or not known.
    pub fn parse(mut params: Params) -> Result<Self> {
        let options = ReadOptions {
            filter: params.value::<Filter>("topic")?.unwrap_or_default(),
            after: params.value("after")?,
            from: params.value("from")?,
            limit: params.value("limit")?,
            last: params.value("last")?,
            new: params.flag("new")?,
            follow: params.follow()?,
            threshold: true,
        };
        let with_timestamp = params.flag(WITH_TIMESTAMP)?;
        params.finish()?;
        Ok(Self { options, with_timestamp })
    }

    /// The query that [`parse`](Self::parse) reads as this one.
    pub fn to_query(&self) -> Query {
        let ReadOptions { filter, after, from, limit, last, new, follow, threshold: _ } = &self.options;
        Query::new()
            .follow(*follow)
            .flag("new", *new)
            .param("after", *after)
            .param("from", *from)
            .param("limit", *limit)
            .param("last", *last)
            .param("topic", (*filter != Filter::all()).then_some(filter))
            .flag(WITH_TIMESTAMP, self.with_timestamp)
    }
}

/// The query of `GET /last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastQuery {
    /// How many frames, at least 1.
    pub last: u64,
    /// Whether to go on with what is appended later.
    pub follow: Follow,
    /// Whether frames are to have their time.
    pub with_timestamp: bool,
}

impl Default for LastQuery {
    /// The last frame.
    fn default() -> Self {
        Self { last: 1, follow: Follow::Off, with_timestamp: false }
    }
}

impl LastQuery {
    /// Takes all parameters; `InvalidInput` names one that is wrong or not known.
    pub fn parse(mut params: Params) -> Result<Self> {
        let last = params.value("last")?.unwrap_or(1);
        let follow = params.follow()?;
        let with_timestamp = params.flag(WITH_TIMESTAMP)?;
        params.finish()?;
        match last {
            0 => Err(invalid("parameter last=0: at least 1 frame can be asked for")),
            last => Ok(Self { last, follow, with_timestamp }),
        }
    }

    /// The query that [`parse`](Self::parse) reads as this one.
    pub fn to_query(&self) -> Query {
        Query::new()
            .param("last", (self.last != 1).then_some(self.last))
            .follow(self.follow)
            .flag(WITH_TIMESTAMP, self.with_timestamp)
    }
}

/// The query of `POST /append/{topic}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendQuery {
    /// How long the frame is kept.
    pub ttl: Option<Ttl>,
    /// Append only if the topic looks like this.
    pub expect: Option<Expect>,
    /// Whether the frame that is answered is to have its time.
    pub with_timestamp: bool,
}

impl AppendQuery {
    /// Takes all parameters; `InvalidInput` names one that is wrong or not known.
    pub fn parse(mut params: Params) -> Result<Self> {
        let ttl = params.value("ttl")?;
        let wrong = |text: &str| invalid(format!("parameter expect={text:?}: {EXPECT_FORMS}"));
        let expect = params.text("expect")?;
        let expect = expect.map(|text| parse_expect(&text).ok_or_else(|| wrong(&text))).transpose()?;
        let with_timestamp = params.flag(WITH_TIMESTAMP)?;
        params.finish()?;
        Ok(Self { ttl, expect, with_timestamp })
    }

    /// The query that [`parse`](Self::parse) reads as this one.
    pub fn to_query(&self) -> Query {
        let expect = self.expect.map(expect_text);
        Query::new().param("ttl", self.ttl).param("expect", expect).flag(WITH_TIMESTAMP, self.with_timestamp)
    }
}

/// What a text that is no condition is told.
pub(crate) const EXPECT_FORMS: &str = "expected none, or the topic's last id";

pub(crate) fn parse_expect(text: &str) -> Option<Expect> {
    match text {
        "none" => Some(Expect::Empty),
        text => text.parse::<FrameId>().ok().map(Expect::Last),
    }
}

/// The text that [`parse_expect`] reads as this one.
pub(crate) fn expect_text(expect: Expect) -> String {
    match expect {
        Expect::Empty => "none".to_owned(),
        Expect::Last(id) => id.to_string(),
    }
}

/// The query of `GET /topics`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopicsQuery {
    /// Only topics whose name starts with this text; empty: all.
    pub prefix: String,
    /// Only topics after this one.
    pub after: Option<Topic>,
    /// The most topics.
    pub limit: Option<usize>,
}

impl TopicsQuery {
    /// Takes all parameters; `InvalidInput` names one that is wrong or not known.
    pub fn parse(mut params: Params) -> Result<Self> {
        let prefix = params.text("prefix")?.unwrap_or_default();
        let after = params.value("after")?;
        let limit = params.value("limit")?;
        params.finish()?;
        Ok(Self { prefix, after, limit })
    }

    /// The query that [`parse`](Self::parse) reads as this one.
    pub fn to_query(&self) -> Query {
        Query::new()
            .param("prefix", (!self.prefix.is_empty()).then_some(&self.prefix))
            .param("after", self.after.as_ref())
            .param("limit", self.limit)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use xs_core::ErrorKind;

    use super::*;

    const ID: &str = "03d4q1qhbiv09ovtuhokw5yxv";

    fn read(query: &str) -> Result<ReadQuery> {
        ReadQuery::parse(Params::parse(Some(query)))
    }

    /// Reads back what is written.
    fn again<T>(query: Query, parse: fn(Params) -> Result<T>) -> T {
        let text = query.finish();
        assert!(text.is_empty() || text.starts_with('?'), "{text}");
        parse(Params::parse(text.strip_prefix('?'))).unwrap()
    }

    #[test]
    fn read_options_are_read_as_they_are_written() {
        for (query, follow) in [
            ("follow", Follow::On),
            ("follow=", Follow::On),
            ("follow=true", Follow::On),
            ("follow=yes", Follow::On),
            ("follow=500", Follow::Pulse(Duration::from_millis(500))),
            ("follow=false", Follow::Off),
            ("follow=no", Follow::Off),
            ("", Follow::Off),
        ] {
            assert_eq!(read(query).unwrap().options.follow, follow, "{query}");
        }
        let ReadQuery { options, with_timestamp } =
            read(&format!("new&limit=3&last=2&topic=a.*%2Cb&with-timestamp&after={ID}")).unwrap();
        assert!(options.new && with_timestamp && options.threshold);
        assert_eq!((options.limit, options.last, options.filter.to_string().as_str()), (Some(3), Some(2), "a.*,b"));
        assert!(options.after.is_some() && options.from.is_none());
    }

    #[test]
    fn a_bad_option_is_named() {
        for (query, name) in [
            ("limit=x", "limit"),
            ("limit=-1", "limit"),
            ("limit=18446744073709551616", "limit"),
            ("last=", "last"),
            ("after=abc", "after"),
            ("from=%00", "from"),
            ("topic=a..b", "topic"),
            ("topic=", "topic"),
            ("follow=maybe", "follow"),
            ("follow=0", "follow"),
            ("new=2", "new"),
            ("with-timestamp=on", "with-timestamp"),
            ("color=red", "color"),
            ("limit=1&limit=2", "limit"),
        ] {
            let error = read(query).unwrap_err();
            assert!(error.to_string().contains(name) && error.kind() == ErrorKind::InvalidInput, "{query}: {error}");
        }
    }

    #[test]
    fn a_bad_option_of_the_other_routes_is_named() {
        let last = |query| LastQuery::parse(Params::parse(Some(query))).map(drop);
        let append = |query| AppendQuery::parse(Params::parse(Some(query))).map(drop);
        let topics = |query| TopicsQuery::parse(Params::parse(Some(query))).map(drop);
        for (result, name) in [
            (last("last=0"), "last"),
            (last("limit=1"), "limit"),
            (append("ttl=later"), "ttl"),
            (append("ttl="), "ttl"),
            (append("expect="), "expect"),
            (append("expect=None"), "expect"),
            (append("follow"), "follow"),
            (topics("limit=-1"), "limit"),
            (topics("after=a."), "after"),
            (topics("topic=a"), "topic"),
        ] {
            let error = result.unwrap_err();
            assert!(error.to_string().contains(name) && error.kind() == ErrorKind::InvalidInput, "{error}");
        }
    }

    #[test]
    fn a_bad_option_is_not_repeated_at_any_length() {
        let long = "x".repeat(10_000);
        let append = |query: String| AppendQuery::parse(Params::parse(Some(&query))).map(drop);
        let read = |query: String| read(&query).map(drop);
        for (result, rule) in [
            (append(format!("expect={long}")), EXPECT_FORMS),
            (append(format!("ttl={long}")), "at least 1>"),
            (read(format!("limit={long}")), "invalid digit"),
            (read(format!("follow={long}")), "heartbeat"),
            (read(format!("new={long}")), "expected nothing"),
            (read(format!("topic=a,{long}.")), "topic"),
            (read(format!("{long}=1")), "no parameter"),
        ] {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(rule) && error.contains('…') && error.len() < 500, "{error}");
        }
    }

    #[test]
    fn read_queries_round_trip() {
        let id: FrameId = ID.parse().unwrap();
        let follows = [Follow::Off, Follow::On, Follow::Pulse(Duration::from_millis(1500))];
        for (n, follow) in follows.into_iter().enumerate() {
            let options = ReadOptions {
                filter: ["*", "a", "a.*,b.c,d-e_f.*"][n].parse().unwrap(),
                after: [None, Some(FrameId::MIN), Some(id)][n],
                from: [Some(id), None, Some(FrameId::MAX)][n],
                limit: [None, Some(0), Some(u64::MAX)][n],
                last: [Some(1), None, Some(u64::MAX)][n],
                new: n == 1,
                follow,
                threshold: true,
            };
            let query = ReadQuery { options, with_timestamp: n == 2 };
            // It has no equality, and shows all that it holds.
            assert_eq!(format!("{:?}", again(query.to_query(), ReadQuery::parse)), format!("{query:?}"));
        }
        assert_eq!(ReadQuery::default().to_query(), Query::new());
        let brief = ReadOptions { follow: Follow::Pulse(Duration::ZERO), ..ReadOptions::default() };
        let brief = again(ReadQuery { options: brief, with_timestamp: false }.to_query(), ReadQuery::parse);
        assert_eq!(brief.options.follow, Follow::Pulse(Duration::from_millis(1)));
    }

    #[test]
    fn the_other_queries_round_trip() {
        let id: FrameId = ID.parse().unwrap();
        for query in [
            LastQuery::default(),
            LastQuery { last: 7, follow: Follow::On, with_timestamp: true },
            LastQuery { last: u64::MAX, follow: Follow::Pulse(Duration::from_secs(3)), with_timestamp: false },
        ] {
            assert_eq!(again(query.to_query(), LastQuery::parse), query);
        }
        let ttls = [Ttl::Forever, Ttl::Ephemeral, Ttl::Time { ms: 5 }, Ttl::Last(NonZeroU64::MIN)].map(Some);
        for ttl in ttls.into_iter().chain([None]) {
            for expect in [None, Some(Expect::Empty), Some(Expect::Last(id))] {
                for with_timestamp in [false, true] {
                    let query = AppendQuery { ttl, expect, with_timestamp };
                    assert_eq!(again(query.to_query(), AppendQuery::parse), query);
                }
            }
        }
        for query in [
            TopicsQuery::default(),
            TopicsQuery { prefix: "a. ä&=".to_owned(), after: Some("a.b".parse().unwrap()), limit: Some(0) },
            TopicsQuery { limit: Some(usize::MAX), ..TopicsQuery::default() },
        ] {
            assert_eq!(again(query.to_query(), TopicsQuery::parse), query);
        }
    }
}
