//! What is found beyond the schema: codecs, writers, calendars; and the cache.

use std::sync::Arc;

use parquet::basic::{BrotliLevel, Compression};
use parquet::data_type::{DataType, Int32Type};
use parquet::file::metadata::{
    ColumnChunkMetaData, FileMetaData, KeyValue, ParquetMetaData, RowGroupMetaData,
};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::schema::types::SchemaDescriptor;

use super::tests::parse;
use super::{FileSchema, SchemaCache, file_findings, writes_int96_instants};
use crate::policy::TypePolicy;

/// A footer of one row group with one chunk per column.
fn footer(
    body: &str,
    created_by: &str,
    keys: &[(&str, &str)],
    codec: Compression,
    minimum: Option<i32>,
) -> ParquetMetaData {
    let schema = Arc::new(SchemaDescriptor::new(Arc::new(parse(body))));
    let chunks = schema
        .columns()
        .iter()
        .map(|column| {
            let mut builder =
                ColumnChunkMetaData::builder(Arc::clone(column)).set_compression(codec);
            if let Some(minimum) = minimum {
                builder = builder.set_statistics(Statistics::from(ValueStatistics::<
                    <Int32Type as DataType>::T,
                >::new(
                    Some(minimum),
                    Some(0),
                    None,
                    None,
                    false,
                )));
            }
            builder.build().unwrap()
        })
        .collect();
    let group = RowGroupMetaData::builder(Arc::clone(&schema))
        .set_column_metadata(chunks)
        .build()
        .unwrap();
    let keys = keys
        .iter()
        .map(|(key, value)| KeyValue::new((*key).to_owned(), (*value).to_owned()))
        .collect();
    let file = FileMetaData::new(1, 0, Some(created_by.to_owned()), Some(keys), schema, None);
    ParquetMetaData::new(file, vec![group])
}

#[track_caller]
fn check_file(footer: &ParquetMetaData, findings: &str) {
    let found: Vec<String> = file_findings(footer, &TypePolicy::default())
        .iter()
        .map(|finding| format!("{:?} {:?}", finding.severity, finding.code))
        .collect();
    assert_eq!(found.join(", "), findings);
}

#[test]
fn codecs() {
    let check = |codec, findings: &str| {
        check_file(
            &footer("optional int32 a; optional int32 b;", "x", &[], codec, None),
            findings,
        );
    };
    check(Compression::SNAPPY, "");
    check(Compression::LZ4_RAW, "");
    check(Compression::LZ4, "Note CodecLz4");
    check(Compression::LZO, "Unsafe CodecLzo");
    check(
        Compression::BROTLI(BrotliLevel::default()),
        "Note CodecBrotli",
    );
}

#[test]
fn writers() {
    let plain = Compression::UNCOMPRESSED;
    let int96 = "optional int96 a;";
    let impala = "impala version 2.8.0 (build x)";
    check_file(&footer(int96, impala, &[], plain, None), "Note Int96Writer");
    check_file(&footer("optional int32 a;", impala, &[], plain, None), "");
    let spark = [("org.apache.spark.version", "3.5.0")];
    check_file(&footer(int96, "parquet-mr", &spark, plain, None), "");
    let hive = [("writer.time.zone", "Europe/Berlin")];
    check_file(
        &footer(int96, "parquet-mr", &hive, plain, None),
        "Note Int96Writer",
    );
}

#[test]
fn conventions_of_int96() {
    let plain = Compression::UNCOMPRESSED;
    let told = |created_by: &str, keys: &[(&str, &str)]| {
        writes_int96_instants(&footer("optional int96 a;", created_by, keys, plain, None))
    };
    assert_eq!(told("impala version 3.4.0", &[]), Some(false));
    assert_eq!(told("parquet-mr", &[("hive.version", "3")]), Some(false));
    assert_eq!(
        told("parquet-mr", &[("org.apache.spark.version", "3.5.0")]),
        Some(true)
    );
    assert_eq!(told("parquet-mr version 1.10.1", &[]), None);
}

#[test]
fn calendars() {
    let plain = Compression::UNCOMPRESSED;
    let date = "optional int32 a (DATE);";
    let old = [("org.apache.spark.legacyDateTime", "")];
    let hybrid = "Note HybridCalendar";
    check_file(&footer(date, "x", &old, plain, None), hybrid);
    check_file(&footer(date, "x", &old, plain, Some(-141_428)), hybrid);
    check_file(&footer(date, "x", &old, plain, Some(-141_427)), "");
    check_file(
        &footer(
            date,
            "x",
            &[("org.apache.spark.version", "2.4.3")],
            plain,
            None,
        ),
        hybrid,
    );
    check_file(
        &footer(
            date,
            "x",
            &[("writer.date.proleptic", "false")],
            plain,
            None,
        ),
        hybrid,
    );
    check_file(
        &footer(date, "x", &[("writer.date.proleptic", "true")], plain, None),
        "",
    );
    check_file(&footer("optional int32 a;", "x", &old, plain, None), "");
}

#[test]
fn the_cache_converts_once() {
    let cache = SchemaCache::new(TypePolicy::default());
    let one = footer("optional int32 a;", "x", &[], Compression::SNAPPY, None);
    let other = footer("optional int64 a;", "x", &[], Compression::SNAPPY, None);
    assert!(Arc::ptr_eq(&cache.get(&one), &cache.get(&one)));
    cache.get(&other);
    assert_eq!(cache.len(), 2);
    assert_eq!(
        cache.get(&one).fingerprint,
        FileSchema::fingerprint(&one, &TypePolicy::default())
    );
}
