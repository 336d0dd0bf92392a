//! Pages of others in the browser of somebody who may call this server: they are to have no part in that.
//!
//! A browser sends along what it was asked to send by any page. What it says of that page is
//! `Sec-Fetch-Site`, or with older ones and over plain HTTP only `Origin`. Neither helps when the page has its
//! own name lead to this address (DNS rebinding); then the name, in `Host`, gives it away. Programs that are no
//! browsers send none of it and are not asked.

use std::net::IpAddr;

use http::uri::Authority;
use http::{HeaderMap, HeaderName, Method, Request, header};

static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Characters of a wrong name that are repeated to whoever called by it: as many as a name can have.
const NAME_CHARS: usize = 253;

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Foreign {
    /// It is not said, or not clearly, what is being called.
    Host(&'static str),
    /// What is being called is not a name of this server.
    Name(String),
    /// A page from elsewhere makes the call.
    Page,
}

impl Foreign {
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Host(what) => format!("header Host {what}"),
            Self::Name(name) => format!(
                "header Host names {name:?}, which this server is not exposed as: call it by its address or as \
                 localhost, expose it by that name, or have it ask for tokens"
            ),
            Self::Page => "header Origin or Sec-Fetch-Site is that of a page which is not from this server".to_owned(),
        }
    }
}

/// Refuses what a page from elsewhere has sent. `exposed` is the name that the listener was exposed at, where
/// names matter: on the network, when nobody has to show a token.
pub(crate) fn check<B>(request: &Request<B>, exposed: Option<&str>) -> Result<(), Foreign> {
    let headers = request.headers();
    let called = called(request)?;
    if let (Some(exposed), Some(called)) = (exposed, &called)
        && !is_known(called.host(), exposed)
    {
        // A name as it may be, not as long as somebody likes.
        return Err(Foreign::Name(called.host().chars().take(NAME_CHARS).collect()));
    }
    match text(headers, &SEC_FETCH_SITE) {
        // "none" is a person, at the address bar.
        Some("same-origin" | "none") => Ok(()),
        Some(_) if is_visit(request.method(), headers) => Ok(()),
        Some(_) => Err(Foreign::Page),
        None => match headers.get(header::ORIGIN) {
            None => Ok(()),
            Some(origin) => {
                let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
                let same = origin.zip(called).is_some_and(|((scheme, origin), called)| {
                    let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
                    let bare = |name: &str| name.strip_suffix(port).unwrap_or(name).to_ascii_lowercase();
                    bare(origin) == bare(called.as_str())
                });
                if same { Ok(()) } else { Err(Foreign::Page) }
            }
        },
    }
}

/// What is being called, by the request's own line or its `Host`. None with neither: that is HTTP/1.0, or a
/// program on a socket, where there is no name.
fn called<B>(request: &Request<B>) -> Result<Option<Authority>, Foreign> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (None, _) => None,
        (Some(_), Some(_)) => return Err(Foreign::Host("is given twice")),
        (Some(host), None) if host.is_empty() => None,
        (Some(host), None) => {
            let parsed = Authority::try_from(host.as_bytes()).ok();
            // Names and passwords have no place in it.
            let parsed = parsed.filter(|host| !host.as_str().contains('@'));
            Some(parsed.ok_or(Foreign::Host("is no host and port"))?)
        }
    };
    Ok(request.uri().authority().cloned().or(host))
}

/// An address is not a name that leads elsewhere tomorrow, and localhost leads nowhere else.
fn is_known(host: &str, exposed: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().is_ok() || host.eq_ignore_ascii_case("localhost") || bare.eq_ignore_ascii_case(exposed)
}

/// Somebody follows a link to here, and sees what is here: no page gets to read it, or shows it as its own.
fn is_visit(method: &Method, headers: &HeaderMap) -> bool {
    *method == Method::GET
        && text(headers, &SEC_FETCH_MODE) == Some("navigate")
        && text(headers, &SEC_FETCH_DEST) == Some("document")
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)], exposed: Option<&str>) -> Result<(), Foreign> {
        let mut request = Request::builder().uri("/").body(()).unwrap();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        super::check(&request, exposed)
    }

    #[test]
    fn a_page_from_elsewhere_is_refused() {
        let page = Err(Foreign::Page);
        for (headers, outcome) in [
            (&[("host", "xs:1")][..], Ok(())),
            (&[], Ok(())),
            (&[("host", "")], Ok(())),
            (&[("host", "xs:1"), ("origin", "http://xs:1")], Ok(())),
            (&[("host", "XS:1"), ("origin", "https://xs:1")], Ok(())),
            (&[("host", "xs"), ("origin", "https://xs")], Ok(())),
            (&[("host", "xs:443"), ("origin", "https://xs")], Ok(())),
            (&[("host", "[::1]:1"), ("origin", "http://[::1]:1")], Ok(())),
            (&[("host", "xs:1"), ("origin", "http://xs:2")], page.clone()),
            (&[("host", "xs:1"), ("origin", "http://evil")], page.clone()),
            (&[("host", "xs:1"), ("origin", "http://xs:1.evil")], page.clone()),
            (&[("host", "xs:1"), ("origin", "null")], page.clone()),
            (&[("host", "xs:1"), ("origin", "")], page.clone()),
            (&[("origin", "http://evil")], page.clone()),
            (&[("host", "xs:1"), ("sec-fetch-site", "same-origin")], Ok(())),
            (&[("host", "xs:1"), ("sec-fetch-site", "none")], Ok(())),
            (&[("host", "xs:1"), ("sec-fetch-site", "cross-site")], page.clone()),
            (&[("host", "xs:1"), ("sec-fetch-site", "same-site")], page.clone()),
            // A proxy calls by another name than the browser did; the browser knows better.
            (&[("host", "xs:1"), ("origin", "https://front"), ("sec-fetch-site", "same-origin")], Ok(())),
        ] {
            assert_eq!(check(headers, None), outcome, "{headers:?}");
        }
        let link = |dest| [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", dest)];
        assert_eq!(check(&link("document"), None), Ok(()));
        assert_eq!(check(&link("iframe"), None), page);
    }

    #[test]
    fn a_name_that_is_not_ours_is_refused_where_nobody_shows_a_token() {
        for (host, known) in [
            ("127.0.0.1:3021", true),
            ("10.1.2.3", true),
            ("[::1]:3021", true),
            ("localhost:3021", true),
            ("LOCALHOST", true),
            ("localhost.:3021", true),
            ("nas.local:3021", true),
            ("Nas.Local", true),
            ("evil.example:3021", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example", false),
        ] {
            let outcome = check(&[("host", host)], Some("nas.local"));
            assert_eq!(outcome.is_ok(), known, "{host}: {outcome:?}");
            assert_eq!(check(&[("host", host)], None), Ok(()));
        }
        for hosts in [&[("host", "a b")][..], &[("host", "me@localhost")], &[("host", "localhost"), ("host", "evil")]] {
            assert!(matches!(check(hosts, Some("x")), Err(Foreign::Host(_))), "{hosts:?}");
        }
        // The line of the request counts before the header.
        let request = Request::builder().uri("http://evil.example/").header("host", "localhost").body(()).unwrap();
        assert_eq!(super::check(&request, Some("x")), Err(Foreign::Name("evil.example".to_owned())));
    }
}
