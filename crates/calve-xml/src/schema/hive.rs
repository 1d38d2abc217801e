//! Columns as Hive and Glue spell them: `struct<a:int,b:array<string>>`, all names in lower case.

use arrow::datatypes::{DataType, Field, Schema};

use super::ddl::parse_type;
use super::types::map_entries;
use crate::{Error, Result};

/// The columns of a schema, as pairs of a name and a Hive type.
///
/// # Errors
/// When two names differ by case only, which Hive does not tell apart, or a name or type cannot stand in
/// a Hive type.
pub fn to_hive_columns(schema: &Schema) -> Result<Vec<(String, String)>> {
    let mut columns: Vec<(String, String)> = Vec::new();
    for field in schema.fields() {
        let name = lower(
            field.name(),
            columns.iter().map(|(name, _)| name.as_str()),
            "",
        )?;
        columns.push((name, type_text(field, field.name())?));
    }
    Ok(columns)
}

/// Reads columns as they stand in a Hive-style table. The decoder finds elements whatever their case.
///
/// # Errors
/// When a type cannot be read.
pub fn from_hive_columns<'a>(
    columns: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Schema> {
    let field = |(name, text): (&str, &str)| Ok(Field::new(name, parse_type(text)?, true));
    let fields = columns.into_iter().map(field).collect::<Result<Vec<_>>>()?;
    Ok(Schema::new(fields))
}

fn lower<'a>(name: &str, mut others: impl Iterator<Item = &'a str>, path: &str) -> Result<String> {
    let lower = name.to_lowercase();
    if others.any(|other| other == lower) {
        return Err(error(
            &format!("{path}{name}"),
            "differs from another column by case only, which Hive does not tell apart",
        ));
    }
    Ok(lower)
}

fn type_text(field: &Field, path: &str) -> Result<String> {
    Ok(match field.data_type() {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int8 => "tinyint".to_owned(),
        DataType::Int16 => "smallint".to_owned(),
        DataType::Int32 => "int".to_owned(),
        // Hive has no time of day: it reads the number that is in the file.
        DataType::Int64 | DataType::Time64(_) => "bigint".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::Utf8 | DataType::Null => "string".to_owned(),
        DataType::Binary => "binary".to_owned(),
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(..) => "timestamp".to_owned(),
        DataType::Struct(children) => {
            let mut names: Vec<String> = Vec::new();
            let mut parts = Vec::new();
            for child in children {
                if child
                    .name()
                    .contains([':', ',', '<', '>', '`', ' ', '{', '}'])
                {
                    let problem = "the name cannot stand in a Hive type";
                    return Err(error(&format!("{path}.{}", child.name()), problem));
                }
                let known = names.iter().map(String::as_str);
                let name = lower(child.name(), known, &format!("{path}."))?;
                let of = type_text(child, &format!("{path}.{}", child.name()))?;
                parts.push(format!("{name}:{of}"));
                names.push(name);
            }
            format!("struct<{}>", parts.join(","))
        }
        DataType::List(element) => format!("array<{}>", type_text(element, path)?),
        DataType::Map(entries, _) => match map_entries(entries) {
            Some((key, value)) => {
                format!("map<{},{}>", type_text(key, path)?, type_text(value, path)?)
            }
            None => return Err(error(path, "is no map")),
        },
        other => return Err(error(path, &format!("Hive has no type `{other}`"))),
    })
}

fn error(column: &str, problem: &str) -> Error {
    Error::Column {
        column: column.to_owned(),
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::ddl::{parse_ddl, to_ddl};

    #[track_caller]
    fn check(ddl: &str, expected: &[(&str, &str)], back: &str) {
        let columns = to_hive_columns(&parse_ddl(ddl).unwrap()).unwrap();
        let columns: Vec<_> = columns
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        assert_eq!(columns, expected);
        assert_eq!(to_ddl(&from_hive_columns(columns).unwrap()).unwrap(), back);
    }

    #[test]
    fn columns_are_written_and_read() {
        check(
            "Id BIGINT, s STRUCT<Name: STRING, tags: ARRAY<STRUCT<k: INT, v: DECIMAL(9,2)>>>",
            &[
                ("id", "bigint"),
                (
                    "s",
                    "struct<name:string,tags:array<struct<k:int,v:decimal(9,2)>>>",
                ),
            ],
            "id BIGINT, s STRUCT<name: STRING, tags: ARRAY<STRUCT<k: INT, v: DECIMAL(9,2)>>>",
        );
        check(
            "m MAP<STRING, DOUBLE>, `gml:at` TIMESTAMP, l TIMESTAMP_NTZ, d DATE",
            &[
                ("m", "map<string,double>"),
                ("gml:at", "timestamp"),
                ("l", "timestamp"),
                ("d", "date"),
            ],
            "m MAP<STRING, DOUBLE>, `gml:at` TIMESTAMP, l TIMESTAMP, d DATE",
        );
    }

    #[test]
    fn what_hive_cannot_say_is_refused() {
        for (ddl, column) in [
            ("a INT, A STRING", "A"),
            ("s STRUCT<a: INT, A: STRING>", "s.A"),
            ("s STRUCT<`gml:pos`: INT>", "s.gml:pos"),
        ] {
            let error = to_hive_columns(&parse_ddl(ddl).unwrap()).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("column `{column}`")),
                "{error}"
            );
        }
    }
}
