//! The built-in parts: one line for each feature.

use std::path::Path;

use xs_core::{Error, ErrorKind, Location, Registry, Result};

/// The index that a new store gets when none is named: the first that this build has.
pub(crate) fn default_index() -> &'static str {
    let built = [(cfg!(feature = "fjall"), "fjall"), (cfg!(feature = "redb"), "redb")];
    built.into_iter().find(|(built, _)| *built).map_or("sqlite", |(_, scheme)| scheme)
}

/// The content store that a new store gets when none is named.
pub(crate) fn default_cas() -> &'static str {
    if cfg!(feature = "cas-fs") { "fs" } else { "file" }
}

/// The feature that each scheme needs.
const FEATURES: [(&str, &str); 9] = [
    ("fjall", "fjall"),
    ("redb", "redb"),
    ("sqlite", "sqlite"),
    ("fs", "cas-fs"),
    ("s3", "cas-object"),
    ("az", "cas-object"),
    ("gs", "cas-object"),
    ("file", "cas-object"),
    ("memory", "cas-object"),
];

/// A registry of the factories whose features are on, to which a program adds its own.
///
/// ```
/// let registry = xs::registry();
/// # #[cfg(feature = "fjall")]
/// assert!(registry.store("fjall").is_ok());
/// ```
pub fn registry() -> Registry {
    #[allow(unused_mut)]
    let mut registry = Registry::new();
    #[cfg(feature = "fjall")]
    registry.register_store(std::sync::Arc::new(xs_backend_fjall::FjallFactory::default()));
    #[cfg(feature = "redb")]
    registry.register_store(std::sync::Arc::new(xs_backend_redb::RedbFactory::default()));
    #[cfg(feature = "sqlite")]
    registry.register_store(std::sync::Arc::new(xs_backend_sqlite::SqliteFactory::default()));
    #[cfg(feature = "cas-fs")]
    registry.register_cas(std::sync::Arc::new(xs_cas_fs::FsCasFactory));
    #[cfg(feature = "cas-object")]
    for factory in xs_cas_object::ObjectCasFactory::all() {
        registry.register_cas(std::sync::Arc::new(factory));
    }
    registry
}

/// The error of a scheme that the registry does not know, with the feature that would bring it.
pub(crate) fn with_feature(scheme: &str, error: Error) -> Error {
    match FEATURES.iter().find(|(known, _)| *known == scheme) {
        Some((_, feature)) => {
            Error::new(error.kind(), format!("{error}; the feature {feature} of the crates xs and xs-cli brings it"))
        }
        None => error,
    }
}

/// The location that a text names: a scheme alone, as `redb`, or a URL, as
/// `s3://bucket/prefix?region=eu-north-1`.
pub(crate) fn parse(text: &str, place: &Path) -> Result<Location> {
    let Some((scheme, rest)) = text.split_once(':') else { return Ok(Location::new(text, place)) };
    let named = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    if !named {
        // Not repeated: it may hold a credential.
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "a part is a name such as redb, or a URL such as s3://bucket/prefix",
        ));
    }
    let (remote, query) = rest.split_once('?').unwrap_or((rest, ""));
    let location = Location::new(scheme, place).remote(remote.strip_prefix("//").unwrap_or(remote));
    let settings = form_urlencoded::parse(query.as_bytes());
    Ok(settings.fold(location, |location, (name, value)| location.setting(name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_name_or_a_url() {
        let place = Path::new("store/cas");
        assert_eq!(parse("fs", place).unwrap(), Location::new("fs", place));
        let s3 = Location::new("s3", place).remote("bucket/some/prefix");
        assert_eq!(parse("s3://bucket/some/prefix", place).unwrap(), s3);
        let s3 = s3.setting("endpoint", "http://127.0.0.1:9000").setting("retries", "2");
        let url = "s3://bucket/some/prefix?endpoint=http%3A%2F%2F127.0.0.1:9000&retries=2";
        assert_eq!(parse(url, place).unwrap(), s3);
        for (url, folder) in [("file:/var/cas", "/var/cas"), ("file:///var/cas", "/var/cas"), ("memory:", "")] {
            assert_eq!(parse(url, place).unwrap().remote, folder);
        }
        for bad in ["://bucket", "s 3://bucket", ":"] {
            assert_eq!(parse(bad, place).unwrap_err().kind(), ErrorKind::InvalidInput, "{bad}");
        }
    }
}
