//! `xs serve`: a store, its socket, and what it is exposed at.

use std::time::Duration;

use futures::StreamExt as _;
use tokio::signal;
use xs::{EventStream, Frame, OpenOptions, ReadOptions};
use xs_server::{Exposure, Listener, Server};

use crate::args::Serve;
use crate::failure::{Failure, Result};
use crate::output;

/// The most characters of an id that a person compares.
const SHORT_ID: usize = 5;

pub(crate) async fn run(args: Serve) -> Result<()> {
    log();
    // Caught from the start, so that a signal that comes early stops it as well.
    let stop = stop_signal().map_err(|error| Failure::io("waiting for signals", &error))?;
    let mut options = OpenOptions::new();
    if let Some(index) = args.index {
        options = options.index(index);
    }
    if let Some(cas) = args.cas {
        options = options.cas(cas);
    }
    let stream = options.open(&args.path).await?;
    let listeners = async {
        let mut listeners = Vec::new();
        if cfg!(unix) {
            listeners.push(Listener::bind(&Exposure::Socket(args.path.join("sock"))).await?);
        }
        for exposure in &args.expose {
            listeners.push(Listener::bind(exposure).await?);
        }
        Ok::<_, xs::Error>(listeners)
    };
    let listeners = match listeners.await {
        Ok(listeners) => listeners,
        Err(error) => {
            stream.close().await?;
            return Err(error.into());
        }
    };
    let printing = tokio::spawn(print_frames(stream.read(ReadOptions::new_only())));
    let result = serve(stream, listeners, stop).await;
    // It ends with the stream, unless the terminal is paused: that holds up nobody.
    let _ = tokio::time::timeout(Duration::from_millis(500), printing).await;
    result
}

async fn serve(stream: EventStream, listeners: Vec<Listener>, stop: impl Future<Output = ()>) -> Result<()> {
    Server::new(stream, listeners).run(stop).await.map_err(Failure::from)
}

/// A line for each frame: for a person on a terminal, structured elsewhere.
async fn print_frames(mut frames: xs::Reader) {
    let terminal = output::is_terminal();
    while let Some(frame) = frames.next().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(%error, "frames are no longer printed");
                return;
            }
        };
        match terminal {
            // A terminal that has gone is no reason to stop serving.
            true => drop(output::print_line(&line(&frame))),
            false => tracing::info!(id = %frame.id, topic = %frame.topic, "frame"),
        }
    }
}

/// Local time, the end of the id, the topic.
fn line(frame: &Frame) -> String {
    let ms = i64::try_from(frame.id.timestamp_ms()).unwrap_or(i64::MAX);
    let time = jiff::Timestamp::from_millisecond(ms).unwrap_or_default().to_zoned(jiff::tz::TimeZone::system());
    let id = frame.id.to_string();
    let short = id.get(id.len().saturating_sub(SHORT_ID)..).unwrap_or(&id);
    format!("{} {short} {}", time.strftime("%H:%M:%S%.3f"), frame.topic)
}

/// Logs go to standard error, so that standard output holds nothing but results.
fn log() {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_env("XS_LOG")
        .unwrap_or_else(|_| EnvFilter::new("info,fjall=warn,lsm_tree=warn,object_store=warn"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match output::is_terminal() {
        true => builder.with_target(false).try_init(),
        false => builder.json().try_init(),
    };
    if let Err(error) = set {
        eprintln!("xs: logging is off: {error}");
    }
}

#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut terminate = signal::unix::signal(signal::unix::SignalKind::terminate())?;
    let mut interrupt = signal::unix::signal(signal::unix::SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        if signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_a_short_line_for_a_person() {
        let frame = Frame::topic("xs.start").unwrap().with_id("03d4q1qhbiv09ovtuhokw5yxv".parse().unwrap());
        let line = line(&frame);
        assert!(line.ends_with(" w5yxv xs.start"), "{line}");
        assert_eq!(line.len(), "11:27:54.464 9zalp xs.start".len());
    }
}
