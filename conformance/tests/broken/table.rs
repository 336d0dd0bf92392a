//! Which flaw breaks which guarantee, over which sound part.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

use xs_backend_fjall::{FjallEngine, FjallFactory, FjallSettings};
use xs_cas_fs::FsCasFactory;
use xs_conformance::{CasSubject, StoreSubject, Suite};
use xs_core::kv::{FORMAT, KvBatch, KvEngine as _, KvOp, Space, keys};
use xs_core::memory::{MemoryCasFactory, MemoryStoreFactory};
use xs_core::{CasFactory, Create, Durability, StoreFactory};

use crate::cas::FlawedCasFactory;
use crate::flaw::{CasFlaw, StoreFlaw};
use crate::open::FlawedStoreFactory;

/// The sound part below: what persists, where only that can be broken, and memory elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Over {
    Memory,
    Fjall,
    Fs,
}

/// Indexes, and the guarantee that each of them breaks.
const STORES: &[(&str, Over, StoreFlaw)] = &[
    ("S1", Over::Memory, StoreFlaw::CommitsFrameByFrame),
    ("S1", Over::Memory, StoreFlaw::OverwritesUnderATakenId),
    ("S1", Over::Fjall, StoreFlaw::HoldsBackTheLastFrame),
    ("S2", Over::Memory, StoreFlaw::LosesTheNewestOnReopen),
    ("S2", Over::Fjall, StoreFlaw::KeepsBufferedInMemory),
    ("S2", Over::Fjall, StoreFlaw::SyncsNothing),
    ("S2", Over::Fjall, StoreFlaw::MakesUpASync),
    ("S2", Over::Fjall, StoreFlaw::AcknowledgesAFailedSync),
    ("S2", Over::Fjall, StoreFlaw::ShowsAFailedCommit),
    ("S3", Over::Memory, StoreFlaw::SwapsTwoFrames),
    ("S3", Over::Memory, StoreFlaw::IgnoresTheDirection),
    ("S4", Over::Memory, StoreFlaw::IgnoresTheLimit),
    ("S4", Over::Memory, StoreFlaw::IgnoresTheBytes),
    ("S4", Over::Memory, StoreFlaw::TakesExcludedForIncluded),
    ("S4", Over::Memory, StoreFlaw::ReadsBeyondTheEnd),
    ("S5", Over::Memory, StoreFlaw::StoresWithTheNextCommit),
    ("S5", Over::Memory, StoreFlaw::RemembersWhatWasMissing),
    ("S5", Over::Memory, StoreFlaw::LagsInATopic),
    ("S5", Over::Memory, StoreFlaw::ForgetsTheLastIdOfTheRemoved),
    ("S6", Over::Memory, StoreFlaw::PagesByPosition),
    ("S6", Over::Memory, StoreFlaw::SaysCompleteTooEarly),
    ("S7", Over::Memory, StoreFlaw::TakesAPrefixForAName),
    ("S7", Over::Memory, StoreFlaw::LooksOneLevelDeep),
    ("S8", Over::Memory, StoreFlaw::KeepsTheRecord),
    ("S8", Over::Memory, StoreFlaw::KeepsTheTopicEntry),
    ("S8", Over::Memory, StoreFlaw::KeepsTheAncestorEntry),
    ("S8", Over::Memory, StoreFlaw::KeepsTheExpiryEntry),
    ("S8", Over::Memory, StoreFlaw::KeepsTheContentEntry),
    ("S8", Over::Memory, StoreFlaw::BringsTheRemovedBack),
    ("S8", Over::Memory, StoreFlaw::RefusesToRemoveWhatIsMissing),
    ("S9", Over::Memory, StoreFlaw::LetsTwoOwnersIn),
    ("S9", Over::Memory, StoreFlaw::KeepsItsLock),
    ("S9", Over::Memory, StoreFlaw::ClosesUnannounced),
    ("S9", Over::Memory, StoreFlaw::MakesUpAMissingStore),
    ("S10", Over::Memory, StoreFlaw::KeepsMetaAsAValue),
    ("S10", Over::Memory, StoreFlaw::SpellsOutTheTtl),
    ("S11", Over::Fjall, StoreFlaw::StartsAnewAfterDamage),
    ("S11", Over::Fjall, StoreFlaw::CallsDamageADefect),
    ("S12", Over::Fjall, StoreFlaw::ReadsANewerFormat),
    ("S12", Over::Fjall, StoreFlaw::ChangesANewerFormat),
    ("S12", Over::Fjall, StoreFlaw::NamesNoVersions),
    ("E11", Over::Fjall, StoreFlaw::SyncsForEachFrame),
];

/// Content stores, and the guarantee that each of them breaks.
const CONTENTS: &[(&str, Over, CasFlaw)] = &[
    ("C1", Over::Memory, CasFlaw::LosesContentOnReopen),
    ("C1", Over::Fs, CasFlaw::SyncsNothing),
    ("C1", Over::Fs, CasFlaw::SyncsNoName),
    ("C2", Over::Fs, CasFlaw::VerifiesNothing),
    ("C2", Over::Fs, CasFlaw::VerifiesTooLate),
    ("C2", Over::Fs, CasFlaw::KeepsWhatIsThere),
    ("C3", Over::Fs, CasFlaw::StoresACopyPerWriter),
    ("C4", Over::Memory, CasFlaw::GivesItAllAtOnce),
    ("C4", Over::Fs, CasFlaw::GathersInMemory),
    ("C5", Over::Memory, CasFlaw::IgnoresTheRange),
    ("C5", Over::Memory, CasFlaw::IncludesTheEnd),
    ("C6", Over::Memory, CasFlaw::TakesMissingForEmpty),
    ("C7", Over::Memory, CasFlaw::ShowsContentWhileItIsWritten),
    ("C7", Over::Fs, CasFlaw::LeavesWhatWasAbandoned),
    ("C8", Over::Memory, CasFlaw::SkipsAtThePagesEdge),
    ("C8", Over::Memory, CasFlaw::ListsTheFirstTwice),
    ("C8", Over::Memory, CasFlaw::ListsNoTime),
    ("C9", Over::Memory, CasFlaw::RefusesASecondRemoval),
    ("C9", Over::Memory, CasFlaw::IgnoresRemovals),
    ("C10", Over::Memory, CasFlaw::WritesOutside),
];

/// Streams over memory, with the guarantee that breaks when their index has this flaw.
///
/// E11 is not among them: whether appends share a commit is settled before an index sees it; what an
/// index can break is that a batch costs one sync. E8 has no case before content is collected. No flaw here leaves a follower or housekeeping without what it waits for: a
/// case ends such a wait only by its time limit.
const STREAMS: &[(&str, StoreFlaw)] = &[
    ("E1", StoreFlaw::ForgetsTheLastIdOfTheRemoved),
    ("E2", StoreFlaw::StoresWithTheNextCommit),
    ("E2", StoreFlaw::LosesTheNewestOnReopen),
    ("E3", StoreFlaw::ReadsBeyondTheEnd),
    ("E3", StoreFlaw::TakesExcludedForIncluded),
    ("E4", StoreFlaw::KeepsOnlyTheFirstFrame),
    ("E5", StoreFlaw::LagsInATopic),
    ("E6", StoreFlaw::GivesNoTtl),
    ("E6", StoreFlaw::KeepsTheExpiryEntry),
    ("E7", StoreFlaw::IgnoresRemovalsBesideInserts),
    ("E9", StoreFlaw::KeepsItsLock),
    ("E9", StoreFlaw::ClosesUnannounced),
    ("E10", StoreFlaw::ReportsARefusalAsAFailure),
    ("E12", StoreFlaw::KeepsMetaAsAValue),
    ("E12", StoreFlaw::OverwritesUnderATakenId),
];

/// Streams over memory, with the guarantee that breaks when their content store has this flaw.
const STREAMS_BY_CONTENT: &[(&str, CasFlaw)] = &[("E2", CasFlaw::LosesContentOnReopen)];

/// A trial: a subject, and whether the cases of a guarantee have to catch it.
pub(crate) struct Entry {
    pub(crate) name: String,
    guarantee: &'static str,
    broken: bool,
    subject: Subject,
}

enum Subject {
    Store(StoreSubject),
    Cas(CasSubject),
    Stream(StoreSubject, CasSubject),
}

impl Entry {
    pub(crate) fn add_to(&self, suite: &mut Suite) {
        match &self.subject {
            Subject::Store(store) => suite.store(store.clone()),
            Subject::Cas(cas) => suite.cas(cas.clone()),
            Subject::Stream(store, cas) => suite.pair(store.clone(), cas.clone()),
        }
    }

    /// Which case caught it, and how; nothing for a control. An error where a broken subject passes,
    /// or a control does not.
    pub(crate) fn check(&self) -> Result<String, String> {
        let mut suite = Suite::new();
        self.add_to(&mut suite);
        let outcomes = suite.outcomes(self.guarantee);
        let cases = outcomes.len();
        let said = |(case, outcome): (String, Result<(), String>)| Some(format!("{case}: {}", outcome.err()?));
        let failed: Vec<String> = outcomes.into_iter().filter_map(said).collect();
        match (self.broken, failed.len()) {
            _ if cases == 0 => Err(format!("the suite has no case for {}", self.guarantee)),
            (true, 0) => Err(format!("it passes all {cases} cases of {}", self.guarantee)),
            (true, _) => Ok(failed.join("\n")),
            (false, 0) => Ok("passes".to_owned()),
            (false, _) => Err(format!("what is not broken fails:\n{}", failed.join("\n"))),
        }
    }
}

/// Every broken part, and for each guarantee the sound parts that it was broken over.
pub(crate) fn entries() -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut controls = BTreeSet::new();
    for &(guarantee, over, flaw) in STORES {
        entries.push(store(named(guarantee, flaw), guarantee, over, flaw));
        if controls.insert((guarantee, over)) {
            entries.push(store(control(guarantee, over), guarantee, over, StoreFlaw::None));
        }
    }
    for &(guarantee, over, flaw) in CONTENTS {
        entries.push(content(named(guarantee, flaw), guarantee, over, flaw));
        if controls.insert((guarantee, over)) {
            entries.push(content(control(guarantee, over), guarantee, over, CasFlaw::None));
        }
    }
    for &(guarantee, flaw) in STREAMS {
        entries.push(stream(named(guarantee, flaw), guarantee, flaw, CasFlaw::None));
        if controls.insert((guarantee, Over::Memory)) {
            let name = control(guarantee, Over::Memory);
            entries.push(stream(name, guarantee, StoreFlaw::None, CasFlaw::None));
        }
    }
    for &(guarantee, flaw) in STREAMS_BY_CONTENT {
        entries.push(stream(named(guarantee, flaw), guarantee, StoreFlaw::None, flaw));
    }
    entries
}

/// `S4_ignores_the_limit`, of `IgnoresTheLimit`.
fn named(guarantee: &str, name: impl Debug) -> String {
    let mut named = guarantee.to_owned();
    for letter in format!("{name:?}").chars() {
        if letter.is_uppercase() {
            named.push('_');
        }
        named.extend(letter.to_lowercase());
    }
    named
}

fn control(guarantee: &str, over: Over) -> String {
    named(&format!("{guarantee}_sound"), over)
}

fn store(name: String, guarantee: &'static str, over: Over, flaw: StoreFlaw) -> Entry {
    let subject = Subject::Store(store_subject(&name, over, flaw));
    Entry { name, guarantee, broken: flaw != StoreFlaw::None, subject }
}

fn content(name: String, guarantee: &'static str, over: Over, flaw: CasFlaw) -> Entry {
    let subject = Subject::Cas(cas_subject(&name, over, flaw));
    Entry { name, guarantee, broken: flaw != CasFlaw::None, subject }
}

fn stream(name: String, guarantee: &'static str, flaw: StoreFlaw, cas_flaw: CasFlaw) -> Entry {
    let subject = Subject::Stream(store_subject(&name, Over::Memory, flaw), cas_subject(&name, Over::Memory, cas_flaw));
    Entry { name, guarantee, broken: flaw != StoreFlaw::None || cas_flaw != CasFlaw::None, subject }
}

fn store_subject(name: &str, over: Over, flaw: StoreFlaw) -> StoreSubject {
    let inner: Arc<dyn StoreFactory> = match over {
        Over::Fjall => Arc::new(FjallFactory::default()),
        _ => Arc::new(MemoryStoreFactory::new()),
    };
    let subject = StoreSubject::new(name, Arc::new(FlawedStoreFactory::new(inner, flaw)));
    if over == Over::Fjall { subject.make_newer(make_newer) } else { subject }
}

fn cas_subject(name: &str, over: Over, flaw: CasFlaw) -> CasSubject {
    let inner: Arc<dyn CasFactory> = match over {
        Over::Fs => Arc::new(FsCasFactory),
        _ => Arc::new(MemoryCasFactory::new()),
    };
    CasSubject::new(name, Arc::new(FlawedCasFactory::new(inner, flaw)))
}

fn make_newer(place: &Path) -> u32 {
    let newer = FORMAT + 41;
    write_format(place, newer);
    newer
}

/// Makes the closed fjall index at a place one of this build's format.
pub(crate) fn make_current(place: &Path) {
    write_format(place, FORMAT);
}

fn write_format(place: &Path, format: u32) {
    let engine = FjallEngine::open(place, Create::Never, FjallSettings::default()).unwrap();
    let put = KvOp::Put { space: Space::Index, key: keys::FORMAT_KEY.to_vec(), value: format.to_be_bytes().to_vec() };
    engine.apply(KvBatch { ops: vec![put], durability: Durability::Sync, sequence: 0 }).unwrap();
}
