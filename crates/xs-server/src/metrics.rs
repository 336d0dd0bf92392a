//! What the server counts, and all that `GET /metrics` tells: the numbers of the stream and of the
//! server as OpenMetrics text (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).
//!
//! | metric | labels | what |
//! | --- | --- | --- |
//! | `xs_appends_total` | `kind`: `stored`, `ephemeral`, `imported` | frames |
//! | `xs_removed_frames_total` | `reason`: `call`, `expired` | frames |
//! | `xs_group_requests` | | histogram: appends that shared a commit |
//! | `xs_commit_seconds` | `durability`: `sync`, `buffered` | histogram: how long the index took |
//! | `xs_sync_seconds` | | histogram: how long it waited for the disk within that, where it tells |
//! | `xs_queue_requests` | | requests that wait for the sequencer |
//! | `xs_followers` | | readers that follow |
//! | `xs_follower_lag_frames` | | of the follower furthest behind |
//! | `xs_content_bytes_total` | `direction`: `in`, `out` | bytes |
//! | `xs_errors_total` | `kind` | refused and failed requests, each kind from the first scrape on |
//! | `xs_requests_total` | `route`, `method`, `status`: `2xx` | requests that were answered |
//! | `xs_connections` | | connections being served |
//! | `xs_healthy` | | 1, or 0 where `/healthz` is not well |
//! | `xs_build_info` | `version`, `index`, `cas`, `format` | always 1 |
//!
//! Labels come from what is fixed in the code, never from a request, so that no client can make the
//! number of series grow: of a path the route that it matched, of a method one that is known.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::response::Response;
use http::{Method, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use xs::{ErrorKind, EventStream, Histogram, Stats};

/// The type of what [`render`] gives.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const MICROSECONDS: f64 = 1_000_000.0;

/// Route, method and class of status.
type RequestLabels = [(&'static str, &'static str); 3];

/// What is counted in the server itself.
#[derive(Debug, Default)]
pub(crate) struct ServerCounters {
    /// By kind, in the order of [`ErrorKind::ALL`]. The last, `Internal`, stands for what a later core may add.
    errors: [AtomicU64; ErrorKind::ALL.len()],
    connections: AtomicU64,
    requests: Family<RequestLabels, Counter>,
}

impl ServerCounters {
    /// Counts an error that a client was told of, or that broke a response off.
    pub(crate) fn error(&self, kind: ErrorKind) {
        let at = ErrorKind::ALL.iter().position(|known| *known == kind).unwrap_or(ErrorKind::ALL.len() - 1);
        if let Some(count) = self.errors.get(at) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many connections are being served.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Counts a connection until what this gives is dropped.
    pub(crate) fn connected(self: &Arc<Self>) -> Connected {
        self.connections.fetch_add(1, Ordering::Relaxed);
        Connected(Arc::clone(self))
    }

    /// Counts a request at a route, once the head of its response is ready: one that streams for hours counts from
    /// its start. An error is known by the kind that its response carries.
    pub(crate) fn answered(&self, route: &'static str, method: &Method, response: &Response) {
        let labels = [("route", route), ("method", known(method)), ("status", class(response.status()))];
        self.requests.get_or_create(&labels).inc();
        if let Some(kind) = response.extensions().get::<ErrorKind>() {
            self.error(*kind);
        }
    }
}

/// A connection, while it is counted.
#[derive(Debug)]
pub(crate) struct Connected(Arc<ServerCounters>);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A method by its name, unless a client made it up.
fn known(method: &Method) -> &'static str {
    const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "CONNECT", "TRACE"];
    METHODS.into_iter().find(|known| *known == method.as_str()).unwrap_or("other")
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

/// All metrics as text, of about this moment.
pub(crate) fn render(stream: &EventStream, counters: &ServerCounters) -> String {
    let (index, format, cas) = stream.parts();
    let build = [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("index", index.to_owned()),
        ("cas", cas.to_owned()),
        ("format", format.to_string()),
    ];
    let errors = ErrorKind::ALL.iter().map(|kind| kind.as_str()).zip(&counters.errors);
    let snapshot = Snapshot {
        stats: stream.stats(),
        healthy: stream.health().is_ok(),
        errors: errors.map(|(kind, count)| (kind, count.load(Ordering::Relaxed))).collect(),
        connections: counters.connections(),
        build,
    };
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    registry.register("xs_requests", "Requests that were answered", counters.requests.clone());
    let mut out = String::new();
    if let Err(error) = text::encode(&mut out, &registry) {
        // What lacks its last line is refused by whoever scrapes.
        tracing::error!(%error, "writing the metrics failed");
    }
    out
}

/// The numbers of one scrape.
#[derive(Debug)]
struct Snapshot {
    stats: Stats,
    healthy: bool,
    errors: Vec<(&'static str, u64)>,
    connections: u64,
    build: [(&'static str, String); 4],
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        let stats = &self.stats;
        let appends = [
            ("stored", stats.appended_frames),
            ("ephemeral", stats.ephemeral_frames),
            ("imported", stats.imported_frames),
        ];
        out.counter("xs_appends", "Frames that came in, by what became of them.", "kind", &appends)?;
        let removed = [("call", stats.removed_frames), ("expired", stats.expired_frames)];
        out.counter("xs_removed_frames", "Frames removed by a call, or by their TTL.", "reason", &removed)?;
        out.histogram("xs_group_requests", "Appends that shared a commit.", &stats.groups, 1.0)?;
        let commits = [("sync", &stats.commit_sync), ("buffered", &stats.commit_buffered)];
        let commit = "How long the index took to commit, with the sync of the disk in it where it waits for that.";
        out.histograms("xs_commit_seconds", commit, "durability", &commits)?;
        let sync = "How long the index waited for the disk within a commit, as far as it tells.";
        out.histogram("xs_sync_seconds", sync, &stats.sync, MICROSECONDS)?;
        out.gauge("xs_queue_requests", "Requests that wait for the sequencer.", stats.queue_requests)?;
        out.gauge("xs_followers", "Readers that follow.", stats.followers)?;
        let lag = "Frames that the follower furthest behind has yet to look at.";
        out.gauge("xs_follower_lag_frames", lag, stats.lag_frames_max)?;
        let content = [("in", stats.content_bytes_in), ("out", stats.content_bytes_out)];
        out.counter("xs_content_bytes", "Bytes of content stored and read.", "direction", &content)?;
        out.counter("xs_errors", "Requests that were refused or failed.", "kind", &self.errors)?;
        out.gauge("xs_connections", "Connections being served.", self.connections)?;
        let healthy = "Whether the store takes writes: 0 after a commit failed, and once it is closed.";
        out.gauge("xs_healthy", healthy, u64::from(self.healthy))?;
        out.info("xs_build", "What serves, and what the store is made of.", &self.build)
    }
}

/// One metric after the other, each under its name and what it is.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    /// One number for each value of a label. `_total` is added to its name.
    fn counter(&mut self, name: &str, help: &str, label: &str, values: &[(&str, u64)]) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (value, count) in values {
            let labels = [(label, *value)];
            ConstCounter::new(*count).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(metric)
    }

    /// One histogram, told in units of so many.
    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram, per_unit: f64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let Histogram { sum, count, .. } = histogram;
        metric.encode_histogram::<NoLabelSet>(*sum as f64 / per_unit, *count, &buckets(histogram, per_unit), None)
    }

    /// One histogram of microseconds, told in seconds, for each value of a label.
    fn histograms(&mut self, name: &str, help: &str, label: &str, values: &[(&str, &Histogram)]) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (value, histogram) in values {
            let labels = [(label, *value)];
            let Histogram { sum, count, .. } = histogram;
            let buckets = buckets(histogram, MICROSECONDS);
            let mut metric = metric.encode_family(&labels)?;
            metric.encode_histogram::<NoLabelSet>(*sum as f64 / MICROSECONDS, *count, &buckets, None)?;
        }
        Ok(())
    }

    /// A 1 with labels that say it. `_info` is added to its name.
    fn info(&mut self, name: &str, help: &str, labels: &impl EncodeLabelSet) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Info)?.encode_info(labels)
    }
}

/// Bounds, the last of which is infinite, each with the values in its own range alone: the encoder adds
/// them up.
fn buckets(histogram: &Histogram, per_unit: f64) -> Vec<(f64, u64)> {
    let bounds = histogram.bounds.iter().map(|bound| *bound as f64 / per_unit);
    bounds.chain([f64::INFINITY]).zip(histogram.counts.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use xs::memory::{MemoryCas, MemoryStore};
    use xs::{AppendOptions, Durability, Frame, ReadOptions, Settings};

    use super::*;

    type Labels = BTreeMap<String, String>;

    async fn stream() -> EventStream {
        let (store, cas) = (Arc::new(MemoryStore::new()), Arc::new(MemoryCas::new()));
        EventStream::open(store, cas, Settings::default()).await.unwrap()
    }

    /// The samples of a text, each of whose lines has to be one, or a comment.
    fn samples(text: &str) -> Vec<(String, Labels, f64)> {
        assert!(text.ends_with("# EOF\n"), "{text}");
        let is_comment = |line: &str| ["# HELP ", "# TYPE ", "# EOF"].iter().any(|start| line.starts_with(start));
        let lines = text.lines().filter(|line| !is_comment(line));
        lines.map(|line| sample(line).unwrap_or_else(|| panic!("{line}"))).collect()
    }

    fn sample(line: &str) -> Option<(String, Labels, f64)> {
        let at = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at(at);
        let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let mut labels = Labels::new();
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside;
            while !rest.starts_with('}') {
                let (label, quoted) = rest.trim_start_matches(',').split_once("=\"")?;
                let (value, after) = unquote(quoted)?;
                assert!(is_name(label) && labels.insert(label.to_owned(), value).is_none(), "{line}");
                rest = after;
            }
            rest = rest.strip_prefix('}')?;
        }
        (at > 0 && is_name(name)).then_some((name.to_owned(), labels, rest.strip_prefix(' ')?.parse().ok()?))
    }

    /// What is before the closing quote, without its escapes, and what is behind.
    fn unquote(text: &str) -> Option<(String, &str)> {
        let mut value = String::new();
        let mut chars = text.char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                '"' => return Some((value, &text[at + 1..])),
                '\\' => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                other => value.push(other),
            }
        }
        None
    }

    /// The values of a metric by one of its labels.
    fn by(text: &str, name: &str, label: &str) -> BTreeMap<String, f64> {
        let found = samples(text).into_iter().filter(|(found, ..)| found == name);
        found.map(|(_, labels, value)| (labels[label].clone(), value)).collect()
    }

    fn value(text: &str, name: &str) -> f64 {
        let found: Vec<f64> =
            samples(text).into_iter().filter(|(found, ..)| found == name).map(|(.., value)| value).collect();
        assert_eq!(found.len(), 1, "{name} in\n{text}");
        found[0]
    }

    #[tokio::test]
    async fn the_numbers_are_those_of_the_stream() {
        let stream = stream().await;
        let counters = Arc::new(ServerCounters::default());
        let frame = stream.append(Frame::topic("a").unwrap(), "hello").await.unwrap();
        let buffered = AppendOptions { durability: Some(Durability::Buffered), ..AppendOptions::default() };
        stream.append_with(Frame::topic("a").unwrap(), (), buffered).await.unwrap();
        stream.append(Frame::topic("a").unwrap().ttl("ephemeral".parse().unwrap()), ()).await.unwrap();
        let _follower = stream.read(ReadOptions::follow());
        stream.append(Frame::topic("a").unwrap(), ()).await.unwrap();
        stream.remove(frame.id).await.unwrap();
        let connected = (counters.connected(), counters.connected());
        let text = render(&stream, &counters);
        let appends = by(&text, "xs_appends_total", "kind");
        assert_eq!((appends["stored"], appends["ephemeral"], appends["imported"]), (3.0, 1.0, 0.0));
        assert_eq!(by(&text, "xs_removed_frames_total", "reason")["call"], 1.0);
        let commits = by(&text, "xs_commit_seconds_count", "durability");
        assert_eq!((commits["sync"], commits["buffered"]), (3.0, 1.0));
        assert_eq!(value(&text, "xs_sync_seconds_count"), 0.0, "memory is not synced");
        assert_eq!((value(&text, "xs_group_requests_count"), value(&text, "xs_group_requests_sum")), (3.0, 3.0));
        assert_eq!((value(&text, "xs_followers"), value(&text, "xs_follower_lag_frames")), (1.0, 1.0));
        assert_eq!(by(&text, "xs_content_bytes_total", "direction")["in"], 5.0);
        assert_eq!((value(&text, "xs_queue_requests"), value(&text, "xs_healthy")), (0.0, 1.0));
        assert_eq!(value(&text, "xs_connections"), 2.0);
        assert_eq!(by(&text, "xs_build_info", "index"), BTreeMap::from([("memory".to_owned(), 1.0)]));
        drop(connected);
        stream.close().await.unwrap();
        let text = render(&stream, &counters);
        assert_eq!((value(&text, "xs_connections"), value(&text, "xs_healthy")), (0.0, 0.0));
    }

    #[tokio::test]
    async fn every_kind_of_error_is_there_from_the_first_scrape_on() {
        let (stream, counters) = (stream().await, ServerCounters::default());
        let errors = by(&render(&stream, &counters), "xs_errors_total", "kind");
        let none: BTreeMap<String, f64> = ErrorKind::ALL.iter().map(|kind| (kind.to_string(), 0.0)).collect();
        assert_eq!(errors, none);
        ErrorKind::ALL.iter().for_each(|kind| counters.error(*kind));
        counters.error(ErrorKind::Corrupt);
        let errors = by(&render(&stream, &counters), "xs_errors_total", "kind");
        assert!(errors.iter().all(|(kind, count)| *count == if kind == "Corrupt" { 2.0 } else { 1.0 }), "{errors:?}");
    }

    #[tokio::test]
    async fn histograms_are_cumulative_and_end_in_infinity() {
        let stream = stream().await;
        for _ in 0..20 {
            stream.append(Frame::topic("a").unwrap(), ()).await.unwrap();
        }
        let text = render(&stream, &ServerCounters::default());
        for (name, only) in [("xs_group_requests", None), ("xs_commit_seconds", Some("sync"))] {
            let of_it = |labels: &Labels| labels.get("durability").map(String::as_str) == only;
            let found: Vec<(f64, f64)> = samples(&text)
                .into_iter()
                .filter(|(found, labels, _)| *found == format!("{name}_bucket") && of_it(labels))
                .map(|(_, labels, value)| (labels["le"].parse().unwrap(), value))
                .collect();
            assert!(found.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1), "{found:?}");
            assert_eq!(found.last(), Some(&(f64::INFINITY, 20.0)));
        }
    }

    #[test]
    fn microseconds_are_told_in_seconds() {
        let histogram = Histogram { bounds: &[10, 2_500_000], counts: vec![1, 0, 3], sum: 0, count: 4 };
        assert_eq!(buckets(&histogram, MICROSECONDS), [(0.000_01, 1), (2.5, 0), (f64::INFINITY, 3)]);
    }

    /// What is told of these numbers, by a version of this name.
    fn told(stats: Stats, version: &str) -> String {
        let build = [("version", version), ("index", ""), ("cas", "x"), ("format", "1")];
        let build = build.map(|(label, value)| (label, value.to_owned()));
        let snapshot = Snapshot { stats, healthy: true, errors: Vec::new(), connections: 0, build };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(snapshot));
        let mut text = String::new();
        text::encode(&mut text, &registry).unwrap();
        text
    }

    #[test]
    fn syncs_are_told_in_seconds() {
        let mut stats = Stats::default();
        stats.sync = Histogram { bounds: &[500], counts: vec![1, 2], sum: 2_500_000, count: 3 };
        let text = told(stats, "1");
        assert_eq!((value(&text, "xs_sync_seconds_count"), value(&text, "xs_sync_seconds_sum")), (3.0, 2.5));
        let buckets = by(&text, "xs_sync_seconds_bucket", "le");
        assert_eq!(buckets.into_values().collect::<Vec<f64>>(), [3.0, 1.0], "+Inf, then half a millisecond");
    }

    #[test]
    fn labels_are_escaped() {
        let odd = "a\\b\"c\nd";
        let text = told(Stats::default(), odd);
        assert_eq!(by(&text, "xs_build_info", "version"), BTreeMap::from([(odd.to_owned(), 1.0)]));
    }
}
