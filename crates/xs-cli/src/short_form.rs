//! The short forms: `xs last clip.add` instead of `xs last ./store clip.add`, where XS_ADDR names the
//! store.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory as _, Error, FromArgMatches as _};

use crate::archive;
use crate::args::Args;

/// The argument that is left out.
const ADDR: &str = "addr";

/// What the command line asks for. `address` is put in where it was left out: where an argument is
/// missing, or where what stands in its place is none.
pub(crate) fn parse(argv: Vec<OsString>, address: Option<OsString>) -> Result<Args, Error> {
    let parsed = Args::command().try_get_matches_from(&argv);
    let matches = match (parsed, address.filter(|address| !address.is_empty())) {
        (Err(error), Some(address)) if error.kind() == ErrorKind::MissingRequiredArgument => {
            match with_address(&argv, address) {
                Some(argv) => Args::command().try_get_matches_from(argv)?,
                None => return Err(error),
            }
        }
        (Ok(matches), Some(address)) if !is_addressed(&matches) => match with_address(&argv, address) {
            Some(argv) => Args::command().try_get_matches_from(argv)?,
            None => matches,
        },
        (parsed, _) => parsed?,
    };
    Args::from_arg_matches(&matches).map_err(|error| error.format(&mut Args::command()))
}

/// Whether what stands in the place of the address is one. Most commands have an argument that has to
/// be there behind it, so that whatever parses has an address; for the others it has to look like one.
fn is_addressed(matches: &ArgMatches) -> bool {
    let Some((command, matches)) = matches.subcommand() else { return true };
    let given = matches.try_get_raw(ADDR).ok().flatten().and_then(|mut values| values.next());
    match (command, given) {
        ("last" | "topics", Some(given)) => looks_like_an_address(given),
        // Alone, a directory of frames is what is imported, not where to.
        ("import", Some(given)) => {
            let alone = matches.try_get_raw("dir").is_ok_and(|dir| dir.is_none());
            !(alone && archive::is_one(Path::new(given))) && looks_like_an_address(given)
        }
        _ => true,
    }
}

/// Neither a topic nor a prefix holds a `/` or a `:`; a store or a socket may be named without either,
/// and is there.
fn looks_like_an_address(given: &OsStr) -> bool {
    given.to_string_lossy().contains(['/', ':', '\\']) || is_place(Path::new(given))
}

/// Whether a store or a socket is there. Any other directory may have the name of a topic.
fn is_place(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| match metadata.is_dir() {
        true => path.join("xs.toml").exists() || path.join("sock").exists(),
        false => !metadata.is_file(),
    })
}

/// With the address as the first argument of the command.
fn with_address(argv: &[OsString], address: OsString) -> Option<Vec<OsString>> {
    let command = Args::command();
    let takes_value = |flag: &str| {
        let mut arguments = command.get_arguments().filter(|argument| argument.get_action().takes_values());
        arguments.any(|argument| argument.get_long() == flag.strip_prefix("--"))
    };
    let mut words = argv.iter().enumerate().skip(1);
    while let Some((at, word)) = words.next() {
        match word.to_str() {
            Some(flag) if takes_value(flag) => {
                words.next();
            }
            Some(flag) if flag.starts_with('-') => {}
            Some(name) => {
                // A command that calls no server has none to be given.
                command.find_subcommand(name)?.get_arguments().find(|argument| argument.get_id() == ADDR)?;
                let (before, after) = argv.split_at_checked(at + 1)?;
                return Some(before.iter().cloned().chain([address]).chain(after.iter().cloned()).collect());
            }
            None => return None,
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::args::Command;

    const STORE: &str = "./store-of-the-environment";

    fn parse_words(words: &str) -> Result<Args, Error> {
        let argv = ["xs"].into_iter().chain(words.split_whitespace()).map(OsString::from).collect();
        parse(argv, Some(STORE.into()))
    }

    /// The address that a command is called with, as it is shown.
    fn address(words: &str) -> String {
        let args = parse_words(words).unwrap_or_else(|error| panic!("{words}: {error}"));
        let target = match args.command {
            Command::Cat(args) => args.target,
            Command::Append(args) => args.target,
            Command::Cas(args) => args.target,
            Command::CasPost(args) => args.target,
            Command::Get(args) => args.target,
            Command::Last(args) => args.target,
            Command::Remove(args) => args.target,
            Command::Topics(args) => args.target,
            Command::Top(args) => args.target,
            Command::Import(args) => args.target,
            Command::Export(args) => args.target,
            Command::Version(args) => args.target,
            Command::Health(args) => args.target,
            other => panic!("{other:?} has no address"),
        };
        target.addr
    }

    const ID: &str = "03d4q1qhbiv09ovtuhokw5yxv";
    const HASH: &str = "sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

    #[test]
    fn an_address_that_is_left_out_is_put_in() {
        for words in [
            "cat",
            "cat -f -T a.*,b",
            "append a.b",
            "append a.b --meta {} --ttl last:3",
            &format!("cas {HASH}"),
            "cas-post",
            &format!("get {ID}"),
            &format!("remove {ID} --json"),
            "last",
            "last a.b",
            "last a.b 5",
            "last 5",
            "head a.*,b",
            "last --follow a.b",
            "topics",
            "topics a.",
            "top",
            "version",
            "health",
            "import",
            "export ./dump",
            "export --allow-missing ./dump",
            "--json last a.b",
            "--color always last a.b",
            "--color=always --tls-ca last version",
        ] {
            assert_eq!(address(words), STORE, "{words}");
        }
    }

    #[test]
    fn an_address_that_is_given_stays() {
        for (words, given) in [
            ("cat ./other", "./other"),
            ("append ./other a.b", "./other"),
            ("append other a.b", "other"),
            ("last ./other", "./other"),
            ("last ./other a.b 5", "./other"),
            ("last ./other 5", "./other"),
            ("last 127.0.0.1:3021 a.b", "127.0.0.1:3021"),
            ("topics ./other a.", "./other"),
            ("import ./other", "./other"),
            ("import ./other ./dump", "./other"),
            ("export ./other ./dump", "./other"),
            ("version other", "other"),
            ("health other", "other"),
        ] {
            assert_eq!(address(words), given, "{words}");
        }
    }

    #[test]
    fn a_file_is_no_address_and_an_export_is_what_is_imported() {
        assert_eq!(address("last Cargo.toml"), STORE);
        // A directory that is there, where tests run, and is no store.
        assert_eq!(address("last src"), STORE);
        let store = tempfile::tempdir().unwrap();
        assert!(!is_place(store.path()));
        std::fs::write(store.path().join("xs.toml"), "").unwrap();
        assert!(is_place(store.path()));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        assert_eq!(address(&format!("import {path}")), path);
        std::fs::write(dir.path().join("frames.jsonl"), "").unwrap();
        assert_eq!(address(&format!("import {path}")), STORE);
        assert_eq!(address(&format!("import {path} {path}")), path);
    }

    #[test]
    fn what_is_wrong_stays_wrong() {
        for words in ["append", "get x", "last a.b 5 6", "last ./other 0", "topics a b c", "fly", "--fly last"] {
            assert!(parse_words(words).is_err(), "{words}");
        }
        for words in ["serve", "copy a", "completions"] {
            assert_eq!(parse_words(words).unwrap_err().kind(), ErrorKind::MissingRequiredArgument, "{words}");
        }
    }

    #[test]
    fn without_the_variable_nothing_changes() {
        let parse = |words: &[&str], address: Option<&str>| {
            parse(words.iter().map(OsString::from).collect(), address.map(OsString::from))
        };
        for address in [None, Some("")] {
            assert_eq!(parse(&["xs", "last"], address).unwrap_err().kind(), ErrorKind::MissingRequiredArgument);
            let Command::Last(last) = parse(&["xs", "last", "a.b"], address).unwrap().command else { panic!() };
            assert_eq!((last.target.addr, last.n), ("a.b".to_owned(), None));
        }
    }
}
