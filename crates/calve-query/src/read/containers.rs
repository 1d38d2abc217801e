//! Files and manifests as containers of rows: what their metadata says of the columns.

use std::collections::HashSet;
use std::sync::Arc;

use calve_table::{Bounds, ContentFile, Counts};
use datafusion::scalar::ScalarValue;
use iceberg::spec::{
    Datum, FieldSummary, Literal, ManifestFile, PartitionField, PartitionSpec, PrimitiveLiteral,
    PrimitiveType, Transform, Type,
};
use iceberg::transform::create_transform_function;

use super::adapter::Constants;
use super::prune::{Container, Range};
use super::scalar;
use crate::plan::PrimitiveColumns;

/// A data file, as its manifest entry tells of it.
pub(crate) struct FileContainer<'a> {
    pub(crate) file: &'a ContentFile,
    pub(crate) spec: &'a PartitionSpec,
    pub(crate) constants: Arc<Constants>,
    pub(crate) primitives: &'a PrimitiveColumns,
}

impl FileContainer<'_> {
    /// The fields that the partition is made of a column by, and their values.
    fn partition_values(
        &self,
        column: i32,
    ) -> impl Iterator<Item = (&PartitionField, Option<&Literal>)> {
        let values = self.file.partition.fields().iter().map(Option::as_ref);
        self.spec
            .fields()
            .iter()
            .zip(values)
            .filter(move |(field, _)| field.source_id == column)
    }
}

impl Container for FileContainer<'_> {
    fn range(&self, column: &str) -> Range {
        if let Some(value) = self.constants.get(column) {
            return Range::constant(value, self.file.record_count);
        }
        let Some((id, primitive)) = self.primitives.get(column) else {
            return Range::default();
        };
        let mut range = Range {
            min: bound(self.file.lower_bounds.as_ref(), id, primitive),
            max: bound(self.file.upper_bounds.as_ref(), id, primitive),
            nulls: count(self.file.null_value_counts.as_ref(), id),
        };
        // Bounds leave NaN out, which is greater than all others.
        if count(self.file.nan_value_counts.as_ref(), id).is_some_and(|nans| nans > 0) {
            range.max = None;
        }
        for (field, value) in self.partition_values(id) {
            let Some(Literal::Primitive(value)) = value else {
                continue;
            };
            let derived = preimage(field.transform, value, primitive);
            range.min = range.min.or(derived.min);
            range.max = range.max.or(derived.max);
        }
        range
    }

    fn rows(&self) -> Option<u64> {
        Some(self.file.record_count)
    }

    fn constants(&self) -> Option<&Constants> {
        Some(&self.constants)
    }

    fn excludes(&self, column: &str, values: &HashSet<ScalarValue>) -> bool {
        let Some((id, primitive)) = self.primitives.get(column) else {
            return false;
        };
        self.partition_values(id).any(|(field, bucket)| {
            if !matches!(field.transform, Transform::Bucket(_)) {
                return false;
            }
            let Ok(function) = create_transform_function(&field.transform) else {
                return false;
            };
            values.iter().all(|value| {
                let value = scalar::to_datum(value, primitive);
                let here = value.and_then(|value| function.transform_literal(&value).ok()?);
                // What cannot be put in a bucket excludes nothing.
                here.is_some_and(|here| bucket != Some(&Literal::Primitive(here.literal().clone())))
            })
        })
    }
}

/// A manifest, as the manifest list tells of its partitions.
pub(crate) struct ManifestContainer<'a> {
    pub(crate) manifest: &'a ManifestFile,
    pub(crate) spec: &'a PartitionSpec,
    pub(crate) primitives: &'a PrimitiveColumns,
}

impl Container for ManifestContainer<'_> {
    fn range(&self, column: &str) -> Range {
        let (Some((id, primitive)), Some(summaries)) =
            (self.primitives.get(column), &self.manifest.partitions)
        else {
            return Range::default();
        };
        let mut range = Range::default();
        for (field, summary) in self.spec.fields().iter().zip(summaries) {
            if field.source_id == id {
                let here = of_summary(field, summary, primitive);
                range.min = range.min.or(here.min);
                range.max = range.max.or(here.max);
                range.nulls = range.nulls.or(here.nulls);
            }
        }
        range
    }

    fn rows(&self) -> Option<u64> {
        Some(self.manifest.added_rows_count? + self.manifest.existing_rows_count?)
    }

    fn constants(&self) -> Option<&Constants> {
        None
    }
}

fn of_summary(field: &PartitionField, summary: &FieldSummary, source: &PrimitiveType) -> Range {
    if matches!(field.transform, Transform::Void | Transform::Unknown) {
        return Range::default();
    }
    let result = field
        .transform
        .result_type(&Type::Primitive(source.clone()));
    let Ok(Type::Primitive(result)) = result else {
        return Range::default();
    };
    let end = |bytes: Option<&[u8]>| {
        let datum = Datum::try_from_bytes(bytes?, result.clone()).ok()?;
        Some(preimage(field.transform, datum.literal(), source))
    };
    let (lower, upper) = (
        end(summary.lower_bound.as_ref().map(AsRef::as_ref)),
        end(summary.upper_bound.as_ref().map(AsRef::as_ref)),
    );
    Range {
        min: lower.and_then(|range| range.min),
        max: upper.and_then(|range| range.max),
        // Every transform keeps NULL, and makes none of anything else.
        nulls: (!summary.contains_null).then_some(0),
    }
}

fn bound(bounds: Option<&Bounds>, id: i32, primitive: &PrimitiveType) -> Option<ScalarValue> {
    let bounds = bounds?;
    let at = bounds.binary_search_by_key(&id, |(id, _)| *id).ok()?;
    let datum = Datum::try_from_bytes(&bounds[at].1, primitive.clone()).ok()?;
    // Old writers took NaN for the greatest value; it bounds nothing.
    scalar::datum(&datum).filter(|_| !datum.is_nan())
}

fn count(counts: Option<&Counts>, id: i32) -> Option<u64> {
    let counts = counts?;
    let at = counts.binary_search_by_key(&id, |(id, _)| *id).ok()?;
    u64::try_from(counts[at].1).ok()
}

/// The least and the greatest value of a column whose partition value is this.
fn preimage(transform: Transform, value: &PrimitiveLiteral, source: &PrimitiveType) -> Range {
    let (min, max) = match (transform, value) {
        (Transform::Identity, _) => {
            let value = scalar::literal(Some(&Literal::Primitive(value.clone())), source);
            (value.clone(), value)
        }
        (Transform::Year, PrimitiveLiteral::Int(year)) => months(source, year.checked_mul(12), 12),
        (Transform::Month, PrimitiveLiteral::Int(month)) => months(source, Some(*month), 1),
        (Transform::Day, PrimitiveLiteral::Int(day)) => {
            days(source, i64::from(*day), i64::from(*day) + 1)
        }
        (Transform::Hour, PrimitiveLiteral::Int(hour)) => {
            let micros = |hour: i64| hour * 3_600_000_000;
            let hour = i64::from(*hour);
            instants(source, micros(hour), micros(hour + 1))
        }
        (Transform::Truncate(width), PrimitiveLiteral::Int(start)) => {
            let end = i32::try_from(width)
                .ok()
                .and_then(|width| start.checked_add(width - 1));
            (
                Some(ScalarValue::Int32(Some(*start))),
                end.map(|end| ScalarValue::Int32(Some(end))),
            )
        }
        (Transform::Truncate(width), PrimitiveLiteral::Long(start)) => {
            let end = start.checked_add(i64::from(width) - 1);
            (
                Some(ScalarValue::Int64(Some(*start))),
                end.map(|end| ScalarValue::Int64(Some(end))),
            )
        }
        (Transform::Truncate(_), PrimitiveLiteral::String(start)) => {
            (Some(ScalarValue::Utf8(Some(start.clone()))), None)
        }
        _ => (None, None),
    };
    Range {
        min,
        max,
        nulls: None,
    }
}

type Ends = (Option<ScalarValue>, Option<ScalarValue>);

/// A span of months, counted from January 1970.
fn months(source: &PrimitiveType, first: Option<i32>, count: i32) -> Ends {
    let day = |month: i32| {
        let first_of_month = chrono::NaiveDate::from_ymd_opt(
            1970 + month.div_euclid(12),
            u32::try_from(month.rem_euclid(12)).ok()? + 1,
            1,
        )?;
        Some((first_of_month - chrono::NaiveDate::default()).num_days())
    };
    let ends = first.and_then(|first| Some((day(first)?, day(first.checked_add(count)?)?)));
    ends.map_or((None, None), |(start, end)| days(source, start, end))
}

/// A span of days, the last one not in it.
fn days(source: &PrimitiveType, start: i64, end: i64) -> Ends {
    if *source == PrimitiveType::Date {
        let date = |day: i64| Some(ScalarValue::Date32(Some(i32::try_from(day).ok()?)));
        return (date(start), date(end - 1));
    }
    let micros = |day: i64| day.checked_mul(86_400_000_000);
    match (micros(start), micros(end)) {
        (Some(start), Some(end)) => instants(source, start, end),
        _ => (None, None),
    }
}

/// A span of time in microseconds, its end not in it.
fn instants(source: &PrimitiveType, start: i64, end: i64) -> Ends {
    let value = |value: i64| scalar::literal(Some(&Literal::long(value)), source);
    match source {
        PrimitiveType::Timestamp | PrimitiveType::Timestamptz => (value(start), value(end - 1)),
        PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs => {
            let nanos = |micros: i64| micros.checked_mul(1000);
            (
                nanos(start).and_then(value),
                nanos(end).and_then(|end| value(end - 1)),
            )
        }
        _ => (None, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::too_many_lines, reason = "a list of cases")]
    fn partition_values_bound_their_column() {
        use PrimitiveLiteral::{Int, Long, String};
        let text =
            |value: Option<ScalarValue>| value.map_or("-".to_owned(), |value| value.to_string());
        for (transform, value, source, expected) in [
            (Transform::Identity, Int(7), PrimitiveType::Long, "7 7"),
            (
                Transform::Year,
                Int(54),
                PrimitiveType::Date,
                "2024-01-01 2024-12-31",
            ),
            (
                Transform::Year,
                Int(-1),
                PrimitiveType::Date,
                "1969-01-01 1969-12-31",
            ),
            (
                Transform::Month,
                Int(1),
                PrimitiveType::Date,
                "1970-02-01 1970-02-28",
            ),
            (
                Transform::Month,
                Int(-1),
                PrimitiveType::Date,
                "1969-12-01 1969-12-31",
            ),
            (
                Transform::Day,
                Int(1),
                PrimitiveType::Timestamp,
                "86400000000 172799999999",
            ),
            (
                Transform::Hour,
                Int(-1),
                PrimitiveType::Timestamptz,
                "-3600000000 -1",
            ),
            (
                Transform::Hour,
                Int(0),
                PrimitiveType::TimestampNs,
                "0 3599999999999",
            ),
            (
                Transform::Truncate(10),
                Int(-10),
                PrimitiveType::Int,
                "-10 -1",
            ),
            (
                Transform::Truncate(10),
                Long(20),
                PrimitiveType::Long,
                "20 29",
            ),
            (
                Transform::Truncate(2),
                String("ab".to_owned()),
                PrimitiveType::String,
                "ab -",
            ),
            (Transform::Bucket(8), Int(3), PrimitiveType::Long, "- -"),
            (Transform::Year, Int(i32::MAX), PrimitiveType::Date, "- -"),
        ] {
            let range = preimage(transform, &value, &source);
            let found = format!("{} {}", text(range.min), text(range.max));
            assert_eq!(found, expected, "{transform}");
        }
    }
}
