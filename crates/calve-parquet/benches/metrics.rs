//! What a footer costs: decoding it, and turning it into metrics.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::fmt::Write;
use std::hint::black_box;
use std::sync::Arc;

use calve_parquet::{
    ColumnMapping, MetricsConfig, MetricsMode, SchemaCache, SchemaUnion, TypePolicy, file_metrics,
};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use parquet::data_type::{ByteArray, ByteArrayType, Int32Type, Int64Type};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

/// A file of that many columns (texts, ints, times) and row groups.
fn file(columns: usize, groups: usize) -> Vec<u8> {
    let mut fields = String::new();
    for column in 0..columns {
        let kind = match column % 3 {
            0 => "binary",
            1 => "int32",
            _ => "int64",
        };
        let annotation = match column % 3 {
            0 => " (STRING)",
            1 => "",
            _ => " (TIMESTAMP(MILLIS,true))",
        };
        write!(fields, "required {kind} column_{column}{annotation}; ").expect("strings grow");
    }
    let schema = parse_message_type(&format!("message m {{ {fields} }}")).expect("it is valid");
    let mut bytes = Vec::new();
    let properties = Arc::new(WriterProperties::builder().build());
    let mut writer = SerializedFileWriter::new(&mut bytes, Arc::new(schema), properties)
        .expect("memory can be written");
    for _ in 0..groups {
        write_group(&mut writer);
    }
    writer.close().expect("memory can be written");
    bytes
}

fn write_group(writer: &mut SerializedFileWriter<&mut Vec<u8>>) {
    let mut group = writer.next_row_group().expect("memory can be written");
    let mut number = 0;
    while let Some(mut column) = group.next_column().expect("memory can be written") {
        let written = match number % 3 {
            0 => column.typed::<ByteArrayType>().write_batch(
                &[
                    ByteArray::from("USW00094728, somewhere"),
                    ByteArray::from("USC00305800"),
                ],
                None,
                None,
            ),
            1 => column
                .typed::<Int32Type>()
                .write_batch(&[-5, 310], None, None),
            _ => column
                .typed::<Int64Type>()
                .write_batch(&[1_700_000_000_000, 5], None, None),
        };
        written.expect("memory can be written");
        column.close().expect("memory can be written");
        number += 1;
    }
    group.close().expect("memory can be written");
}

fn footer_bytes(file: &[u8]) -> &[u8] {
    let (rest, ending) = file.split_last_chunk::<8>().expect("it ends as it should");
    let length = u32::from_le_bytes([ending[0], ending[1], ending[2], ending[3]]);
    &rest[rest.len() - length as usize..]
}

fn mapping(footer: &ParquetMetaData, cache: &SchemaCache) -> Arc<ColumnMapping> {
    let mut union = SchemaUnion::for_new_table(&[]);
    let (mapping, _) = union
        .absorb(&cache.get(footer))
        .expect("one schema agrees with itself");
    mapping
}

fn metrics(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("footer");
    for (columns, groups) in [(7, 1), (100, 1), (20, 50)] {
        let file = file(columns, groups);
        let bytes = footer_bytes(&file);
        let footer = ParquetMetaDataReader::decode_metadata(bytes).expect("it is valid");
        let cache = SchemaCache::new(TypePolicy::default());
        let mapping = mapping(&footer, &cache);
        let name = format!("{columns} columns, {groups} row groups");
        group.throughput(Throughput::Elements(1));
        group.bench_with_input(
            BenchmarkId::new("decode", &name),
            bytes,
            |bencher, bytes| {
                bencher.iter(|| ParquetMetaDataReader::decode_metadata(black_box(bytes)));
            },
        );
        let id = BenchmarkId::new("schema, from the cache", &name);
        group.bench_with_input(id, &footer, |bencher, footer| {
            bencher.iter(|| cache.get(black_box(footer)));
        });
        for mode in [MetricsMode::Truncate(16), MetricsMode::Counts] {
            let config = MetricsConfig::uniform(mode);
            let id = BenchmarkId::new(format!("metrics, {mode:?}"), &name);
            group.bench_with_input(id, &footer, |bencher, footer| {
                bencher.iter(|| file_metrics(black_box(footer), &mapping, &config));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, metrics);
criterion_main!(benches);
