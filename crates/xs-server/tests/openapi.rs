//! The description of the routes says what they do: each operation is called as it is described, and
//! with what it says is refused.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

mod inside;

use std::collections::BTreeSet;

use axum::body::Body;
use inside::{Answer, Api, CONTENT, ID, TOPIC, request};
use serde_json::{Value, json};
use xs::{ContentHash, ErrorKind};

/// One method of one path, as it is described.
struct Operation {
    method: String,
    path: String,
    about: Value,
}

impl Operation {
    /// Its path with something good in it, but for `bad`, which has this text.
    fn target(&self, bad: Option<(&str, &str)>) -> String {
        let hash = ContentHash::of(CONTENT.as_bytes()).to_string().replace('/', "%2F");
        let good = [("topic", "a.b"), ("filter", "seed.*,a.b"), ("id", ID), ("hash", hash.as_str())];
        good.iter().fold(self.path.clone(), |path, (name, text)| {
            let text = bad.filter(|(bad, _)| bad == name).map_or(*text, |(_, text)| text);
            path.replace(&format!("{{{name}}}"), text)
        })
    }

    /// A body that it takes.
    fn body(&self) -> Body {
        match (self.method.as_str(), self.path.as_str()) {
            ("post", "/append") => Body::from("{\"topic\":\"a\"}\n{\"topic\":\"b\",\"meta\":1}\n"),
            ("post", "/import") => {
                Body::from(format!("{{\"topic\":\"{TOPIC}.other\",\"id\":\"{}\"}}", ID.replace('v', "w")))
            }
            ("post", _) => Body::from(CONTENT),
            _ => Body::empty(),
        }
    }

    async fn call(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        let method = self.method.to_uppercase();
        Api::new().await.send(request(&method, target, headers, self.body())).await
    }

    /// Of those in that place, those whose schema leaves something out.
    fn restricted(&self, place: &str) -> Vec<(&str, &Value)> {
        let parameters = self.about["parameters"].as_array().into_iter().flatten();
        let here = parameters.filter(|parameter| parameter["in"] == place);
        let named = here.map(|parameter| (parameter["name"].as_str().unwrap(), &parameter["schema"]));
        named
            .filter(|(_, schema)| {
                schema["type"] == "integer" || schema["enum"].is_array() || schema["pattern"].is_string()
            })
            .collect()
    }

    fn label(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

async fn description() -> Value {
    let answer = Api::new().await.get("/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    answer.json()
}

fn operations(description: &Value) -> Vec<Operation> {
    let paths = description["paths"].as_object().unwrap();
    let all = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(|(method, about)| Operation { method: method.clone(), path: path.clone(), about: about.clone() })
    });
    // The console is a page, and has its own tests.
    all.filter(|operation| !operation.path.starts_with("/ui")).collect()
}

/// What the schemas of queries leave out, whatever they say.
const BAD: &str = "%00%21";

#[tokio::test]
async fn it_describes_the_routes_and_no_others() {
    let description = description().await;
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1"));
    let described: BTreeSet<String> = operations(&description).iter().map(Operation::label).collect();
    let routes = [
        "get /",
        "post /append",
        "post /append/{topic}",
        "get /{id}",
        "delete /{id}",
        "get /last",
        "get /last/{filter}",
        "get /topics",
        "post /cas",
        "get /cas/{hash}",
        "head /cas/{hash}",
        "post /import",
        "get /version",
        "get /healthz",
        "get /metrics",
        "get /openapi.json",
    ];
    assert_eq!(described, routes.map(str::to_owned).into());
    let ids: BTreeSet<_> =
        operations(&description).iter().map(|operation| operation.about["operationId"].to_string()).collect();
    assert_eq!(ids.len(), routes.len());
}

#[tokio::test]
async fn every_operation_answers_as_it_is_described() {
    for operation in operations(&description().await) {
        let answer = operation.call(&operation.target(None), &[]).await;
        let label = operation.label();
        assert!((200..300).contains(&answer.status), "{label}: {} {}", answer.status, answer.text());
        let described = &operation.about["responses"][answer.status.to_string()];
        assert!(described.is_object(), "{label} is not said to answer {}", answer.status);
        let kind = answer.header("content-type").split(';').next().unwrap();
        match described["content"].as_object() {
            Some(content) => assert!(content.contains_key(kind), "{label} is not said to answer with {kind}"),
            None => assert!(answer.body.is_empty(), "{label} is not said to answer with anything"),
        }
        for (name, _) in described["headers"].as_object().into_iter().flatten() {
            assert!(answer.headers.contains_key(name.as_str()), "{label} does not answer with {name}");
        }
        for status in ["400", "401", "403", "408", "429", "431", "500", "503"] {
            assert!(operation.about["responses"][status].is_object(), "{label}: {status}");
        }
    }
}

#[tokio::test]
async fn what_it_leaves_out_is_refused_by_name() {
    for operation in operations(&description().await) {
        let (label, path) = (operation.label(), operation.target(None));
        for (name, _) in operation.restricted("query") {
            let answer = operation.call(&format!("{path}?{name}={BAD}"), &[]).await;
            assert_eq!(answer.status, 400, "{label}: {name}");
            check(&operation, &answer, &format!("parameter {name}"));
            let answer = operation.call(&format!("{path}?{name}=&{name}="), &[]).await;
            assert_eq!(answer.status, 400, "{label}: {name} twice");
            check(&operation, &answer, name);
        }
        for (name, _) in operation.restricted("header") {
            let answer = operation.call(&path, &[(name, "!")]).await;
            assert_eq!(answer.status, 400, "{label}: {name}");
            check(&operation, &answer, &format!("header {name}"));
        }
        for (name, _) in operation.restricted("path") {
            for bad in ["%21", "%00", "a..b", "%FF", "%", &"a".repeat(300)] {
                let answer = operation.call(&operation.target(Some((name, bad))), &[]).await;
                assert_eq!(answer.status, 400, "{label}: {name} {bad}");
                check(&operation, &answer, name);
                check(&operation, &answer, "path parameter");
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_described_is_refused_by_name() {
    for operation in operations(&description().await) {
        let answer = operation.call(&format!("{}?colour=red", operation.target(None)), &[]).await;
        assert_eq!(answer.status, 400, "{}", operation.label());
        check(&operation, &answer, "colour");
    }
}

#[tokio::test]
async fn its_bounds_are_those_of_the_routes() {
    for operation in operations(&description().await) {
        let path = operation.target(None);
        for (name, schema) in operation.restricted("query") {
            let mut tried = Vec::new();
            for value in schema["enum"].as_array().into_iter().flatten() {
                tried.push((value.as_str().unwrap().to_owned(), true));
            }
            if schema["type"] == "integer" {
                let (least, most) = (schema["minimum"].as_u64().unwrap(), schema["maximum"].as_u64().unwrap());
                tried.extend([(least.to_string(), true), (most.to_string(), true)]);
                tried.extend([
                    ((i128::from(least) - 1).to_string(), false),
                    ((i128::from(most) + 1).to_string(), false),
                ]);
            }
            if let Some(pattern) = schema["pattern"].as_str() {
                tried.extend(examples(name).into_iter().map(|(text, good)| (text.to_owned(), good)));
                assert!(pattern.starts_with('^') && pattern.ends_with('$'), "{pattern}");
            }
            for (text, good) in tried {
                // Not read to its end, which following does not have.
                let target = format!("{path}?{name}={text}");
                let method = operation.method.to_uppercase();
                let request = request(&method, &target, &[], operation.body());
                let router = Api::new().await.router;
                let status = tower::ServiceExt::oneshot(router, request).await.unwrap().status();
                assert_eq!(status != 400, good, "{method} {target}: {status}");
            }
        }
    }
}

#[tokio::test]
async fn a_filter_holds_as_many_patterns_as_is_described() {
    let of = |count: usize| (0..count).map(|n| format!("t{n}")).collect::<Vec<_>>().join(",");
    let mut tried = BTreeSet::new();
    for operation in operations(&description().await) {
        for (place, name) in [("query", "topic"), ("path", "filter")] {
            let restricted = operation.restricted(place);
            let Some((_, schema)) = restricted.iter().find(|(found, _)| *found == name) else { continue };
            assert!(schema["pattern"].as_str().unwrap().ends_with("){0,63}$"), "{schema}");
            assert!(schema["description"].as_str().unwrap().contains("64 patterns"), "{schema}");
            // One that another covers is not counted.
            for (filter, good) in [(of(64), true), (of(65), false), (format!("{},t0", of(64)), true)] {
                let target = match place {
                    "query" => format!("{}?{name}={filter}", operation.target(None)),
                    _ => operation.target(Some((name, filter.as_str()))),
                };
                let answer = operation.call(&target, &[]).await;
                assert_eq!(answer.status != 400, good, "{}: {}", operation.label(), answer.text());
                if !good {
                    check(&operation, &answer, name);
                    check(&operation, &answer, "at most 64 patterns");
                }
            }
            tried.insert(operation.label());
        }
    }
    assert_eq!(tried, ["get /", "get /last/{filter}"].map(str::to_owned).into());
}

/// What the patterns of parameters allow and do not, and the routes no less and no more.
fn examples(name: &str) -> Vec<(&'static str, bool)> {
    match name {
        "follow" => vec![
            ("", true),
            ("true", true),
            ("yes", true),
            ("no", true),
            ("false", true),
            ("1", true),
            ("60000", true),
            ("0", false),
            ("-1", false),
            ("on", false),
            ("1.5", false),
        ],
        "ttl" => vec![
            ("forever", true),
            ("ephemeral", true),
            ("time:0", true),
            ("time:9999999999999999999", true),
            ("last:1", true),
            ("last:100000", true),
            ("last:100001", false),
            ("last:0", false),
            ("head:1", false),
            ("", false),
        ],
        // A condition that does not hold is another matter.
        "expect" => vec![
            ("none", true),
            (ID, true),
            ("None", false),
            ("03d4q1qhbiv09ovtuhokw5yx", false),
            ("zzzzzzzzzzzzzzzzzzzzzzzzz", false),
            ("", false),
        ],
        "after" | "from" | "topic" => vec![("", false), ("a..b", false), ("a.", false)],
        _ => panic!("{name} has a pattern, and no examples here"),
    }
}

#[tokio::test]
async fn a_line_to_append_holds_what_is_described() {
    let description = description().await;
    let fields = &description["components"]["schemas"]["NewFrame"]["properties"];
    for name in ["topic", "hash", "meta", "ttl", "expect", "id", "timestamp", "colour"] {
        let mut line = json!({ name: null });
        line["topic"] = json!("a");
        let answer = Api::new().await.post("/append", line.to_string()).await;
        assert_eq!(answer.status != 400, fields[name].is_object(), "{name}: {}", answer.text());
    }
    for name in ["ttl", "expect"] {
        assert_eq!(fields[name]["type"], json!(["string", "null"]), "{name}");
        for (text, good) in examples(name) {
            let line = json!({ "topic": "a", name: text }).to_string();
            let answer = Api::new().await.post("/append", line).await;
            assert_eq!(answer.status != 400, good, "{name}={text}: {}", answer.text());
        }
    }
    let parameters = description["paths"]["/append/{topic}"]["post"]["parameters"].as_array().unwrap();
    let expect = parameters.iter().find(|parameter| parameter["name"] == "expect").unwrap();
    assert_eq!(fields["expect"]["pattern"], expect["schema"]["pattern"]);
}

#[tokio::test]
async fn the_kinds_of_errors_are_all_described() {
    let description = description().await;
    let kind = description.pointer("/components/schemas/Error/properties/error/properties/kind").unwrap();
    assert_eq!(kind["enum"], json!(ErrorKind::ALL.map(ErrorKind::as_str)));
}

#[tokio::test]
async fn every_reference_leads_somewhere() {
    let description = description().await;
    let mut open = vec![&description];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                    assert!(description.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
                }
                open.extend(fields.values());
            }
            _ => {}
        }
    }
    let security = &description["components"]["securitySchemes"];
    assert_eq!(security["bearer"]["scheme"], "bearer");
    assert_eq!(security["basic"]["scheme"], "basic");
    assert_eq!(description["security"][0], json!({}));
}

/// Whether an answer is an error that names this. The answer to HEAD has no body to say it in.
fn check(operation: &Operation, answer: &Answer, name: &str) {
    if operation.method != "head" {
        let message = answer.refusal();
        assert!(message.contains(name), "{}: {message:?} does not name {name}", operation.label());
        assert_eq!(answer.json()["error"]["kind"], "InvalidInput");
    }
}
