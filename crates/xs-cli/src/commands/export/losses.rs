//! What an export goes on without: told as it is found, and listed beside the frames.

use std::fs;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use indicatif::{HumanCount, ProgressBar};
use xs::dirs;

use crate::archive::{self, Loss, Why};

/// Losses that are told one by one: of a content store that is lost altogether, a person reads no more.
const TOLD_MAX: u64 = 20;

#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Made for the first of them: a whole export has no such file.
    list: Option<BufWriter<fs::File>>,
    missing: u64,
    damaged: u64,
    broken_off: u64,
}

impl Losses {
    pub(super) fn count(&self) -> u64 {
        self.missing + self.damaged + self.broken_off
    }

    pub(super) fn add(&mut self, loss: &Loss, dir: &Path, bar: &ProgressBar) -> io::Result<()> {
        let count = match loss.why {
            Why::Missing => &mut self.missing,
            Why::Damaged => &mut self.damaged,
            Why::BrokenOff => &mut self.broken_off,
        };
        *count += 1;
        let Loss { hash, why, frame } = loss;
        if self.count() <= TOLD_MAX {
            bar.suspend(|| eprintln!("xs: content {hash} of frame {frame} {why}: left out"));
        }
        let list = match &mut self.list {
            Some(list) => list,
            none => none.insert(BufWriter::new(fs::File::create(archive::missing(dir))?)),
        };
        serde_json::to_writer(&mut *list, loss)?;
        list.write_all(b"\n")
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
        let counts = [(self.missing, "missing"), (self.damaged, "damaged"), (self.broken_off, "broken off")];
        let counts: Vec<String> = counts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", HumanCount(count)))
            .collect();
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

    #[test]
    fn losses_are_listed_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut losses = Losses::default();
        losses.finish(dir.path()).unwrap();
        assert_eq!(losses.summary(dir.path()), None);
        assert!(!archive::missing(dir.path()).exists());
        let whys = [Why::Missing, Why::Damaged, Why::Missing];
        let hashes: Vec<ContentHash> = (0..3u8).map(|n| ContentHash::of(&[n])).collect();
        for (why, hash) in whys.into_iter().zip(&hashes) {
            let loss = Loss { hash: *hash, why, frame: FrameId::MIN };
            losses.add(&loss, dir.path(), &ProgressBar::hidden()).unwrap();
        }
        losses.finish(dir.path()).unwrap();
        assert_eq!(losses.count(), 3);
        let summary = losses.summary(dir.path()).unwrap();
        assert!(summary.contains("2 missing, 1 damaged;") && summary.contains("missing.jsonl"), "{summary}");
        assert_eq!(archive::left_out(dir.path()).unwrap(), hashes.into_iter().collect::<HashSet<_>>());
    }
}
