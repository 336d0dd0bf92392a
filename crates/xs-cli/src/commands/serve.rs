//! `xs serve`: a store, its socket, and what it is exposed at.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use futures::{FutureExt as _, StreamExt as _};
use jiff::tz::TimeZone;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use xs::{ErrorKind, EventStream, Frame, OpenOptions, ReadOptions};
use xs_server::{Access, Binding, Exposure, Limits, Listener, Server, Tls};

use crate::args::Common;
use crate::failure::{Failure, Result};
use crate::signals::{self, Reload};
use crate::terminal::colour::ColourChoice;
use crate::terminal::{self, time};
use crate::{log_filter, output, units};

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The directory of the store
    path: PathBuf,
    /// Listen here too: :port, host:port, tls://host:port, or a socket path; repeatable
    #[arg(long, value_name = "ADDR")]
    expose: Vec<Exposure>,
    /// The index of a new store [default: fjall]
    #[arg(long, value_parser = INDEXES)]
    index: Option<String>,
    /// The content store of a new store: fs, or a URL such as s3://bucket/prefix [default: fs]
    #[arg(long, value_name = "fs|URL")]
    cas: Option<String>,
    /// How to log [default: text on a terminal, json elsewhere]
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    #[command(flatten)]
    security: Security,
    #[command(flatten)]
    limits: LimitFlags,
}

/// How it is told who may call. SIGHUP reads the files again.
#[derive(Debug, Args)]
#[command(next_help_heading = "Security")]
struct Security {
    /// The certificate chain for tls:// (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Ask callers on the network for one of these tokens: one a line, read-only or read-write before it
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Listen beyond loopback also without tokens or TLS: whoever reaches it may read and write
    #[arg(long)]
    insecure: bool,
}

/// What clients are granted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct LimitFlags {
    /// Connections at a time [default: what the limit of open files allows]
    #[arg(long, value_name = "N")]
    connections_max: Option<usize>,
    /// Connections of one client at a time [default: an eighth of connections-max beyond loopback]
    #[arg(long, value_name = "N")]
    connections_per_client: Option<usize>,
    /// The most bytes of one content, such as 10GB [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = units::bytes)]
    content_bytes_max: Option<u64>,
    /// The most bytes of the head of a request, its meta included [default: 262144]
    #[arg(long, value_name = "SIZE", value_parser = units::bytes)]
    header_bytes_max: Option<u64>,
    /// How long the head of a request may take [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = units::some_duration)]
    header_timeout: Option<Duration>,
    /// How long a body may pause [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = units::some_duration)]
    body_timeout: Option<Duration>,
    /// The least bytes a second at which a body has to come from beyond loopback; 0 is any [default: 500]
    #[arg(long, value_name = "SIZE", value_parser = units::bytes)]
    body_bytes_per_second_min: Option<u64>,
    /// How long a client may take no byte of what is sent to it [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = units::some_duration)]
    write_timeout: Option<Duration>,
    /// How long requests under way may take to end when it stops [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    grace: Option<Duration>,
    /// Followers of one client at a time [default: 64, no limit on sockets and loopback]
    #[arg(long, value_name = "N")]
    followers_per_client: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// Lines for a person
    Text,
    /// A JSON object a line
    Json,
}

/// The indexes that there are, also where a build has not all of them: it says then what it takes to have one.
pub(super) const INDEXES: [&str; 3] = ["fjall", "redb", "sqlite"];
/// How long the last lines may take to be printed.
const PRINTING: Duration = Duration::from_millis(500);
/// Signals within this time are one: a terminal tells each program on it to stop, and those tell each other.
const ONE_SIGNAL: Duration = Duration::from_secs(1);
/// How long the store may take to close where nobody wants to wait. What was acknowledged is stored without it.
const CLOSING: Duration = Duration::from_secs(2);

pub(crate) async fn run(args: Serve, common: &Common) -> Result<()> {
    let format = args.log_format.unwrap_or(if terminal::is_terminal() { LogFormat::Text } else { LogFormat::Json });
    log(format, common.color)?;
    let waiting = |error| Failure::io("waiting for signals", &error);
    // Before the store is opened, and made where there is none: what is wrong with a file or a flag is found at once.
    let security = Secured::read(&args.security)?;
    // A terminal that goes away takes its server along, gracefully; without one, SIGHUP is a word of a service
    // manager, and never ends a server.
    let reloads = security.has_files() || !on_terminal();
    let _reloading = if reloads { Some(security.reload_on_signal().map_err(waiting)?) } else { None };
    // Caught from the start, so that a signal that comes early stops it as well.
    let stop =
        if reloads { signals::stop().map_err(waiting)?.boxed() } else { signals::leave().map_err(waiting)?.boxed() };
    xs_server::raise_open_files();
    let limits = args.limits.limits()?;
    check(&args.expose, &security.binding).await?;
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
            listeners.push(Listener::bind(&Exposure::Socket(args.path.join("sock")), &security.binding).await?);
        }
        for exposure in &args.expose {
            listeners.push(Listener::bind(exposure, &security.binding).await?);
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
    let printing = tokio::spawn(print_frames(stream.read(ReadOptions::new_only()), format));
    let server = Server::new(stream.clone(), listeners).limits(limits).access(security.access);
    let (stop, again) = twice(stop, signals::stop);
    let result = tokio::select! {
        result = server.run(stop) => result.map_err(Failure::from),
        // The server is dropped here, and its connections with it.
        () = again => Err(cut_off(&stream).await),
    };
    // It ends with the stream, unless the terminal is paused: that holds up nobody.
    let _ = tokio::time::timeout(PRINTING, printing).await;
    result
}

/// Refuses places that cannot be listened at with these flags.
async fn check(exposures: &[Exposure], binding: &Binding) -> Result<()> {
    for exposure in exposures {
        Listener::check(exposure, binding).await.map_err(|error| match error.kind() {
            ErrorKind::InvalidInput => Failure::usage(format!("--expose {error}")),
            _ => Failure::from(error),
        })?;
    }
    Ok(())
}

/// `stop`, and what is ready when the process is asked to stop again, by the first of `later`, while it is stopping.
fn twice<S: Future<Output = ()>>(
    stop: impl Future<Output = ()>,
    later: impl FnOnce() -> io::Result<S>,
) -> (impl Future<Output = ()>, impl Future<Output = ()>) {
    let (asked, first) = oneshot::channel();
    let stop = async move {
        stop.await;
        let _ = asked.send(());
    };
    let again = async move {
        if first.await.is_ok() {
            tokio::time::sleep(ONE_SIGNAL).await;
            // Of those that come from now on.
            if let Ok(second) = later() {
                return second.await;
            }
        }
        // It stops when the grace period is over.
        std::future::pending().await
    };
    (stop, again)
}

/// Closes the store after its server, whose requests were not waited for.
async fn cut_off(stream: &EventStream) -> Failure {
    let told = "told to stop twice: requests under way were cut off";
    match tokio::time::timeout(CLOSING, stream.close()).await {
        Ok(Ok(())) => Failure::new(told),
        Ok(Err(error)) => Failure::from(error).context(told),
        Err(_) => Failure::new(format!("{told}, and the store did not close within {CLOSING:?}")),
    }
}

/// Whether it runs on a terminal, whichever of its ends was sent elsewhere.
fn on_terminal() -> bool {
    std::io::stdin().is_terminal() || std::io::stdout().is_terminal() || std::io::stderr().is_terminal()
}

impl LimitFlags {
    /// What they say, where it leaves room to serve anybody.
    fn limits(&self) -> Result<Limits> {
        let mut limits = Limits::default();
        let durations = [
            (self.header_timeout, &mut limits.header_timeout),
            (self.body_timeout, &mut limits.body_timeout),
            (self.write_timeout, &mut limits.write_timeout),
            (self.grace, &mut limits.grace),
        ];
        for (given, limit) in durations {
            *limit = given.unwrap_or(*limit);
        }
        limits.connections_max = self.connections_max.unwrap_or(limits.connections_max);
        limits.connections_per_client = self.connections_per_client.or(limits.connections_per_client);
        let header_bytes = self.header_bytes_max.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        limits.header_bytes_max = header_bytes.unwrap_or(limits.header_bytes_max);
        let rate_min = self.body_bytes_per_second_min;
        limits.body_bytes_per_second_min = rate_min.unwrap_or(limits.body_bytes_per_second_min);
        limits.content_bytes_max = self.content_bytes_max.or(limits.content_bytes_max);
        limits.followers_per_client = self.followers_per_client.or(limits.followers_per_client);
        limits.check().map_err(|error| Failure::usage(in_flags(&error.to_string())))?;
        Ok(limits)
    }
}

/// What is said of a limit, of the flag that sets it: they have the same name, but for how words are joined.
fn in_flags(said: &str) -> String {
    match said.strip_prefix("limit ").and_then(|said| said.split_once(' ')) {
        Some((name, what)) => format!("--{} {what}", name.replace('_', "-")),
        None => said.to_owned(),
    }
}

/// Who may call, and the certificate.
#[derive(Clone, Debug)]
struct Secured {
    access: Access,
    binding: Binding,
}

impl Secured {
    fn read(args: &Security) -> Result<Self> {
        let access = args.token_file.as_ref().map(Access::from_file).transpose()?;
        let tls = match (&args.tls_cert, &args.tls_key) {
            (Some(certificate), Some(key)) => Some(Tls::from_files(certificate, key)?),
            _ => None,
        };
        let binding = Binding { tls, tokens: access.is_some(), beyond_loopback: args.insecure };
        Ok(Self { access: access.unwrap_or_else(Access::open), binding })
    }

    fn has_files(&self) -> bool {
        self.binding.tokens || self.binding.tls.is_some()
    }

    /// Reads the files again each time that the process is told to, until what it returns is dropped.
    fn reload_on_signal(&self) -> std::io::Result<JoinSet<()>> {
        let mut reloading = JoinSet::new();
        let mut signal = Reload::new()?;
        let secured = self.clone();
        reloading.spawn(async move {
            loop {
                signal.next().await;
                let secured = secured.clone();
                // Files are read, which may take its time.
                if let Err(error) = tokio::task::spawn_blocking(move || secured.reload()).await {
                    tracing::error!(%error, "reloading broke off");
                }
            }
        });
        Ok(reloading)
    }

    /// Each by itself: a certificate that is bad keeps no token from being withdrawn.
    fn reload(&self) {
        let said = |what: &str, reloaded: xs::Result<()>| match reloaded {
            Ok(()) => tracing::info!(what, "read again"),
            Err(error) => tracing::error!(what, %error, "could not be read again, so that the old ones stay"),
        };
        if !self.has_files() {
            tracing::info!("SIGHUP reads tokens and certificates again, and there are none");
        }
        if self.binding.tokens {
            said("tokens", self.access.reload());
        }
        if let Some(tls) = &self.binding.tls {
            said("certificate", tls.reload());
        }
    }
}

/// A line for each frame: for a person on a terminal, in the log elsewhere.
async fn print_frames(mut frames: xs::Reader, format: LogFormat) {
    let person_reads = terminal::is_terminal() && format == LogFormat::Text;
    let zone = TimeZone::system();
    while let Some(frame) = frames.next().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(%error, "frames are no longer printed");
                return;
            }
        };
        match person_reads {
            // A terminal that has gone is no reason to stop serving.
            true => drop(output::print_line(&line(&frame, &zone))),
            false => tracing::info!(id = %frame.id, topic = %frame.topic, "frame"),
        }
    }
}

/// Local time, the end of the id, the topic.
fn line(frame: &Frame, zone: &TimeZone) -> String {
    format!("{} {} {}", time::clock(frame.id, zone), time::short(frame.id), frame.topic)
}

/// Logs go to standard error, so that standard output holds nothing but results.
fn log(format: LogFormat, colour: ColourChoice) -> Result<()> {
    let filter = log_filter::of_environment()?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // What cannot be written would be complained of on standard error, and that in a panic.
    let builder = builder.log_internal_errors(false);
    let set = match format {
        LogFormat::Text => {
            builder.with_target(false).with_ansi(colour.is_on() && std::io::stderr().is_terminal()).try_init()
        }
        LogFormat::Json => builder.json().try_init(),
    };
    if let Err(error) = set {
        output::tell(&format!("logging is off: {error}"));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_named_as_its_flag() {
        assert_eq!(in_flags("limit header_bytes_max is 0: from 1 to 2"), "--header-bytes-max is 0: from 1 to 2");
        assert_eq!(in_flags("a limit is odd"), "a limit is odd");
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_comes_a_while_after_the_first_signal_is_the_second() {
        let (stop, again) = twice(std::future::ready(()), || Ok(std::future::ready(())));
        let mut again = Box::pin(again);
        assert!(again.as_mut().now_or_never().is_none(), "it was not asked to stop yet");
        let start = tokio::time::Instant::now();
        stop.await;
        again.await;
        assert_eq!(start.elapsed().as_secs(), ONE_SIGNAL.as_secs(), "the first signal is taken for the second");
        // Whoever has asked once waits.
        let (stop, again) = twice(std::future::ready(()), || Ok(std::future::pending()));
        stop.await;
        assert!(tokio::time::timeout(ONE_SIGNAL * 1000, again).await.is_err());
    }

    #[test]
    fn a_frame_is_a_short_line_for_a_person() {
        let frame = Frame::topic("xs.start").unwrap().with_id("03d4q1qhbiv09ovtuhokw5yxv".parse().unwrap());
        let line = line(&frame, &TimeZone::UTC);
        assert!(line.ends_with(" w5yxv xs.start"), "{line}");
        assert_eq!(line.len(), "11:27:54.464 9zalp xs.start".len());
    }
}
