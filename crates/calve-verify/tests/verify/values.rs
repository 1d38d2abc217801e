//! Which values are equal however they are stored, and which are not however alike they look.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryViewArray, Date32Array, Decimal128Array, Decimal256Array,
    DictionaryArray, Float32Array, Float64Array, Int32Array, Int32Builder, Int64Array,
    LargeStringArray, ListArray, MapBuilder, NullArray, RecordBatch, StringArray, StringBuilder,
    StringViewArray, StructArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Int32Type, Schema, i256};
use calve_verify::{CompareOptions, Comparison, DIFFERENCE_LIMIT, Level, compare};
use datafusion::datasource::MemTable;
use datafusion::prelude::{SessionConfig, SessionContext};

fn table(columns: Vec<(&str, ArrayRef)>) -> Arc<MemTable> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
    // Several parts, so that partial results are merged.
    let parts = (0..batch.num_rows()).map(|row| vec![batch.slice(row, 1)]);
    Arc::new(MemTable::try_new(batch.schema(), parts.collect()).unwrap())
}

async fn compared(source: Arc<MemTable>, table: Arc<MemTable>, keys: &[&str]) -> Comparison {
    let context = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(3));
    let options = CompareOptions {
        keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        level: Level::Aggregates,
        ..CompareOptions::default()
    };
    compare(&context, source, table, &options).await.unwrap()
}

/// The names of the checks that differ; the column is compared whole, and by partition.
async fn checks(source: ArrayRef, other: ArrayRef) -> Vec<&'static str> {
    let whole = compared(
        table(vec![("c", Arc::clone(&source))]),
        table(vec![("c", Arc::clone(&other))]),
        &[],
    );
    let keyed = |array: ArrayRef| {
        let keys = Int32Array::from(vec![7; array.len()]);
        table(vec![("k", Arc::new(keys) as ArrayRef), ("c", array)])
    };
    let names = |comparison: Comparison| -> Vec<&'static str> {
        let differences = comparison.differences.iter();
        differences.map(|difference| difference.check).collect()
    };
    let found = names(whole.await);
    assert_eq!(
        found,
        names(compared(keyed(source), keyed(other), &["K"]).await)
    );
    found
}

fn texts(values: &[Option<&str>]) -> StringArray {
    values.iter().copied().collect()
}

fn decimals(values: &[i128], precision: u8, scale: i8) -> ArrayRef {
    let array = Decimal128Array::from(values.to_vec());
    Arc::new(array.with_precision_and_scale(precision, scale).unwrap())
}

fn list(rows: Vec<Option<Vec<Option<i32>>>>) -> ArrayRef {
    Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(rows))
}

type Entries<'a> = &'a [(&'a str, Option<i32>)];

fn map(rows: &[Option<Entries<'_>>]) -> ArrayRef {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for row in rows {
        for (key, value) in row.unwrap_or_default() {
            builder.keys().append_value(key);
            builder.values().append_option(*value);
        }
        builder.append(row.is_some()).unwrap();
    }
    Arc::new(builder.finish())
}

fn structs(columns: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let columns = columns.into_iter().map(|(name, array)| {
        let field = Field::new(name, array.data_type().clone(), true);
        (Arc::new(field), array)
    });
    Arc::new(StructArray::from(columns.collect::<Vec<_>>()))
}

async fn check_equal(one: impl Array + 'static, other: impl Array + 'static) {
    let (one, other) = (
        arrow::array::make_array(one.to_data()),
        arrow::array::make_array(other.to_data()),
    );
    assert_eq!(
        checks(Arc::clone(&one), Arc::clone(&other)).await,
        Vec::<&str>::new(),
        "{one:?} {other:?}"
    );
}

#[tokio::test]
async fn plain_values_are_equal_however_they_are_stored() {
    let text = texts(&[Some("b"), None, Some(""), Some("b"), Some("a")]);
    let dictionary: DictionaryArray<Int32Type> = text.iter().collect();
    check_equal(text.clone(), dictionary).await;
    check_equal(text.clone(), text.iter().collect::<LargeStringArray>()).await;
    check_equal(text.clone(), text.iter().collect::<StringViewArray>()).await;
    check_equal(
        BinaryArray::from(vec![&b"x"[..], b"\xff"]),
        BinaryViewArray::from(vec![&b"\xff"[..], b"x"]),
    )
    .await;
    check_equal(
        Int32Array::from(vec![1, -2]),
        Int64Array::from(vec![-2_i64, 1]),
    )
    .await;
    check_equal(Int64Array::from(vec![9]), UInt64Array::from(vec![9_u64])).await;
    check_equal(
        decimals(&[1050, -300, 0], 9, 2),
        decimals(&[105_000, -30_000, 0], 18, 4),
    )
    .await;
    check_equal(decimals(&[1000, 0], 9, 2), Int32Array::from(vec![10, 0])).await;
    let wide = Decimal256Array::from(vec![i256::from_i128(1050)]);
    check_equal(
        decimals(&[105], 9, 1),
        wide.with_precision_and_scale(50, 2).unwrap(),
    )
    .await;
    check_equal(
        Float64Array::from(vec![0.0, f64::NAN, 0.5]),
        Float64Array::from(vec![-0.0, -f64::NAN, 0.5]),
    )
    .await;
    check_equal(
        Float32Array::from(vec![0.5, f32::INFINITY]),
        Float64Array::from(vec![f64::INFINITY, 0.5]),
    )
    .await;
    check_equal(
        TimestampMillisecondArray::from(vec![-1, 5]).with_timezone("UTC"),
        TimestampMicrosecondArray::from(vec![-1_000, 5_000]),
    )
    .await;
    // The side that cannot hold nanoseconds decides.
    check_equal(
        TimestampNanosecondArray::from(vec![-1, 1_999]),
        TimestampMicrosecondArray::from(vec![-1, 1]),
    )
    .await;
    check_equal(
        Date32Array::from(vec![-1, 2]),
        TimestampMicrosecondArray::from(vec![-86_400_000_000, 2 * 86_400_000_000]),
    )
    .await;
    check_equal(NullArray::new(2), texts(&[None, None])).await;
}

#[tokio::test]
async fn nested_values_are_equal_however_they_are_stored() {
    let items = list(vec![Some(vec![Some(1), None]), None, Some(vec![])]);
    let item = Arc::new(Field::new("element", DataType::Int64, true));
    let large = cast(&items, &DataType::LargeList(item)).unwrap();
    check_equal(items, large).await;
    check_equal(
        map(&[Some(&[("a", Some(1)), ("b", None)]), None, Some(&[])]),
        map(&[Some(&[("b", None), ("a", Some(1))]), None, Some(&[])]),
    )
    .await;
    let (small, large): (ArrayRef, ArrayRef) = (
        Arc::new(Int32Array::from(vec![1])),
        Arc::new(Int64Array::from(vec![1])),
    );
    let nothing: ArrayRef = Arc::new(texts(&[None]));
    let word: ArrayRef = Arc::new(texts(&[Some("w")]));
    check_equal(
        structs(vec![("Id", small), ("word", Arc::clone(&word))]),
        structs(vec![("word", word), ("id", large), ("new", nothing)]),
    )
    .await;
}

async fn check_different(one: ArrayRef, other: ArrayRef, expected: &[&str]) {
    assert_eq!(
        checks(Arc::clone(&one), Arc::clone(&other)).await,
        expected,
        "{one:?} {other:?}"
    );
}

#[tokio::test]
async fn plain_values_that_differ_are_told_apart() {
    let text = |values: &[Option<&str>]| -> ArrayRef { Arc::new(texts(values)) };
    check_different(
        text(&[Some("")]),
        text(&[None]),
        &["null_count", "min", "max", "checksum"],
    )
    .await;
    check_different(
        text(&[Some("a"), Some("bc"), Some("d")]),
        text(&[Some("a"), Some("b"), Some("d")]),
        &["length", "checksum"],
    )
    .await;
    // Beyond what is kept of bounds.
    let (long, other) = ("x".repeat(100) + "a", "x".repeat(100) + "b");
    check_different(text(&[Some(&long)]), text(&[Some(&other)]), &["checksum"]).await;
    check_different(
        Arc::new(Float64Array::from(vec![f64::NAN, 1.0])),
        Arc::new(Float64Array::from(vec![Some(1.0), None])),
        &["null_count", "nan_count", "checksum"],
    )
    .await;
    check_different(
        decimals(&[100, 200], 9, 2),
        decimals(&[100, 200], 9, 1),
        &["min", "max", "sum", "checksum"],
    )
    .await;
    // Equal sums, equal bounds.
    check_different(
        Arc::new(Int32Array::from(vec![0, 3, 4, 9])),
        Arc::new(Int32Array::from(vec![0, 2, 5, 9])),
        &["checksum"],
    )
    .await;
    check_different(
        Arc::new(TimestampNanosecondArray::from(vec![1])),
        Arc::new(TimestampNanosecondArray::from(vec![2])),
        &["min", "max", "checksum"],
    )
    .await;
    check_different(
        Arc::new(Int32Array::from(vec![1])),
        text(&[Some("1")]),
        &["type"],
    )
    .await;
}

#[tokio::test]
async fn nested_values_that_differ_are_told_apart() {
    let one_and_two = list(vec![Some(vec![Some(1), Some(2)])]);
    check_different(
        Arc::clone(&one_and_two),
        list(vec![Some(vec![Some(2), Some(1)])]),
        &["checksum"],
    )
    .await;
    check_different(
        one_and_two,
        list(vec![Some(vec![Some(1), Some(2), None])]),
        &["length", "checksum"],
    )
    .await;
    check_different(
        list(vec![Some(vec![])]),
        list(vec![None]),
        &["null_count", "checksum"],
    )
    .await;
    check_different(
        list(vec![Some(vec![Some(1)]), Some(vec![])]),
        list(vec![Some(vec![]), Some(vec![Some(1), None])]),
        &["length", "checksum"],
    )
    .await;
    check_different(
        map(&[Some(&[("a", Some(1)), ("b", Some(2))])]),
        map(&[Some(&[("a", Some(2)), ("b", Some(1))])]),
        &["checksum"],
    )
    .await;
    let (one, null): (ArrayRef, ArrayRef) = (
        Arc::new(Int32Array::from(vec![1])),
        Arc::new(Int32Array::from(vec![None])),
    );
    check_different(
        structs(vec![("a", Arc::clone(&one)), ("b", Arc::clone(&null))]),
        structs(vec![("a", null), ("b", one)]),
        &["checksum"],
    )
    .await;
}

#[tokio::test]
async fn columns_are_matched_by_name() {
    #[track_caller]
    fn check(comparison: &Comparison, expected: &[&str]) {
        let differences = comparison.differences.iter();
        let found: Vec<_> = differences
            .map(|difference| {
                format!(
                    "{} {} {} {}",
                    difference.column.as_deref().unwrap_or("-"),
                    difference.check,
                    difference.source,
                    difference.table
                )
            })
            .collect();
        assert_eq!(found, expected);
    }
    let number = |value: Option<i32>| -> ArrayRef { Arc::new(Int32Array::from(vec![value])) };
    let (one, two, null) = (number(Some(1)), number(Some(2)), number(None));
    let pair = |names: [&str; 2], values: [&ArrayRef; 2]| {
        table(vec![
            (names[0], Arc::clone(values[0])),
            (names[1], Arc::clone(values[1])),
        ])
    };
    let found = compared(
        pair(["userId", "B"], [&one, &two]),
        pair(["b", "userid"], [&two, &one]),
        &[],
    );
    check(&found.await, &[]);
    // Names that differ only in case are matched exactly first.
    let found = compared(
        pair(["a", "A"], [&one, &two]),
        pair(["A", "a"], [&two, &one]),
        &[],
    );
    check(&found.await, &[]);
    let found = compared(
        pair(["a", "b"], [&one, &null]),
        table(vec![("a", Arc::clone(&one))]),
        &[],
    );
    check(&found.await, &[]);
    let found = compared(
        pair(["a", "b"], [&one, &two]),
        pair(["a", "c"], [&one, &two]),
        &[],
    );
    check(
        &found.await,
        &["b column \"b\" null", "c column null \"c\""],
    );
}

#[tokio::test]
async fn cells_that_changed_places_are_found() {
    let column = |values: [i32; 2]| -> ArrayRef { Arc::new(Int32Array::from(values.to_vec())) };
    let side = |values| table(vec![("b", column(values)), ("a", column([1, 2]))]);
    let found = compared(side([1, 2]), side([2, 1]), &[]).await;
    let checks: Vec<_> = found.differences.iter().map(|found| found.check).collect();
    assert_eq!(checks, ["row_checksum"]);
    // The order of columns and rows is none of it, and neither is a column of nulls.
    let nulls: ArrayRef = Arc::new(Int32Array::from(vec![None, None]));
    let other = table(vec![
        ("A", column([2, 1])),
        ("n", nulls),
        ("B", column([2, 1])),
    ]);
    assert!(compared(side([1, 2]), other, &[]).await.is_equal());
}

#[tokio::test]
async fn lists_are_cut_and_counts_are_not() {
    let numbers: Vec<i32> = (0..1_500).collect();
    let shifted: Vec<i32> = (0..1_500).map(|number| number + 1).collect();
    let side = |values: Vec<i32>| {
        let batch: Vec<(&str, ArrayRef)> = vec![
            ("k", Arc::new(Int32Array::from(numbers.clone()))),
            ("v", Arc::new(Int32Array::from(values))),
        ];
        let batch = RecordBatch::try_from_iter(batch).unwrap();
        Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap())
    };
    let found = compared(side(numbers.clone()), side(shifted), &["k"]).await;
    assert_eq!(found.differences_count, 1_500 * 4);
    assert_eq!(found.differences.len(), DIFFERENCE_LIMIT);
    assert_eq!(found.partitions_compared, 1_500);
    let third = &found.differences[8];
    assert_eq!(third.partition.to_string(), "k=2");
}

#[tokio::test]
async fn partitions_come_in_the_order_people_expect() {
    let keys = [Some("b"), Some("10"), None, Some("9"), Some("09"), Some("")];
    let keyed = table(vec![("k", Arc::new(texts(&keys)) as ArrayRef)]);
    let other = table(vec![("K", Arc::new(texts(&[Some("a/b")])) as ArrayRef)]);
    let found = compared(keyed, other, &["k"]).await;
    let differences = found.differences.iter();
    let partitions: Vec<_> = differences
        .map(|found| found.partition.to_string())
        .collect();
    assert_eq!(
        partitions,
        ["k is null", "k=09", "k=9", "k=10", "k=", "k=a/b", "k=b"]
    );
    let json = serde_json::to_string(&found.differences[0]).unwrap();
    let expected = r#"{"partition":{"k":null},"check":"partitions","source":1,"table":null}"#;
    assert_eq!(json, expected);
}
