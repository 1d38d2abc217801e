//! Every real file at hand: what the policy says of it, and that nothing panics.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use super::{FileSchema, file_findings};
use crate::name_mapping::NameMapping;
use crate::policy::{Finding, Severity, TypePolicy};
use crate::resolve::{UnprovenField, resolve};
use crate::union::SchemaUnion;

/// The footers under a folder of the shared data, with their paths; `None` where there is no such folder.
fn footers(folder: &str) -> Option<Vec<(String, Option<Footer>)>> {
    let root = calve_testkit::shared_data()
        .map(|data| data.join("parquet").join(folder))
        .filter(|root| root.is_dir());
    let Some(root) = root else {
        eprintln!("skipped: no shared data in parquet/{folder}");
        return None;
    };
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    let read = |file: PathBuf| {
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        (name, Footer::read(&file))
    };
    Some(files.into_iter().map(read).collect())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

struct Footer {
    metadata: ParquetMetaData,
}

impl Footer {
    fn read(file: &Path) -> Option<Self> {
        let bytes = Bytes::from(fs_err::read(file).unwrap());
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&bytes).ok()?;
        Some(Self { metadata })
    }

    fn findings(&self) -> Vec<Finding> {
        let policy = TypePolicy::default();
        let mut findings = FileSchema::from_footer(&self.metadata, &policy).findings;
        findings.extend(file_findings(&self.metadata, &policy));
        findings
    }

    /// `add`, `note`, `unsafe` or `refuse`, and the rules of that severity.
    fn verdict(&self) -> String {
        let findings = self.findings();
        let Some(worst) = findings.iter().map(|finding| finding.severity).max() else {
            return "add".into();
        };
        let codes: BTreeSet<String> = findings
            .iter()
            .filter(|finding| finding.severity == worst)
            .map(|finding| format!("{:?}", finding.code))
            .collect();
        let codes: Vec<String> = codes.into_iter().collect();
        let severity = match worst {
            Severity::Note => "note",
            Severity::Unsafe => "unsafe",
            Severity::Refused => "refuse",
        };
        format!("{severity} {}", codes.join(" "))
    }
}

/// Whether a file of the corpus is meant to be Parquet. Encrypted files are refused before anybody
/// asks for their schema.
fn is_parquet(name: &str) -> bool {
    name.rsplit('.').next() == Some("parquet")
}

#[test]
fn every_file_of_parquet_testing_gets_its_verdict() {
    let Some(footers) = footers("parquet-testing") else {
        return;
    };
    let mut expected: HashMap<&str, &str> = PARQUET_TESTING
        .iter()
        .flat_map(|(verdict, names)| names.iter().map(|name| (*name, *verdict)))
        .collect();
    for (name, footer) in footers.iter().filter(|(name, _)| is_parquet(name)) {
        let verdict = footer
            .as_ref()
            .map_or_else(|| "no footer".to_owned(), Footer::verdict);
        assert_eq!(
            expected.remove(name.as_str()),
            Some(verdict.as_str()),
            "{name}"
        );
    }
    assert!(expected.is_empty(), "not there: {expected:?}");
}

#[test]
fn chosen_files_of_other_engines_get_their_verdicts() {
    for (folder, table) in [("impala", IMPALA), ("duckdb", DUCKDB)] {
        let Some(footers) = footers(folder) else {
            continue;
        };
        let verdicts: HashMap<&str, String> = footers
            .iter()
            .filter_map(|(name, footer)| Some((name.as_str(), footer.as_ref()?.verdict())))
            .collect();
        for (name, verdict) in table {
            assert_eq!(
                verdicts.get(name).map(String::as_str),
                Some(*verdict),
                "{name}"
            );
        }
    }
}

/// What is not refused becomes a table of its own schema, and resolves against it by id and by name.
#[test]
fn every_file_that_is_not_refused_makes_a_table() {
    let mut made = 0;
    for folder in ["parquet-testing", "impala", "duckdb"] {
        for (name, footer) in footers(folder).unwrap_or_default() {
            let Some(footer) = footer else { continue };
            made += usize::from(check_table_of(&name, &footer));
        }
    }
    eprintln!("{made} files made tables");
}

#[track_caller]
fn check_table_of(name: &str, footer: &Footer) -> bool {
    let policy = TypePolicy::default();
    let schema = FileSchema::from_footer(&footer.metadata, &policy);
    let columns = footer.metadata.file_metadata().schema_descr().num_columns();
    assert_eq!(schema.leaf_count, columns, "{name}");
    let mut union = SchemaUnion::for_new_table(&[]);
    let absorbed = union.absorb(&schema);
    if schema.severity() == Some(Severity::Refused) {
        return false;
    }
    let (mapping, drifts) = absorbed.unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(drifts.is_empty(), "{name}: {drifts:?}");
    assert!(mapping.leaves.iter().all(Option::is_some), "{name}");
    assert!(
        mapping.missing.is_empty() && mapping.extra.is_empty(),
        "{name}"
    );
    // A table requires the keys of maps, whatever the files that it is made of do.
    let unproven = |field: &UnprovenField| field.column.rsplit('.').next() == Some("key");
    assert!(mapping.unproven.iter().all(unproven), "{name}");
    let table = union.schema().unwrap();
    let names = union.name_mapping();
    assert_eq!(
        NameMapping::parse(&names.to_json()).unwrap(),
        names,
        "{name}"
    );
    assert_eq!(resolve(&schema, &table, None).unwrap(), *mapping, "{name}");

    let mut again = SchemaUnion::for_table(&table, Some(names), false);
    let (same, drifts) = again.absorb(&schema).unwrap();
    assert_eq!((same, drifts.len()), (mapping, 0), "{name}");
    assert_eq!(again.schema().unwrap(), table);
    true
}

/// Section by section of the reference (5.1): what each file of parquet-testing is.
const PARQUET_TESTING: &[(&str, &[&str])] = &[
    (
        "add",
        &[
            "bad_data/ARROW-GH-43605.parquet",
            "bad_data/ARROW-GH-45185.parquet",
            "bad_data/ARROW-GH-47662.parquet",
            "data/byte_array_decimal.parquet",
            "data/byte_stream_split.zstd.parquet",
            "data/column_chunk_key_value_metadata.parquet",
            "data/data_index_bloom_encoding_stats.parquet",
            "data/data_index_bloom_encoding_with_length.parquet",
            "data/datapage_v1-corrupt-checksum.parquet",
            "data/datapage_v1-snappy-compressed-checksum.parquet",
            "data/datapage_v1-uncompressed-checksum.parquet",
            "data/datapage_v2.snappy.parquet",
            "data/datapage_v2_empty_datapage.snappy.parquet",
            "data/delta_binary_packed.parquet",
            "data/delta_byte_array.parquet",
            "data/delta_encoding_optional_column.parquet",
            "data/delta_encoding_required_column.parquet",
            "data/delta_length_byte_array.parquet",
            "data/fixed_length_byte_array.parquet",
            "data/fixed_length_decimal.parquet",
            "data/fixed_length_decimal_legacy.parquet",
            "data/int32_decimal.parquet",
            "data/int32_with_null_pages.parquet",
            "data/int64_decimal.parquet",
            "data/list_columns.parquet",
            "data/lz4_raw_compressed_larger.parquet",
            "data/nan_in_stats.parquet",
            "data/nested_lists.snappy.parquet",
            "data/nested_maps.snappy.parquet",
            "data/nonnullable.impala.parquet",
            "data/nullable.impala.parquet",
            "data/nulls.snappy.parquet",
            "data/overflow_i16_page_cnt.parquet",
            "data/page_v2_empty_compressed.parquet",
            "data/rle_boolean_encoding.parquet",
            "data/single_nan.parquet",
            "data/sort_columns.parquet",
        ],
    ),
    (
        "note CodecBrotli",
        &["data/large_string_map.brotli.parquet"],
    ),
    (
        "note CodecLz4",
        &["data/hadoop_lz4_compressed_larger.parquet"],
    ),
    (
        "note CodecLz4 UnannotatedBinary",
        &[
            "data/hadoop_lz4_compressed.parquet",
            "data/non_hadoop_lz4_compressed.parquet",
        ],
    ),
    (
        "note Int96",
        &[
            "data/alltypes_tiny_pages.parquet",
            "data/alltypes_tiny_pages_plain.parquet",
            "data/int96_from_spark.parquet",
        ],
    ),
    (
        "note Int96 Int96Writer UnannotatedBinary",
        &[
            "data/alltypes_dictionary.parquet",
            "data/alltypes_plain.parquet",
            "data/alltypes_plain.snappy.parquet",
        ],
    ),
    (
        "note UnannotatedBinary",
        &[
            "bad_data/ARROW-RS-GH-6229-DICTHEADER.parquet",
            "data/binary.parquet",
            "data/binary_truncated_min_max.parquet",
            "data/lz4_raw_compressed.parquet",
            "data/nation.dict-malformed.parquet",
            "data/plain-dict-uncompressed-checksum.parquet",
            "data/rle-dict-snappy-checksum.parquet",
            "data/rle-dict-uncompressed-corrupt-checksum.parquet",
        ],
    ),
    ("unsafe LegacyList", &["data/old_list_structure.parquet"]),
    (
        "unsafe MapOptionalKey",
        &["data/incorrect_map_schema.parquet"],
    ),
    (
        "refuse Float16",
        &[
            "data/byte_stream_split_extended.gzip.parquet",
            "data/float16_nonzeros_and_nans.parquet",
            "data/float16_zeros_and_nans.parquet",
            "data/floating_orders_nan_count.parquet",
        ],
    ),
    (
        "refuse Geospatial",
        &[
            "data/geospatial/crs-arbitrary-value.parquet",
            "data/geospatial/crs-default.parquet",
            "data/geospatial/crs-geography.parquet",
            "data/geospatial/crs-projjson.parquet",
            "data/geospatial/crs-srid.parquet",
            "data/geospatial/geography-lines.parquet",
            "data/geospatial/geography-points.parquet",
            "data/geospatial/geography-polygons.parquet",
            "data/geospatial/geospatial-with-nan.parquet",
            "data/geospatial/geospatial.parquet",
        ],
    ),
    ("refuse MapNoValue", &["data/map_no_value.parquet"]),
    (
        "refuse Nanoseconds NullType UnsignedInt64",
        &[
            "bad_data/ARROW-GH-41317.parquet",
            "bad_data/ARROW-GH-41321.parquet",
        ],
    ),
    (
        "refuse NullType",
        &[
            "bad_data/ARROW-RS-GH-6229-LEVELS.parquet",
            "data/null_list.parquet",
        ],
    ),
    (
        "refuse UnannotatedRepeated",
        &[
            "data/repeated_no_annotation.parquet",
            "data/repeated_primitive_no_list.parquet",
        ],
    ),
    (
        "refuse UndefinedAnnotation",
        &["data/unknown-logical-type.parquet"],
    ),
    (
        "refuse UnsignedInt64",
        &[
            "data/concatenated_gzip_members.parquet",
            "data/nested_structs.rust.parquet",
        ],
    ),
    (
        "no footer",
        &[
            "bad_data/PARQUET-1481.parquet",
            "data/dict-page-offset-zero.parquet",
        ],
    ),
];

/// Files of Impala and Hive that each show one rule.
const IMPALA: &[(&str, &str)] = &[
    ("testdata/ComplexTypesTbl/arrays.parq", "add"),
    ("testdata/ComplexTypesTbl/nullable.parq", "add"),
    ("testdata/data/chars-formats.parquet", "add"),
    (
        "testdata/data/decimal_padded_fixed_len_byte_array.parquet",
        "refuse DecimalWidth",
    ),
    (
        "testdata/data/decimal_padded_fixed_len_byte_array2.parquet",
        "add",
    ),
    (
        "testdata/data/employee_hive_3_1_3_us_pacific.parquet",
        "note Int96 Int96Writer",
    ),
    (
        "testdata/data/hive_kuala_lumpur_legacy.parquet",
        "note HybridCalendar Int96 Int96Writer",
    ),
    (
        "testdata/data/hive2_pre_gregorian.parquet",
        "note HybridCalendar",
    ),
];

/// Files of DuckDB that each show one rule.
const DUCKDB: &[(&str, &str)] = &[
    (
        "data/parquet-testing/adam_genotypes.parquet",
        "unsafe LegacyList",
    ),
    (
        "data/parquet-testing/aws1.snappy.parquet",
        "unsafe Milliseconds",
    ),
    (
        "data/parquet-testing/bigdecimal.parquet",
        "refuse DecimalPrecision",
    ),
    (
        "data/parquet-testing/bug13053-2.parquet",
        "refuse DuplicateName",
    ),
    (
        "data/parquet-testing/bug13053.parquet",
        "refuse AmbiguousCase",
    ),
    (
        "data/parquet-testing/empty-group/empty_group_test.parquet",
        "refuse EmptyGroup",
    ),
    (
        "data/parquet-testing/enum.parquet",
        "refuse DuplicateId UnannotatedRepeated",
    ),
    (
        "data/parquet-testing/issue_5533_timestamp_ms_stats.parquet",
        "unsafe Milliseconds UnsignedInt32",
    ),
    (
        "data/parquet-testing/snowflake_variant.parquet",
        "refuse ReservedId Variant",
    ),
    ("data/parquet-testing/timetz.parquet", "note TimeUtc"),
    (
        "data/parquet-testing/timetz-nanos.parquet",
        "refuse Nanoseconds",
    ),
    (
        "data/parquet-testing/variant_malicious.parquet",
        "refuse Variant",
    ),
];
