//! The layout of an exported store, that of cross.stream's `.export`:
//!
//! | file | holds |
//! | --- | --- |
//! | `frames.jsonl` | every frame, a line each, in the order of their ids |
//! | `cas/<name>` | a content, named by the standard base64 of the text of its hash |
//! | `missing.jsonl` | only where content could not be had: each such content, a line of JSON each; not of cross.stream |
//! | `frames.jsonl.unfinished` | while the export is under way: the frames so far |
//! | `cas/.<name>` | while the export is under way: a content that is not whole |
//!
//! The base64 of a hash is a file name: base64 spells a `/` for six one-bits, which no characters that a
//! hash is spelled with come to.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use xs::{ContentHash, FrameId};

const FRAMES: &str = "frames.jsonl";
const UNFINISHED: &str = "frames.jsonl.unfinished";
const CONTENTS: &str = "cas";
const MISSING: &str = "missing.jsonl";

/// A line of the list of what is missing, with room for what a later version adds to it.
const LOSS_BYTES_MAX: u64 = 64 * 1024;

/// Where the frames are.
pub(crate) fn frames(dir: &Path) -> PathBuf {
    dir.join(FRAMES)
}

/// Where the frames are before all of them are there.
pub(crate) fn unfinished(dir: &Path) -> PathBuf {
    dir.join(UNFINISHED)
}

/// Where contents are.
pub(crate) fn contents(dir: &Path) -> PathBuf {
    dir.join(CONTENTS)
}

/// Where a content is.
pub(crate) fn content(dir: &Path, hash: ContentHash) -> PathBuf {
    contents(dir).join(name(hash))
}

/// Where a content is before all of it is there.
pub(crate) fn partial(dir: &Path, hash: ContentHash) -> PathBuf {
    contents(dir).join(format!(".{}", name(hash)))
}

/// Where the contents are listed that could not be had.
pub(crate) fn missing(dir: &Path) -> PathBuf {
    dir.join(MISSING)
}

/// A content that could not be had: a line of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Loss {
    pub(crate) hash: ContentHash,
    pub(crate) why: Why,
    /// One of those that name it.
    pub(crate) frame: FrameId,
}

/// Why a content could not be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Why {
    /// The store does not hold it.
    Missing,
    /// The store holds other bytes.
    Damaged,
    /// It has begun to come, and did not come to its end.
    BrokenOff,
    /// The server cannot read it, and answers all else.
    Unreadable,
    /// It came to its end, and is something else.
    Altered,
}

impl Why {
    /// Behind a number of them.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Damaged => "damaged",
            Self::BrokenOff => "broken off",
            Self::Unreadable => "unreadable",
            Self::Altered => "altered",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is missing",
            Self::Damaged => "is damaged",
            Self::BrokenOff => "breaks off, as damaged content does",
            Self::Unreadable => "cannot be read by its server",
            Self::Altered => "comes as other bytes than the server has",
        })
    }
}

/// The contents that are listed as what could not be had.
pub(crate) fn left_out(dir: &Path) -> io::Result<HashSet<ContentHash>> {
    /// What matters of a line, whatever a later version says of why.
    #[derive(Deserialize)]
    struct Named {
        hash: ContentHash,
    }

    let mut list = match std::fs::File::open(missing(dir)) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        Err(error) => return Err(error),
    };
    let mut hashes = HashSet::new();
    let (mut line, mut number) = (Vec::new(), 0_u64);
    while list.by_ref().take(LOSS_BYTES_MAX).read_until(b'\n', &mut line)? > 0 {
        number += 1;
        if !line.trim_ascii().is_empty() {
            let named: Named = serde_json::from_slice(&line)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("line {number}: {error}")))?;
            hashes.insert(named.hash);
        }
        line.clear();
    }
    Ok(hashes)
}

fn name(hash: ContentHash) -> String {
    STANDARD.encode(hash.to_string())
}

/// The content that a file of this name holds.
pub(crate) fn hash(name: &str) -> Option<ContentHash> {
    let text = String::from_utf8(STANDARD.decode(name).ok()?).ok()?;
    text.parse().ok()
}

/// Whether a directory holds an export.
pub(crate) fn is_one(dir: &Path) -> bool {
    frames(dir).is_file()
}

/// What is in a directory that is to be exported into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, or no directory.
    Nothing,
    /// An export that was cut short.
    Unfinished,
    /// Anything else.
    Other,
}

/// Looks into a directory.
pub(crate) fn look(dir: &Path) -> std::io::Result<Found> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    let (mut is_empty, mut is_begun, mut has_other) = (true, false, false);
    for entry in entries {
        let name = entry?.file_name();
        is_empty = false;
        is_begun |= name == UNFINISHED;
        has_other |= name != UNFINISHED && name != CONTENTS && name != MISSING;
    }
    Ok(match (is_empty, is_begun && !has_other) {
        (true, _) => Found::Nothing,
        (false, true) => Found::Unfinished,
        (false, false) => Found::Other,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_named_as_cross_stream_names_it() {
        let dir = Path::new("dump");
        let path = content(dir, ContentHash::of(b"hello"));
        let expected = "c2hhMjU2LUxQSk51bCt3b3c0bTZEc3F4Ym5pbmhzV0hsd2ZwMEplY3dRellwT0xtQ1E9";
        assert_eq!(path, dir.join("cas").join(expected));
        assert_eq!(hash(expected), Some(ContentHash::of(b"hello")));
        for bad in ["", "x", "../../etc/passwd", "c2hhMjU2LXg=", ".c2hhMjU2LUxQSk51"] {
            assert_eq!(hash(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_hash_is_a_file_name() {
        for byte in 0..=255 {
            let hash_there = ContentHash::from_bytes([byte; 32]);
            let name = name(hash_there);
            assert!(!name.contains('/'), "{name}");
            assert_eq!(hash(&name), Some(hash_there));
        }
    }

    #[test]
    fn only_what_an_export_has_begun_is_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let look = || look(dir.path()).unwrap();
        assert_eq!(super::look(&dir.path().join("missing")).unwrap(), Found::Nothing);
        assert_eq!(look(), Found::Nothing);
        std::fs::create_dir(contents(dir.path())).unwrap();
        assert_eq!(look(), Found::Other, "the content of somebody else");
        std::fs::write(unfinished(dir.path()), "").unwrap();
        assert_eq!(look(), Found::Unfinished);
        std::fs::write(missing(dir.path()), "").unwrap();
        assert_eq!(look(), Found::Unfinished);
        std::fs::write(dir.path().join("notes"), "").unwrap();
        assert_eq!(look(), Found::Other);
        std::fs::remove_file(dir.path().join("notes")).unwrap();
        std::fs::write(frames(dir.path()), "").unwrap();
        assert_eq!(look(), Found::Other);
        assert!(is_one(dir.path()));
    }

    #[test]
    fn a_list_of_what_is_missing_says_which_line_is_wrong() {
        let dir = tempfile::tempdir().unwrap();
        assert!(left_out(dir.path()).unwrap().is_empty());
        let hash = ContentHash::of(b"lost");
        let line = format!(r#"{{"hash":"{hash}","why":"of a later version","more":[1]}}"#);
        std::fs::write(missing(dir.path()), format!("{line}\n\n{line}")).unwrap();
        assert_eq!(left_out(dir.path()).unwrap(), HashSet::from([hash]));
        for bad in ["{}", r#"{"hash":"x"}"#, "{", &" ".repeat(100_000), "\u{fffd}"] {
            std::fs::write(missing(dir.path()), format!("{line}\n{bad}x\n")).unwrap();
            let error = left_out(dir.path()).unwrap_err();
            assert!(error.to_string().starts_with("line "), "{error}");
        }
    }
}
