//! An ordered map in memory, and the log that it is made from again, as a [`KvEngine`].
//!
//! The file `journal` holds [`MAGIC`], then a record for each batch: the length of the payload (8
//! bytes), the payload, the CRC-32C of both (4). A payload holds the number of the commit (8), then
//! each change: `+` or `-`, the length of the key (8), the key behind the tag of its space, the
//! length of the value (8), the value. Numbers are big-endian.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use imbl::OrdMap;
use xs_core::kv::{KvBatch, KvEngine, KvOp, KvSnapshot, Note, Noted, Space, Visit};
use xs_core::{Capabilities, Create, Direction, Durability, Error, ErrorKind, Result, dirs};

pub(crate) const NAME: &str = "journal";
const MAGIC: &[u8] = b"journal\x01";

type Bytes = Arc<[u8]>;

/// A journal that is open.
#[derive(Debug)]
pub struct JournalEngine {
    /// Held for the whole of an `apply`, and taken before `current`.
    log: Mutex<Log>,
    /// Held for a moment only: no reader waits for a sync.
    current: RwLock<JournalSnapshot>,
}

#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: File,
    note: Note,
    /// The greatest number of a commit in it.
    sequence: u64,
    /// Nobody knows what a failed write left: nothing follows it until the log is opened again.
    failed: bool,
}

impl Log {
    fn write(&mut self, record: &[u8], sequence: u64, durability: Durability) -> Result<()> {
        let doing = |error| Error::io(format_args!("writing {}", self.path.display()), error);
        if std::mem::replace(&mut self.failed, true) {
            return Err(Error::new(ErrorKind::Unavailable, "an earlier write to the journal failed: open it again"));
        }
        self.file.write_all(record).map_err(doing)?;
        self.sequence = self.sequence.max(sequence);
        if durability == Durability::Sync {
            self.file.sync_data().map_err(doing)?;
            self.note.write(self.sequence);
        }
        self.failed = false;
        Ok(())
    }
}

impl JournalEngine {
    /// Opens the journal in `dir`, which exists. Blocks. The caller is its one owner.
    pub fn open(dir: &Path, create: Create) -> Result<Self> {
        let path = dir.join(NAME);
        let doing = |error| Error::io(format_args!("opening {}", path.display()), error);
        if create == Create::IfMissing && !path.exists() {
            make(dir, &path).map_err(doing)?;
        }
        let mut file = OpenOptions::new().read(true).write(true).open(&path).map_err(doing)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(doing)?;
        let damaged = |what| Error::new(ErrorKind::Corrupt, format!("{} is damaged: {what}", path.display()));
        let mut rest = bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it does not start like a journal"))?;
        let (mut map, mut sequence) = (OrdMap::new(), 0);
        while let Some((payload, after)) = split_record(rest) {
            sequence = replay(&mut map, payload).ok_or_else(|| damaged("a record is of no known form"))?.max(sequence);
            rest = after;
        }
        // A crash leaves an end that cannot be read, of commits that were never synced. The note knows better.
        if sequence < Noted::read(dir).map_or(0, |noted| noted.sequence) {
            return Err(damaged("commits that were synced cannot be read"));
        }
        let end = (bytes.len() - rest.len()) as u64;
        file.set_len(end).and_then(|()| file.seek(SeekFrom::Start(end))).map_err(doing)?;
        // Whoever wrote it: from now on it is built upon.
        file.sync_data().map_err(doing)?;
        let log = Log { note: Note::open(dir)?, path, file, sequence, failed: false };
        Ok(Self { log: Mutex::new(log), current: RwLock::new(JournalSnapshot(map)) })
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes an empty journal, under its name only once it is whole.
fn make(dir: &Path, path: &Path) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(MAGIC)?;
    file.sync_all()?;
    fs::rename(new, path)?;
    dirs::sync(dir)
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
        let payload = encode(&batch);
        let mut record = Vec::new();
        put(&mut record, &payload);
        record.extend(crc32c::crc32c(&record).to_be_bytes());
        let mut log = self.log();
        let mut next = self.snapshot()?;
        replay(&mut next.0, &payload).ok_or_else(|| Error::new(ErrorKind::Internal, "a batch cannot be read back"))?;
        log.write(&record, batch.sequence, batch.durability)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }

    fn snapshot(&self) -> Result<JournalSnapshot> {
        Ok(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn durable_sequence(&self) -> Result<Option<u64>> {
        Ok(self.log().note.sequence())
    }

    fn sync(&self) -> Result<()> {
        self.log().write(&[], 0, Durability::Sync)
    }
}

/// All entries at one moment, by tag and key. A clone shares their memory.
#[derive(Clone)]
pub struct JournalSnapshot(OrdMap<Bytes, Bytes>);

impl fmt::Debug for JournalSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JournalSnapshot({} entries)", self.0.len())
    }
}

impl KvSnapshot for JournalSnapshot {
    type Value = Bytes;

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>> {
        Ok(self.0.get(&tagged(space, key)).cloned())
    }

    fn range(&self, space: Space, first: &[u8], last: &[u8], direction: Direction, visit: &mut Visit<'_>) -> Result<()> {
        let mut entries = self.0.range(tagged(space, first)..=tagged(space, last));
        let mut next = || match direction {
            Direction::Ascending => entries.next(),
            Direction::Descending => entries.next_back(),
        };
        while let Some((key, value)) = next() {
            if visit(key.get(1..).unwrap_or_default(), value)? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}

fn tagged(space: Space, key: &[u8]) -> Bytes {
    [&[space.tag()][..], key].concat().into()
}

fn encode(batch: &KvBatch) -> Vec<u8> {
    let mut payload = batch.sequence.to_be_bytes().to_vec();
    for op in &batch.ops {
        let (kind, space, key, value) = match op {
            KvOp::Put { space, key, value } => (b'+', space, key, value.as_slice()),
            KvOp::Delete { space, key } => (b'-', space, key, [].as_slice()),
        };
        payload.push(kind);
        put(&mut payload, &tagged(*space, key));
        put(&mut payload, value);
    }
    payload
}

/// Makes the changes of a payload, and gives its number; `None` when it is not one.
fn replay(map: &mut OrdMap<Bytes, Bytes>, payload: &[u8]) -> Option<u64> {
    let (sequence, mut rest) = payload.split_first_chunk()?;
    while let Some((kind, after)) = rest.split_first() {
        rest = after;
        let (key, value) = (take(&mut rest)?, take(&mut rest)?);
        match kind {
            b'+' => map.insert(key.into(), value.into()),
            b'-' => map.remove(key),
            _ => return None,
        };
    }
    Some(u64::from_be_bytes(*sequence))
}

/// The payload of the first record, and what follows; `None` when it is torn or damaged.
fn split_record(log: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut rest = log;
    let payload = take(&mut rest)?;
    let (checksum, after) = rest.split_first_chunk()?;
    let checked = log.get(..log.len() - rest.len())?;
    (crc32c::crc32c(checked) == u32::from_be_bytes(*checksum)).then_some((payload, after))
}

fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend((bytes.len() as u64).to_be_bytes());
    to.extend(bytes);
}

fn take<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = from.split_first_chunk()?;
    let (bytes, rest) = rest.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
    *from = rest;
    Some(bytes)
}
