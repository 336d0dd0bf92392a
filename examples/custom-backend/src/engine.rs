//! An ordered map in memory, and the log that it is made from again, as a [`KvEngine`].
//!
//! The file `journal` is [`MAGIC`], then a record for each batch. A record is a field, which holds a
//! CRC-32C (4 bytes) of what follows in it: the number of the commit (8), then two fields for each
//! change: the tag of the space and the key; `+` and the value, or nothing where the key is removed.
//! A field is its length (8) and that many bytes. Numbers are big-endian.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use imbl::OrdMap;
use xs_core::kv::{KvBatch, KvEngine, KvOp, KvSnapshot, Note, Noted, Space, Visit};
use xs_core::{Capabilities, Create, Direction, Durability, Error, ErrorKind, Result, dirs};

pub(crate) const NAME: &str = "journal";
const MAGIC: &[u8] = b"journal\x01";

/// A journal that is open.
#[derive(Debug)]
pub struct JournalEngine {
    path: PathBuf,
    note: Note,
    /// Locked for a whole `apply`. Gone after a failed write: nobody knows what that left in it.
    file: Mutex<Option<File>>,
    /// Locked for a moment only: no reader waits for a sync.
    current: RwLock<JournalSnapshot>,
}

impl JournalEngine {
    /// Opens the journal in `dir`, which exists. Blocks. The caller is its one owner.
    pub fn open(dir: &Path, create: Create) -> Result<Self> {
        let path = dir.join(NAME);
        let doing = |error| Error::io(format_args!("opening {}", path.display()), error);
        let damaged = |what| Error::new(ErrorKind::Corrupt, format!("{} {what}", path.display()));
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(create == Create::IfMissing).open(&path).map_err(doing)?;
        let mut bytes = Vec::new();
        if file.read_to_end(&mut bytes).map_err(doing)? <= MAGIC.len() {
            // It is new, or its making was interrupted.
            bytes = MAGIC.to_vec();
        }
        let mut rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("does not start like a journal"))?;
        let mut current = JournalSnapshot::default();
        while let Some(after) = current.replay(rest) {
            rest = after;
        }
        // What a crash leaves at the end was never synced. The note knows of what was.
        if current.sequence < Noted::read(dir).map_or(0, |noted| noted.sequence) {
            return Err(damaged("is damaged: commits that were synced cannot be read"));
        }
        let end = (bytes.len() - rest.len()) as u64;
        file.set_len(end).and_then(|()| file.rewind()).and_then(|()| file.write_all(MAGIC)).map_err(doing)?;
        file.seek(SeekFrom::Start(end)).and_then(|_| file.sync_data()).and_then(|()| dirs::sync(dir)).map_err(doing)?;
        let (file, current) = (Mutex::new(Some(file)), RwLock::new(current));
        Ok(Self { note: Note::open(dir)?, path, file, current })
    }
}

impl KvEngine for JournalEngine {
    type Snapshot = JournalSnapshot;

    fn name(&self) -> &str {
        "journal"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::default().persistent(true).exclusive(true)
    }

    fn apply(&self, batch: KvBatch) -> Result<()> {
        let error = |kind, what| Error::new(kind, format!("{}: {what}", self.path.display()));
        let doing = |error| Error::io(format_args!("writing {}", self.path.display()), error);
        let record = encode(&batch);
        let mut place = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = self.snapshot()?;
        next.replay(&record).ok_or_else(|| error(ErrorKind::Internal, "a batch cannot be read back"))?;
        let mut file = place.take().ok_or_else(|| error(ErrorKind::Unavailable, "a write failed: open it again"))?;
        file.write_all(&record).map_err(doing)?;
        if batch.durability == Durability::Sync {
            file.sync_data().map_err(doing)?;
            self.note.write(next.sequence);
        }
        *place = Some(file);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    fn snapshot(&self) -> Result<JournalSnapshot> {
        Ok(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn sync(&self) -> Result<()> {
        self.apply(KvBatch { ops: Vec::new(), durability: Durability::Sync, sequence: 0 })
    }
}

/// All entries at one moment. A clone shares their memory.
#[derive(Clone, Debug, Default)]
pub struct JournalSnapshot {
    entries: OrdMap<Arc<[u8]>, Arc<[u8]>>,
    sequence: u64,
}

impl JournalSnapshot {
    /// Makes the changes of the first record of `log`, and gives what follows it; `None` where it is torn or damaged.
    fn replay<'a>(&mut self, mut log: &'a [u8]) -> Option<&'a [u8]> {
        let (checksum, payload) = take(&mut log)?.split_first_chunk()?;
        let (sequence, mut changes) = payload.split_first_chunk()?;
        if crc32c::crc32c(payload) != u32::from_be_bytes(*checksum) {
            return None;
        }
        self.sequence = self.sequence.max(u64::from_be_bytes(*sequence));
        while let Some(key) = take(&mut changes) {
            match take(&mut changes)? {
                [] => self.entries.remove(key),
                [_, value @ ..] => self.entries.insert(key.into(), value.into()),
            };
        }
        Some(log)
    }
}

impl KvSnapshot for JournalSnapshot {
    type Value = Arc<[u8]>;

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Arc<[u8]>>> {
        Ok(self.entries.get(&tagged(space, key)).cloned())
    }

    fn range(&self, space: Space, from: &[u8], to: &[u8], direction: Direction, visit: &mut Visit<'_>) -> Result<()> {
        let mut entries = self.entries.range(tagged(space, from)..=tagged(space, to));
        while let Some((key, value)) = match direction {
            Direction::Ascending => entries.next(),
            Direction::Descending => entries.next_back(),
        } {
            if visit(key.get(1..).unwrap_or_default(), value)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

fn tagged(space: Space, key: &[u8]) -> Vec<u8> {
    [&[space.tag()][..], key].concat()
}

fn encode(batch: &KvBatch) -> Vec<u8> {
    let changes = batch.ops.iter().flat_map(|op| match op {
        KvOp::Put { space, key, value } => [field(&[&[space.tag()], key]), field(&[b"+", value])],
        KvOp::Delete { space, key } => [field(&[&[space.tag()], key]), field(&[])],
    });
    let payload = [&batch.sequence.to_be_bytes()[..], &changes.flatten().collect::<Vec<u8>>()].concat();
    field(&[&crc32c::crc32c(&payload).to_be_bytes(), &payload])
}

fn field(parts: &[&[u8]]) -> Vec<u8> {
    let bytes = parts.concat();
    [&(bytes.len() as u64).to_be_bytes()[..], &bytes].concat()
}

fn take<'a>(fields: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = fields.split_first_chunk()?;
    let (bytes, rest) = rest.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
    *fields = rest;
    Some(bytes)
}
