//! Times of ids, in the time zone of whoever reads.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use xs::FrameId;

/// How much of an id a person compares.
const SHORT_ID: usize = 5;

fn local(id: FrameId, zone: &TimeZone) -> Zoned {
    // 48 bits of milliseconds reach beyond what a calendar holds.
    let ms = i64::try_from(id.timestamp_ms()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX).to_zoned(zone.clone())
}

/// The time of day: `11:27:54.464`.
pub(crate) fn clock(id: FrameId, zone: &TimeZone) -> String {
    local(id, zone).strftime("%H:%M:%S%.3f").to_string()
}

/// The time of day, after the date where it is not that of `now`.
pub(crate) fn moment(id: FrameId, now: &Zoned) -> String {
    let time = local(id, now.time_zone());
    let form = if time.date() == now.date() { "%H:%M:%S%.3f" } else { "%Y-%m-%d %H:%M:%S%.3f" };
    time.strftime(form).to_string()
}

/// The end of an id, which is what differs.
pub(crate) fn short(id: FrameId) -> String {
    let id = id.to_string();
    id.get(id.len().saturating_sub(SHORT_ID)..).unwrap_or(&id).to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// An id of this millisecond.
    fn id(ms: u64) -> FrameId {
        FrameId::from_u128(u128::from(ms) << 80)
    }

    #[test]
    fn a_moment_of_another_day_has_its_date() {
        let noon = 1_770_000_000_000;
        let now = local(id(noon), &TimeZone::UTC);
        assert_eq!(moment(id(noon + 5), &now), clock(id(noon + 5), &TimeZone::UTC));
        assert_eq!(
            moment(id(noon - 86_400_000), &now),
            now.yesterday().unwrap().strftime("%Y-%m-%d %H:%M:%S%.3f").to_string()
        );
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(clock(id(1_999), &zone), "02:00:01.999");
        assert_eq!(clock(FrameId::MIN, &TimeZone::UTC), "00:00:00.000");
    }

    #[test]
    fn every_id_has_a_moment() {
        let now = local(FrameId::MIN, &TimeZone::UTC);
        assert!(moment(FrameId::MAX, &now).starts_with("9999-"));
        assert_eq!(short("03d4q1qhbiv09ovtuhokw5yxv".parse().unwrap()), "w5yxv");
    }
}
