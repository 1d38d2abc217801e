//! Values as JSON text, for columns with parts that must become strings.

use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use crate::cast::with_zone;
use crate::schema::types::UTC;

/// Each value of the array as JSON; nulls stay null.
///
/// Fields that are null are left out, as Spark's `to_json` does; elements of lists that are null are
/// kept. Numbers are written with all their digits, dates and times as ISO 8601 strings.
pub(crate) fn json_strings(array: &dyn Array) -> Result<ArrayRef, ArrowError> {
    let mut builder = StringBuilder::with_capacity(array.len(), 16 * array.len());
    let mut text = String::new();
    for row in 0..array.len() {
        if array.is_null(row) {
            builder.append_null();
        } else {
            text.clear();
            write_value(&mut text, array, row)?;
            builder.append_value(&text);
        }
    }
    Ok(std::sync::Arc::new(builder.finish()))
}

fn write_value(text: &mut String, array: &dyn Array, row: usize) -> Result<(), ArrowError> {
    if array.is_null(row) || array.data_type() == &DataType::Null {
        text.push_str("null");
        return Ok(());
    }
    match array.data_type() {
        DataType::Struct(fields) => {
            let array = array.as_struct();
            let mut separator = '{';
            for (field, column) in fields.iter().zip(array.columns()) {
                if column.is_null(row) || column.data_type() == &DataType::Null {
                    continue;
                }
                text.push(separator);
                separator = ',';
                write_text(text, field.name());
                text.push(':');
                write_value(text, column.as_ref(), row)?;
            }
            if separator == '{' {
                text.push('{');
            }
            text.push('}');
        }
        DataType::List(_) => {
            let values = array.as_list::<i32>().value(row);
            text.push('[');
            for at in 0..values.len() {
                if at > 0 {
                    text.push(',');
                }
                write_value(text, values.as_ref(), at)?;
            }
            text.push(']');
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let (keys, values) = (entries.column(0), entries.column(1));
            text.push('{');
            for at in 0..entries.len() {
                if at > 0 {
                    text.push(',');
                }
                write_text(text, &formatted(keys.as_ref(), at)?);
                text.push(':');
                write_value(text, values.as_ref(), at)?;
            }
            text.push('}');
        }
        _ => write_scalar(text, array, row)?,
    }
    Ok(())
}

fn write_scalar(text: &mut String, array: &dyn Array, row: usize) -> Result<(), ArrowError> {
    let value = formatted(array, row)?;
    let is_bare = match array.data_type() {
        DataType::Boolean | DataType::Decimal128(..) => true,
        // Not-a-number and infinity have no place in JSON but in quotes.
        DataType::Float32 | DataType::Float64 => value.ends_with(|it: char| it.is_ascii_digit()),
        other => other.is_integer(),
    };
    if is_bare {
        text.push_str(&value);
    } else {
        write_text(text, &value);
    }
    Ok(())
}

/// One value as text, without quotes.
pub(crate) fn formatted(array: &dyn Array, row: usize) -> Result<String, ArrowError> {
    let options = FormatOptions::default();
    let single = with_zone(&array.slice(row, 1), UTC, "+00:00");
    let formatter = ArrayFormatter::try_new(single.as_ref(), &options)?;
    formatter.value(0).try_to_string()
}

pub(crate) fn write_text(text: &mut String, value: &str) {
    text.push('"');
    for it in value.chars() {
        match it {
            '"' | '\\' => {
                text.push('\\');
                text.push(it);
            }
            it if u32::from(it) < 0x20 => {
                let _ = write!(text, "\\u{:04x}", u32::from(it));
            }
            it => text.push(it),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;

    use super::json_strings;
    use crate::arbitrary_batch::batch_of;

    #[test]
    fn values_become_json() {
        let batch = batch_of(
            "s struct<a: bigint, d: decimal(5,2), t: array<string>, f: double>",
            &[
                r#"{"s":{"a":1,"d":1.50,"t":["x\"\n",null],"f":0.5}}"#,
                r#"{"s":{"t":[]}}"#,
                r#"{"s":{}}"#,
                r"{}",
            ],
        );
        let texts = json_strings(batch.column(0).as_ref()).unwrap();
        let texts: Vec<_> = texts.as_string::<i32>().iter().collect();
        assert_eq!(
            texts,
            [
                Some(r#"{"a":1,"d":1.50,"t":["x\"\u000a",null],"f":0.5}"#),
                Some(r#"{"t":[]}"#),
                Some("{}"),
                None,
            ]
        );
    }
}
