//! Time zones: offsets, abbreviations, IANA names.

use chrono::offset::LocalResult;
use chrono::{DateTime, Offset as _, TimeDelta, TimeZone as _};
use chrono_tz::Tz;

use super::temporal;
use crate::{Error, Result};

/// A time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zone {
    /// So many seconds east of Greenwich.
    Fixed(i32),
    /// One with rules.
    Named(Tz),
}

/// The abbreviations that are not IANA names, or that mean a fixed offset there.
const ABBREVIATIONS: [(&str, i32); 12] = [
    ("UTC", 0),
    ("GMT", 0),
    ("UT", 0),
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
    ("CEST", 2),
];

impl Zone {
    /// The zone of an option's name.
    pub(crate) fn new(name: &str) -> Result<Self> {
        Self::parse(name).ok_or_else(|| Error::TimeZone {
            name: name.to_owned(),
        })
    }

    /// `Z`, `+01:00`, `PST`, `GMT+8`, `Europe/Paris`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        if let Some(seconds) = temporal::offset(name.as_bytes()) {
            return Some(Self::Fixed(seconds));
        }
        let known = ABBREVIATIONS
            .iter()
            .find(|(abbreviation, _)| *abbreviation == name);
        if let Some((_, hours)) = known {
            return Some(Self::Fixed(hours * 3600));
        }
        for prefix in ["UTC", "GMT", "UT"] {
            if let Some(rest) = name.strip_prefix(prefix) {
                return Self::offset_from_greenwich(rest);
            }
        }
        name.parse().ok().map(Self::Named)
    }

    fn offset_from_greenwich(rest: &str) -> Option<Self> {
        let padded = match rest.as_bytes() {
            [sign, hour] => format!("{}0{}", char::from(*sign), char::from(*hour)),
            _ => rest.to_owned(),
        };
        temporal::offset(padded.as_bytes()).map(Self::Fixed)
    }

    /// From the zone's own clock to UTC, both in microseconds since 1970-01-01T00:00:00. Times that the
    /// clock shows twice are the earlier ones; times that it skips are as much later as it skips, as
    /// Java and Spark have it.
    pub(crate) fn to_utc(self, local_micros: i64) -> Option<i64> {
        let seconds = match self {
            Self::Fixed(seconds) => seconds,
            Self::Named(zone) => offset_seconds(zone, local_micros)?,
        };
        local_micros.checked_sub(i64::from(seconds) * 1_000_000)
    }
}

fn offset_seconds(zone: Tz, local_micros: i64) -> Option<i32> {
    let local = DateTime::from_timestamp_micros(local_micros)?.naive_utc();
    let offset = match zone.offset_from_local_datetime(&local) {
        LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => offset,
        LocalResult::None => {
            let before = local.checked_sub_signed(TimeDelta::days(2))?;
            zone.offset_from_local_datetime(&before).earliest()?
        }
    };
    Some(offset.fix().local_minus_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(zone: &str, local: &str, expected: &str) {
        let (local, _) = temporal::timestamp(local.as_bytes()).unwrap();
        let (expected, _) = temporal::timestamp(expected.as_bytes()).unwrap();
        assert_eq!(Zone::new(zone).unwrap().to_utc(local), Some(expected));
    }

    #[test]
    fn local_times_become_utc() {
        check("UTC", "2020-07-01T12:00:00", "2020-07-01T12:00:00");
        check("+05:30", "2020-07-01T12:00:00", "2020-07-01T06:30:00");
        check("GMT+8", "2020-07-01T12:00:00", "2020-07-01T04:00:00");
        check("PST", "2020-07-01T12:00:00", "2020-07-01T20:00:00");
        check(
            "America/Los_Angeles",
            "2020-07-01T12:00:00",
            "2020-07-01T19:00:00",
        );
        // The clock goes from 02:00 to 03:00: 02:30 is 03:30.
        check("Europe/Paris", "2020-03-29T02:30:00", "2020-03-29T01:30:00");
        // The clock goes from 03:00 to 02:00: 02:30 is the first one.
        check("Europe/Paris", "2020-10-25T02:30:00", "2020-10-25T00:30:00");
    }

    #[test]
    fn unknown_zones_are_refused() {
        assert!(matches!(
            Zone::new("Mars/Olympus"),
            Err(Error::TimeZone { .. })
        ));
    }
}
