//! Cases times subjects, as trials of libtest-mimic.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Trial};

use crate::results::{Column, Results, check_section, take_refused};
use crate::tools::Pair;
use crate::transport::{IN_PROCESS, Transport, runs_over};
use crate::{CasSubject, StoreSubject, cas, child, crash, memory, model, store, stream, syncs};

/// A named case over `S`: given a subject and an empty directory of its own.
pub(crate) struct Case<S: 'static> {
    pub(crate) name: &'static str,
    pub(crate) run: for<'a> fn(&'a S, &'a Path) -> BoxFuture<'a, ()>,
}

/// Lists the async functions of a module as cases under their own names.
macro_rules! cases {
    ($subject:ty: $($case:ident),* $(,)?) => {
        pub(crate) const CASES: &[crate::suite::Case<$subject>] = &[
            $(crate::suite::Case { name: stringify!($case), run: |subject, dir| Box::pin($case(subject, dir)) }),*
        ];
    };
}
pub(crate) use cases;

/// A case that has not ended by then hangs; no case waits for time to pass. Those that try many
/// sequences of operations get a second for each, and those that wait for thousands of syncs a disk that is slow.
fn hang() -> Duration {
    Duration::from_secs(600 + u64::from(model::cases()))
}

/// The subjects, and the trials that they are put to.
#[derive(Debug, Default)]
pub struct Suite {
    pub(crate) stores: Vec<StoreSubject>,
    pub(crate) cas: Vec<CasSubject>,
    pairs: Vec<Pair>,
}

impl Suite {
    /// A suite of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an index: cases S1 to S12.
    pub fn store(&mut self, subject: StoreSubject) {
        self.stores.push(subject);
    }

    /// Adds a content store: cases C1 to C10.
    pub fn cas(&mut self, subject: CasSubject) {
        self.cas.push(subject);
    }

    /// Adds a pair of an index and a content store: cases E1 to E12.
    pub fn pair(&mut self, store: StoreSubject, cas: CasSubject) {
        self.pair_over(store, cas, Transport::InProcess);
    }

    /// Adds a pair that the cases reach over a transport: E1 to E12, without what no client can see.
    /// What lies between is the business of this workspace: it comes with the feature `transports`.
    pub fn pair_over(&mut self, store: StoreSubject, cas: CasSubject, transport: Transport) {
        self.pairs.push(Pair { store, cas, transport });
    }

    /// Lets the processes that cases start find `name` in their environment, such as the address of
    /// a server that this process has started.
    pub fn child_env(&mut self, name: &str, value: &str) {
        child::add_to_environment(name, value);
    }

    /// Every case on every subject that it is for.
    pub fn trials(&self) -> Vec<Trial> {
        let results = Arc::new(Results::default());
        self.cases().into_iter().map(|run| run.into_trial(&results)).collect()
    }

    /// Runs the cases of one guarantee, such as `S4`, and gives the name of each with the reason
    /// why it failed.
    pub fn outcomes(&self, guarantee: &str) -> Vec<(String, Result<(), String>)> {
        let of =
            |run: &Run| run.name.rsplit("::").next().is_some_and(|case| case.split('_').any(|word| word == guarantee));
        self.cases()
            .into_iter()
            .filter(of)
            .map(|run| (run.name, catch_unwind(AssertUnwindSafe(run.work)).unwrap_or_else(|panic| Err(words(&*panic)))))
            .collect()
    }

    fn cases(&self) -> Vec<Run> {
        let mut trials = Vec::new();
        for subject in &self.stores {
            let subject = Arc::new(subject.clone());
            trials.extend(store::CASES.iter().map(|case| Run::new(&subject.name, case, &subject)));
            trials.extend(crash::CASES.iter().map(|case| Run::new(&subject.name, case, &subject)));
            trials.extend(syncs::CASES.iter().map(|case| Run::new(&subject.name, case, &subject)));
        }
        for subject in &self.cas {
            let subject = Arc::new(subject.clone());
            let cases = cas::CASES.iter().chain(syncs::cas::CASES).chain(memory::CASES);
            trials.extend(cases.map(|case| Run::new(&subject.name, case, &subject)));
        }
        for pair in &self.pairs {
            let pair = Arc::new(pair.clone());
            let cases = stream::cases().filter(|case| runs_over(pair.transport, case.name));
            trials.extend(cases.map(|case| Run::new(&pair.name(), case, &pair)));
        }
        trials
    }

    /// Runs the trials that the arguments of the process select, then ends the process. The `main`
    /// of a test with `harness = false` calls it and nothing else.
    pub fn run(&self) -> ! {
        self.serve_child();
        libtest_mimic::run(&Arguments::from_args(), self.trials()).exit()
    }

    /// As [`run`](Self::run), and when every trial has run, compares the section of a Markdown file
    /// with the table of the results: pairs across, guarantees down, after `head`. The process fails
    /// when the file is stale; with `XS_UPDATE_RESULTS` in the environment it writes the file.
    pub fn run_with_results(&self, file: &Path, section: &str, head: &str) -> ! {
        self.serve_child();
        let (arguments, results) = (Arguments::from_args(), Arc::new(Results::default()));
        let trials = self.cases().into_iter().map(|run| run.into_trial(&results)).collect();
        let conclusion = libtest_mimic::run(&arguments, trials);
        let all = arguments.filter.is_none() && arguments.skip.is_empty() && !arguments.list;
        if all && !conclusion.has_failed() {
            let table = format!("{head}\n\n{}{}", results.table(&self.columns()), self.left_out());
            if let Err(error) = check_section(file, section, &table) {
                eprintln!("{error}");
                std::process::exit(101);
            }
        }
        conclusion.exit()
    }

    /// The columns of the table: pairs, then parts that are in none.
    fn columns(&self) -> Vec<Column> {
        // The cases of a part have nothing to do with what lies before the pair.
        let part = |pair: &Pair, name: &String| pair.in_process().then(|| name.clone());
        let pairs = self.pairs.iter().map(|pair| Column {
            title: pair.join(" + "),
            store: part(pair, &pair.store.name),
            cas: part(pair, &pair.cas.name),
            pair: Some(pair.name()),
        });
        let in_process = || self.pairs.iter().filter(|pair| pair.in_process());
        let stores = self.stores.iter().map(|store| store.name.clone());
        let stores = stores.filter(|name| in_process().all(|pair| pair.store.name != *name));
        let cas = self.cas.iter().map(|cas| cas.name.clone());
        let cas = cas.filter(|name| in_process().all(|pair| pair.cas.name != *name));
        let stores = stores.map(|name| Column { title: name.clone(), store: Some(name), ..Column::default() });
        let cas = cas.map(|name| Column { title: name.clone(), cas: Some(name), ..Column::default() });
        pairs.chain(stores).chain(cas).collect()
    }

    /// What the columns of transports are without, below the table.
    fn left_out(&self) -> String {
        if self.pairs.iter().all(Pair::in_process) {
            return String::new();
        }
        let cases = IN_PROCESS.iter().map(|(case, reason)| format!("- `{case}`: {reason}.\n"));
        format!("\nIn process only:\n\n{}", cases.collect::<String>())
    }

    /// Where this process is one that a case has started, does what the case wants, and ends it.
    /// [`run`](Self::run) begins with it; a `main` of its own does too.
    pub fn serve_child(&self) {
        if child::is_child() {
            child::run(self)
        }
    }
}

/// A case on a subject.
struct Run {
    name: String,
    work: Box<dyn FnOnce() -> Result<(), String> + Send>,
}

impl Run {
    fn new<S: Send + Sync>(subject_name: &str, case: &'static Case<S>, subject: &Arc<S>) -> Self {
        let subject = Arc::clone(subject);
        let work = move || {
            let failed = |error: std::io::Error| error.to_string();
            let dir = tempfile::tempdir().map_err(failed)?;
            // One thread, so that what runs when is up to the case.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
            runtime
                .block_on(async { tokio::time::timeout(hang(), (case.run)(&subject, dir.path())).await })
                .map_err(|_| format!("it hung for {:?}", hang()))
        };
        Self { name: format!("{subject_name}::{}", case.name), work: Box::new(work) }
    }

    fn into_trial(self, results: &Arc<Results>) -> Trial {
        let (name, results) = (self.name.clone(), Arc::clone(results));
        Trial::test(self.name, move || {
            // Caught here to be counted, and thrown on for the harness to report.
            let outcome = catch_unwind(AssertUnwindSafe(self.work));
            results.record(&name, matches!(outcome, Ok(Ok(()))), take_refused().is_some());
            outcome.unwrap_or_else(|panic| resume_unwind(panic)).map_err(Into::into)
        })
    }
}

/// What a panic said.
pub(crate) fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a word").to_owned()
}
