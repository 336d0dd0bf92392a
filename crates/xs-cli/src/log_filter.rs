//! What of its log a server writes: `XS_LOG`.

use std::ffi::OsString;
use std::fmt::Display;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::failure::{Failure, Result};

/// Where it is told.
const LOG: &str = "XS_LOG";
/// Where it is not.
const DEFAULT: &str = "info,fjall=warn,lsm_tree=warn,object_store=warn";
/// Crates that may log, and their kin with them: `hyper_util`, `xs_server`.
const CRATES: [&str; 13] = [
    "xs",
    "axum",
    "fjall",
    "h2",
    "hyper",
    "lsm_tree",
    "mio",
    "object_store",
    "redb",
    "reqwest",
    "rustls",
    "tokio",
    "tower",
];

/// What makes no sense is refused: who wants more than the default would wait for lines that never come.
pub(crate) fn of_environment() -> Result<EnvFilter> {
    parse(std::env::var_os(LOG).unwrap_or_default())
}

fn parse(wanted: OsString) -> Result<EnvFilter> {
    let wanted = wanted.into_string().map_err(|_| Failure::usage(format!("{LOG} is not UTF-8")))?;
    let refuse = |why: &dyn Display| {
        Failure::usage(format!("{LOG} {wanted:?} is no filter, such as info or info,xs_server=debug: {why}"))
    };
    let directives = wanted.split(',').map(str::trim).filter(|directive| !directive.is_empty());
    let directives: Vec<&str> = directives.collect();
    for directive in &directives {
        check(directive).map_err(|why| refuse(&why))?;
    }
    let filter = match directives.is_empty() {
        true => DEFAULT.to_owned(),
        false => directives.join(","),
    };
    EnvFilter::try_new(filter).map_err(|error| refuse(&error))
}

/// The parser takes whatever it does not know for the name of a target, spaces and all, and then nothing has
/// that name. So a word alone has to be a level or begin with the name of a crate, and a target has to look
/// like one.
fn check(directive: &str) -> Result<(), String> {
    match directive.split_once(['=', '[']) {
        Some((target, _)) if target.is_empty() || is_target(target) => Ok(()),
        Some((target, _)) => Err(format!("{target:?} is no name of a target")),
        None if directive.parse::<LevelFilter>().is_ok() || (is_target(directive) && is_known(directive)) => Ok(()),
        None => Err(format!(
            "{directive:?} is neither a level (off, error, warn, info, debug, trace) nor a crate that logs here"
        )),
    }
}

fn is_target(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-'))
    };
    text.split("::").all(is_name)
}

fn is_known(target: &str) -> bool {
    let mut rests = CRATES.into_iter().filter_map(|name| target.strip_prefix(name));
    rests.any(|rest| rest.is_empty() || rest.starts_with(['_', ':']))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parsed(wanted: &str) -> Result<String> {
        parse(wanted.into()).map(|filter| filter.to_string())
    }

    #[test]
    fn nothing_is_the_default_and_spaces_are_nothing() {
        let default = parsed("").unwrap();
        assert!(default.contains("info") && default.contains("fjall=warn"), "{default}");
        for empty in [" ", ",", " , ,"] {
            assert_eq!(parsed(empty).unwrap(), default, "{empty:?}");
        }
        assert_eq!(parsed(" debug ").unwrap(), parsed("debug").unwrap());
        assert_eq!(parsed("info, xs_server=debug,").unwrap(), parsed("info,xs_server=debug").unwrap());
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for bad in [
            "xs_server=loud",
            "=",
            "[",
            "info,xs_server=debug=x",
            " é=loud",
            "é=info",
            "warning",
            "verbose",
            "inf",
            "9",
            "xsserver",
            "xs_server:debug",
            "xs_server::",
            "xs_server:=debug",
            "info;xs_server=debug",
            "info xs_server=debug",
            "info,xs_server debug",
        ] {
            let failure = format!("{:?}", parsed(bad).unwrap_err());
            assert!(failure.contains("XS_LOG") && failure.contains("Usage"), "{bad}: {failure}");
        }
    }

    #[test]
    fn what_makes_sense_is_taken() {
        for good in [
            "off",
            "WARN",
            "3",
            "xs",
            "xs_server",
            "xs::commands",
            "hyper_util=trace",
            "warn,xs_server::routes=debug",
            "another-crate=info",
            "xs_server[request]=debug",
            "[request]=debug",
            "[{route}]",
            DEFAULT,
        ] {
            assert!(parsed(good).is_ok(), "{good}");
        }
    }
}
