//! Types that no Iceberg table holds, read as those it holds: what a rewrite does to them.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use calve_lake::Lake;
use calve_parquet::{
    FileField, FileSchema, FileType, FindingCode, IdCoverage, Physical, SchemaUnion,
};
use chrono_tz::Tz;
use iceberg::spec::{FormatVersion, PrimitiveType};

/// How types that a table cannot hold are read.
///
/// | in the file | read as |
/// |---|---|
/// | time and timestamp in milliseconds | microseconds |
/// | timestamp in nanoseconds | nanoseconds (format version 3), else microseconds |
/// | time in nanoseconds | microseconds |
/// | INT96 | by [`Int96Zone`] |
/// | unsigned integers of 8 and 16, 32, 64 bits | `int`, `long`, `decimal(20, 0)` |
/// | FLOAT16 | `float` |
/// | decimals of more than 38 digits, or of more than 16 bytes | the same scale, at most 38 digits |
/// | INTERVAL, the null type | `string` |
/// | GEOMETRY, GEOGRAPHY | their WKB as `binary` |
/// | lists of two levels, repeated fields, maps without values | lists |
///
/// Field ids count only where all columns of a file have one.
///
/// A value that the other type does not hold is an error that names file and column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cures {
    /// The version of the table that the rows go into.
    pub format_version: FormatVersion,
    /// What INT96 timestamps mean.
    pub int96: Int96Zone,
    /// What becomes of nanoseconds where the table has microseconds.
    pub nanoseconds: Nanoseconds,
}

/// What INT96 timestamps mean, which do not say their time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Int96Zone {
    /// What clocks of that zone showed; they become instants (`timestamptz`). UTC takes them as they are,
    /// as Spark and Hive (3.1.2 and later) write them.
    Zone(Tz),
    /// What a clock showed, wherever it hung, as Impala and old Hive write them; they stay so (`timestamp`).
    Local,
}

/// A text that is no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no time zone: expected UTC, a name such as America/New_York, or local")]
pub struct Int96ZoneError {
    text: String,
}

impl FromStr for Int96Zone {
    type Err = Int96ZoneError;

    fn from_str(text: &str) -> Result<Self, Int96ZoneError> {
        match text.trim() {
            "local" => Ok(Self::Local),
            name => name.parse().map(Self::Zone).map_err(|_| Int96ZoneError {
                text: text.to_owned(),
            }),
        }
    }
}

impl Default for Int96Zone {
    fn default() -> Self {
        Self::Zone(chrono_tz::UTC)
    }
}

/// What becomes of nanoseconds where the table has microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Nanoseconds {
    /// A value with digits beyond the microsecond is an error.
    #[default]
    Check,
    /// Digits beyond the microsecond are cut off.
    Truncate,
}

/// Finds out, schema by schema, whether the files of a lake can be read together once their types are cured.
#[derive(Debug)]
pub struct CureCheck {
    union: SchemaUnion,
    /// Columns of these names are the folders', whatever files hold.
    keys: Vec<String>,
}

impl CureCheck {
    /// Starts with what the lake's folders, or its entry, say of its columns.
    ///
    /// # Errors
    /// When the entry's types mean nothing.
    pub fn new(lake: &Lake) -> calve_parquet::Result<Self> {
        Ok(Self {
            union: super::seeded_union(lake)?,
            keys: lake
                .partition_keys()
                .iter()
                .map(|key| key.name.to_lowercase())
                .collect(),
        })
    }

    /// Takes in one more schema.
    ///
    /// # Errors
    /// When files of this schema cannot be read, or contradict those before them. They are then left out.
    pub fn absorb(&mut self, schema: &Arc<FileSchema>) -> calve_parquet::Result<()> {
        let mut cured = cure(schema);
        let is_key = |field: &FileField| self.keys.contains(&field.name.to_lowercase());
        if cured.fields.iter().any(is_key) {
            Arc::make_mut(&mut cured)
                .fields
                .retain(|field| !is_key(field));
        }
        self.union.absorb(&cured).map(drop)
    }
}

/// The schema of a file, with types that a table holds in the place of those that none does.
pub(super) fn cure(schema: &Arc<FileSchema>) -> Arc<FileSchema> {
    let codes: HashMap<&str, FindingCode> = schema
        .findings
        .iter()
        .map(|finding| (finding.column.as_str(), finding.code))
        .collect();
    let mut fields = schema.fields.clone();
    // Ids on some columns only tell nothing: then names do.
    let drops_ids = schema.id_coverage() == IdCoverage::Some;
    for field in &mut fields {
        let path = field.name.clone();
        cure_field(field, &path, &codes);
        if drops_ids {
            drop_ids(field);
        }
    }
    if fields == schema.fields {
        return Arc::clone(schema);
    }
    let mut cured = schema.as_ref().clone();
    cured.fields = fields;
    Arc::new(cured)
}

fn drop_ids(field: &mut FileField) {
    field.field_id = None;
    match &mut field.kind {
        FileType::Primitive { .. } => {}
        FileType::Struct(fields) => fields.iter_mut().for_each(drop_ids),
        FileType::List(element) => drop_ids(element),
        FileType::Map(key, value) => {
            drop_ids(key);
            drop_ids(value);
        }
    }
}

fn cure_field(field: &mut FileField, path: &str, codes: &HashMap<&str, FindingCode>) {
    match &mut field.kind {
        FileType::Primitive {
            iceberg, physical, ..
        } => {
            if let Some(cured) = cured(iceberg, *physical, codes.get(path).copied()) {
                (*iceberg, *physical) = (cured, Physical::Plain);
            }
        }
        FileType::Struct(fields) => {
            for field in fields {
                let path = format!("{path}.{}", field.name);
                cure_field(field, &path, codes);
            }
        }
        FileType::List(element) => cure_field(element, &format!("{path}.element"), codes),
        FileType::Map(key, value) => {
            cure_field(key, &format!("{path}.key"), codes);
            cure_field(value, &format!("{path}.value"), codes);
        }
    }
}

/// The type that a leaf is read as, where it is none that a table holds.
fn cured(
    iceberg: &PrimitiveType,
    physical: Physical,
    code: Option<FindingCode>,
) -> Option<PrimitiveType> {
    match (physical, code) {
        (Physical::Unsigned(64), _) => Some(PrimitiveType::Decimal {
            precision: 20,
            scale: 0,
        }),
        (Physical::Nanos, Some(FindingCode::Nanoseconds)) => Some(iceberg.clone()),
        (Physical::Unreadable, Some(FindingCode::Interval | FindingCode::NullType)) => {
            Some(PrimitiveType::String)
        }
        (Physical::Unreadable, Some(FindingCode::DecimalPrecision)) => match iceberg {
            PrimitiveType::Decimal { scale, .. } => Some(PrimitiveType::Decimal {
                precision: 38,
                scale: *scale,
            }),
            _ => None,
        },
        (
            Physical::Unreadable,
            Some(
                FindingCode::Float16
                | FindingCode::Geospatial
                | FindingCode::DecimalWidth
                | FindingCode::UndefinedAnnotation,
            ),
        ) => Some(iceberg.clone()),
        _ => None,
    }
}
