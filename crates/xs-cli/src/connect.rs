//! The client that a command calls its server with.

use std::ffi::OsString;
use std::path::Path;

use xs_client::{Client, ClientOptions, Endpoint};

use crate::args::{Common, Target};
use crate::failure::{Failure, Result};

/// The token, where the address has none.
const TOKEN: &str = "XS_TOKEN";
/// The file of certificates, where none is given.
const TLS_CA: &str = "XS_TLS_CA";

/// Nothing is connected yet.
pub(crate) fn client(target: &Target, common: &Common) -> Result<Client> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let endpoint = endpoint(&target.addr, variable(TOKEN))?;
    let mut options = ClientOptions::new();
    if let Some(file) = common.tls_ca.clone().or_else(|| variable(TLS_CA).map(Into::into)) {
        options = options.ca_file(file);
    }
    Client::with_options(endpoint, options).map_err(|error| Failure::of_call(&error))
}

/// The address, with its own token or else this one. It is no argument that clap parses: it would repeat
/// an address that is wrong, token and all.
fn endpoint(address: &str, token: Option<OsString>) -> Result<Endpoint> {
    if has_bare_token(address) {
        return Err(Failure::usage(
            "an address with a token begins with http:// or https://, such as http://xs:TOKEN@host:port",
        ));
    }
    let endpoint: Endpoint = address.parse().map_err(|error: xs::Error| Failure::usage(error.to_string()))?;
    let has_token = endpoint != Endpoint::new(endpoint.address().clone());
    let Some(token) = token.filter(|_| !has_token) else { return Ok(endpoint) };
    let token = token.into_string().map_err(|_| Failure::usage(format!("{TOKEN} is no token: it is not UTF-8")))?;
    Ok(endpoint.with_token(token))
}

/// Whether a name and a token stand before a host, and nothing before them. It would be taken for a path, which is
/// repeated when nothing is there.
fn has_bare_token(address: &str) -> bool {
    let before = address.rsplit_once('@').map(|(before, _)| before);
    let is_token = before.is_some_and(|before| before.contains(':') && !before.contains("://"));
    is_token && !address.starts_with(['.', '/']) && !Path::new(address).exists()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_the_address_wins_over_that_of_the_environment() {
        let parse = |address: &str| address.parse::<Endpoint>().unwrap();
        let with = |address, token: Option<&str>| endpoint(address, token.map(OsString::from)).unwrap();
        let own = "https://xs:own@example.com";
        assert_eq!(with(own, Some("other")), parse(own));
        assert_eq!(with("https://example.com", Some("own")), parse(own));
        assert_eq!(with("https://example.com", None), parse("https://example.com"));
    }

    #[test]
    fn a_wrong_address_is_not_repeated_with_its_token() {
        for wrong in
            ["htps://xs:s3cret@example.com", "xs:s3cret@example.com", "xs:s3cret@localhost:3021", "xs:s3c/ret@a"]
        {
            let failure = endpoint(wrong, None).unwrap_err();
            assert!(!format!("{failure:?}").contains("s3c"), "{failure:?}");
        }
    }

    #[test]
    fn a_token_wants_a_scheme_before_it_and_a_path_may_look_like_one() {
        let failure = endpoint("xs:s3cret@localhost:3021", None).unwrap_err();
        assert!(format!("{failure:?}").contains("begins with http://"), "{failure:?}");
        for path in ["./a:b@c", "/tmp/a:b@c", "a@b:c", "a@b"] {
            assert_eq!(endpoint(path, None).unwrap(), path.parse::<Endpoint>().unwrap(), "{path}");
        }
    }
}
