//! What is made of statistics that are missing, old, inexact or wrong.

use parquet::file::metadata::ColumnChunkMetaDataBuilder;

use super::*;

fn int32(values: &[Option<i32>]) -> Values {
    Values::Int32(values.to_vec())
}

fn int_statistics(min: i32, max: i32, deprecated: bool) -> Statistics {
    Statistics::int32(Some(min), Some(max), None, Some(0), deprecated)
}

fn byte_statistics(min: &[u8], max: &[u8], deprecated: bool) -> Statistics {
    Statistics::byte_array(
        Some(min.to_vec().into()),
        Some(max.to_vec().into()),
        None,
        Some(0),
        deprecated,
    )
}

fn inexact(min: &[u8], max: &[u8]) -> Statistics {
    let Statistics::ByteArray(values) = byte_statistics(min, max, false) else {
        unreachable!("they are made as byte arrays");
    };
    Statistics::ByteArray(values.with_min_is_exact(false).with_max_is_exact(false))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands where bounds may be missing"
)]
fn ints(lower: i32, upper: i32) -> Option<(Datum, Datum)> {
    Some((Datum::int(lower), Datum::int(upper)))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands where bounds may be missing"
)]
fn strings(lower: &str, upper: &str) -> Option<(Datum, Datum)> {
    Some((Datum::string(lower), Datum::string(upper)))
}

/// Checks a column of one int in each of two row groups, with these statistics in the second.
#[track_caller]
fn check_second(second: Option<Statistics>, bounds: Option<(Datum, Datum)>, nulls: Option<u64>) {
    let groups = [int32(&[Some(1)]), int32(&[Some(2)])];
    let footer = footer("optional int32 c", &groups);
    let first = footer.row_group(0).column(0).statistics().cloned();
    let footer = with_statistics(&footer, vec![first, second]);
    let mapping = plain(PrimitiveType::Int);
    check_bounds(&footer, &mapping, bounds);
    let metrics = metrics(&footer, &mapping, MetricsMode::Full);
    assert_eq!(metrics.null_value_counts.get(&1).copied(), nulls);
}

#[test]
fn row_groups_are_united() {
    let statistics = |min, max, nulls| Some(Statistics::int32(min, max, None, nulls, false));
    check_second(statistics(Some(-1), Some(3), Some(0)), ints(-1, 3), Some(0));
    check_second(statistics(Some(-1), Some(3), None), ints(-1, 3), None);
    // All null: the other row group's bounds hold for both.
    check_second(statistics(None, None, Some(1)), ints(1, 1), Some(1));
    check_second(statistics(None, None, Some(0)), None, Some(0));
    check_second(statistics(None, None, None), None, None);
    check_second(None, None, None);
    // Crossed, and more nulls than values.
    check_second(statistics(Some(3), Some(-1), Some(0)), None, Some(0));
    check_second(statistics(Some(1), Some(3), Some(2)), None, None);
}

#[test]
fn each_end_stands_for_itself() {
    let footer = footer("required int32 c", &[int32(&[Some(1)])]);
    let lower_only = Statistics::int32(Some(1), None, None, Some(0), false);
    let footer = with_statistics(&footer, vec![Some(lower_only)]);
    let metrics = metrics(&footer, &plain(PrimitiveType::Int), MetricsMode::Full);
    assert_eq!(metrics.lower_bounds, HashMap::from([(1, Datum::int(1))]));
    assert_eq!(metrics.upper_bounds, HashMap::new());
}

#[test]
fn nulls_and_empty_row_groups() {
    let groups = [int32(&[None, None]), int32(&[]), int32(&[Some(4), None])];
    let footer = footer("optional int32 c", &groups);
    let mapping = plain(PrimitiveType::Int);
    check_bounds(&footer, &mapping, ints(4, 4));
    let metrics = metrics(&footer, &mapping, MetricsMode::Counts);
    assert_eq!(metrics.record_count, 4);
    assert_eq!(metrics.value_counts, HashMap::from([(1, 4)]));
    assert_eq!(metrics.null_value_counts, HashMap::from([(1, 3)]));
    assert_eq!(metrics.lower_bounds, HashMap::new());
    assert_eq!(
        metrics.split_offsets.len(),
        2,
        "row groups without rows are no splits"
    );
}

#[test]
fn all_null_columns_have_counts_only() {
    let footer = footer("optional int32 c", &[int32(&[None, None])]);
    let mapping = plain(PrimitiveType::Int);
    check_bounds(&footer, &mapping, None);
    let metrics = metrics(&footer, &mapping, MetricsMode::Full);
    assert_eq!(metrics.value_counts, HashMap::from([(1, 2)]));
    assert_eq!(metrics.null_value_counts, HashMap::from([(1, 2)]));
}

#[test]
fn required_columns_have_no_nulls() {
    let footer = footer("required int32 c", &[int32(&[Some(1)])]);
    let untold = Statistics::int32(Some(1), Some(1), None, None, false);
    for statistics in [Some(untold), None] {
        let footer = with_statistics(&footer, vec![statistics]);
        let metrics = metrics(&footer, &plain(PrimitiveType::Int), MetricsMode::Full);
        assert_eq!(metrics.null_value_counts, HashMap::from([(1, 0)]));
    }
}

#[test]
fn files_without_rows() {
    let footer = footer("optional int32 c", &[]);
    let metrics = metrics(&footer, &plain(PrimitiveType::Int), MetricsMode::Full);
    assert_eq!(metrics.record_count, 0);
    assert_eq!(metrics.split_offsets, [0_i64; 0]);
    assert_eq!(metrics.lower_bounds, HashMap::new());
}

/// Checks old and new statistics, with and without column orders, each from a writer of its own.
#[track_caller]
fn check_orders(
    footer: &ParquetMetaData,
    mapping: &LeafMapping,
    statistics: impl Fn(bool) -> Statistics,
    order: Option<ColumnOrder>,
    bounds: [Option<(Datum, Datum)>; 4],
) {
    let cases = [(order, false), (order, true), (None, false), (None, true)];
    for ((order, deprecated), bounds) in cases.into_iter().zip(bounds) {
        let footer = with_statistics(footer, vec![Some(statistics(deprecated))]);
        check_bounds(&with_writer(&footer, JAVA, order), mapping, bounds);
    }
    for order in [
        ColumnOrder::UNKNOWN,
        ColumnOrder::TYPE_DEFINED_ORDER(SortOrder::UNDEFINED),
    ] {
        let footer = with_statistics(footer, vec![Some(statistics(false))]);
        check_bounds(&with_writer(&footer, JAVA, Some(order)), mapping, None);
    }
}

#[test]
fn orders() {
    let known = ints(-1, 2);
    let file = footer("required int32 c", &[int32(&[Some(1)])]);
    check_orders(
        &file,
        &plain(PrimitiveType::Int),
        |deprecated| int_statistics(-1, 2, deprecated),
        SIGNED,
        [known.clone(), known.clone(), known.clone(), known],
    );
    let file = footer("required int32 c (INTEGER(32,false))", &[int32(&[Some(1)])]);
    check_orders(
        &file,
        &leaf(
            PrimitiveType::Long,
            PrimitiveType::Long,
            Physical::Unsigned(32),
        ),
        |deprecated| int_statistics(1, 2, deprecated),
        UNSIGNED,
        [Some((Datum::long(1), Datum::long(2))), None, None, None],
    );
    let file = footer("required binary c (STRING)", &[text(&["a"])]);
    check_orders(
        &file,
        &plain(PrimitiveType::String),
        |deprecated| byte_statistics(b"a", b"b", deprecated),
        UNSIGNED,
        [strings("a", "b"), None, None, None],
    );
    let decimal = PrimitiveType::Decimal {
        precision: 9,
        scale: 0,
    };
    let datum = |value: i128| Datum::try_from_bytes(&value.to_be_bytes(), decimal.clone()).unwrap();
    let file = footer("required binary c (DECIMAL(9,0))", &[text(&["a"])]);
    check_orders(
        &file,
        &plain(decimal.clone()),
        |deprecated| byte_statistics(&[0xFF], &[1], deprecated),
        SIGNED,
        [Some((datum(-1), datum(1))), None, None, None],
    );
}

#[test]
fn writers_known_to_be_wrong() {
    let strings_file = footer("required binary c (STRING)", &[text(&["a"])]);
    let unsigned_file = footer("required int32 c (UINT_32)", &[int32(&[Some(1)])]);
    let string = plain(PrimitiveType::String);
    let unsigned = leaf(
        PrimitiveType::Long,
        PrimitiveType::Long,
        Physical::Unsigned(32),
    );
    for (writer, strings_known, unsigned_known) in [
        ("parquet-rs version 5.0.0", false, false),
        ("parquet-rs version 6.0.0", true, false),
        ("parquet-rs version 13.0.0", true, true),
        ("parquet-cpp version 1.5.1-SNAPSHOT", true, true),
    ] {
        check_bounds(
            &with_writer(&strings_file, Some(writer), UNSIGNED),
            &string,
            strings("a", "a").filter(|_| strings_known),
        );
        check_bounds(
            &with_writer(&unsigned_file, Some(writer), UNSIGNED),
            &unsigned,
            Some((Datum::long(1), Datum::long(1))).filter(|_| unsigned_known),
        );
    }
    let decimal = PrimitiveType::Decimal {
        precision: 9,
        scale: 0,
    };
    let fixed = Values::Fixed(vec![Some(vec![0, 0, 0, 1])]);
    let fixed_file = footer(
        "required fixed_len_byte_array(4) c (DECIMAL(9,0))",
        &[fixed],
    );
    for (writer, known) in [
        ("parquet-cpp version 1.5.1-SNAPSHOT", false),
        ("parquet-cpp-arrow version 15.0.0", true),
        ("parquet-rs version 12.0.0", false),
        ("parquet-rs version 58.0.0", true),
    ] {
        let one = Datum::try_from_bytes(&1_i128.to_be_bytes(), decimal.clone()).unwrap();
        check_bounds(
            &with_writer(&fixed_file, Some(writer), SIGNED),
            &plain(decimal.clone()),
            Some((one.clone(), one)).filter(|_| known),
        );
    }
}

#[test]
fn inexact_statistics_are_bounds() {
    #[track_caller]
    fn check(statistics: Statistics, bounds: Option<(Datum, Datum)>) {
        let footer = footer("required binary c (STRING)", &[text(&["a"])]);
        let footer = with_statistics(&footer, vec![Some(statistics)]);
        check_bounds(&footer, &plain(PrimitiveType::String), bounds);
    }
    check(inexact(b"ab", b"cd"), strings("ab", "cd"));
    // Characters cut in two.
    check(inexact(&"a日".as_bytes()[..3], b"b"), strings("a", "b"));
    check(inexact(b"a", &"日本".as_bytes()[..4]), strings("a", "旦"));
    // No text at all.
    check(inexact(b"a\xFFb", b"z"), None);
    check(inexact(b"a", b"z\xFFb"), None);
    // A maximum of a length that writers cut to may not be rounded up.
    let long = "x".repeat(64);
    let rounded = format!("{}y", "x".repeat(63));
    check(inexact(b"a", long.as_bytes()), strings("a", &rounded));
    check(
        byte_statistics(b"a", long.as_bytes(), false),
        strings("a", &long),
    );
    let odd = "x".repeat(63);
    check(inexact(b"a", odd.as_bytes()), strings("a", &odd));
}

#[test]
fn upper_bounds_that_do_not_exist() {
    let file = footer("required binary c (STRING)", &[text(&["a"])]);
    for max in [&"日".as_bytes()[..2], "\u{10FFFF}".repeat(16).as_bytes()] {
        let footer = with_statistics(&file, vec![Some(inexact(b"a", max))]);
        let metrics = metrics(&footer, &plain(PrimitiveType::String), MetricsMode::Full);
        assert_eq!(
            metrics.lower_bounds,
            HashMap::from([(1, Datum::string("a"))])
        );
        assert_eq!(metrics.upper_bounds, HashMap::new());
    }
}

#[test]
fn a_prefix_in_one_row_group_bounds_the_others() {
    let file = footer("required binary c (STRING)", &[text(&["a"]), text(&["a"])]);
    let cut = format!("{}x", "a".repeat(63));
    let longer = format!("{cut}b");
    let statistics = vec![
        Some(inexact(b"a", cut.as_bytes())),
        Some(byte_statistics(b"a", longer.as_bytes(), false)),
    ];
    let footer = with_statistics(&file, statistics);
    let rounded = format!("{}y", "a".repeat(63));
    check_bounds(
        &footer,
        &plain(PrimitiveType::String),
        strings("a", &rounded),
    );
}

#[test]
fn truncated_by_the_writer() {
    let properties = WriterProperties::builder()
        .set_statistics_truncate_length(Some(4))
        .build();
    let footer = footer_with(
        "required binary c (STRING)",
        &[text(&["aardvark", "zebra", "日本語"])],
        properties,
    );
    check_bounds(
        &footer,
        &plain(PrimitiveType::String),
        strings("aard", "旦"),
    );
}

#[test]
fn fixed_values_cut_by_the_writer() {
    let mapping = plain(PrimitiveType::Fixed(4));
    let values = Values::Fixed(vec![Some(b"abcd".to_vec()), Some(b"wxyz".to_vec())]);
    let properties = WriterProperties::builder()
        .set_statistics_truncate_length(Some(2))
        .build();
    let footer = footer_with("required fixed_len_byte_array(4) c", &[values], properties);
    let metrics = metrics(&footer, &mapping, MetricsMode::Truncate(1));
    let padded = Datum::fixed(*b"ab\0\0");
    assert_eq!(metrics.lower_bounds, HashMap::from([(1, padded)]));
    assert_eq!(metrics.upper_bounds, HashMap::new());
    // The table's values have another width.
    check_bounds(&footer, &plain(PrimitiveType::Fixed(5)), None);
}

#[test]
fn repeated_columns_have_sizes_only() {
    let footer = footer("required int32 c", &[int32(&[Some(1)])]);
    let mapping = LeafMapping {
        repeated: true,
        ..plain(PrimitiveType::Int)
    };
    let metrics = metrics(&footer, &mapping, MetricsMode::Full);
    assert!(metrics.column_sizes[&1] > 0);
    assert_eq!(metrics.value_counts, HashMap::new());
    assert_eq!(metrics.null_value_counts, HashMap::new());
    assert_eq!(metrics.lower_bounds, HashMap::new());
}

#[test]
fn columns_the_table_lacks_are_passed_over() {
    let footer = footer("required int32 c", &[int32(&[Some(1)])]);
    let mapping = ColumnMapping {
        leaves: vec![None],
        ..ColumnMapping::default()
    };
    let config = MetricsConfig::uniform(MetricsMode::Full);
    let metrics = file_metrics(&footer, &mapping, &config).unwrap();
    assert_eq!(metrics.record_count, 1);
    assert_eq!(metrics.column_sizes, HashMap::new());
}

fn two_rows() -> ParquetMetaData {
    footer("required int32 c", &[int32(&[Some(1)]), int32(&[Some(1)])])
}

/// The same footer with each column chunk changed.
fn with_chunks(
    footer: &ParquetMetaData,
    change: impl Fn(ColumnChunkMetaDataBuilder) -> ColumnChunkMetaDataBuilder,
) -> ParquetMetaData {
    let groups = footer.row_groups().iter().map(|group| {
        let chunk = change(group.column(0).clone().into_builder());
        let group = group.clone().into_builder();
        group
            .set_column_metadata(vec![chunk.build().unwrap()])
            .build()
            .unwrap()
    });
    ParquetMetaDataBuilder::new(footer.file_metadata().clone())
        .set_row_groups(groups.collect())
        .build()
}

#[test]
fn footers_that_contradict_themselves() {
    #[track_caller]
    fn check(footer: &ParquetMetaData, leaves: usize, message: &str) {
        let mapping = ColumnMapping {
            leaves: vec![Some(plain(PrimitiveType::Int)); leaves],
            ..ColumnMapping::default()
        };
        let config = MetricsConfig::uniform(MetricsMode::Full);
        let error = file_metrics(footer, &mapping, &config).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let good = two_rows();
    check(
        &good,
        2,
        "footer: it has 1 leaf columns, its schema was resolved with 2",
    );
    let with_rows = |rows: [i64; 2], total: i64| {
        let file = good.file_metadata();
        let file = FileMetaData::new(1, total, None, None, file.schema_descr_ptr(), None);
        let groups = good.row_groups().iter().zip(rows);
        let groups = groups.map(|(group, rows)| {
            let group = group.clone().into_builder();
            group.set_num_rows(rows).build().unwrap()
        });
        ParquetMetaDataBuilder::new(file)
            .set_row_groups(groups.collect())
            .build()
    };
    check(
        &with_rows([1, 1], 3),
        1,
        "footer: it counts 3 rows, its row groups 2",
    );
    check(
        &with_rows([1, 1], -1),
        1,
        "footer: it counts -1 rows, its row groups 2",
    );
    check(&with_rows([1, -1], 0), 1, "footer: a row group has -1 rows");
    check(
        &with_chunks(&good, |chunk| {
            chunk.set_file_path("other.parquet".to_owned())
        }),
        1,
        "footer: its data lies in another file, `other.parquet`",
    );
    check(
        &with_chunks(&good, |chunk| chunk.set_total_compressed_size(-1)),
        1,
        "footer: column `c`: its compressed size is -1",
    );
    check(
        &with_chunks(&good, |chunk| chunk.set_num_values(-1)),
        1,
        "footer: column `c`: its number of values is -1",
    );
}

#[test]
fn columns_that_contradict_themselves() {
    let good = two_rows();
    // Two rows, but three values: neither counts nor bounds are believed.
    let footer = with_chunks(&good, |chunk| chunk.set_num_values(3));
    let metrics = metrics(&footer, &plain(PrimitiveType::Int), MetricsMode::Full);
    assert_eq!(metrics.value_counts, HashMap::new());
    assert_eq!(metrics.null_value_counts, HashMap::new());
    assert_eq!(metrics.lower_bounds, HashMap::new());
    // Row groups that do not follow each other.
    let footer = with_chunks(&good, |chunk| {
        chunk
            .set_data_page_offset(4)
            .set_dictionary_page_offset(None)
    });
    let metrics = super::metrics(&footer, &plain(PrimitiveType::Int), MetricsMode::Full);
    assert_eq!(metrics.split_offsets, [0_i64; 0]);
}
