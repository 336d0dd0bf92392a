//! A note of how far an index was made durable, and of its format, outside the engine's own files.
//!
//! The file `durable` holds the format (4 bytes), the number of a commit (8), and the CRC-32C of
//! both (4), all big-endian. A note that is torn or damaged is as good as none.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};

use super::FORMAT;
use super::store::refuse_newer;
use crate::{Error, Result};

const NAME: &str = "durable";

/// What was noted last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The format of the index.
    pub format: u32,
    /// Everything up to this commit is on stable storage.
    pub sequence: u64,
}

impl Noted {
    /// Reads the note in `dir`, changing nothing.
    pub fn read(dir: &Path) -> Option<Self> {
        let bytes = fs::read(dir.join(NAME)).ok()?;
        let (body, checksum) = bytes.split_last_chunk::<4>()?;
        let (format, sequence) = body.split_first_chunk::<4>()?;
        let noted =
            Self { format: u32::from_be_bytes(*format), sequence: u64::from_be_bytes(sequence.try_into().ok()?) };
        (crc32c::crc32c(body) == u32::from_be_bytes(*checksum)).then_some(noted)
    }

    /// As [`read`](Self::read); `Unsupported`, with both versions, when the index of this `engine` is
    /// of a newer format than [`FORMAT`].
    pub fn read_supported(engine: &str, dir: &Path) -> Result<Option<Self>> {
        let noted = Self::read(dir);
        noted.map_or(Ok(()), |noted| refuse_newer(engine, noted.format))?;
        Ok(noted)
    }

    /// Its bytes.
    pub fn encode(self) -> Vec<u8> {
        let mut bytes = [&self.format.to_be_bytes()[..], &self.sequence.to_be_bytes()].concat();
        bytes.extend(crc32c::crc32c(&bytes).to_be_bytes());
        bytes
    }
}

/// Where notes of how far an index was made durable are written.
///
/// When an engine opens and finds a part of its log that it cannot read, it goes on without it:
/// after a crash that is right, since what follows was never acknowledged. But when a byte of the
/// log was damaged later, the same cut would drop acknowledged commits in silence. The note tells
/// the two apart: it is written after a commit was synced, without a sync of its own, so it is
/// never ahead of what is on stable storage. And it can be read without opening, and so without
/// changing, a database of a newer format.
///
/// An engine looks with [`Noted::read_supported`] before it opens, and so repairs, anything: a
/// [`Note`] says the format of this build.
#[derive(Debug)]
pub struct Note {
    file: File,
    dir: PathBuf,
}

impl Note {
    /// The note in `dir`, made if it is missing.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(NAME);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(|error| Error::io(format_args!("opening {}", path.display()), error))?;
        Ok(Self { file, dir: dir.to_owned() })
    }

    /// The number that was noted last.
    pub fn sequence(&self) -> Option<u64> {
        Noted::read(&self.dir).map(|noted| noted.sequence)
    }

    /// Notes that everything up to this commit is on stable storage: after its sync, never before.
    pub fn write(&self, sequence: u64) {
        if let Err(error) = write_at_start(&self.file, &Noted { format: FORMAT, sequence }.encode()) {
            // The data is durable all the same; only damage to it could now go unnoticed.
            tracing::warn!(%error, "noting how far the index is durable failed");
        }
    }
}

/// In one call where the system has one: this is on the way of every durable commit.
#[cfg(unix)]
fn write_at_start(file: &File, bytes: &[u8]) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, 0)
}

#[cfg(not(unix))]
fn write_at_start(mut file: &File, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::{Seek as _, Write as _};
    file.rewind()?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_note_is_no_note() {
        let dir = std::env::temp_dir().join(format!("xs-note-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let note = Note::open(&dir).unwrap();
        assert_eq!(note.sequence(), None);
        note.write(7);
        assert_eq!(Note::open(&dir).unwrap().sequence(), Some(7));
        let sound = fs::read(dir.join(NAME)).unwrap();
        for at in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[at] ^= 1;
            fs::write(dir.join(NAME), &bytes).unwrap();
            assert_eq!(Noted::read(&dir), None);
            fs::write(dir.join(NAME), &sound[..at]).unwrap();
            assert_eq!(Noted::read(&dir), None);
        }
        fs::remove_dir_all(dir).unwrap();
    }
}
