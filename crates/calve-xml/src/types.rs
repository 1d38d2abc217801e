//! From text to values: numbers, dates, times. What a text may be called when types are inferred is
//! decided in [`classify`]; both sides use the same parsers, so that what is inferred can be read.

pub(crate) mod classify;
pub(crate) mod number;
pub(crate) mod pattern;
pub(crate) mod temporal;
pub(crate) mod zone;

use crate::{Result, XmlOptions};
use pattern::Pattern;
use zone::Zone;

/// The formats of dates and timestamps, compiled from the options.
#[derive(Debug, Clone)]
pub(crate) struct Formats {
    date: Option<Pattern>,
    timestamp: Option<Pattern>,
    timestamp_ntz: Option<Pattern>,
    zone: Zone,
}

impl Formats {
    /// Compiles the options' patterns and time zone.
    pub(crate) fn new(options: &XmlOptions) -> Result<Self> {
        let compile = |pattern: &Option<String>| pattern.as_deref().map(Pattern::new).transpose();
        Ok(Self {
            date: compile(&options.date_format)?,
            timestamp: compile(&options.timestamp_format)?,
            timestamp_ntz: compile(&options.timestamp_ntz_format)?,
            zone: Zone::new(&options.time_zone)?,
        })
    }

    /// Whether texts that do not begin with a digit may be dates or timestamps.
    fn has_patterns(&self) -> bool {
        self.date.is_some() || self.timestamp.is_some() || self.timestamp_ntz.is_some()
    }

    /// Days since 1970-01-01.
    pub(crate) fn date(&self, text: &str) -> Option<i32> {
        if let Some(fields) = self.date.as_ref().and_then(|pattern| pattern.parse(text)) {
            return fields.days();
        }
        temporal::date(text.as_bytes())
    }

    /// Microseconds since midnight.
    pub(crate) fn time(text: &str) -> Option<i64> {
        temporal::time(text.as_bytes())
    }

    /// Microseconds since 1970-01-01T00:00:00Z. A text without a zone is taken in the options' zone, a
    /// date alone is its midnight.
    pub(crate) fn timestamp(&self, text: &str) -> Option<i64> {
        if let Some(fields) = self
            .timestamp
            .as_ref()
            .and_then(|pattern| pattern.parse(text))
        {
            let local = fields.micros()?;
            return match &fields.zone {
                Some(zone) => zone.to_utc(local),
                None => self.zone.to_utc(local),
            };
        }
        let (local, offset_seconds) = match temporal::timestamp(text.as_bytes()) {
            Some(parsed) => parsed,
            None => (i64::from(self.date(text)?) * temporal::MICROS_PER_DAY, None),
        };
        match offset_seconds {
            Some(seconds) => local.checked_sub(i64::from(seconds) * 1_000_000),
            None => self.zone.to_utc(local),
        }
    }

    /// Microseconds since 1970-01-01T00:00:00 of the text's own calendar. A text with a zone is none.
    pub(crate) fn timestamp_ntz(&self, text: &str) -> Option<i64> {
        let pattern = self.timestamp_ntz.as_ref();
        if let Some(fields) = pattern.and_then(|pattern| pattern.parse(text)) {
            return fields.zone.is_none().then(|| fields.micros()).flatten();
        }
        match temporal::timestamp(text.as_bytes()) {
            Some((local, None)) => Some(local),
            Some(_) => None,
            None => Some(i64::from(self.date(text)?) * temporal::MICROS_PER_DAY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formats(change: impl Fn(&mut XmlOptions)) -> Formats {
        let mut options = XmlOptions::new("row");
        change(&mut options);
        Formats::new(&options).unwrap()
    }

    #[track_caller]
    fn check_timestamp(formats: &Formats, text: &str, expected_ms: Option<i64>) {
        assert_eq!(
            formats.timestamp(text),
            expected_ms.map(|ms| ms * 1000),
            "{text}"
        );
    }

    #[test]
    fn timestamps_follow_the_given_pattern_and_iso_after_it() {
        let iso = formats(|_| {});
        check_timestamp(&iso, "2011-12-03T10:15:30Z", Some(1_322_907_330_000));
        check_timestamp(&iso, "2011-12-03 10:15:30", Some(1_322_907_330_000));
        check_timestamp(
            &iso,
            "2011-12-03T10:15:30.250+02:00",
            Some(1_322_900_130_250),
        );
        check_timestamp(&iso, "2011-12-03", Some(1_322_870_400_000));
        check_timestamp(&iso, "2011-12-03T25:15:30Z", None);
        let named = formats(|o| o.timestamp_format = Some("MM-dd-yyyy HH:mm:ss z".to_owned()));
        check_timestamp(&named, "12-03-2011 10:15:30 PST", Some(1_322_936_130_000));
        check_timestamp(&named, "2011-12-03T10:15:30Z", Some(1_322_907_330_000));
        let offset = formats(|o| o.timestamp_format = Some("yyyy/MM/dd HH:mm:ss Z".to_owned()));
        check_timestamp(
            &offset,
            "2011/12/03 16:15:30 +1000",
            Some(1_322_892_930_000),
        );
        let zone = formats(|o| {
            o.timestamp_format = Some("yyyy/MM/dd HH:mm:ss".to_owned());
            o.time_zone = "Asia/Shanghai".to_owned();
        });
        check_timestamp(&zone, "2011/12/03 06:15:30", Some(1_322_864_130_000));
    }

    #[test]
    fn timestamps_without_zone_refuse_texts_with_one() {
        let iso = formats(|_| {});
        assert_eq!(iso.timestamp_ntz("1970-01-01T00:00:01"), Some(1_000_000));
        assert_eq!(
            iso.timestamp_ntz("1970-01-02"),
            Some(temporal::MICROS_PER_DAY)
        );
        assert_eq!(iso.timestamp_ntz("1970-01-01T00:00:01Z"), None);
    }

    #[test]
    fn dates_follow_the_given_pattern_and_iso_after_it() {
        let american = formats(|o| o.date_format = Some("MM-dd-yyyy".to_owned()));
        assert_eq!(american.date("02-01-2021"), american.date("2021-02-01"));
        assert_eq!(american.date("2021-02-01"), Some(18659));
        assert_eq!(american.date("02-30-2021"), None);
    }
}
