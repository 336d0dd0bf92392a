//! Cases times subjects, as trials of libtest-mimic.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use libtest_mimic::{Arguments, Trial};

use crate::tools::Pair;
use crate::{CasSubject, StoreSubject, cas, child, crash, memory, store, stream, syncs};

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

/// A case that has not ended by then hangs; no case waits for time to pass.
const HANG: Duration = Duration::from_secs(120);

/// The subjects, and the trials that they are put to.
#[derive(Debug, Default)]
pub struct Suite {
    pub(crate) stores: Vec<StoreSubject>,
    pub(crate) cas: Vec<CasSubject>,
    pairs: Vec<(StoreSubject, CasSubject)>,
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
        self.pairs.push((store, cas));
    }

    /// Lets the processes that cases start find `name` in their environment, such as the address of
    /// a server that this process has started.
    pub fn child_env(&mut self, name: &str, value: &str) {
        child::add_to_environment(name, value);
    }

    /// Every case on every subject that it is for.
    pub fn trials(&self) -> Vec<Trial> {
        self.cases().into_iter().map(Run::into_trial).collect()
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
        for (store, cas) in &self.pairs {
            let name = format!("{}+{}", store.name, cas.name);
            let pair = Arc::new(Pair { store: store.clone(), cas: cas.clone() });
            trials.extend(stream::cases().map(|case| Run::new(&name, case, &pair)));
        }
        trials
    }

    /// Runs the trials that the arguments of the process select, then ends the process. The `main`
    /// of a test with `harness = false` calls it and nothing else.
    pub fn run(&self) -> ! {
        self.serve_child();
        libtest_mimic::run(&Arguments::from_args(), self.trials()).exit()
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
                .block_on(async { tokio::time::timeout(HANG, (case.run)(&subject, dir.path())).await })
                .map_err(|_| format!("it hung for {HANG:?}"))
        };
        Self { name: format!("{subject_name}::{}", case.name), work: Box::new(work) }
    }

    fn into_trial(self) -> Trial {
        Trial::test(self.name, move || (self.work)().map_err(Into::into))
    }
}

/// What a panic said.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a word").to_owned()
}
