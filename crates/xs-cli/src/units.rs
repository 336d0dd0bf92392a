//! Times and sizes, as they are written and as they are read.

use std::time::Duration;

/// A time as it is given on the command line: `30s`, `500ms`, `2m`, `1h`, or plain seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let per_unit_ms = match unit {
        "ms" => Some(1),
        "" | "s" => Some(1000),
        "m" | "min" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    number
        .zip(per_unit_ms)
        .and_then(|(number, ms)| number.checked_mul(ms))
        .map(Duration::from_millis)
        .ok_or_else(|| format!("{text:?} is no time: expected such as 30s, 500ms, 2m, 1h, or seconds"))
}

/// A time that is not nothing.
pub(crate) fn some_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it has to be more than nothing".to_owned()),
        duration => Ok(duration),
    }
}

/// A size as it is given on the command line: `10GB`, `64MiB`, `500k`, or plain bytes.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let bytes_per_unit = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1000),
        "m" | "mb" => Some(1000_u64.pow(2)),
        "g" | "gb" => Some(1000_u64.pow(3)),
        "t" | "tb" => Some(1000_u64.pow(4)),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        "tib" => Some(1 << 40),
        _ => None,
    };
    number
        .zip(bytes_per_unit)
        .and_then(|(number, bytes)| number.checked_mul(bytes))
        .ok_or_else(|| format!("{text:?} is no size: expected such as 10GB, 64MiB, 500k, or bytes"))
}

/// The number in front, and what is behind it.
fn split(text: &str) -> (Option<u64>, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    (number.parse().ok(), unit.trim_start())
}

/// A size as a person reads it: `12 KB`, with one digit behind the point below ten.
pub(crate) fn size(bytes: u64) -> String {
    let units = ["KB", "MB", "GB", "TB", "PB", "EB"];
    let mut unit_bytes = 1000;
    let mut found = None;
    for unit in units {
        if bytes < unit_bytes {
            break;
        }
        found = Some((unit, unit_bytes));
        unit_bytes = unit_bytes.saturating_mul(1000);
    }
    match found {
        None => format!("{bytes} B"),
        Some((unit, one)) if bytes / one >= 10 => format!("{} {unit}", bytes / one),
        Some((unit, one)) => format!("{}.{} {unit}", bytes / one, bytes % one / (one / 10)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for (text, ms) in
            [("30s", 30_000), ("30", 30_000), ("500ms", 500), ("2m", 120_000), ("1h", 3_600_000), ("0", 0)]
        {
            assert_eq!(duration(text).unwrap(), Duration::from_millis(ms), "{text}");
        }
        for bad in ["", "s", "-1", "1.5s", "1d", "ten", "99999999999999999999s", "18446744073709551615h"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
        assert!(some_duration("0").is_err() && some_duration("1ms").is_ok());
    }

    #[test]
    fn sizes_are_read_as_they_are_written() {
        for (text, expected) in [("0", 0), ("512", 512), ("1k", 1000), ("10 MB", 10_000_000), ("2GiB", 2 << 30)] {
            assert_eq!(bytes(text).unwrap(), expected, "{text}");
        }
        for bad in ["", "B", "1.5GB", "-1", "1x", "99999999TB"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 KB"),
            (1999, "1.9 KB"),
            (12_345, "12 KB"),
            (5_000_000_000, "5.0 GB"),
            (u64::MAX, "18 EB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
