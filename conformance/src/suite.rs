//! Cases times subjects, as trials of libtest-mimic.

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
    stores: Vec<StoreSubject>,
    cas: Vec<CasSubject>,
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

    /// Adds a pair of an index and a content store that were added under these names: cases E1 to
    /// E12.
    pub fn pair(&mut self, store: &str, cas: &str) {
        let store = self.stores.iter().find(|subject| subject.name == store).expect("an index of that name");
        let cas = self.cas.iter().find(|subject| subject.name == cas).expect("a content store of that name");
        self.pairs.push((store.clone(), cas.clone()));
    }

    /// Every case on every subject that it is for.
    pub fn trials(&self) -> Vec<Trial> {
        let mut trials = Vec::new();
        for subject in &self.stores {
            let subject = Arc::new(subject.clone());
            trials.extend(store::CASES.iter().map(|case| trial(&subject.name, case, &subject)));
            trials.extend(crash::CASES.iter().map(|case| trial(&subject.name, case, &subject)));
            trials.extend(syncs::CASES.iter().map(|case| trial(&subject.name, case, &subject)));
        }
        for subject in &self.cas {
            let subject = Arc::new(subject.clone());
            let cases = cas::CASES.iter().chain(syncs::cas::CASES).chain(memory::CASES);
            trials.extend(cases.map(|case| trial(&subject.name, case, &subject)));
        }
        for (store, cas) in &self.pairs {
            let name = format!("{}+{}", store.name, cas.name);
            let pair = Arc::new(Pair { store: store.clone(), cas: cas.clone() });
            trials.extend(stream::cases().map(|case| trial(&name, case, &pair)));
        }
        trials
    }

    /// Runs the trials that the arguments of the process select, then ends the process. The `main`
    /// of a test with `harness = false` calls it and nothing else.
    pub fn run(&self) -> ! {
        if child::is_child() {
            child::run(&self.stores, &self.cas)
        }
        libtest_mimic::run(&Arguments::from_args(), self.trials()).exit()
    }
}

fn trial<S: Send + Sync>(subject_name: &str, case: &'static Case<S>, subject: &Arc<S>) -> Trial {
    let subject = Arc::clone(subject);
    Trial::test(format!("{subject_name}::{}", case.name), move || {
        let dir = tempfile::tempdir()?;
        // One thread, so that what runs when is up to the case.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime
            .block_on(async { tokio::time::timeout(HANG, (case.run)(&subject, dir.path())).await })
            .map_err(|_| format!("it hung for {HANG:?}").into())
    })
}
