//! Arrow types by the names that Spark gives them, to compare columns with other readers'.

use arrow::datatypes::{DataType, Schema};

/// A type by Spark's name.
///
/// # Panics
/// When Spark has no such type.
pub fn spark_type(kind: &DataType) -> String {
    match kind {
        DataType::Boolean => "boolean".to_owned(),
        DataType::Int32 => "int".to_owned(),
        DataType::Int64 => "bigint".to_owned(),
        DataType::Float32 => "float".to_owned(),
        DataType::Float64 => "double".to_owned(),
        DataType::Utf8 => "string".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::FixedSizeBinary(_) => {
            "binary".to_owned()
        }
        DataType::Date32 => "date".to_owned(),
        DataType::Timestamp(_, Some(_)) => "timestamp".to_owned(),
        DataType::Timestamp(_, None) => "timestamp_ntz".to_owned(),
        DataType::Decimal128(precision, scale) => format!("decimal({precision},{scale})"),
        DataType::List(element) => format!("array<{}>", spark_type(element.data_type())),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) if pair.len() == 2 => {
                let [key, value] = [0, 1].map(|at| spark_type(pair[at].data_type()));
                format!("map<{key},{value}>")
            }
            other => panic!("a map of {other}"),
        },
        DataType::Struct(fields) => {
            let fields = fields.iter();
            let fields =
                fields.map(|field| format!("{}:{}", field.name(), spark_type(field.data_type())));
            format!("struct<{}>", fields.collect::<Vec<_>>().join(","))
        }
        other => panic!("Spark has no {other}"),
    }
}

/// The names and types of columns, in their order.
///
/// # Panics
/// As [`spark_type`].
pub fn spark_columns(schema: &Schema) -> Vec<(String, String)> {
    let fields = schema.fields().iter();
    fields
        .map(|field| (field.name().clone(), spark_type(field.data_type())))
        .collect()
}
