use calve::base::units::parse_duration;
use calve::base::{Clock, Location, SystemClock, TableIdent};
use calve::compact::{CleanUpLevel, PrefixMismatchMode};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

use super::{Error, Settings};
use crate::flags::{CleanUpFlag, ExpireSnapshotsFlags, PrefixMismatchFlag, RemoveOrphansFlags};

/// What `calve expire-snapshots` is told.
#[derive(Debug, Clone)]
pub(crate) struct ExpireSnapshotsSettings {
    pub(crate) table: TableIdent,
    /// In milliseconds since the epoch.
    pub(crate) older_than_ms: Option<i64>,
    pub(crate) retain_last: Option<u64>,
    pub(crate) snapshot_ids: Vec<i64>,
    pub(crate) cleans_metadata: bool,
    pub(crate) clean_up: CleanUpLevel,
}

impl ExpireSnapshotsSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When a name or a time means nothing.
    pub(crate) fn resolve(flags: ExpireSnapshotsFlags) -> Result<Self, Error> {
        let now_ms = SystemClock.now_ms();
        let older_than = flags.older_than.as_deref();
        Ok(Self {
            table: Settings::table(&flags.table)?,
            older_than_ms: older_than
                .map(|text| time("--older-than", text, now_ms))
                .transpose()?,
            retain_last: flags.retain_last,
            snapshot_ids: flags.snapshot_id,
            cleans_metadata: flags.clean_expired_metadata,
            clean_up: match flags.clean_up {
                None | Some(CleanUpFlag::All) => CleanUpLevel::All,
                Some(CleanUpFlag::Metadata) => CleanUpLevel::MetadataOnly,
                Some(CleanUpFlag::None) => CleanUpLevel::None,
            },
        })
    }
}

/// What `calve remove-orphans` is told.
#[derive(Debug, Clone)]
pub(crate) struct RemoveOrphansSettings {
    pub(crate) table: TableIdent,
    /// In milliseconds since the epoch.
    pub(crate) older_than_ms: Option<i64>,
    pub(crate) location: Option<Location>,
    pub(crate) equal_schemes: Vec<(String, String)>,
    pub(crate) equal_authorities: Vec<(String, String)>,
    pub(crate) mismatch: PrefixMismatchMode,
    pub(crate) looks_at_others: bool,
    pub(crate) is_forced: bool,
}

impl RemoveOrphansSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When a name, a time or a location means nothing.
    pub(crate) fn resolve(flags: RemoveOrphansFlags, settings: &Settings) -> Result<Self, Error> {
        let now_ms = SystemClock.now_ms();
        let (older_than, location) = (flags.older_than.as_deref(), flags.location.as_deref());
        Ok(Self {
            table: Settings::table(&flags.table)?,
            older_than_ms: older_than
                .map(|text| time("--older-than", text, now_ms))
                .transpose()?,
            location: location.map(|text| settings.location(text)).transpose()?,
            equal_schemes: pairs(flags.equal_schemes),
            equal_authorities: pairs(flags.equal_authorities),
            mismatch: match flags.prefix_mismatch_mode {
                None | Some(PrefixMismatchFlag::Error) => PrefixMismatchMode::Error,
                Some(PrefixMismatchFlag::Ignore) => PrefixMismatchMode::Ignore,
                Some(PrefixMismatchFlag::Delete) => PrefixMismatchMode::Delete,
            },
            looks_at_others: !flags.skip_other_tables,
            is_forced: flags.force,
        })
    }
}

/// `a,b=c` as `a=c` and `b=c`.
fn pairs(flags: Vec<(String, String)>) -> Vec<(String, String)> {
    let flags = flags.into_iter();
    flags
        .flat_map(|(names, like)| {
            let names = names.split(',').map(|name| name.trim().to_owned());
            let pairs: Vec<_> = names.map(|name| (name, like.clone())).collect();
            pairs
        })
        .collect()
}

/// Reads a time: a duration before now, or an ISO timestamp or date, in UTC where it names no offset.
fn time(place: &str, text: &str, now_ms: i64) -> Result<i64, Error> {
    let trimmed = text.trim();
    if let Ok(duration) = parse_duration(trimmed) {
        let ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        return Ok(now_ms.saturating_sub(ms));
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(trimmed) {
        return Ok(time.timestamp_millis());
    }
    let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    let mut formats = formats.into_iter();
    let time = formats.find_map(|format| NaiveDateTime::parse_from_str(trimmed, format).ok());
    let date = || NaiveDate::parse_from_str(trimmed, "%Y-%m-%d").ok();
    let time = time.or_else(|| date().map(|date| date.and_time(NaiveTime::MIN)));
    time.map(|time| time.and_utc().timestamp_millis())
        .ok_or_else(|| Error::Value {
            place: place.to_owned(),
            text: text.to_owned(),
            expected: "a duration before now, such as 5d, or a time, such as 2024-05-01T12:00:00Z",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let noon = 1_714_564_800_000;
        for (text, expected) in [
            ("1d", Some(noon - 86_400_000)),
            ("0s", Some(noon)),
            ("2024-05-01T12:00:00Z", Some(noon)),
            ("2024-05-01T14:00:00+02:00", Some(noon)),
            ("2024-05-01T12:00:00.250", Some(noon + 250)),
            ("2024-05-01 12:00:00", Some(noon)),
            ("2024-05-01", Some(noon - 43_200_000)),
            ("yesterday", None),
            ("5", None),
        ] {
            assert_eq!(time("--older-than", text, noon).ok(), expected, "{text}");
        }
    }
}
