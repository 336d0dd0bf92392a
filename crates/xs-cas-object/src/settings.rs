//! Settings by name, each known and checked.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use xs_core::{Error, ErrorKind, Location, Result};

/// Where the credentials of S3 come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// The environment.
    #[default]
    Env,
    /// The metadata service of the machine.
    Instance,
    /// None: requests are not signed.
    None,
}

/// How a content store on object storage behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectSettings {
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) path_style: bool,
    pub(crate) credentials: Credentials,
    pub(crate) account: Option<String>,
    pub(crate) ca_file: Option<String>,
    /// The longest that a call goes on without success, retries included.
    pub timeout: Duration,
    /// The longest that connecting takes.
    pub connect_timeout: Duration,
    /// Attempts after the first one.
    pub retries: usize,
    /// Bytes of a part of an upload, and the most that are kept in memory instead of a file.
    pub part_bytes: usize,
    /// Parts that one stream sends or reads at once.
    pub parallel: usize,
    /// The most bytes of one content.
    pub spool_bytes_max: u64,
    /// After which an upload is taken for abandoned.
    pub abandoned: Duration,
}

impl Default for ObjectSettings {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            path_style: true,
            credentials: Credentials::Env,
            account: None,
            ca_file: None,
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
            retries: 5,
            part_bytes: 5 * 1024 * 1024,
            parallel: 3,
            spool_bytes_max: 64 << 30,
            abandoned: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// The settings of every kind, and those of some.
const COMMON: [&str; 4] = ["part_bytes", "parallel", "spool_bytes_max", "abandoned_ms"];
const NETWORK: [&str; 5] = ["endpoint", "ca_file", "timeout_ms", "connect_timeout_ms", "retries"];

/// The settings of a kind of object storage.
fn known(scheme: &str) -> Vec<&'static str> {
    let own: &[&str] = match scheme {
        "s3" => &["region", "path_style", "credentials"],
        "az" => &["account"],
        _ => &[],
    };
    let network: &[&str] = if matches!(scheme, "s3" | "az" | "gs") { &NETWORK } else { &[] };
    [own, network, &COMMON].concat()
}

/// Words in the names of settings that would be credentials. Their values are not repeated.
const SECRET: [&str; 8] =
    ["secret", "access_key", "token", "password", "sas", "account_key", "credential_file", "signature"];

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

impl ObjectSettings {
    /// The settings of a location; `InvalidInput`, naming it, where one is unknown or cannot be.
    pub fn of(location: &Location) -> Result<Self> {
        let known = known(&location.scheme);
        for name in location.settings.keys() {
            if known.contains(&name.as_str()) {
                continue;
            }
            if SECRET.iter().any(|secret| name.to_ascii_lowercase().contains(secret)) {
                return Err(invalid(format!(
                    "{name} is a credential, and no setting: put it into the environment, as the tools of the provider do"
                )));
            }
            return Err(invalid(format!("{} has no setting {name:?}; it has: {}", location.scheme, known.join(", "))));
        }
        let of = &location.settings;
        let mut settings = Self {
            endpoint: endpoint(of)?,
            region: of.get("region").cloned(),
            account: of.get("account").cloned(),
            ca_file: of.get("ca_file").cloned(),
            ..Self::default()
        };
        if let Some(path_style) = number(of, "path_style", |_: &bool| true, "true or false")? {
            settings.path_style = path_style;
        }
        settings.credentials = match of.get("credentials").map(String::as_str) {
            None | Some("env") => Credentials::Env,
            Some("instance") => Credentials::Instance,
            Some("none") => Credentials::None,
            // Not repeated: it may be one.
            Some(_) => {
                return Err(invalid(
                    "credentials is env, instance or none; what they are is in the environment".to_owned(),
                ));
            }
        };
        let ms = |name| {
            Ok::<_, Error>(number(of, name, |ms: &u64| *ms > 0, "milliseconds, at least 1")?.map(Duration::from_millis))
        };
        settings.timeout = ms("timeout_ms")?.unwrap_or(settings.timeout);
        settings.connect_timeout = ms("connect_timeout_ms")?.unwrap_or(settings.connect_timeout);
        settings.abandoned = ms("abandoned_ms")?.unwrap_or(settings.abandoned);
        settings.retries = number(of, "retries", |_| true, "a number")?.unwrap_or(settings.retries);
        let part =
            number(of, "part_bytes", |bytes: &usize| (1 << 20..=1 << 30).contains(bytes), "bytes, from 1 MiB to 1 GiB");
        settings.part_bytes = part?.unwrap_or(settings.part_bytes);
        let parallel = number(of, "parallel", |n: &usize| (1..=64).contains(n), "a number from 1 to 64");
        settings.parallel = parallel?.unwrap_or(settings.parallel);
        let spool = number(of, "spool_bytes_max", |bytes: &u64| *bytes > 0, "bytes, at least 1");
        settings.spool_bytes_max = spool?.unwrap_or(settings.spool_bytes_max);
        Ok(settings)
    }
}

fn endpoint(of: &BTreeMap<String, String>) -> Result<Option<String>> {
    let Some(endpoint) = of.get("endpoint") else { return Ok(None) };
    check_endpoint(endpoint).map(|()| Some(endpoint.clone()))
}

/// `InvalidInput` where it is no address of a server, or holds credentials, which are not repeated.
pub(crate) fn check_endpoint(endpoint: &str) -> Result<()> {
    let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://"));
    let plain = |host: &str| !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "@?#&=".contains(c));
    match host {
        Some(host) if plain(host) => Ok(()),
        _ => Err(invalid(
            "the endpoint is https://host:port, or http://host:port, and nothing else; credentials and signatures are \
             in the environment"
                .to_owned(),
        )),
    }
}

fn number<T: FromStr>(
    of: &BTreeMap<String, String>,
    name: &str,
    valid: impl FnOnce(&T) -> bool,
    what: &str,
) -> Result<Option<T>> {
    let Some(text) = of.get(name) else { return Ok(None) };
    let value = text.parse().ok().filter(valid);
    value.map(Some).ok_or_else(|| invalid(format!("{name}={text:?}: it is {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scheme: &str, settings: &[(&str, &str)]) -> Result<ObjectSettings> {
        let location = Location::new(scheme, "place").remote("bucket");
        ObjectSettings::of(&settings.iter().fold(location, |location, (name, value)| location.setting(*name, *value)))
    }

    #[test]
    fn what_is_unknown_or_impossible_is_refused_by_name() {
        for (scheme, name, value) in [
            ("s3", "regoin", "x"),
            ("s3", "account", "x"),
            ("gs", "region", "x"),
            ("file", "endpoint", "http://localhost"),
            ("memory", "timeout_ms", "5"),
            ("s3", "timeout_ms", "soon"),
            ("s3", "timeout_ms", "0"),
            ("s3", "retries", "-1"),
            ("s3", "path_style", "maybe"),
            ("s3", "parallel", "0"),
            ("s3", "part_bytes", "12"),
            ("s3", "credentials", "mine"),
            ("s3", "endpoint", "localhost:9000"),
        ] {
            let error = of(scheme, &[(name, value)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.to_string().contains(name), "{error}");
        }
        let settings =
            of("s3", &[("timeout_ms", "500"), ("endpoint", "http://127.0.0.1:9"), ("parallel", "8")]).unwrap();
        assert_eq!((settings.timeout, settings.parallel), (Duration::from_millis(500), 8));
    }

    #[test]
    fn credentials_are_no_settings_and_are_not_repeated() {
        for (name, value) in [
            ("secret_access_key", "hunter2"),
            ("AWS_SECRET_ACCESS_KEY", "hunter2"),
            ("access_key_id", "hunter2"),
            ("session_token", "hunter2"),
            ("sas_key", "hunter2"),
            ("endpoint", "http://me:hunter2@localhost:9000"),
            ("endpoint", "https://account.example/?sv=1&sig=hunter2"),
            ("endpoint", "hunter2"),
            ("credentials", "hunter2"),
        ] {
            let error = of("s3", &[(name, value)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            assert!(error.to_string().contains("environment"), "{error}");
        }
    }
}
