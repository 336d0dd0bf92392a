//! What an export goes on without: told as it is found, and listed beside the frames.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use indicatif::HumanCount;
use xs::dirs;

use crate::archive::{self, Loss, Why};

/// Losses that are told one by one: of a content store that is lost altogether, a person reads no more.
const TOLD_MAX: u64 = 20;

#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Made for the first of them: a whole export has no such file.
    list: Option<BufWriter<fs::File>>,
    counts: BTreeMap<Why, u64>,
}

impl Losses {
    pub(super) fn count(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Lists a loss, and returns what is to be told of it.
    pub(super) fn add(&mut self, loss: &Loss, dir: &Path) -> io::Result<Option<String>> {
        let list = match &mut self.list {
            Some(list) => list,
            none => none.insert(BufWriter::new(fs::File::create(archive::missing(dir))?)),
        };
        serde_json::to_writer(&mut *list, loss)?;
        list.write_all(b"\n")?;
        let Loss { hash, why, frame } = loss;
        *self.counts.entry(*why).or_default() += 1;
        Ok((self.count() <= TOLD_MAX).then(|| format!("content {hash} of frame {frame} {why}: left out")))
    }

    /// Makes the list durable.
    pub(super) fn finish(&mut self, dir: &Path) -> io::Result<()> {
        let Some(list) = self.list.take() else { return Ok(()) };
        list.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        // Before the export counts as finished: it would look damaged itself.
        dirs::sync(dir)
    }

    /// What was left out, where anything was.
    pub(super) fn summary(&self, dir: &Path) -> Option<String> {
        let counts: Vec<String> =
            self.counts.iter().map(|(why, count)| format!("{} {}", HumanCount(*count), why.word())).collect();
        let list = archive::missing(dir);
        (!counts.is_empty()).then(|| format!("left out: {}; {} lists them", counts.join(", "), list.display()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use xs::{ContentHash, FrameId};

    fn loss(n: u8, why: Why) -> Loss {
        Loss { hash: ContentHash::of(&[n]), why, frame: FrameId::MIN }
    }

    #[test]
    fn losses_are_listed_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut losses = Losses::default();
        losses.finish(dir.path()).unwrap();
        assert_eq!(losses.summary(dir.path()), None);
        assert!(!archive::missing(dir.path()).exists());
        let whys = [Why::Altered, Why::Missing, Why::Damaged, Why::Unreadable, Why::Missing, Why::BrokenOff];
        let found: Vec<Loss> = (0..).zip(whys).map(|(n, why)| loss(n, why)).collect();
        for loss in &found {
            assert!(losses.add(loss, dir.path()).unwrap().is_some());
        }
        losses.finish(dir.path()).unwrap();
        assert_eq!(losses.count(), 6);
        let summary = losses.summary(dir.path()).unwrap();
        let counts = "2 missing, 1 damaged, 1 broken off, 1 unreadable, 1 altered;";
        assert!(summary.contains(counts) && summary.contains("missing.jsonl"), "{summary}");
        let hashes: HashSet<ContentHash> = found.iter().map(|loss| loss.hash).collect();
        assert_eq!(archive::left_out(dir.path()).unwrap(), hashes);
        let list = fs::read_to_string(archive::missing(dir.path())).unwrap();
        for word in ["missing", "damaged", "broken-off", "unreadable", "altered"] {
            assert!(list.contains(&format!(r#""why":"{word}""#)), "{word}: {list}");
        }
    }

    #[test]
    fn a_person_is_told_the_first_of_many() {
        let dir = tempfile::tempdir().unwrap();
        let mut losses = Losses::default();
        let told: Vec<bool> =
            (0..22).map(|n| losses.add(&loss(n, Why::Missing), dir.path()).unwrap().is_some()).collect();
        assert!(told.iter().take(20).all(|told| *told) && told.iter().skip(20).all(|told| !*told), "{told:?}");
        losses.finish(dir.path()).unwrap();
        assert!(losses.summary(dir.path()).unwrap().contains("22 missing"));
        assert_eq!(archive::left_out(dir.path()).unwrap().len(), 22);
    }
}
