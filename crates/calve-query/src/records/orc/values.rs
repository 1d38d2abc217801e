//! Decoded arrays as a table has them: timestamps in their unit, days in today's calendar, decimals within their
//! precision.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, ListArray, MapArray, PrimitiveArray, StructArray,
};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Field, Fields, TimestampMicrosecondType, TimestampNanosecondType,
};
use arrow::error::ArrowError;

use super::OrcTimestamps;
use super::columns::{Column, Shape};
use crate::Nanoseconds;

/// October 15, 1582, in days since 1970: the first day of the Gregorian calendar.
const FIRST_GREGORIAN_DAY: i64 = -141_427;
/// January 1, 1970, in days of the Julian period.
const EPOCH_JULIAN_DAY: i64 = 2_440_588;
const NANOS_PER_DAY: i128 = 86_400 * 1_000_000_000;

/// How decoded arrays are finished.
#[derive(Debug, Clone, Copy)]
pub(super) struct Finish {
    pub(super) timestamps: OrcTimestamps,
    /// Whether days before October 15, 1582 are those of the Julian calendar. They become the days of the same name,
    /// as ORC's Java library has it.
    pub(super) is_julian: bool,
}

impl Finish {
    /// Finishes the values of a column.
    ///
    /// # Errors
    /// What is wrong with a value that a table cannot hold.
    pub(super) fn array(self, column: &Column, array: &ArrayRef) -> Result<ArrayRef, String> {
        let said = |error: ArrowError| error.to_string();
        Ok(match &column.shape {
            Shape::Plain { .. } => Arc::clone(array),
            Shape::Decimal { precision, .. } => {
                let decimals = array.as_primitive::<Decimal128Type>();
                decimals
                    .validate_decimal_precision(*precision)
                    .map_err(said)?;
                Arc::clone(array)
            }
            Shape::Date if self.is_julian => {
                let days = array.as_primitive::<Date32Type>();
                let days: PrimitiveArray<Date32Type> = days.try_unary(|day| {
                    let gregorian = gregorian_day(i64::from(day));
                    i32::try_from(gregorian).map_err(|_| format!("day {day} is beyond all years"))
                })?;
                Arc::new(days)
            }
            Shape::Date => Arc::clone(array),
            Shape::Timestamp { is_instant } => self.timestamps(array, *is_instant)?,
            Shape::Struct(parts) => {
                let structs = array.as_struct();
                let mut fields = Vec::with_capacity(parts.len());
                let mut arrays = Vec::with_capacity(parts.len());
                for ((name, part), array) in parts.iter().zip(structs.columns()) {
                    let finished = self.array(part, array)?;
                    fields.push(Field::new(name, finished.data_type().clone(), true));
                    arrays.push(finished);
                }
                let nulls = structs.nulls().cloned();
                Arc::new(StructArray::try_new(fields.into(), arrays, nulls).map_err(said)?)
            }
            Shape::List(element) => {
                let lists = array.as_list::<i32>();
                let elements = self.array(element, lists.values())?;
                let field = Field::new_list_field(elements.data_type().clone(), true);
                let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
                let lists = ListArray::try_new(Arc::new(field), offsets, elements, nulls);
                Arc::new(lists.map_err(said)?)
            }
            Shape::Map(parts) => {
                let maps = array.as_map();
                let keys = self.array(&parts[0], maps.keys())?;
                let values = self.array(&parts[1], maps.values())?;
                let fields = Fields::from(vec![
                    Field::new("keys", keys.data_type().clone(), false),
                    Field::new("values", values.data_type().clone(), true),
                ]);
                let entries = StructArray::try_new(fields, vec![keys, values], None);
                let entries = entries.map_err(said)?;
                let field = Field::new("entries", entries.data_type().clone(), false);
                let (offsets, nulls) = (maps.offsets().clone(), maps.nulls().cloned());
                let maps = MapArray::try_new(Arc::new(field), offsets, entries, nulls, false);
                Arc::new(maps.map_err(said)?)
            }
        })
    }

    fn timestamps(self, array: &ArrayRef, is_instant: bool) -> Result<ArrayRef, String> {
        let zone = is_instant.then_some("UTC");
        Ok(match self.timestamps {
            OrcTimestamps::Microseconds(_) => {
                let times = self.times::<TimestampMicrosecondType>(array)?;
                Arc::new(times.with_timezone_opt(zone))
            }
            OrcTimestamps::Nanoseconds => {
                let times = self.times::<TimestampNanosecondType>(array)?;
                Arc::new(times.with_timezone_opt(zone))
            }
        })
    }

    fn times<T: ArrowPrimitiveType<Native = i64>>(
        self,
        array: &ArrayRef,
    ) -> Result<PrimitiveArray<T>, String> {
        let decoded = array.as_primitive::<Decimal128Type>();
        decoded.try_unary(|nanos| self.time(nanos))
    }

    /// Nanoseconds since 1970, in the unit of the table.
    fn time(self, nanos: i128) -> Result<i64, String> {
        let nanos = if self.is_julian {
            let days = i64::try_from(nanos.div_euclid(NANOS_PER_DAY)).unwrap_or(i64::MAX);
            i128::from(gregorian_day(days)) * NANOS_PER_DAY + nanos.rem_euclid(NANOS_PER_DAY)
        } else {
            nanos
        };
        match self.timestamps {
            OrcTimestamps::Nanoseconds => i64::try_from(nanos).map_err(|_| {
                format!(
                    "{nanos} ns since 1970 are beyond what nanoseconds can tell, 1677 to 2262; a table of format \
                     version 2 has microseconds"
                )
            }),
            OrcTimestamps::Microseconds(Nanoseconds::Check) if nanos.rem_euclid(1000) != 0 => {
                Err(format!("{nanos} ns has digits beyond the microsecond"))
            }
            OrcTimestamps::Microseconds(_) => i64::try_from(nanos.div_euclid(1000))
                .map_err(|_| format!("{nanos} ns since 1970 are beyond all years")),
        }
    }
}

/// The day, since 1970, that today's calendar calls as the Julian calendar called this one, if that held then. February
/// 29 becomes March 1 where there is none.
fn gregorian_day(day: i64) -> i64 {
    if day >= FIRST_GREGORIAN_DAY {
        return day;
    }
    // After E. G. Richards, with days of the Julian period.
    let e = 4 * (day.saturating_add(EPOCH_JULIAN_DAY + 1401)) + 3;
    let h = 5 * (e.rem_euclid(1461) / 4) + 2;
    let day_of_month = h % 153 / 5 + 1;
    let month = (h / 153 + 2) % 12 + 1;
    let year = e.div_euclid(1461) - 4716 + (14 - month) / 12;
    // After Howard Hinnant: years begin in March, in eras of 400.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day_of_month - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    fn day(year: i32, month: u32, day: u32) -> i64 {
        let date = NaiveDate::from_ymd_opt(year, month, day).unwrap();
        (date - NaiveDate::from_ymd_opt(1970, 1, 1).unwrap()).num_days()
    }

    /// `julian` is today's name of a day, `expected` the Julian one.
    #[track_caller]
    fn check(today: i64, expected: i64) {
        assert_eq!(gregorian_day(today), expected);
    }

    #[test]
    fn days_of_the_julian_calendar() {
        check(day(1970, 1, 1), day(1970, 1, 1));
        check(day(1582, 10, 15), day(1582, 10, 15));
        // The day before was October 4.
        check(day(1582, 10, 14), day(1582, 10, 4));
        check(day(1500, 3, 11), day(1500, 3, 1));
        // February 29, 1500.
        check(day(1500, 3, 10), day(1500, 3, 1));
        check(day(1500, 3, 9), day(1500, 2, 28));
        check(day(1, 1, 1) - 2, day(1, 1, 1));
        check(day(200, 3, 1), day(200, 3, 1));
    }

    #[track_caller]
    fn check_time(timestamps: OrcTimestamps, nanos: i128, expected: Result<i64, &str>) {
        let finish = Finish {
            timestamps,
            is_julian: false,
        };
        match (finish.time(nanos), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(found, expected),
            (Err(found), Err(expected)) => assert!(found.contains(expected), "{found}"),
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    }

    #[test]
    fn units_of_timestamps() {
        let check = OrcTimestamps::Microseconds(Nanoseconds::Check);
        let truncate = OrcTimestamps::Microseconds(Nanoseconds::Truncate);
        check_time(check, -1000, Ok(-1));
        check_time(check, 1, Err("beyond the microsecond"));
        check_time(truncate, 1999, Ok(1));
        check_time(truncate, -1, Ok(-1));
        check_time(OrcTimestamps::Nanoseconds, -1, Ok(-1));
        let year_9999 = 253_402_300_799 * 1_000_000_000;
        check_time(check, year_9999, Ok(253_402_300_799_000_000));
        check_time(OrcTimestamps::Nanoseconds, year_9999, Err("1677 to 2262"));
        check_time(check, i128::MAX / 1000 * 1000, Err("beyond all years"));
    }
}
