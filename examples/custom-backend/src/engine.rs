//! An ordered map in memory, and the log that it is made from again, as a [`KvEngine`].
//!
//! The file `journal` is [`MAGIC`], then a record for each batch: a field that holds the CRC-32C (4 bytes) of what
//! follows in it, the number of the commit (8), and two fields for each change, which are the tag of the space and the
//! key, then `+` and the value, or nothing to remove the key. A field is its length (8) and its bytes. All big-endian.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use xs_core::kv::{KvBatch, KvEngine, KvOp, KvSnapshot, Note, Noted, Space, Visit};
use xs_core::{Capabilities, Committed, Create, Direction, Durability, Error, ErrorKind, Result, dirs};

pub(crate) const NAME: &str = "journal";
const MAGIC: &[u8] = b"journal\x01";

/// A journal that is open.
pub struct JournalEngine {
    path: PathBuf,
    note: Note,
    /// Locked for a whole `apply`. Gone once a write failed: nobody knows what that left in it.
    file: Mutex<Option<File>>,
    /// Locked for a moment only, so that no reader waits for a sync.
    current: RwLock<JournalSnapshot>,
}

impl JournalEngine {
    /// Opens the journal in `dir`, which exists. Blocks. The caller is its one owner.
    pub fn open(dir: &Path, create: Create) -> Result<Self> {
        let path = dir.join(NAME);
        let doing = |error| Error::io(format_args!("opening {}", path.display()), error);
        let mut file = File::options().write(true).create(create == Create::IfMissing).open(&path).map_err(doing)?;
        let bytes = fs::read(&path).map_err(doing)?;
        // Without a record it is new, or its making was interrupted.
        let log = if bytes.len() > MAGIC.len() { bytes.as_slice() } else { MAGIC };
        let mut rest = log.strip_prefix(MAGIC).unwrap_or_default();
        let mut current = JournalSnapshot::default();
        while let Some(after) = current.replay(rest) {
            rest = after;
        }
        // A crash leaves a rest that was never synced. The note knows what was.
        if !log.starts_with(MAGIC) || current.sequence < Noted::read(dir).map_or(0, |noted| noted.sequence) {
            return Err(Error::new(ErrorKind::Corrupt, format!("{}: what was synced cannot be read", path.display())));
        }
        let end = (log.len() - rest.len()) as u64;
        file.set_len(end).and_then(|()| file.write_all(MAGIC)).map_err(doing)?;
        file.seek(SeekFrom::Start(end)).and_then(|_| file.sync_data()).and_then(|()| dirs::sync(dir)).map_err(doing)?;
        Ok(Self { note: Note::open(dir)?, path, file: Mutex::new(Some(file)), current: RwLock::new(current) })
    }
}

impl std::fmt::Debug for JournalEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "JournalEngine({})", self.path.display())
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

    fn apply(&self, batch: KvBatch) -> Result<Committed> {
        let doing = |error| Error::io(format_args!("writing {}", self.path.display()), error);
        let refusal = |kind, why| Error::new(kind, format!("{}: {why}", self.path.display()));
        let record = encode(&batch);
        let mut place = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = self.snapshot()?;
        next.replay(&record).ok_or_else(|| refusal(ErrorKind::Internal, "its own record cannot be read"))?;
        let mut file = place.take().ok_or_else(|| refusal(ErrorKind::Unavailable, "a write failed: open it again"))?;
        file.write_all(&record).map_err(doing)?;
        let mut committed = Committed::default();
        if batch.durability == Durability::Sync {
            committed = Committed::timed(|| file.sync_data()).map_err(doing)?;
            self.note.write(next.sequence);
        }
        *place = Some(file);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(committed)
    }

    fn snapshot(&self) -> Result<JournalSnapshot> {
        Ok(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn sync(&self) -> Result<()> {
        self.apply(KvBatch { ops: Vec::new(), durability: Durability::Sync, sequence: 0 }).map(drop)
    }
}

/// All entries at one moment, by tag and key. A clone shares their memory.
#[derive(Clone, Default)]
pub struct JournalSnapshot {
    entries: imbl::OrdMap<Arc<[u8]>, Arc<[u8]>>,
    sequence: u64,
}

impl JournalSnapshot {
    /// Makes the changes of the first record and gives what follows it; `None` where it is torn or damaged.
    fn replay<'a>(&mut self, mut log: &'a [u8]) -> Option<&'a [u8]> {
        let (checksum, payload) = take(&mut log)?.split_first_chunk()?;
        let (sequence, mut changes) = payload.split_first_chunk()?;
        if crc32c::crc32c(payload) != u32::from_be_bytes(*checksum) {
            return None;
        }
        while let Some(key) = take(&mut changes) {
            match take(&mut changes)? {
                [] => self.entries.remove(key),
                [_, value @ ..] => self.entries.insert(key.into(), value.into()),
            };
        }
        self.sequence = self.sequence.max(u64::from_be_bytes(*sequence));
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
        let mut next = || if direction == Direction::Ascending { entries.next() } else { entries.next_back() };
        while let Some((key, value)) = next()
            && visit(key.get(1..).unwrap_or_default(), value)?.is_continue()
        {}
        Ok(())
    }
}

fn tagged(space: Space, key: &[u8]) -> Arc<[u8]> {
    [&[space.tag()][..], key].concat().into()
}

fn encode(batch: &KvBatch) -> Vec<u8> {
    let changes = batch.ops.iter().flat_map(|op| match op {
        KvOp::Put { space, key, value } => [field(&tagged(*space, key)), field(&[&b"+"[..], value].concat())].concat(),
        KvOp::Delete { space, key } => [field(&tagged(*space, key)), field(&[])].concat(),
    });
    let payload: Vec<u8> = batch.sequence.to_be_bytes().into_iter().chain(changes).collect();
    field(&[&crc32c::crc32c(&payload).to_be_bytes()[..], &payload].concat())
}

fn field(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_be_bytes()[..], bytes].concat()
}

fn take<'a>(fields: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = fields.split_off(..8)?.try_into().ok()?;
    fields.split_off(..usize::try_from(u64::from_be_bytes(length)).ok()?)
}
