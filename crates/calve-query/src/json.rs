//! Rows as JSON, where Arrow's own writer would lose something: decimals are strings, floats that
//! JSON has no word for are `"NaN"`, `"Infinity"` and `"-Infinity"`, and maps may have keys of any type.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, MapArray};
use arrow::datatypes::{DataType, FieldRef, Float32Type, Float64Type};
use arrow::error::ArrowError;
use arrow::json::writer::{JsonArray, NullableEncoder, make_encoder};
use arrow::json::{Encoder, EncoderFactory, EncoderOptions, WriterBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};

/// How decimals and the keys of maps are written.
const PLAIN: FormatOptions = FormatOptions::new();

/// Arrow's own way, for what loses nothing in it.
static DEFAULT_OPTIONS: LazyLock<EncoderOptions> = LazyLock::new(EncoderOptions::default);

/// A writer of one JSON array of row objects.
pub type Writer<W> = arrow::json::Writer<W, JsonArray>;

/// Makes a writer of one JSON array of row objects.
pub fn writer<W: std::io::Write>(into: W) -> Writer<W> {
    WriterBuilder::new()
        .with_explicit_nulls(true)
        .with_encoder_factory(Arc::new(Lossless))
        .build(into)
}

/// Each value of a column as JSON text; `None` where it is null.
///
/// # Errors
/// When the column's type has no form in JSON.
pub fn texts(field: &FieldRef, column: &dyn Array) -> Result<Vec<Option<String>>, ArrowError> {
    let options = EncoderOptions::default()
        .with_explicit_nulls(true)
        .with_encoder_factory(Arc::new(Lossless));
    let mut encoder = make_encoder(field, column, &options)?;
    let text = |row| {
        let mut text = Vec::new();
        encoder.encode(row, &mut text);
        String::from_utf8_lossy(&text).into_owned()
    };
    let mut text = text;
    Ok((0..column.len())
        .map(|row| column.is_valid(row).then(|| text(row)))
        .collect())
}

/// Chooses an encoder where Arrow's own would lose something.
#[derive(Debug)]
struct Lossless;

impl EncoderFactory for Lossless {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..) => Box::new(Quoted(ArrayFormatter::try_new(array, &PLAIN)?)),
            DataType::Float32 => {
                let values = array.as_primitive::<Float32Type>();
                Box::new(Floats {
                    value: Box::new(|row| f64::from(values.value(row))),
                    finite: make_encoder(field, array, &DEFAULT_OPTIONS)?,
                })
            }
            DataType::Float64 => {
                let values = array.as_primitive::<Float64Type>();
                Box::new(Floats {
                    value: Box::new(|row| values.value(row)),
                    finite: make_encoder(field, array, &DEFAULT_OPTIONS)?,
                })
            }
            DataType::Map(..) => Box::new(Map::new(field, array.as_map(), options)?),
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

/// Values as strings.
struct Quoted<'a>(ArrayFormatter<'a>);

impl Encoder for Quoted<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        quote(&self.0.value(row).to_string(), out);
    }
}

/// Floats, of which some have no form in JSON.
struct Floats<'a> {
    value: Box<dyn Fn(usize) -> f64 + 'a>,
    finite: NullableEncoder<'a>,
}

impl Encoder for Floats<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let value = (self.value)(row);
        if value.is_finite() {
            self.finite.encode(row, out);
        } else if value.is_nan() {
            quote("NaN", out);
        } else if value > 0.0 {
            quote("Infinity", out);
        } else {
            quote("-Infinity", out);
        }
    }
}

/// Maps as objects, whatever the type of their keys.
struct Map<'a> {
    entries: &'a MapArray,
    keys: ArrayFormatter<'a>,
    values: NullableEncoder<'a>,
}

impl<'a> Map<'a> {
    fn new(
        field: &'a FieldRef,
        map: &'a MapArray,
        options: &'a EncoderOptions,
    ) -> Result<Self, ArrowError> {
        Ok(Self {
            entries: map,
            keys: ArrayFormatter::try_new(map.keys(), &PLAIN)?,
            values: make_encoder(field, map.values(), options)?,
        })
    }
}

impl Encoder for Map<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let offsets = self.entries.value_offsets();
        let bounds = [offsets[row], offsets[row + 1]].map(|it| usize::try_from(it).unwrap_or(0));
        out.push(b'{');
        for entry in bounds[0]..bounds[1] {
            if entry > bounds[0] {
                out.push(b',');
            }
            quote(&self.keys.value(entry).to_string(), out);
            out.push(b':');
            if self.values.is_null(entry) {
                out.extend_from_slice(b"null");
            } else {
                self.values.encode(entry, out);
            }
        }
        out.push(b'}');
    }
}

/// Writes a text as a JSON string.
fn quote(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(serde_json::Value::from(text).to_string().as_bytes());
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        ArrayRef, Decimal128Array, Float32Array, Float64Array, Int32Builder, MapBuilder,
        RecordBatch, StringBuilder, TimestampMicrosecondArray,
    };

    use super::*;

    #[track_caller]
    fn check(column: ArrayRef, expected: &str) {
        let batch = RecordBatch::try_from_iter_with_nullable([("c", column, true)]).unwrap();
        let mut text = Vec::new();
        let mut writer = writer(&mut text);
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        serde_json::from_str::<serde_json::Value>(expected).unwrap();
    }

    #[test]
    fn nothing_is_lost() {
        let decimals = Decimal128Array::from(vec![Some(12345), None])
            .with_precision_and_scale(10, 2)
            .unwrap();
        check(Arc::new(decimals), r#"[{"c":"123.45"},{"c":null}]"#);
        check(
            Arc::new(Float64Array::from(vec![0.1, f64::NAN, f64::NEG_INFINITY])),
            r#"[{"c":0.1},{"c":"NaN"},{"c":"-Infinity"}]"#,
        );
        check(
            Arc::new(Float32Array::from(vec![Some(0.1), None])),
            r#"[{"c":0.1},{"c":null}]"#,
        );
        let times = TimestampMicrosecondArray::from(vec![1_700_000_000_123_456]);
        check(
            Arc::new(times.clone()),
            r#"[{"c":"2023-11-14T22:13:20.123456"}]"#,
        );
        check(
            Arc::new(times.with_timezone("+00:00")),
            r#"[{"c":"2023-11-14T22:13:20.123456Z"}]"#,
        );
    }

    #[test]
    fn maps_are_objects() {
        let mut map = MapBuilder::new(None, Int32Builder::new(), StringBuilder::new());
        map.keys().append_value(7);
        map.values().append_value("a\"b");
        map.keys().append_value(-1);
        map.values().append_null();
        map.append(true).unwrap();
        map.append(false).unwrap();
        map.append(true).unwrap();
        check(
            Arc::new(map.finish()),
            r#"[{"c":{"7":"a\"b","-1":null}},{"c":null},{"c":{}}]"#,
        );
    }
}
