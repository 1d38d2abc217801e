use arrow::array::{Int64Array, ListArray, StringArray};
use arrow::datatypes::Int32Type;
use insta::assert_snapshot;

use super::*;

fn batch() -> RecordBatch {
    let lists = vec![Some(vec![Some(1), None]), None, Some(vec![])];
    RecordBatch::try_from_iter_with_nullable([
        (
            "n",
            Arc::new(Int64Array::from(vec![Some(1), None, Some(300)])) as ArrayRef,
            true,
        ),
        (
            "text",
            Arc::new(StringArray::from(vec![Some("a,b"), Some("tab\t"), None])),
            true,
        ),
        (
            "list",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(lists)),
            true,
        ),
    ])
    .unwrap()
}

fn written(format: RowFormat, batches: &[RecordBatch]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = RowWriter::new(format, &batch().schema(), &mut bytes).unwrap();
    for batch in batches {
        writer.write(batch).unwrap();
    }
    writer.finish().unwrap();
    bytes
}

#[track_caller]
fn text(format: RowFormat, batches: &[RecordBatch]) -> String {
    String::from_utf8(written(format, batches)).unwrap()
}

#[test]
fn rows_as_a_table() {
    assert_snapshot!(text(RowFormat::Table, &[batch()]), @r#"
       n  text   list
    ----  -----  ---------
       1  a,b    [1, NULL]
    NULL  tab\t  NULL
     300  NULL   []
    (3 rows)
    "#);
    assert_snapshot!(text(RowFormat::Table, &[]), @"
    n  text  list
    -  ----  ----
    (0 rows)
    ");
}

#[test]
fn rows_beyond_the_window_are_printed_whole() {
    let many = vec![batch(); TABLE_WINDOW_ROWS];
    let text = text(RowFormat::Table, &many);
    assert_eq!(text.lines().count(), 2 + 3 * TABLE_WINDOW_ROWS + 1);
    assert!(text.ends_with("(3000 rows)\n"));
}

#[test]
fn rows_as_json() {
    assert_snapshot!(text(RowFormat::Json, &[batch()]), @r#"[{"n":1,"text":"a,b","list":[1,null]},{"n":null,"text":"tab\t","list":null},{"n":300,"text":null,"list":[]}]"#);
    assert_eq!(text(RowFormat::Json, &[]), "[]\n");
}

#[test]
fn rows_as_csv() {
    assert_snapshot!(text(RowFormat::Csv, &[batch(), batch()]), @r#"
    n,text,list
    1,"a,b","[1,null]"
    ,tab	,
    300,,[]
    1,"a,b","[1,null]"
    ,tab	,
    300,,[]
    "#);
    assert_eq!(text(RowFormat::Csv, &[]), "n,text,list\n");
}

#[test]
fn rows_as_parquet() {
    let bytes = written(RowFormat::Parquet, &[batch()]);
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
}

#[test]
fn one_name_twice_is_refused_in_json() {
    let schema = Schema::new(vec![
        Field::new("a", DataType::Int32, true),
        Field::new("a", DataType::Utf8, true),
    ]);
    let error = RowWriter::new(RowFormat::Json, &Arc::new(schema), Vec::new())
        .err()
        .unwrap();
    assert_eq!(
        error.to_string(),
        "two columns of the result are named `a`, which JSON cannot hold"
    );
}
