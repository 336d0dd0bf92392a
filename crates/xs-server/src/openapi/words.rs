//! The words in which routes are described. Every pattern and bound here is one that the server
//! enforces; `tests/openapi.rs` tries each.

use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{Content, Header, Ref, Required, ResponseBuilder};

/// Media types.
pub(crate) const JSON: &str = "application/json";
pub(crate) const NDJSON: &str = "application/x-ndjson";
pub(crate) const EVENTS: &str = "text/event-stream";
pub(crate) const TEXT: &str = "text/plain";
pub(crate) const HTML: &str = "text/html";
pub(crate) const BYTES: &str = "application/octet-stream";

/// A name of dot-separated parts.
const TOPIC: &str = r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*";
/// 25 digits of base 36, of which the first has no use for all: 128 bits. Either case is taken.
const ID: &str = "[0-9A-Fa-f][0-9A-Za-z]{24}";
/// The last of the 43 digits holds 4 bits.
pub(super) const HASH: &str = "^sha256-[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$";
/// What core takes of a filter.
const FILTER_PATTERNS_MAX: usize = 64;

/// What there is to say about one method of a route.
pub(crate) struct About(OperationBuilder);

impl About {
    /// With what every route may refuse.
    pub(crate) fn new(id: &str, tag: &str, summary: &str) -> Self {
        let operation = OperationBuilder::new().operation_id(Some(id)).tag(tag).summary(Some(summary));
        Self(operation).refuses(&["400", "401", "403", "408", "414", "423", "429", "431", "500", "501", "503"])
    }

    pub(crate) fn more(self, description: &str) -> Self {
        Self(self.0.description(Some(description)))
    }

    pub(crate) fn path(self, name: &str, description: &str, schema: ObjectBuilder) -> Self {
        self.parameter(ParameterIn::Path, name, description, schema)
    }

    pub(crate) fn query(self, name: &str, description: &str, schema: ObjectBuilder) -> Self {
        self.parameter(ParameterIn::Query, name, description, schema)
    }

    pub(crate) fn header(self, name: &str, description: &str, schema: ObjectBuilder) -> Self {
        self.parameter(ParameterIn::Header, name, description, schema)
    }

    fn parameter(self, place: ParameterIn, name: &str, description: &str, schema: ObjectBuilder) -> Self {
        let required = if place == ParameterIn::Path { Required::True } else { Required::False };
        let parameter: Parameter = ParameterBuilder::new()
            .name(name)
            .parameter_in(place)
            .required(required)
            .description(Some(description))
            .schema(Some(schema))
            .build();
        Self(self.0.parameter(parameter))
    }

    pub(crate) fn takes(self, body: RequestBodyBuilder) -> Self {
        Self(self.0.request_body(Some(body.build())))
    }

    pub(crate) fn answers(self, status: &str, answer: ResponseBuilder) -> Self {
        Self(self.0.response(status, answer))
    }

    /// With statuses whose answer is an error: [`super::schemas`] has each.
    pub(crate) fn refuses(self, statuses: &[&str]) -> Self {
        Self(
            statuses
                .iter()
                .fold(self.0, |operation, status| operation.response(*status, Ref::from_response_name(*status))),
        )
    }
}

impl From<About> for Operation {
    fn from(about: About) -> Self {
        about.0.build()
    }
}

pub(crate) fn answer(description: &str) -> ResponseBuilder {
    ResponseBuilder::new().description(description)
}

pub(crate) fn with_headers(answer: ResponseBuilder, names: &[&str]) -> ResponseBuilder {
    names.iter().fold(answer, |answer, name| answer.header(*name, Header::default()))
}

pub(crate) fn body(description: &str, required: bool) -> RequestBodyBuilder {
    let required = if required { Required::True } else { Required::False };
    RequestBodyBuilder::new().description(Some(description)).required(Some(required))
}

/// One of the forms of the wire, by its name.
pub(crate) fn schema(name: &str) -> Content {
    Content::new(Some(Ref::from_schema_name(name)))
}

/// Text of which a schema cannot say more.
pub(crate) fn text(description: &str) -> Content {
    Content::new(Some(string().description(Some(description))))
}

pub(crate) fn binary(description: &str) -> Content {
    let binary = SchemaFormat::KnownFormat(KnownFormat::Binary);
    Content::new(Some(string().format(Some(binary)).description(Some(description))))
}

pub(crate) fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

pub(super) fn pattern(pattern: impl Into<String>) -> ObjectBuilder {
    string().pattern(Some(pattern))
}

pub(crate) fn frame_id() -> ObjectBuilder {
    pattern(format!("^{ID}$"))
}

pub(crate) fn content_hash() -> ObjectBuilder {
    pattern(HASH)
}

pub(crate) fn topic() -> ObjectBuilder {
    pattern(format!("^{TOPIC}$")).min_length(Some(1)).max_length(Some(xs::TOPIC_BYTES_MAX))
}

/// The patterns of one filter.
pub(crate) fn filter() -> ObjectBuilder {
    let part = format!(r"(\*|{TOPIC}(\.\*)?)");
    let more = FILTER_PATTERNS_MAX - 1;
    let about = format!(
        "At most {FILTER_PATTERNS_MAX} patterns, not counting those that another covers; names of at most {} bytes",
        xs::TOPIC_BYTES_MAX
    );
    // That some cover others is more than an expression can tell: here they all count.
    pattern(format!("^{part}(,{part}){{0,{more}}}$")).description(Some(about))
}

/// What an append takes, which is bounded where frames of old are not.
pub(crate) fn ttl() -> ObjectBuilder {
    pattern("^(forever|ephemeral|time:[0-9]{1,20}|last:([1-9][0-9]{0,4}|100000))$")
}

pub(crate) fn expect() -> ObjectBuilder {
    pattern(format!("^(none|{ID})$"))
}

/// Base64 of JSON.
pub(crate) fn meta_text() -> ObjectBuilder {
    pattern("^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")
        .content_encoding("base64")
        .content_media_type(JSON)
}

/// On when it is there, unless it says no.
pub(crate) fn flag() -> ObjectBuilder {
    string().enum_values(Some(["", "true", "yes", "1", "false", "no", "0"]))
}

/// On or off in words, or milliseconds of a heartbeat.
pub(crate) fn follow() -> ObjectBuilder {
    pattern("^(|true|yes|false|no|[1-9][0-9]{0,18})$")
}

/// A number of frames or topics.
pub(crate) fn count(least: u64) -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .format(Some(SchemaFormat::Custom("uint64".to_owned())))
        .minimum(Some(least))
        .maximum(Some(u64::MAX))
}
