//! The two forms in which the numbers are told: Prometheus' text format 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>) for everybody, and OpenMetrics for whoever
//! asks for it, as Prometheus does.

use http::{HeaderMap, header};

use crate::metrics;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposition {
    Prometheus,
    OpenMetrics,
}

impl Exposition {
    /// The one that `Accept` gives the most weight, the first of equals.
    pub(crate) fn accepted(headers: &HeaderMap) -> Self {
        let mut best = (Self::Prometheus, 0.0);
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        for (form, weight) in values.flat_map(|value| value.split(',')).filter_map(accepts) {
            if weight > best.1 {
                best = (form, weight);
            }
        }
        best.0
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => metrics::CONTENT_TYPE,
        }
    }

    /// What is OpenMetrics, in this form. `None` where it has no end: 0.0.4 has no mark by which whoever scrapes
    /// could tell.
    pub(crate) fn of(self, open_metrics: String) -> Option<String> {
        match self {
            Self::Prometheus => prometheus(open_metrics.strip_suffix("# EOF\n")?),
            Self::OpenMetrics => Some(open_metrics),
        }
    }
}

/// The form that a part of `Accept` means, with its weight.
fn accepts(part: &str) -> Option<(Exposition, f32)> {
    let mut words = part.split(';').map(str::trim);
    let kind = words.next()?.to_ascii_lowercase();
    let (mut version, mut weight) = ("", 1.0_f32);
    for (name, value) in words.filter_map(|word| word.split_once('=')) {
        match name.trim().to_ascii_lowercase().as_str() {
            "version" => version = value.trim().trim_matches('"'),
            "q" => weight = value.trim().parse().ok()?,
            _ => {}
        }
    }
    match (kind.as_str(), version) {
        ("application/openmetrics-text", "" | "1.0.0") => Some((Exposition::OpenMetrics, weight)),
        ("text/plain", "" | "0.0.4") => Some((Exposition::Prometheus, weight)),
        _ => None,
    }
}

/// In 0.0.4 a counter goes by the name of its samples, information is a gauge of 1, and units are not told.
fn prometheus(open_metrics: &str) -> Option<String> {
    let mut out = String::with_capacity(open_metrics.len() + 1024);
    let mut help = None;
    for line in open_metrics.lines() {
        let Some(comment) = line.strip_prefix("# ") else {
            out.extend([line, "\n"]);
            continue;
        };
        let (word, rest) = comment.split_once(' ')?;
        let (name, text) = rest.split_once(' ')?;
        match word {
            // Which name it is for, the type says, which comes behind it.
            "HELP" => help = Some(text),
            "TYPE" => {
                let (suffix, kind) = match text {
                    "counter" => ("_total", "counter"),
                    "info" => ("_info", "gauge"),
                    "unknown" => ("", "untyped"),
                    kind => ("", kind),
                };
                if let Some(help) = help.take() {
                    out.extend(["# HELP ", name, suffix, " ", help, "\n"]);
                }
                out.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
            }
            _ => {}
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN_METRICS: &str = r##"# HELP xs_appends Frames that came in.
# TYPE xs_appends counter
xs_appends_total{kind="stored"} 3
xs_appends_total{kind="# TYPE x counter"} 0
# HELP xs_commit_seconds How long it took.
# TYPE xs_commit_seconds histogram
# UNIT xs_commit_seconds seconds
xs_commit_seconds_sum 0.5
xs_commit_seconds_count 2
xs_commit_seconds_bucket{le="0.001"} 1
xs_commit_seconds_bucket{le="+Inf"} 2
# HELP xs_healthy Whether it is.
# TYPE xs_healthy gauge
xs_healthy 1
# HELP xs_build What serves.
# TYPE xs_build info
xs_build_info{version="1"} 1
# TYPE xs_odd unknown
xs_odd 1
# EOF
"##;

    const PROMETHEUS: &str = r##"# HELP xs_appends_total Frames that came in.
# TYPE xs_appends_total counter
xs_appends_total{kind="stored"} 3
xs_appends_total{kind="# TYPE x counter"} 0
# HELP xs_commit_seconds How long it took.
# TYPE xs_commit_seconds histogram
xs_commit_seconds_sum 0.5
xs_commit_seconds_count 2
xs_commit_seconds_bucket{le="0.001"} 1
xs_commit_seconds_bucket{le="+Inf"} 2
# HELP xs_healthy Whether it is.
# TYPE xs_healthy gauge
xs_healthy 1
# HELP xs_build_info What serves.
# TYPE xs_build_info gauge
xs_build_info{version="1"} 1
# TYPE xs_odd untyped
xs_odd 1
"##;

    #[test]
    fn each_form_names_what_it_names() {
        assert_eq!(Exposition::Prometheus.of(OPEN_METRICS.to_owned()).as_deref(), Some(PROMETHEUS));
        assert_eq!(Exposition::OpenMetrics.of(OPEN_METRICS.to_owned()).as_deref(), Some(OPEN_METRICS));
        assert_eq!(Exposition::Prometheus.of("xs_healthy 1\n".to_owned()), None, "it was cut short");
    }

    #[test]
    fn open_metrics_is_for_whoever_asks_for_it() {
        for (accept, form) in [
            ("*/*", Exposition::Prometheus),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Exposition::Prometheus),
            ("application/openmetrics-text", Exposition::OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8", Exposition::OpenMetrics),
            ("application/openmetrics-text;version=0.0.1", Exposition::Prometheus),
            ("application/openmetrics-text;q=0", Exposition::Prometheus),
            ("application/openmetrics-text;q=much", Exposition::Prometheus),
            ("text/plain;q=0.5,application/openmetrics-text;q=0.4", Exposition::Prometheus),
            ("text/plain;version=1.0.0;q=0.5,application/openmetrics-text;q=0.4", Exposition::OpenMetrics),
            // As Prometheus 2 and 3 ask.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Exposition::OpenMetrics,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,\
                 application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                 application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
                 text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                Exposition::OpenMetrics,
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(Exposition::accepted(&headers), form, "{accept}");
        }
        assert_eq!(Exposition::accepted(&HeaderMap::new()), Exposition::Prometheus);
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT, "text/plain;q=0.1".parse().unwrap());
        headers.append(header::ACCEPT, "application/openmetrics-text;q=0.2".parse().unwrap());
        assert_eq!(Exposition::accepted(&headers), Exposition::OpenMetrics);
    }
}
