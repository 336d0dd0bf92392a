//! The parameters of a query: read strictly, and written so that they are read back.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use xs_core::{Follow, Result};

use crate::error::invalid;

/// The parameters of a query, each taken once; what is left over is refused.
///
/// Every error is `InvalidInput`, and names the parameter.
///
/// ```
/// use xs_wire::Params;
/// let mut params = Params::parse(Some("limit=3&with-timestamp"));
/// assert_eq!(params.value::<u64>("limit")?, Some(3));
/// assert!(params.flag("with-timestamp")?);
/// params.finish()?;
/// assert!(Params::parse(Some("colour=red")).finish().is_err());
/// # Ok::<(), xs_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// The parameters of a query, which comes without its `?`.
    pub fn parse(query: Option<&str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect())
    }

    /// The text of a parameter.
    pub fn text(&mut self, name: &str) -> Result<Option<String>> {
        let mut given = self.0.extract_if(.., |(key, _)| key == name).map(|(_, value)| value);
        match (given.next(), given.next()) {
            (_, Some(_)) => Err(invalid(format!("parameter {name} is given twice"))),
            (value, None) => Ok(value),
        }
    }

    /// A parameter that has a text form.
    pub fn value<T: FromStr<Err: Display>>(&mut self, name: &str) -> Result<Option<T>> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let parsed = text.parse().map(Some);
        parsed.map_err(|error| invalid(format!("parameter {name}={text:?}: {error}")))
    }

    /// A parameter that is on when it is there, unless it says no.
    pub fn flag(&mut self, name: &str) -> Result<bool> {
        match self.text(name)?.as_deref() {
            None => Ok(false),
            // As numbers, which `follow` takes for milliseconds.
            Some("1") => Ok(true),
            Some("0") => Ok(false),
            Some(text) => switch(text).ok_or_else(|| {
                invalid(format!("parameter {name}={text:?}: expected nothing, true, yes, 1, false, no or 0"))
            }),
        }
    }

    pub(crate) fn follow(&mut self) -> Result<Follow> {
        let Some(text) = self.text("follow")? else { return Ok(Follow::Off) };
        match (switch(&text), text.parse::<u64>()) {
            (Some(true), _) => Ok(Follow::On),
            (Some(false), _) => Ok(Follow::Off),
            (None, Ok(ms)) if ms > 0 => Ok(Follow::Pulse(Duration::from_millis(ms))),
            _ => Err(invalid(format!(
                "parameter follow={text:?}: expected nothing, true, yes, false, no, or milliseconds of a heartbeat"
            ))),
        }
    }

    /// What is left over is nothing that this route knows.
    pub fn finish(self) -> Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(invalid(format!("there is no parameter {name:?} here"))),
        }
    }
}

fn switch(text: &str) -> Option<bool> {
    match text {
        "" | "true" | "yes" => Some(true),
        "false" | "no" => Some(false),
        _ => None,
    }
}

/// A query that is being written. What is absent or off is left out, so that a query says only what
/// differs from the default.
///
/// ```
/// use xs_wire::Query;
/// let query = Query::new().param("topic", Some("a.*,b")).param("limit", None::<u64>).flag("new", true);
/// assert_eq!(query.finish(), "?topic=a.*%2Cb&new=");
/// assert_eq!(Query::new().finish(), "");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(&'static str, String)>);

impl Query {
    /// A query without parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a parameter, where it has a value.
    #[must_use]
    pub fn param(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.0.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// With a parameter without a value, where it is on.
    #[must_use]
    pub fn flag(self, name: &'static str, on: bool) -> Self {
        self.param(name, on.then_some(""))
    }

    #[must_use]
    pub(crate) fn follow(self, follow: Follow) -> Self {
        match follow {
            Follow::Off => self,
            Follow::On => self.flag("follow", true),
            // Zero milliseconds are refused when they are read; the engine beats no faster than this.
            Follow::Pulse(period) => self.param("follow", Some(period.as_millis().max(1))),
        }
    }

    /// As it stands behind a path: nothing, or its parameters behind a `?`.
    pub fn finish(self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut text = form_urlencoded::Serializer::for_suffix("?".to_owned(), 1);
        text.extend_pairs(self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for text in ["", "a b", "a+b", "a&b=c", "ä%00", "a.*,b.*", "\u{1f980}", "#?/"] {
            let query = Query::new().param("x", Some(text)).flag("y", true).flag("z", false).finish();
            let mut params = Params::parse(query.strip_prefix('?'));
            assert_eq!(params.text("x").unwrap().as_deref(), Some(text), "{query}");
            assert!(params.flag("y").unwrap() && !params.flag("z").unwrap(), "{query}");
            params.finish().unwrap();
        }
    }

    #[test]
    fn a_query_is_part_of_a_uri() {
        let query = Query::new().param("prefix", Some("ä b\"<>\\^`{|}\u{7f}")).finish();
        assert!(format!("/topics{query}").parse::<http::uri::PathAndQuery>().is_ok(), "{query}");
    }

    #[test]
    fn each_parameter_is_given_once_and_known() {
        assert!(Params::parse(Some("a=1&a=2")).text("a").unwrap_err().to_string().contains("a is given twice"));
        assert!(Params::parse(Some("a=1&b=2")).finish().unwrap_err().to_string().contains("\"a\""));
        assert_eq!(Params::parse(None).text("a").unwrap(), None);
        assert_eq!(Params::parse(Some("a=")).text("a").unwrap().as_deref(), Some(""));
        for (text, on) in [("", true), ("true", true), ("yes", true), ("false", false), ("no", false)] {
            assert_eq!(Params::parse(Some(&format!("a={text}"))).flag("a").unwrap(), on, "{text}");
        }
        assert!(Params::parse(Some("a=2")).flag("a").unwrap_err().to_string().contains("a=\"2\""));
    }
}
