//! Spark's names of types, and the Arrow types that stand for them.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};

/// The zone of Spark's `timestamp`.
pub(crate) const UTC: &str = "UTC";

/// The metadata key under which Spark itself remembers that a string is a `char(n)` or `varchar(n)`.
pub(crate) const CHAR_VARCHAR: &str = "__CHAR_VARCHAR_TYPE_STRING";

/// The metadata key of a column's comment, in Spark and here.
pub(crate) const COMMENT: &str = "comment";

/// A type with what Arrow can only say on the field that has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Typed {
    pub(crate) data_type: DataType,
    pub(crate) metadata: HashMap<String, String>,
}

impl Typed {
    /// The field of this type.
    pub(crate) fn into_field(self, name: &str, nullable: bool) -> Field {
        Field::new(name, self.data_type, nullable).with_metadata(self.metadata)
    }

    /// The list of this type, its elements called as Parquet calls them.
    pub(crate) fn into_list(self, elements_nullable: bool) -> DataType {
        DataType::List(Arc::new(self.into_field("element", elements_nullable)))
    }
}

impl From<DataType> for Typed {
    fn from(data_type: DataType) -> Self {
        Self {
            data_type,
            metadata: HashMap::new(),
        }
    }
}

/// The map from `key` to `value`, in the shape that the crate's maps have.
pub(crate) fn map_type(key: Typed, value: Typed, values_nullable: bool) -> DataType {
    let key = key.into_field("key", false);
    let value = value.into_field("value", values_nullable);
    let entries = DataType::Struct(vec![key, value].into());
    DataType::Map(Arc::new(Field::new("key_value", entries, false)), false)
}

/// The fields `key` and `value` of a map.
pub(crate) fn map_entries(entries: &Field) -> Option<(&FieldRef, &FieldRef)> {
    match entries.data_type() {
        DataType::Struct(fields) if fields.len() == 2 => Some((&fields[0], &fields[1])),
        _ => None,
    }
}

/// Spark's `timestamp`: a point in time.
pub(crate) fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
}

/// The type that a name without parameters stands for, in any spelling of Spark, Hive or Glue.
pub(crate) fn named(name: &str) -> Option<DataType> {
    Some(match name {
        "null" | "void" | "unknown" => DataType::Null,
        "boolean" | "bool" => DataType::Boolean,
        "byte" | "tinyint" => DataType::Int8,
        "short" | "smallint" => DataType::Int16,
        "int" | "integer" => DataType::Int32,
        "long" | "bigint" => DataType::Int64,
        "float" | "real" => DataType::Float32,
        "double" => DataType::Float64,
        "decimal" | "dec" | "numeric" => DataType::Decimal128(10, 0),
        "string" => DataType::Utf8,
        "binary" => DataType::Binary,
        "date" => DataType::Date32,
        "time" => DataType::Time64(TimeUnit::Microsecond),
        "timestamp" | "timestamp_ltz" => timestamp(),
        "timestamp_ntz" => DataType::Timestamp(TimeUnit::Microsecond, None),
        _ => return None,
    })
}

/// The type that a name with numbers in parentheses stands for, such as `decimal(12,2)`.
///
/// # Errors
/// With what is wrong, as a phrase.
pub(crate) fn with_parameters(name: &str, parameters: &[u32]) -> Result<Typed, String> {
    match (name, parameters) {
        ("decimal" | "dec" | "numeric", [precision]) => decimal(*precision, 0),
        ("decimal" | "dec" | "numeric", [precision, scale]) => decimal(*precision, *scale),
        // Spark's times carry their digits; Arrow's microseconds hold all that Spark allows.
        ("time", [0..=6]) => Ok(DataType::Time64(TimeUnit::Microsecond).into()),
        ("char" | "character" | "varchar", [length]) => {
            let name = if name == "varchar" { name } else { "char" };
            let text = format!("{name}({length})");
            Ok(Typed {
                data_type: DataType::Utf8,
                metadata: HashMap::from([(CHAR_VARCHAR.to_owned(), text)]),
            })
        }
        ("char" | "character" | "varchar", []) => Err(format!("`{name}` needs a length")),
        (_, []) => named(name)
            .map(Typed::from)
            .ok_or_else(|| format!("`{name}` is no type that XML can be read as")),
        _ => Err(format!("`{name}` does not take these parameters")),
    }
}

fn decimal(precision: u32, scale: u32) -> Result<Typed, String> {
    if precision == 0 || precision > 38 || scale > precision {
        return Err(format!(
            "decimal({precision},{scale}): the precision is from 1 to 38, the scale not above it"
        ));
    }
    let fits = "at most 38";
    let precision = u8::try_from(precision).expect(fits);
    let scale = i8::try_from(scale).expect(fits);
    Ok(DataType::Decimal128(precision, scale).into())
}

/// The name of a type without parts, in the spelling of Spark's JSON (`long`) or DDL (`BIGINT`); none
/// for types with parts, and for types that Spark has not.
pub(crate) fn scalar_name(
    data_type: &DataType,
    metadata: &HashMap<String, String>,
    ddl: bool,
) -> Option<String> {
    let (json, sql) = match data_type {
        DataType::Null => ("void", "VOID"),
        DataType::Boolean => ("boolean", "BOOLEAN"),
        DataType::Int8 => ("byte", "TINYINT"),
        DataType::Int16 => ("short", "SMALLINT"),
        DataType::Int32 => ("integer", "INT"),
        DataType::Int64 => ("long", "BIGINT"),
        DataType::Float32 => ("float", "FLOAT"),
        DataType::Float64 => ("double", "DOUBLE"),
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            let name = if ddl { "DECIMAL" } else { "decimal" };
            return Some(format!("{name}({precision},{scale})"));
        }
        DataType::Utf8 => match metadata.get(CHAR_VARCHAR) {
            Some(text) if ddl => return Some(text.to_uppercase()),
            _ => ("string", "STRING"),
        },
        DataType::Binary => ("binary", "BINARY"),
        DataType::Date32 => ("date", "DATE"),
        DataType::Time64(TimeUnit::Microsecond) => ("time(6)", "TIME(6)"),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => ("timestamp", "TIMESTAMP"),
        DataType::Timestamp(TimeUnit::Microsecond, None) => ("timestamp_ntz", "TIMESTAMP_NTZ"),
        _ => return None,
    };
    Some(if ddl { sql } else { json }.to_owned())
}
