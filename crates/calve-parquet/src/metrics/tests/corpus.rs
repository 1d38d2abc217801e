//! Real files: the bounds of every flat column against all of its values.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::oracle::{Value, check_within};
use super::*;
use crate::policy::TypePolicy;
use crate::schema::{FileField, FileSchema, FileType};

/// The leaf columns of a table made for this file alone; field ids are their indexes plus one.
fn mapping_of(footer: &ParquetMetaData) -> ColumnMapping {
    let schema = FileSchema::from_footer(footer, &TypePolicy::default());
    let mut leaves = vec![None; schema.leaf_count];
    map_leaves(&schema.fields, footer, &mut leaves);
    ColumnMapping {
        leaves,
        ..ColumnMapping::default()
    }
}

fn map_leaves<'a>(
    fields: impl IntoIterator<Item = &'a FileField>,
    footer: &ParquetMetaData,
    leaves: &mut [Option<LeafMapping>],
) {
    for field in fields {
        if let FileType::Primitive {
            iceberg,
            physical,
            leaf,
        } = &field.kind
        {
            let column = footer.file_metadata().schema_descr().column(*leaf);
            leaves[*leaf] = Some(LeafMapping {
                field_id: i32::try_from(*leaf + 1).unwrap(),
                table_type: iceberg.clone(),
                file_type: iceberg.clone(),
                physical: *physical,
                repeated: column.max_rep_level() > 0,
            });
        }
        map_leaves(field.kind.children(), footer, leaves);
    }
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
    let mapping = mapping_of(footer);
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
