//! What of its log a server writes: `XS_LOG`.

use std::ffi::OsString;

use tracing_subscriber::EnvFilter;

use crate::failure::{Failure, Result};

/// Where it is told.
const LOG: &str = "XS_LOG";
/// Where it is not.
const DEFAULT: &str = "info,fjall=warn,lsm_tree=warn,object_store=warn";

/// What makes no sense is refused: who wants more than the default would wait for lines that never come.
pub(crate) fn of_environment() -> Result<EnvFilter> {
    parse(std::env::var_os(LOG).unwrap_or_default())
}

fn parse(wanted: OsString) -> Result<EnvFilter> {
    let wanted = wanted.into_string().map_err(|_| Failure::usage(format!("{LOG} is not UTF-8")))?;
    // The parser takes a space for a part of a name.
    let directives = wanted.split(',').map(str::trim).filter(|directive| !directive.is_empty());
    let directives = directives.collect::<Vec<_>>().join(",");
    let filter = match directives.as_str() {
        "" => DEFAULT,
        directives => directives,
    };
    EnvFilter::try_new(filter).map_err(|error| {
        Failure::usage(format!("{LOG} {wanted:?} is no filter, such as info or info,xs_server=debug: {error}"))
    })
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
        for bad in ["xs_server=loud", "=", "[", "info,xs_server=debug=x", " é=loud"] {
            let failure = format!("{:?}", parsed(bad).unwrap_err());
            assert!(failure.contains("XS_LOG") && failure.contains("Usage"), "{bad}: {failure}");
        }
    }
}
