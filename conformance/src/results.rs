//! The results of a run as a table: subjects across, guarantees down.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

thread_local! {
    /// What the case on this thread could not ask for.
    static REFUSED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Says that the subject is without a capability, so that the case has asserted the refusal, or that
/// there is nothing to hold it to.
pub(crate) fn refused(capability: &'static str) {
    REFUSED.set(Some(capability));
}

/// What the case that has just ended on this thread said, and forgets it.
pub(crate) fn take_refused() -> Option<&'static str> {
    REFUSED.take()
}

#[derive(Clone, Debug, Default)]
struct Cases {
    passed: usize,
    refused: usize,
    failed: usize,
}

/// A pair, or a part alone: under which names its cases ran.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    pub(crate) title: String,
    pub(crate) store: Option<String>,
    pub(crate) cas: Option<String>,
    pub(crate) pair: Option<String>,
}

/// Outcomes by subject and guarantee.
#[derive(Debug, Default)]
pub(crate) struct Results(Mutex<BTreeMap<(String, String), Cases>>);

impl Results {
    /// Takes the outcome of a case, by its full name.
    pub(crate) fn record(&self, name: &str, passed: bool, refused: bool) {
        let (subject, case) = name.split_once("::").unwrap();
        let mut results = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for guarantee in guarantees(case) {
            let cases = results.entry((subject.to_owned(), guarantee)).or_default();
            match (passed, refused) {
                (false, _) => cases.failed += 1,
                (true, true) => cases.refused += 1,
                (true, false) => cases.passed += 1,
            }
        }
    }

    /// The table with these columns.
    pub(crate) fn table(&self, columns: &[Column]) -> String {
        let results = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rows: Vec<&String> = results.keys().map(|(_, guarantee)| guarantee).collect();
        rows.sort_by_key(|guarantee| order(guarantee));
        rows.dedup();
        let mut table = String::from("| |");
        columns.iter().for_each(|column| write!(table, " {} |", column.title).unwrap());
        table.push_str("\n| --- |");
        columns.iter().for_each(|_| table.push_str(" --- |"));
        table.push('\n');
        for guarantee in rows {
            write!(table, "| {guarantee} |").unwrap();
            for column in columns {
                let subject = match &guarantee[..1] {
                    "S" => &column.store,
                    "C" => &column.cas,
                    _ => &column.pair,
                };
                let cases = subject.as_ref().and_then(|subject| results.get(&(subject.clone(), guarantee.clone())));
                write!(table, " {} |", cases.map_or_else(|| "–".to_owned(), cell)).unwrap();
            }
            table.push('\n');
        }
        table
    }
}

fn cell(cases: &Cases) -> String {
    let Cases { passed, refused, failed } = cases;
    let parts = [(failed, "**failed**"), (passed, "passed"), (refused, "refused")];
    let parts: Vec<String> =
        parts.into_iter().filter(|(count, _)| **count > 0).map(|(count, word)| format!("{word} {count}")).collect();
    parts.join(", ")
}

/// The guarantees that a case is numbered with, or its group alone.
fn guarantees(case: &str) -> Vec<String> {
    let numbered = |word: &&str| word.len() > 1 && word[1..].bytes().all(|byte| byte.is_ascii_digit());
    let found: Vec<String> = case.split('_').filter(numbered).map(str::to_owned).collect();
    if found.is_empty() { vec![format!("{} (others)", &case[..1])] } else { found }
}

/// Indexes, content stores, streams, each by number.
fn order(guarantee: &str) -> (usize, u32) {
    let group = "SCE".find(&guarantee[..1]).unwrap_or(3);
    (group, guarantee[1..].parse().unwrap_or(u32::MAX))
}

/// Compares a section of a file with what it should be, and writes it where `XS_UPDATE_RESULTS` is
/// set. Says what is wrong.
pub(crate) fn check_section(path: &Path, section: &str, text: &str) -> Result<(), String> {
    let (begin, end) = (format!("<!-- {section}: generated -->\n"), format!("<!-- {section}: end -->\n"));
    let file = std::fs::read_to_string(path).unwrap_or_default();
    let wanted = format!("{begin}\n{text}\n{end}");
    let split = file.split_once(&begin).and_then(|(before, rest)| Some((before, rest.split_once(&end)?)));
    let current = split.map(|(_, (current, _))| format!("{begin}{current}{end}"));
    if current.as_ref() == Some(&wanted) {
        return Ok(());
    }
    if std::env::var_os("XS_UPDATE_RESULTS").is_none() {
        return Err(format!("{} is stale: run this again with XS_UPDATE_RESULTS=1", path.display()));
    }
    let updated = match split {
        Some((before, (_, after))) => format!("{before}{wanted}{after}"),
        None => format!("{file}\n{wanted}"),
    };
    std::fs::write(path, updated).map_err(|error| error.to_string())
}
