//! Real files: the bounds of every flat column against all of its values.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::ColumnDescriptor;

use super::oracle::{Value, check_within};
use super::*;

/// What the specification says this leaf column is.
fn mapping_of(column: &ColumnDescriptor, field_id: i32) -> Option<LeafMapping> {
    let (table_type, physical) = kind_of(column)?;
    Some(LeafMapping {
        field_id,
        file_type: table_type.clone(),
        table_type,
        physical,
        repeated: column.max_rep_level() > 0,
    })
}

fn kind_of(column: &ColumnDescriptor) -> Option<(PrimitiveType, Physical)> {
    use Physical::Plain;
    let zoned = |utc: bool| {
        if utc {
            PrimitiveType::Timestamptz
        } else {
            PrimitiveType::Timestamp
        }
    };
    let unit = |unit: &TimeUnit| match unit {
        TimeUnit::MILLIS => Physical::Millis,
        TimeUnit::MICROS => Plain,
        TimeUnit::NANOS => Physical::Nanos,
    };
    Some(match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Decimal { .. }), _) | (None, ConvertedType::DECIMAL) => {
            let precision = u32::try_from(column.type_precision()).ok()?;
            let scale = u32::try_from(column.type_scale()).ok()?;
            (PrimitiveType::Decimal { precision, scale }, Plain)
        }
        (Some(LogicalType::Date), _) | (None, ConvertedType::DATE) => (PrimitiveType::Date, Plain),
        (Some(LogicalType::Time { unit: u, .. }), _) => (PrimitiveType::Time, unit(u)),
        (None, ConvertedType::TIME_MILLIS) => (PrimitiveType::Time, Physical::Millis),
        (None, ConvertedType::TIME_MICROS) => (PrimitiveType::Time, Plain),
        (
            Some(LogicalType::Timestamp {
                is_adjusted_to_u_t_c: utc,
                unit: u,
            }),
            _,
        ) => (zoned(*utc), unit(u)),
        (None, ConvertedType::TIMESTAMP_MILLIS) => (zoned(true), Physical::Millis),
        (None, ConvertedType::TIMESTAMP_MICROS) => (zoned(true), Plain),
        (
            Some(LogicalType::Integer {
                bit_width,
                is_signed: false,
            }),
            _,
        ) => unsigned(bit_width.cast_unsigned()),
        (None, ConvertedType::UINT_8) => unsigned(8),
        (None, ConvertedType::UINT_16) => unsigned(16),
        (None, ConvertedType::UINT_32) => unsigned(32),
        (None, ConvertedType::UINT_64) => unsigned(64),
        (Some(LogicalType::String | LogicalType::Enum | LogicalType::Json), _)
        | (None, ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON) => {
            (PrimitiveType::String, Plain)
        }
        (Some(LogicalType::Uuid), _) => (PrimitiveType::Uuid, Plain),
        (Some(LogicalType::Integer { .. } | LogicalType::Bson), _)
        | (
            None,
            ConvertedType::NONE
            | ConvertedType::BSON
            | ConvertedType::INT_8
            | ConvertedType::INT_16
            | ConvertedType::INT_32
            | ConvertedType::INT_64,
        ) => bare(column)?,
        _ => return None,
    })
}

fn unsigned(bits: u8) -> (PrimitiveType, Physical) {
    let kind = match bits {
        64 => PrimitiveType::Decimal {
            precision: 20,
            scale: 0,
        },
        32 => PrimitiveType::Long,
        _ => PrimitiveType::Int,
    };
    (kind, Physical::Unsigned(bits))
}

fn bare(column: &ColumnDescriptor) -> Option<(PrimitiveType, Physical)> {
    let kind = match column.physical_type() {
        Type::BOOLEAN => PrimitiveType::Boolean,
        Type::INT32 => PrimitiveType::Int,
        Type::INT64 => PrimitiveType::Long,
        Type::INT96 => return Some((PrimitiveType::Timestamptz, Physical::Int96)),
        Type::FLOAT => PrimitiveType::Float,
        Type::DOUBLE => PrimitiveType::Double,
        Type::BYTE_ARRAY => PrimitiveType::Binary,
        Type::FIXED_LEN_BYTE_ARRAY => {
            PrimitiveType::Fixed(u64::try_from(column.type_length()).ok()?)
        }
    };
    Some((kind, Physical::Plain))
}

/// All values of a column chunk that are not null; `None` where they cannot be read.
fn read_chunk(reader: ColumnReader) -> Option<Vec<Value>> {
    fn all<T: DataType>(
        mut reader: ColumnReaderImpl<T>,
        value: impl Fn(&T::T) -> Value,
    ) -> Option<Vec<Value>> {
        let mut values = Vec::new();
        loop {
            let (mut batch, mut definitions, mut repetitions) = (vec![], vec![], vec![]);
            let (records, _, levels) = reader
                .read_records(
                    4096,
                    Some(&mut definitions),
                    Some(&mut repetitions),
                    &mut batch,
                )
                .ok()?;
            if records == 0 && levels == 0 {
                return Some(values);
            }
            values.extend(batch.iter().map(&value));
        }
    }
    match reader {
        ColumnReader::BoolColumnReader(reader) => all(reader, |v| Value::Boolean(*v)),
        ColumnReader::Int32ColumnReader(reader) => all(reader, |v| Value::Int32(*v)),
        ColumnReader::Int64ColumnReader(reader) => all(reader, |v| Value::Int64(*v)),
        ColumnReader::Int96ColumnReader(_) => Some(Vec::new()),
        ColumnReader::FloatColumnReader(reader) => all(reader, |v| Value::Float(*v)),
        ColumnReader::DoubleColumnReader(reader) => all(reader, |v| Value::Double(*v)),
        ColumnReader::ByteArrayColumnReader(reader) => {
            all(reader, |v| Value::Bytes(v.data().to_vec()))
        }
        ColumnReader::FixedLenByteArrayColumnReader(reader) => {
            all(reader, |v| Value::Bytes(v.data().to_vec()))
        }
    }
}

fn read_column(reader: &dyn FileReader, leaf: usize) -> Option<Vec<Value>> {
    let mut values = Vec::new();
    for group in 0..reader.num_row_groups() {
        let chunk = reader
            .get_row_group(group)
            .ok()?
            .get_column_reader(leaf)
            .ok()?;
        values.extend(read_chunk(chunk)?);
    }
    Some(values)
}

/// What came of one file.
#[derive(Debug, Default)]
struct Tally {
    refused: Vec<String>,
    columns: usize,
    bounded: usize,
    unreadable: usize,
}

fn check_file(path: &Path, bytes: Bytes, tally: &mut Tally) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let Ok(reader) = SerializedFileReader::new(bytes) else {
        return;
    };
    let footer = reader.metadata();
    let schema = footer.file_metadata().schema_descr();
    let leaves: Vec<_> = (1..)
        .zip(schema.columns())
        .map(|(field_id, column)| mapping_of(column, field_id))
        .collect();
    let mapping = ColumnMapping {
        leaves,
        file_paths: HashMap::new(),
    };
    for mode in [MetricsMode::Full, MetricsMode::Truncate(2)] {
        let metrics = match file_metrics(footer, &mapping, &MetricsConfig::uniform(mode)) {
            Ok(metrics) => metrics,
            Err(error) => {
                tally.refused.push(format!("{name}: {error}"));
                return;
            }
        };
        for (leaf, mapping) in mapping.leaves.iter().enumerate() {
            let Some(mapping) = mapping else { continue };
            tally.columns += 1;
            if !metrics.lower_bounds.contains_key(&mapping.field_id) {
                continue;
            }
            tally.bounded += 1;
            // Some files are there because they cannot be read.
            let read = catch_unwind(AssertUnwindSafe(|| read_column(&reader, leaf)));
            let Ok(Some(values)) = read else {
                tally.unreadable += 1;
                continue;
            };
            let data: Vec<Datum> = values.iter().filter_map(|v| v.datum(mapping)).collect();
            let context = format!("{name}: {}", schema.column(leaf).path().string());
            check_within(&metrics, mapping.field_id, &data, false, &context);
        }
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs_err::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn bounds_hold_for_the_data() {
    let Some(data) = calve_testkit::shared_data() else {
        println!("skipped: no shared data");
        return;
    };
    let mut paths = Vec::new();
    files(&data.join("parquet"), &mut paths);
    paths.sort();
    let mut tally = Tally::default();
    for path in paths {
        let bytes = Bytes::from(fs_err::read(&path).unwrap());
        if bytes.len() < 4_000_000 && bytes.ends_with(b"PAR1") {
            check_file(&path, bytes, &mut tally);
        }
    }
    println!("{tally:#?}");
    assert!(tally.bounded > 500, "{} columns with bounds", tally.bounded);
    assert!(tally.unreadable * 10 < tally.bounded);
}
