//! A note of how far the index was made durable, outside fjall's own files.
//!
//! When fjall opens and finds a part of its journal that it cannot read, it cuts the journal off
//! there: after a crash that is right, since what follows was never acknowledged. But when a byte
//! of the journal was damaged later, the same cut would drop acknowledged commits in silence. The
//! note tells the two apart: it is written after a commit was synced, without a sync of its own, so
//! it is never ahead of what is on stable storage.
//!
//! The file `durable` holds the number of a commit (8 bytes, big-endian) and the CRC-32C of those
//! bytes (4). A note that is torn or damaged is as good as none.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _};
use std::path::Path;

use xs_core::{Error, Result};

const NOTE_BYTES: usize = 12;

#[derive(Debug)]
pub(crate) struct Note {
    file: File,
}

impl Note {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        file.map(|file| Self { file }).map_err(|error| Error::io(format_args!("opening {}", path.display()), error))
    }

    /// The number that was noted last.
    pub(crate) fn read(&self) -> Option<u64> {
        let mut note = [0; NOTE_BYTES];
        let mut file = &self.file;
        file.rewind().ok()?;
        file.read_exact(&mut note).ok()?;
        let (number, checksum) = note.split_last_chunk::<4>()?;
        let number: [u8; 8] = number.try_into().ok()?;
        (crc32c::crc32c(&number) == u32::from_be_bytes(*checksum)).then(|| u64::from_be_bytes(number))
    }

    /// Notes that everything up to this commit is on stable storage.
    pub(crate) fn write(&self, sequence: u64) {
        let number = sequence.to_be_bytes();
        let note = [&number[..], &crc32c::crc32c(&number).to_be_bytes()].concat();
        if let Err(error) = write_at_start(&self.file, &note) {
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
    use std::io::Write as _;
    file.rewind()?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_note_is_no_note() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("durable");
        let note = Note::open(&path).unwrap();
        assert_eq!(note.read(), None);
        note.write(7);
        assert_eq!(Note::open(&path).unwrap().read(), Some(7));
        for at in 0..NOTE_BYTES {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[at] ^= 1;
            std::fs::write(dir.path().join("torn"), &bytes).unwrap();
            assert_eq!(Note::open(&dir.path().join("torn")).unwrap().read(), None);
        }
    }
}
