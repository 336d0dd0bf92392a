//! The one crossing from async code to blocking engine calls.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::runtime::{Runtime, RuntimeFlavor};

use crate::{Error, ErrorKind, Result};

thread_local! {
    /// Whether this thread is for blocking, so that nothing has to cross to another one.
    static FOR_BLOCKING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` where it may block, so that no engine call runs on an async worker: on the runtime's
/// blocking pool, or right here on a thread that is for blocking itself.
///
/// Dropping the future does not stop work that has begun. `Internal` when `work` panicked, or when
/// there is no tokio runtime.
pub async fn run<T, F>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    if is_here() {
        return catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(&*panic)));
    }
    let runtime = tokio::runtime::Handle::try_current().map_err(|error| {
        Error::new(ErrorKind::Internal, "xs needs a tokio runtime here; programs without one use its blocking twins")
            .with_source(error)
    })?;
    match runtime.spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => Err(panicked(&*error.into_panic())),
        Err(error) => Err(Error::new(ErrorKind::Closed, "the runtime has ended").with_source(error)),
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Error {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
    Error::new(ErrorKind::Internal, format!("a backend call panicked: {text}"))
}

/// As `runtime.block_on`, on a thread that may block: what [`run`] is given meanwhile crosses nowhere, and an
/// append to a stream that nobody else writes to commits right here. For programs that wait for a call anyway:
/// waking another thread and being woken costs a third of a fast sync.
///
/// It is for one call at a time: calls that are joined in `future` wait for each other, and share no commit. On a
/// current-thread runtime it is `runtime.block_on` and nothing more, since all that the runtime does would wait.
///
/// # Panics
///
/// As [`Runtime::block_on`], within an async runtime.
///
/// ```
/// # use std::sync::Arc;
/// # use xs_core::{EventStream, Frame, Settings, blocking, memory::{MemoryCas, MemoryStore}};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
/// # let (store, cas) = (Arc::new(MemoryStore::new()), Arc::new(MemoryCas::new()));
/// # let stream = runtime.block_on(EventStream::open(store, cas, Settings::default()))?;
/// let frame = blocking::block_on(&runtime, stream.append(Frame::topic("note")?, "remember the milk"))?;
/// assert_eq!(frame.topic.as_str(), "note");
/// # Ok(())
/// # }
/// ```
pub fn block_on<F: Future>(runtime: &Runtime, future: F) -> F::Output {
    match runtime.handle().runtime_flavor() {
        RuntimeFlavor::CurrentThread => runtime.block_on(future),
        _ => here(|| runtime.block_on(future)),
    }
}

/// Runs `work` on this thread as one that is for blocking.
fn here<T>(work: impl FnOnce() -> T) -> T {
    /// Puts back what was, also when `work` panics.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            FOR_BLOCKING.set(self.0);
        }
    }
    let _restore = Restore(FOR_BLOCKING.replace(true));
    work()
}

/// Whether this thread is for blocking.
pub(crate) fn is_here() -> bool {
    FOR_BLOCKING.get()
}

/// Drives `future` to its end on a thread of its own, on which [`run`] crosses nowhere: for work
/// that makes one blocking call after the other, and would wait for a crossing at each.
///
/// The thread can use the current tokio runtime, and outlives it. It ends with the future.
pub(crate) fn spawn_thread(name: &str, future: impl Future<Output = ()> + Send + 'static) -> Result<()> {
    let runtime = tokio::runtime::Handle::try_current()
        .map_err(|error| Error::new(ErrorKind::Internal, "xs needs a tokio runtime here").with_source(error))?;
    let thread = move || {
        let _entered = runtime.enter();
        here(|| futures::executor::block_on(future));
    };
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(thread);
    spawned.map(drop).map_err(|error| Error::io("starting a thread", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_on_either_kind_of_thread() {
        let work = || -> Result<()> { panic!("boom") };
        assert!(run(work).await.unwrap_err().to_string().contains("boom"));
        let (sender, receiver) = tokio::sync::oneshot::channel();
        spawn_thread("test", async move { drop(sender.send(run(work).await)) }).unwrap();
        assert!(receiver.await.unwrap().unwrap_err().to_string().contains("boom"));
    }

    #[test]
    fn a_thread_is_for_blocking_until_the_work_ends_however_it_does() {
        assert!(here(is_here) && !is_here());
        assert!(here(|| here(is_here) && is_here()));
        assert!(catch_unwind(|| here(|| panic!("boom"))).is_err() && !is_here());
    }

    #[test]
    fn without_a_runtime_there_is_an_error() {
        let error = futures::executor::block_on(run(|| Ok(()))).unwrap_err();
        assert!(error.to_string().contains("tokio runtime"));
    }
}
