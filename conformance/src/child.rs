//! Cases that need a process of their own: to be killed, to have its syncs watched or made to fail,
//! to have its memory measured.
//!
//! The test binary runs itself again with a task in its environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use crate::{Suite, crash, memory, syncs};

const TASK: &str = "XS_CONFORMANCE_TASK";
const SUBJECT: &str = "XS_CONFORMANCE_SUBJECT";
const PLACE: &str = "XS_CONFORMANCE_PLACE";

/// What else children find in their environment.
static ENVIRONMENT: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

pub(crate) fn add_to_environment(name: &str, value: &str) {
    ENVIRONMENT.lock().unwrap().push((name.to_owned(), value.to_owned()));
}

/// This binary, about to do `task` on a subject at a place.
pub(crate) fn command(task: &str, subject: &str, place: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(TASK, task).env(SUBJECT, subject).env(PLACE, place).stdout(Stdio::piped());
    command.envs(ENVIRONMENT.lock().unwrap().iter().cloned());
    command
}

pub(crate) fn is_child() -> bool {
    std::env::var_os(TASK).is_some()
}

/// Does the task, and ends the process.
pub(crate) fn run(suite: &Suite) -> ! {
    let name = std::env::var(SUBJECT).unwrap();
    let place = PathBuf::from(std::env::var_os(PLACE).unwrap());
    let store = || suite.stores.iter().find(|subject| subject.name == name).unwrap();
    let cas = || suite.cas.iter().find(|subject| subject.name == name).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        match std::env::var(TASK).unwrap().as_str() {
            crash::COMMIT => crash::commit(store(), &place).await,
            syncs::COMMIT => syncs::commit(store(), &place).await,
            syncs::GROUP => syncs::group(store(), &place).await,
            syncs::FAIL => syncs::fail_syncs(store(), &place).await,
            syncs::FILL => syncs::fill_disk(store(), &place).await,
            syncs::STORE => syncs::store(cas(), &place).await,
            memory::STREAM => memory::stream(cas(), &place).await,
            task => panic!("there is no task {task}"),
        }
    });
    std::process::exit(0)
}
