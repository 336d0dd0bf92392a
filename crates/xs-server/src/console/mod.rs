//! The web console: one page at `/ui`, whose files are in the binary.
//!
//! The page holds no data and so needs no token; what it shows, it asks for like any other client.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use http::{HeaderMap, HeaderName, StatusCode, header};

use crate::error::{ApiError, ApiResult};
use crate::routes::{App, Segment};

/// A file of the console.
struct File {
    name: &'static str,
    content_type: &'static str,
    text: &'static str,
}

/// The files below this directory, each with its type.
macro_rules! files {
    ($($name:literal: $content_type:expr),* $(,)?) => {
        &[$(File { name: $name, content_type: $content_type, text: include_str!($name) }),*]
    };
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

const PAGE: File =
    File { name: "index.html", content_type: "text/html; charset=utf-8", text: include_str!("index.html") };

const FILES: &[File] = files! {
    "icon.svg": "image/svg+xml",
    "style.css": STYLE,
    "panels.css": STYLE,
    "address.js": SCRIPT,
    "api.js": SCRIPT,
    "app.js": SCRIPT,
    "append.js": SCRIPT,
    "content.js": SCRIPT,
    "dom.js": SCRIPT,
    "frame.js": SCRIPT,
    "json.js": SCRIPT,
    "keys.js": SCRIPT,
    "list.js": SCRIPT,
    "preview.js": SCRIPT,
    "recent.js": SCRIPT,
    "row.js": SCRIPT,
    "stream.js": SCRIPT,
    "time.js": SCRIPT,
    "token.js": SCRIPT,
    "topics.js": SCRIPT,
    "tree.js": SCRIPT,
};

/// The page gets nothing from elsewhere, and runs nothing but its own files: what a frame holds can
/// neither script it nor send anything away. No text of its scripts becomes markup, not even by mistake.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The page.
pub(crate) async fn page(State(_): State<Arc<App>>, headers: HeaderMap) -> Response {
    answer(&PAGE, &headers)
}

/// To the page: its links are relative to an address without the slash.
pub(crate) async fn without_slash() -> Redirect {
    Redirect::permanent("../ui")
}

/// One of its files.
pub(crate) async fn file(name: Segment, headers: HeaderMap) -> ApiResult {
    let name = name.text()?;
    match FILES.iter().find(|file| file.name == name) {
        Some(file) => Ok(answer(file, &headers)),
        None => Err(ApiError::not_found("the console has no such file")),
    }
}

/// The file, or that it is the same still: a browser asks each time, so that a newer server is seen.
fn answer(file: &File, request: &HeaderMap) -> Response {
    let tag = format!("\"{}-{:08x}\"", env!("CARGO_PKG_VERSION"), checksum(file.text));
    let known = request.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let headers: [(HeaderName, &str); 6] = [
        (header::CONTENT_TYPE, file.content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ETAG, &tag),
    ];
    match known {
        true => (StatusCode::NOT_MODIFIED, headers).into_response(),
        false => (headers, file.text).into_response(),
    }
}

/// FNV-1a, which tells two builds of one version apart. Nothing is protected by it.
fn checksum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_files_ask_for_is_there() {
        let all = || FILES.iter().chain([&PAGE]);
        for file in all() {
            let quoted = file.text.split(['"', '\'']);
            let wanted = quoted.filter_map(|text| text.strip_prefix("./").or_else(|| text.strip_prefix("ui/")));
            for name in wanted.filter(|name| name.ends_with(".js") || name.ends_with(".css")) {
                assert!(FILES.iter().any(|file| file.name == name), "{} asks for {name}", file.name);
            }
        }
        let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/console");
        for entry in std::fs::read_dir(here).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(name == "mod.rs" || all().any(|file| file.name == name), "{name} is not served");
        }
    }

    #[test]
    fn a_browser_that_has_a_file_is_told_so() {
        let first = answer(&PAGE, &HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        let mut again = HeaderMap::new();
        again.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(answer(&PAGE, &again).status(), StatusCode::NOT_MODIFIED);
        assert!(first.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("script-src 'self'"));
    }
}
