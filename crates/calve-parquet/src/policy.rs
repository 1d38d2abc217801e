//! Which types can be read right in place.

use iceberg::spec::{FormatVersion, PrimitiveType, Schema, Type};

/// How strictly types are judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypePolicy {
    /// The table's format version (nanoseconds need 3).
    pub format_version: FormatVersion,
    /// What INT96 columns are: instants (`timestamptz`, Spark) or wall-clock times (`timestamp`, Hive, Impala).
    /// Where a target table or Glue says which, that wins.
    pub int96_is_instant: bool,
    /// Whether `BYTE_ARRAY` columns without an annotation are text (old Hive and Impala), by column name
    /// (nested: the names joined by dots, `element`, `key` and `value` in lists and maps; case is ignored);
    /// filled from the target table's or Glue's types. Those not named are binary.
    pub text_columns: Vec<String>,
}

impl Default for TypePolicy {
    fn default() -> Self {
        Self {
            format_version: FormatVersion::V2,
            int96_is_instant: true,
            text_columns: Vec::new(),
        }
    }
}

impl TypePolicy {
    /// The policy for files of an existing table: its format version, its text columns.
    pub fn for_table(schema: &Schema, format_version: FormatVersion) -> Self {
        Self {
            format_version,
            text_columns: text_columns(schema),
            ..Self::default()
        }
    }

    pub(crate) fn is_text(&self, column: &str) -> bool {
        self.text_columns.iter().any(|name| same_name(name, column))
    }
}

/// The paths of all `string` fields of a schema, as [`TypePolicy::text_columns`] wants them.
pub(crate) fn text_columns(schema: &Schema) -> Vec<String> {
    let mut columns: Vec<String> = schema
        .field_id_to_name_map()
        .iter()
        .filter(|(id, _)| {
            schema.field_by_id(**id).is_some_and(|field| {
                matches!(
                    field.field_type.as_ref(),
                    Type::Primitive(PrimitiveType::String)
                )
            })
        })
        .map(|(_, name)| name.clone())
        .collect();
    columns.sort();
    columns
}

/// Whether two names are the same, but for case.
pub(crate) fn same_name(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right)
        || (!left.is_ascii() && !right.is_ascii() && left.to_lowercase() == right.to_lowercase())
}

/// One thing the policy has to say about one column of a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which rule it is.
    pub code: FindingCode,
    /// The path of the column, its names joined by dots; empty for the whole file.
    pub column: String,
    /// What is wrong, for people.
    pub message: String,
}

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; added in place.
    Note,
    /// Some readers get it wrong: refused, unless `--on-unsafe allow`.
    Unsafe,
    /// Cannot be read right in place: refused always; the way out is `ctas`.
    Refused,
}

/// Which rule of the policy a [`Finding`] comes from; the JSON report prints it in snake case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FindingCode {
    /// TIMESTAMP or TIME in milliseconds: bounds and row group filters of some readers are wrong.
    Milliseconds,
    /// TIMESTAMP in nanoseconds before format version 3, or TIME in nanoseconds.
    Nanoseconds,
    /// A timestamp in 96 bits, which says nothing of its time zone.
    Int96,
    /// INT96 from a writer whose convention is not the policy's.
    Int96Writer,
    /// An unsigned integer of 32 bits, read as `long`.
    UnsignedInt32,
    /// An unsigned integer of 64 bits, which no Iceberg type but a decimal holds.
    UnsignedInt64,
    /// A floating-point number of 16 bits.
    Float16,
    /// A decimal of more than 38 digits.
    DecimalPrecision,
    /// A decimal in a fixed-length byte array of more than 16 bytes.
    DecimalWidth,
    /// A time of day adjusted to UTC, which Iceberg's `time` cannot say.
    TimeUtc,
    /// A byte array without an annotation: binary, or text by the table's word.
    UnannotatedBinary,
    /// `char(n)` or `varchar(n)` of Hive, whose padding and length limit Iceberg does not keep.
    PaddedText,
    /// An interval.
    Interval,
    /// A list of two levels, as old writers made them.
    LegacyList,
    /// A repeated field outside of a list or a map.
    UnannotatedRepeated,
    /// A LIST that is none of the known shapes.
    MalformedList,
    /// A MAP that is none of the known shapes.
    MalformedMap,
    /// A map whose key may be null.
    MapOptionalKey,
    /// A map without values.
    MapNoValue,
    /// A map whose value stands before its key.
    MapSwitched,
    /// A group without fields.
    EmptyGroup,
    /// A file without columns.
    NoColumns,
    /// A VARIANT.
    Variant,
    /// A GEOMETRY or GEOGRAPHY.
    Geospatial,
    /// A column of the null type.
    NullType,
    /// An annotation that the Parquet format does not define, or not for this type.
    UndefinedAnnotation,
    /// Groups inside groups, deeper than anything reads.
    TooDeep,
    /// Two columns of the same path.
    DuplicateName,
    /// Two columns whose names differ only in case.
    AmbiguousCase,
    /// A field id in the range that Iceberg reserves, or a negative one.
    ReservedId,
    /// One field id for two columns.
    DuplicateId,
    /// Field ids on some columns only.
    MixedIds,
    /// LZ4 in Hadoop's framing, deprecated.
    CodecLz4,
    /// LZO.
    CodecLzo,
    /// Brotli.
    CodecBrotli,
    /// Dates or timestamps before 1582-10-15 in the hybrid Julian calendar.
    HybridCalendar,
}
