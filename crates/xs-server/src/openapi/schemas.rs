//! The forms of the wire, and the refusals that routes share.

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{
    AdditionalProperties, ComponentsBuilder, KnownFormat, ObjectBuilder, Ref, Schema, SchemaFormat, SchemaType, Type,
};

use super::words::{HASH, JSON, answer, expect, frame_id, pattern, schema, string, topic};

/// As ids are written.
const ID: &str = "^[0-9a-f][0-9a-z]{24}$";
const TTL: &str = "^(forever|ephemeral|time:[0-9]{1,20}|last:[1-9][0-9]{0,19})$";

/// Statuses of errors in JSON. Those of a head that is far too large come from below all routes, without
/// a body.
const REFUSALS: [(&str, &str); 15] = [
    ("400", "The request is wrong; the message names the parameter, the header or the line"),
    ("401", "A token is needed, or the one that was given is not known"),
    ("403", "The token may only read, or the page of another origin asks"),
    ("404", "It is not there"),
    ("408", "The request did not come in time"),
    ("409", "Somebody else was first"),
    ("413", "The body is too large"),
    ("414", "The address of the request is too long"),
    ("416", "The range lies beyond the content"),
    ("423", "The store is held by another owner"),
    ("429", "This client has too many streams open; try again later"),
    ("431", "The headers of the request are too many, or too long"),
    ("500", "Stored bytes are damaged, or something went wrong in the server; its log says what"),
    ("501", "The store of this server cannot do that"),
    ("503", "The store cannot do it now; try again later"),
];

pub(super) fn components() -> ComponentsBuilder {
    let components = ComponentsBuilder::new()
        .schema("Frame", frame())
        .schema("StoredFrame", stored_frame())
        .schema("NewFrame", new_frame())
        .schema("FrameEvent", frame_event())
        .schema("TopicEntry", topic_entry())
        .schema("Version", version())
        .schema("Health", health())
        .schema("Error", error());
    REFUSALS.iter().fold(components, |components, (status, description)| {
        let refusal = answer(description).content(JSON, schema("Error"));
        let with_header = |name: &str, description: &str| {
            let header = HeaderBuilder::new().schema(Some(string())).description(Some(description));
            (name.to_owned(), header.build())
        };
        let header = match *status {
            "401" => Some(with_header("WWW-Authenticate", "How to authenticate")),
            "416" => Some(with_header("Content-Range", "The size of the content")),
            "429" | "503" => Some(with_header("Retry-After", "Seconds")),
            _ => None,
        };
        let refusal = match header {
            Some((name, header)) => refusal.header(name, header),
            None => refusal,
        };
        components.response(*status, refusal)
    })
}

/// Nothing but what is named.
fn object() -> ObjectBuilder {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
}

fn anything() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(SchemaType::AnyValue)
}

fn or_null(pattern: &str) -> ObjectBuilder {
    string().schema_type(SchemaType::from_iter([Type::String, Type::Null])).pattern(Some(pattern))
}

fn id() -> ObjectBuilder {
    pattern(ID).description(Some("A SCRU128 id: sorts by time, exceeds every earlier one"))
}

fn hash() -> ObjectBuilder {
    or_null(HASH).description(Some("The content that it refers to"))
}

fn meta() -> ObjectBuilder {
    anything().description(Some("Any JSON value, kept as it was spelled; at most 1 MiB"))
}

/// A frame as it is answered.
fn frame() -> ObjectBuilder {
    let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
    let time = string().format(Some(format)).description(Some("With with-timestamp: the time of the id"));
    fields(id(), time).required("hash").required("meta").required("ttl").description(Some("One event"))
}

/// A frame as it is imported.
fn stored_frame() -> ObjectBuilder {
    let time = anything().description(Some("Passed over: it follows from the id"));
    fields(frame_id(), time).description(Some("A frame as it is; what may be null may be left out"))
}

fn fields(id: ObjectBuilder, timestamp: ObjectBuilder) -> ObjectBuilder {
    object()
        .property("topic", topic())
        .property("id", id)
        .property("hash", hash())
        .property("meta", meta())
        .property("ttl", or_null(TTL).description(Some("How long it is kept")))
        .property("timestamp", timestamp)
        .required("topic")
        .required("id")
}

fn new_frame() -> ObjectBuilder {
    let expect = expect().schema_type(SchemaType::from_iter([Type::String, Type::Null]));
    let about_expect = "Append all only if, before the request, the topic is empty (none) or this is its last id";
    object()
        .description(Some("A frame that is yet to be appended"))
        .property("topic", topic())
        .property("hash", hash())
        .property("meta", meta())
        .property("ttl", or_null(TTL).description(Some("How long it is kept; last:n up to last:100000")))
        .property("expect", expect.description(Some(about_expect)))
        .required("topic")
}

/// A server-sent event.
fn frame_event() -> ObjectBuilder {
    let data = string().content_media_type(JSON).content_schema(Some(Ref::from_schema_name("Frame")));
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("A frame as a server-sent event"))
        .property("id", id())
        .property("data", data.description(Some("The frame")))
        .required("id")
        .required("data")
}

fn topic_entry() -> ObjectBuilder {
    object()
        .description(Some("A topic that holds frames"))
        .property("topic", topic())
        .property("last_id", id())
        .required("topic")
        .required("last_id")
}

fn version() -> ObjectBuilder {
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0u64));
    object()
        .property("version", string().description(Some("Of the server")))
        .property("index", string().description(Some("The kind of the index, such as fjall")))
        .property("cas", string().description(Some("The kind of the content store, such as fs")))
        .property("format", number.description(Some("The version of the index's format")))
        .required("version")
        .required("index")
        .required("cas")
        .required("format")
}

fn health() -> ObjectBuilder {
    object().property("status", string().enum_values(Some(["ok"]))).required("status")
}

fn error() -> ObjectBuilder {
    let kinds = [
        "InvalidInput",
        "NotFound",
        "Conflict",
        "Locked",
        "Unsupported",
        "Unavailable",
        "Corrupt",
        "Closed",
        "Internal",
    ];
    let kind = string().enum_values(Some(kinds)).description(Some("What the caller does about it"));
    let actual = or_null(ID).description(Some("When a condition failed: the topic's last id, null for an empty topic"));
    let fields = object()
        .property("kind", kind)
        .property("message", string().description(Some("A sentence for a person")))
        .property("topic", topic().description(Some("When a condition failed: the topic that it was on")))
        .property("actual", actual)
        .required("kind")
        .required("message");
    object().property("error", fields).required("error")
}
