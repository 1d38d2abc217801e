//! Deleted rows do not come back.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use iceberg::spec::{DataContentType, DataFile, Literal, PrimitiveType, Struct, Transform};

use crate::lakehouse::{Lakehouse, optional, primitive};

fn column(name: &str, id: i32, kind: DataType) -> Field {
    Field::new(name, kind, true)
        .with_metadata([("PARQUET:field_id".to_owned(), id.to_string())].into())
}

fn rows(ids: &[i64], names: &[Option<&str>]) -> RecordBatch {
    let schema = Schema::new(vec![
        column("id", 1, DataType::Int64),
        column("name", 2, DataType::Utf8),
    ]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(ids.to_vec())),
        Arc::new(StringArray::from(names.to_vec())),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn positions(deleted: &[(&str, i64)]) -> RecordBatch {
    let schema = Schema::new(vec![
        column("file_path", 2_147_483_546, DataType::Utf8),
        column("pos", 2_147_483_545, DataType::Int64),
    ]);
    let (paths, rows): (Vec<&str>, Vec<i64>) = deleted.iter().copied().unzip();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(paths)),
        Arc::new(Int64Array::from(rows)),
    ];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

const LETTERS: [Option<&str>; 7] = [
    Some("a"),
    Some("b"),
    Some("c"),
    Some("d"),
    Some("e"),
    Some("f"),
    None,
];

async fn table(house: &Lakehouse) -> (calve_catalog::Table, DataFile) {
    let fields = vec![
        optional(1, "id", primitive(PrimitiveType::Long)),
        optional(2, "name", primitive(PrimitiveType::String)),
    ];
    let table = house.create("db.t", fields, &[], None).await;
    // Row groups of two rows: 0-1, 2-3, 4-5, 6.
    let file = house
        .write("data.parquet", &rows(&[0, 1, 2, 3, 4, 5, 6], &LETTERS))
        .build()
        .unwrap();
    let table = house.append(&table, vec![file.clone()]).await;
    (table, file)
}

#[tokio::test]
async fn rows_deleted_by_position() {
    let house = Lakehouse::new().await;
    let (table, file) = table(&house).await;
    house.check("SELECT count(*) FROM db.t", &["7"]).await;
    // `file:` and a plain path are one file; the other path is of no file of the table.
    let other_spelling = format!("file://{}", file.file_path());
    let deleted = [
        (other_spelling.as_str(), 1),
        (other_spelling.as_str(), 2),
        (other_spelling.as_str(), 3),
        ("/other", 0),
    ];
    let deletes = house
        .write("deletes.parquet", &positions(&deleted))
        .content(DataContentType::PositionDeletes)
        .build()
        .unwrap();
    let table = house.commit(&table, &[(vec![deletes], true)]).await;
    house
        .check("SELECT id FROM db.t ORDER BY id", &["0", "4", "5", "6"])
        .await;
    house.check("SELECT count(*) FROM db.t", &["4"]).await;
    house
        .check("SELECT name FROM db.t WHERE id > 0 AND id < 5", &["e"])
        .await;
    house
        .check(
            "SELECT id FROM db.t ORDER BY id DESC LIMIT 3",
            &["6", "5", "4"],
        )
        .await;
    house
        .check("SELECT count(*) FROM (SELECT * FROM db.t LIMIT 4)", &["4"])
        .await;
    let before = format!(
        "SELECT count(*) FROM db.t FOR VERSION AS OF {}",
        table
            .metadata()
            .snapshots()
            .map(|s| s.snapshot_id())
            .min()
            .unwrap()
    );
    house.check(&before, &["7"]).await;
    // A file of a later snapshot is not touched by the delete, even at the same place in it.
    let later = house
        .write("later.parquet", &rows(&[10, 11], &[None, None]))
        .build()
        .unwrap();
    house.append(&table, vec![later]).await;
    house.check("SELECT count(*) FROM db.t", &["6"]).await;
}

#[tokio::test]
async fn rows_deleted_by_value() {
    let house = Lakehouse::new().await;
    let (table, _) = table(&house).await;
    let by_name = rows(&[100, 101], &[Some("b"), None]).project(&[1]).unwrap();
    let by_both = rows(&[3, 4], &[Some("d"), Some("not e")]);
    let deletes = vec![
        house
            .write("by_name.parquet", &by_name)
            .content(DataContentType::EqualityDeletes)
            .equality_ids(Some(vec![2]))
            .build()
            .unwrap(),
        house
            .write("by_both.parquet", &by_both)
            .content(DataContentType::EqualityDeletes)
            .equality_ids(Some(vec![1, 2]))
            .build()
            .unwrap(),
    ];
    // In the same snapshot as the deletes: not deleted.
    let same = house
        .write("same.parquet", &rows(&[20], &[Some("b")]))
        .build()
        .unwrap();
    house
        .commit(&table, &[(deletes, true), (vec![same], false)])
        .await;
    house
        .check(
            "SELECT id FROM db.t ORDER BY id",
            &["0", "2", "4", "5", "20"],
        )
        .await;
}

#[tokio::test]
async fn deletes_stay_in_their_partition() {
    let house = Lakehouse::new().await;
    let fields = vec![
        optional(1, "id", primitive(PrimitiveType::Long)),
        optional(2, "name", primitive(PrimitiveType::String)),
    ];
    let table = house
        .create(
            "db.p",
            fields,
            &[("name", "name", Transform::Identity)],
            None,
        )
        .await;
    let partition = |name: &str| Struct::from_iter([Some(Literal::string(name))]);
    let file = |name: &str| {
        let nothing = [None, None];
        house
            .write(
                &format!("{name}.parquet"),
                &rows(&[1, 2], &nothing).project(&[0]).unwrap(),
            )
            .partition(partition(name))
            .build()
            .unwrap()
    };
    let table = house.append(&table, vec![file("x"), file("y")]).await;
    let deletes = house
        .write(
            "deletes.parquet",
            &rows(&[1], &[None]).project(&[0]).unwrap(),
        )
        .content(DataContentType::EqualityDeletes)
        .equality_ids(Some(vec![1]))
        .partition(partition("x"))
        .build()
        .unwrap();
    house.commit(&table, &[(vec![deletes], true)]).await;
    house
        .check(
            "SELECT name, id FROM db.p ORDER BY name, id",
            &["x|2", "y|1", "y|2"],
        )
        .await;
}
