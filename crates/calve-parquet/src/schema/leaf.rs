//! Leaf columns: physical type and annotation → Iceberg type.

use iceberg::spec::{FormatVersion, PrimitiveType};
use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as PhysicalType};
use parquet::schema::types::{BasicTypeInfo, Type};

use super::Physical;
use crate::policy::{FindingCode, Severity, TypePolicy};

/// What a column is annotated with, whether in the new way or the old.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Annotation {
    None,
    Text,
    Bson,
    Decimal { precision: i32, scale: i32 },
    Date,
    Time { utc: bool, unit: TimeUnit },
    Timestamp { utc: bool, unit: TimeUnit },
    Integer { bits: u8, signed: bool },
    Uuid,
    Float16,
    Interval,
    Null,
    Variant,
    Geospatial,
    List,
    Map,
    Undefined(i16),
}

/// What a leaf column is.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) iceberg: PrimitiveType,
    pub(super) physical: Physical,
    pub(super) finding: Option<(Severity, FindingCode, String)>,
}

impl Annotation {
    /// Reads the annotation of a field; the logical type wins over the converted type.
    pub(super) fn of(info: &BasicTypeInfo, precision: i32, scale: i32) -> Self {
        match info.logical_type_ref() {
            Some(logical) => Self::of_logical(logical),
            None => Self::of_converted(info.converted_type(), precision, scale),
        }
    }

    fn of_logical(logical: &LogicalType) -> Self {
        match *logical {
            LogicalType::String | LogicalType::Enum | LogicalType::Json => Self::Text,
            LogicalType::Bson => Self::Bson,
            LogicalType::Map => Self::Map,
            LogicalType::List => Self::List,
            LogicalType::Decimal { scale, precision } => Self::Decimal { precision, scale },
            LogicalType::Date => Self::Date,
            LogicalType::Time {
                is_adjusted_to_u_t_c: utc,
                unit,
            } => Self::Time { utc, unit },
            LogicalType::Timestamp {
                is_adjusted_to_u_t_c: utc,
                unit,
            } => Self::Timestamp { utc, unit },
            LogicalType::Integer {
                bit_width,
                is_signed: signed,
            } => Self::Integer {
                bits: bit_width.cast_unsigned(),
                signed,
            },
            LogicalType::Unknown => Self::Null,
            LogicalType::Uuid => Self::Uuid,
            LogicalType::Float16 => Self::Float16,
            LogicalType::Variant { .. } => Self::Variant,
            LogicalType::Geometry { .. } | LogicalType::Geography { .. } => Self::Geospatial,
            LogicalType::_Unknown { field_id } => Self::Undefined(field_id),
        }
    }

    /// The old annotations; the format says that their times and timestamps are adjusted to UTC.
    fn of_converted(converted: ConvertedType, precision: i32, scale: i32) -> Self {
        let integer = |bits, signed| Self::Integer { bits, signed };
        match converted {
            ConvertedType::NONE => Self::None,
            ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON => Self::Text,
            ConvertedType::BSON => Self::Bson,
            ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE => Self::Map,
            ConvertedType::LIST => Self::List,
            ConvertedType::DECIMAL => Self::Decimal { precision, scale },
            ConvertedType::DATE => Self::Date,
            // Readers take the old annotations of times for local ones; only the new one can say otherwise.
            ConvertedType::TIME_MILLIS => Self::Time {
                utc: false,
                unit: TimeUnit::MILLIS,
            },
            ConvertedType::TIME_MICROS => Self::Time {
                utc: false,
                unit: TimeUnit::MICROS,
            },
            ConvertedType::TIMESTAMP_MILLIS => Self::Timestamp {
                utc: true,
                unit: TimeUnit::MILLIS,
            },
            ConvertedType::TIMESTAMP_MICROS => Self::Timestamp {
                utc: true,
                unit: TimeUnit::MICROS,
            },
            ConvertedType::UINT_8 => integer(8, false),
            ConvertedType::UINT_16 => integer(16, false),
            ConvertedType::UINT_32 => integer(32, false),
            ConvertedType::UINT_64 => integer(64, false),
            ConvertedType::INT_8 => integer(8, true),
            ConvertedType::INT_16 => integer(16, true),
            ConvertedType::INT_32 => integer(32, true),
            ConvertedType::INT_64 => integer(64, true),
            ConvertedType::INTERVAL => Self::Interval,
        }
    }
}

impl Leaf {
    /// Reads a leaf column. `column` is its path, for the policy's text columns and the messages.
    pub(super) fn of(parquet: &Type, column: &str, policy: &TypePolicy) -> Self {
        let Type::PrimitiveType {
            basic_info,
            physical_type,
            type_length,
            scale,
            precision,
        } = parquet
        else {
            return Self::undefined(PrimitiveType::Binary, column, "a group");
        };
        let annotation = Annotation::of(basic_info, *precision, *scale);
        let length = u64::try_from(*type_length).unwrap_or(0);
        match annotation {
            Annotation::None => Self::bare(*physical_type, length, column, policy),
            Annotation::Decimal { precision, scale } => {
                Self::decimal(*physical_type, length, (precision, scale), column)
            }
            Annotation::Time { utc, unit } => Self::time(utc, unit, column),
            Annotation::Timestamp { utc, unit } => {
                Self::timestamp(utc, unit, column, policy.format_version)
            }
            Annotation::Integer { bits, signed } => {
                Self::integer(*physical_type, bits, signed, column)
            }
            _ => Self::simple(annotation, *physical_type, length, column),
        }
    }

    /// Annotations that say it all, and those that cannot be read.
    fn simple(annotation: Annotation, stored: PhysicalType, length: u64, column: &str) -> Self {
        match annotation {
            Annotation::Text => Self::plain(PrimitiveType::String),
            Annotation::Bson => Self::plain(PrimitiveType::Binary),
            Annotation::Date => Self::plain(PrimitiveType::Date),
            Annotation::Uuid => Self::plain(PrimitiveType::Uuid),
            Annotation::Float16 => Self::refused(
                PrimitiveType::Float,
                FindingCode::Float16,
                format!(
                    "`{column}` is a FLOAT16, which Iceberg has no type for; `ctas` makes it a float"
                ),
            ),
            Annotation::Interval => Self::refused(
                PrimitiveType::Fixed(12),
                FindingCode::Interval,
                format!(
                    "`{column}` is an INTERVAL, which Iceberg has no type for; `ctas` can turn it into numbers"
                ),
            ),
            Annotation::Null => Self::refused(
                nearest(stored, length),
                FindingCode::NullType,
                format!(
                    "`{column}` is of the null type, which readers cannot map; `ctas` can leave it out or cast it"
                ),
            ),
            Annotation::Geospatial => Self::refused(
                PrimitiveType::Binary,
                FindingCode::Geospatial,
                format!(
                    "`{column}` is a GEOMETRY or GEOGRAPHY, which needs types of format version 3 that are not supported; `ctas` can keep its WKB as binary"
                ),
            ),
            Annotation::Undefined(id) => Self::undefined(
                nearest(stored, length),
                column,
                &format!("the undefined logical type {id}"),
            ),
            other => Self::undefined(nearest(stored, length), column, &format!("{other:?}")),
        }
    }

    fn bare(stored: PhysicalType, length: u64, column: &str, policy: &TypePolicy) -> Self {
        match stored {
            PhysicalType::BOOLEAN => Self::plain(PrimitiveType::Boolean),
            PhysicalType::INT32 => Self::plain(PrimitiveType::Int),
            PhysicalType::INT64 => Self::plain(PrimitiveType::Long),
            PhysicalType::FLOAT => Self::plain(PrimitiveType::Float),
            PhysicalType::DOUBLE => Self::plain(PrimitiveType::Double),
            PhysicalType::FIXED_LEN_BYTE_ARRAY => Self::plain(PrimitiveType::Fixed(length)),
            PhysicalType::INT96 => Self::int96(column, policy),
            PhysicalType::BYTE_ARRAY => Self::unannotated(column, policy),
        }
    }

    fn int96(column: &str, policy: &TypePolicy) -> Self {
        let (iceberg, reading) = if policy.int96_is_instant {
            (PrimitiveType::Timestamptz, "instants (`timestamptz`)")
        } else {
            (PrimitiveType::Timestamp, "wall-clock times (`timestamp`)")
        };
        Self {
            iceberg,
            physical: Physical::Int96,
            finding: Some((
                Severity::Note,
                FindingCode::Int96,
                format!(
                    "`{column}` is an INT96, which does not say its time zone; read as {reading} unless the table says otherwise, to the microsecond, without bounds"
                ),
            )),
        }
    }

    fn unannotated(column: &str, policy: &TypePolicy) -> Self {
        let (iceberg, message) = if policy.is_text(column) {
            (
                PrimitiveType::String,
                format!(
                    "`{column}` is a byte array without an annotation, taken for text as the table says; Spark reads it with `read.parquet.vectorization.enabled=false` only"
                ),
            )
        } else {
            (
                PrimitiveType::Binary,
                format!(
                    "`{column}` is a byte array without an annotation, taken for binary; it is text where the table or the catalog says `string`"
                ),
            )
        };
        Self {
            iceberg,
            physical: Physical::Unannotated,
            finding: Some((Severity::Note, FindingCode::UnannotatedBinary, message)),
        }
    }

    fn decimal(
        stored: PhysicalType,
        length: u64,
        (precision, scale): (i32, i32),
        column: &str,
    ) -> Self {
        let digits = u32::try_from(precision).unwrap_or(0);
        let iceberg = PrimitiveType::Decimal {
            precision: digits.clamp(1, 38),
            scale: u32::try_from(scale).unwrap_or(0).min(38),
        };
        if !(1..=38).contains(&digits) {
            return Self::refused(
                iceberg,
                FindingCode::DecimalPrecision,
                format!(
                    "`{column}` is a decimal of {precision} digits, and Iceberg's have 1 to 38; `ctas` can cast it"
                ),
            );
        }
        match stored {
            PhysicalType::FIXED_LEN_BYTE_ARRAY if length > 16 => Self::refused(
                iceberg,
                FindingCode::DecimalWidth,
                format!(
                    "`{column}` is a decimal in {length} bytes, and readers take up to 16; rewrite it with `ctas`"
                ),
            ),
            PhysicalType::BYTE_ARRAY => Self {
                iceberg,
                physical: Physical::DecimalBytes,
                finding: None,
            },
            _ => Self::plain(iceberg),
        }
    }

    fn time(utc: bool, unit: TimeUnit, column: &str) -> Self {
        let iceberg = PrimitiveType::Time;
        match unit {
            TimeUnit::MILLIS => Self::milliseconds(iceberg, column, "time"),
            TimeUnit::NANOS => Self {
                iceberg,
                physical: Physical::Nanos,
                finding: Some((
                    Severity::Refused,
                    FindingCode::Nanoseconds,
                    format!(
                        "`{column}` is a time in nanoseconds, and Iceberg's `time` is in microseconds; rewrite it with `ctas`"
                    ),
                )),
            },
            TimeUnit::MICROS => Self {
                iceberg,
                physical: Physical::Plain,
                finding: utc.then(|| {
                    (
                        Severity::Note,
                        FindingCode::TimeUtc,
                        format!(
                            "`{column}` is a time of day adjusted to UTC; Iceberg's `time` does not say so"
                        ),
                    )
                }),
            },
        }
    }

    fn timestamp(utc: bool, unit: TimeUnit, column: &str, version: FormatVersion) -> Self {
        let micros = if utc {
            PrimitiveType::Timestamptz
        } else {
            PrimitiveType::Timestamp
        };
        match unit {
            TimeUnit::MICROS => Self::plain(micros),
            TimeUnit::MILLIS => Self::milliseconds(micros, column, "timestamp"),
            TimeUnit::NANOS if version >= FormatVersion::V3 => Self {
                iceberg: if utc {
                    PrimitiveType::TimestamptzNs
                } else {
                    PrimitiveType::TimestampNs
                },
                physical: Physical::Nanos,
                finding: None,
            },
            TimeUnit::NANOS => Self {
                iceberg: micros,
                physical: Physical::Nanos,
                finding: Some((
                    Severity::Refused,
                    FindingCode::Nanoseconds,
                    format!(
                        "`{column}` is a timestamp in nanoseconds, which needs format version 3; rewrite it in microseconds with `ctas`"
                    ),
                )),
            },
        }
    }

    fn milliseconds(iceberg: PrimitiveType, column: &str, what: &str) -> Self {
        // Seen with Spark 3.5 and Iceberg 1.10.2: the vectorised reader takes the milliseconds of a timestamp for
        // microseconds. Its reader by rows is right.
        let harm = match what {
            "timestamp" => {
                "Spark's vectorised reader (Iceberg 1.10) makes it a thousand times too small unless `read.parquet.vectorization.enabled=false`, and readers built on Java Iceberg up to 1.11 may skip its rows under a filter"
            }
            _ => "readers built on Java Iceberg up to 1.11 may skip its rows under a filter",
        };
        Self {
            iceberg,
            physical: Physical::Millis,
            finding: Some((
                Severity::Unsafe,
                FindingCode::Milliseconds,
                format!(
                    "`{column}` is a {what} in milliseconds: {harm}; rewrite it with `ctas`, or allow it"
                ),
            )),
        }
    }

    fn integer(stored: PhysicalType, bits: u8, signed: bool, column: &str) -> Self {
        match (signed, bits) {
            (true, _) if stored == PhysicalType::INT64 => Self::plain(PrimitiveType::Long),
            (true, _) => Self::plain(PrimitiveType::Int),
            (false, 8 | 16) => Self {
                iceberg: PrimitiveType::Int,
                physical: Physical::Unsigned(bits),
                finding: None,
            },
            (false, 32) => Self {
                iceberg: PrimitiveType::Long,
                physical: Physical::Unsigned(32),
                finding: Some((
                    Severity::Unsafe,
                    FindingCode::UnsignedInt32,
                    format!(
                        "`{column}` is an unsigned integer of 32 bits, read as `long`, which Spark cannot; rewrite it with `ctas`, or allow it"
                    ),
                )),
            },
            (false, _) => Self {
                iceberg: PrimitiveType::Long,
                physical: Physical::Unsigned(bits),
                finding: Some((
                    Severity::Refused,
                    FindingCode::UnsignedInt64,
                    format!(
                        "`{column}` is an unsigned integer of {bits} bits, which `long` cannot hold; `ctas` makes it a decimal(20, 0)"
                    ),
                )),
            },
        }
    }

    fn plain(iceberg: PrimitiveType) -> Self {
        Self {
            iceberg,
            physical: Physical::Plain,
            finding: None,
        }
    }

    fn refused(iceberg: PrimitiveType, code: FindingCode, message: String) -> Self {
        Self {
            iceberg,
            physical: Physical::Unreadable,
            finding: Some((Severity::Refused, code, message)),
        }
    }

    fn undefined(iceberg: PrimitiveType, column: &str, what: &str) -> Self {
        Self::refused(
            iceberg,
            FindingCode::UndefinedAnnotation,
            format!(
                "`{column}` is annotated as {what}, which this column cannot be; rewrite it with `ctas` by a reader that knows it"
            ),
        )
    }
}

/// The type of the physical type alone.
fn nearest(stored: PhysicalType, length: u64) -> PrimitiveType {
    match stored {
        PhysicalType::BOOLEAN => PrimitiveType::Boolean,
        PhysicalType::INT32 => PrimitiveType::Int,
        PhysicalType::INT64 => PrimitiveType::Long,
        PhysicalType::INT96 => PrimitiveType::Timestamptz,
        PhysicalType::FLOAT => PrimitiveType::Float,
        PhysicalType::DOUBLE => PrimitiveType::Double,
        PhysicalType::BYTE_ARRAY => PrimitiveType::Binary,
        PhysicalType::FIXED_LEN_BYTE_ARRAY => PrimitiveType::Fixed(length),
    }
}
