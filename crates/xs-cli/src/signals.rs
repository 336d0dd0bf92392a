//! What the system tells the process.

use std::io;

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ready when the process is asked to stop: SIGTERM or Ctrl-C.
#[cfg(unix)]
pub(crate) fn stop() -> io::Result<impl Future<Output = ()>> {
    any([SignalKind::terminate(), SignalKind::interrupt()])
}

/// Ready when the process has to leave its terminal, whether asked to or because the terminal goes.
#[cfg(unix)]
pub(crate) fn leave() -> io::Result<impl Future<Output = ()>> {
    any([SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::quit()])
}

#[cfg(unix)]
fn any<const N: usize>(kinds: [SignalKind; N]) -> io::Result<impl Future<Output = ()>> {
    let signals = kinds.into_iter().map(signal).collect::<io::Result<Vec<Signal>>>()?;
    Ok(async move {
        let waiting = signals.into_iter().map(|mut signal| {
            Box::pin(async move {
                // It ends only with the runtime.
                signal.recv().await;
            })
        });
        futures::future::select_all(waiting).await;
    })
}

/// A signal for each time that the process is to read its files again: SIGHUP.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Reload(Signal);

#[cfg(unix)]
impl Reload {
    /// From now on, SIGHUP does not end the process.
    pub(crate) fn new() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}

/// Ready when nobody reads standard output any more, where it is a pipe or a socket.
#[cfg(unix)]
pub(crate) async fn reader_gone() {
    use rustix::fs::FileType;
    let (gone, told) = tokio::sync::oneshot::channel();
    let kind = rustix::fs::fstat(io::stdout()).map(|stat| FileType::from_raw_mode(stat.st_mode));
    if matches!(kind, Ok(FileType::Fifo | FileType::Socket)) {
        // It waits for as long as the process lives, so it is none of the runtime's threads, which are waited for.
        let watching = std::thread::Builder::new().spawn(move || {
            if waits_until_gone() {
                let _ = gone.send(());
            }
        });
        // Without it, the next write finds out.
        drop(watching);
    } else {
        drop(gone);
    }
    if told.await.is_err() {
        std::future::pending().await
    }
}

/// Whether the other end of standard output has gone, once it has.
#[cfg(unix)]
fn waits_until_gone() -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let out = io::stdout();
    // Nothing is asked for: an error and a hang-up are told in any case.
    let mut fds = [PollFd::new(&out, PollFlags::empty())];
    loop {
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
            Ok(_) => return fds.iter().any(|fd| fd.revents().intersects(PollFlags::ERR | PollFlags::HUP)),
        }
    }
}

/// Never: the next write finds out.
#[cfg(not(unix))]
pub(crate) async fn reader_gone() {
    std::future::pending().await
}

/// Ready when the process is asked to stop: Ctrl-C.
#[cfg(not(unix))]
pub(crate) fn stop() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}

/// As [`stop`].
#[cfg(not(unix))]
pub(crate) fn leave() -> io::Result<impl Future<Output = ()>> {
    stop()
}

/// Never: this system has no such signal.
#[cfg(not(unix))]
#[derive(Debug)]
pub(crate) struct Reload;

#[cfg(not(unix))]
impl Reload {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self)
    }

    pub(crate) async fn next(&mut self) {
        std::future::pending().await
    }
}
