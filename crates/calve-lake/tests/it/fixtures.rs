use arrow::array::{Array, RecordBatch, StringArray};
use calve_base::Location;
use calve_lake::{Lake, LakeEntry, LakeFile, LakeOptions, SkipReason, Source};
use calve_storage::Storage;
use futures::TryStreamExt;
use iceberg::spec::{Literal, PrimitiveLiteral, PrimitiveType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

async fn open(path: &str) -> (Lake, Vec<LakeEntry>) {
    let root = calve_testkit::workspace_root().join("fixtures").join(path);
    let source = Source::Location(Location::parse(root.to_str().unwrap()).unwrap());
    let storage = Storage::new(calve_base::Properties::new());
    let lake = Lake::open(&storage, source, LakeOptions::default())
        .await
        .unwrap();
    let entries = lake.files().try_collect().await.unwrap();
    (lake, entries)
}

fn files(entries: &[LakeEntry]) -> impl Iterator<Item = &LakeFile> {
    entries.iter().filter_map(|entry| match entry {
        LakeEntry::File(file) => Some(file),
        LakeEntry::Skipped(_) => None,
    })
}

fn rows(file: &LakeFile) -> RecordBatch {
    let file = fs_err::File::open(file.location.key()).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file.into_parts().0).unwrap();
    reader.build().unwrap().next().unwrap().unwrap()
}

fn text(literal: &Literal, primitive_type: &PrimitiveType) -> String {
    match literal {
        Literal::Primitive(PrimitiveLiteral::String(text)) => text.clone(),
        Literal::Primitive(PrimitiveLiteral::Long(number)) => number.to_string(),
        Literal::Primitive(PrimitiveLiteral::Int(days))
            if *primitive_type == PrimitiveType::Date =>
        {
            let date = chrono::NaiveDate::default() + chrono::TimeDelta::days(i64::from(*days));
            date.to_string()
        }
        other => panic!("no fixture has {other:?}"),
    }
}

/// Each file says in its columns what its partition values must be.
async fn check(
    path: &str,
    expected_keys: &[(&str, PrimitiveType)],
    column: impl Fn(&str) -> String,
) {
    let (lake, entries) = open(path).await;
    let keys: Vec<_> = lake
        .partition_keys()
        .iter()
        .map(|key| (key.name.as_str(), key.primitive_type.clone()))
        .collect();
    assert_eq!(keys, expected_keys);
    assert!(lake.totals().files > 0);
    for file in files(&entries) {
        let rows = rows(file);
        for (key, value) in lake.partition_keys().iter().zip(file.partition.iter()) {
            let found = value.as_ref().map(|value| text(value, &key.primitive_type));
            let expected = rows.column_by_name(&column(&key.name)).unwrap();
            let expected = expected.as_any().downcast_ref::<StringArray>().unwrap();
            let expected = expected.is_valid(0).then(|| expected.value(0).to_owned());
            assert_eq!(found, expected, "{}", file.location);
        }
    }
}

#[tokio::test]
async fn hard_values() {
    check(
        "hard-partitions/text",
        &[("k", PrimitiveType::String)],
        |_| "expected".to_owned(),
    )
    .await;
}

#[tokio::test]
async fn typed_values() {
    let keys = [
        ("n", PrimitiveType::Long),
        ("d", PrimitiveType::Date),
        ("s", PrimitiveType::String),
    ];
    check("hard-partitions/typed", &keys, |key| {
        format!("expected_{key}")
    })
    .await;
}

#[tokio::test]
async fn keys_in_any_order() {
    let keys = [
        ("DT", PrimitiveType::Date),
        ("REGION", PrimitiveType::String),
    ];
    check("hard-partitions/any-order", &keys, |key| {
        format!("expected_{}", key.to_lowercase())
    })
    .await;
}

#[tokio::test]
async fn ghcn() {
    let (lake, entries) = open("ghcn").await;
    let keys: Vec<_> = lake
        .partition_keys()
        .iter()
        .map(|key| (key.name.as_str(), key.primitive_type.clone()))
        .collect();
    assert_eq!(
        keys,
        [
            ("YEAR", PrimitiveType::Int),
            ("ELEMENT", PrimitiveType::String)
        ]
    );
    let totals = lake.totals();
    assert_eq!(
        (totals.files, totals.partitions, totals.skipped),
        (100, 25, 1)
    );
    assert_eq!(
        totals.bytes,
        files(&entries).map(|file| file.size).sum::<u64>()
    );
    let skipped = entries.iter().find_map(|entry| match entry {
        LakeEntry::Skipped(skipped) => Some((skipped.location.file_name(), skipped.reason)),
        LakeEntry::File(_) => None,
    });
    assert_eq!(skipped, Some(("_SUCCESS", SkipReason::Hidden)));
}

#[tokio::test]
async fn one_file_is_a_lake() {
    let (_, entries) = open("nested").await;
    let file = files(&entries).next().unwrap();
    let storage = Storage::new(calve_base::Properties::new());
    let source = Source::Location(file.location.clone());
    let lake = Lake::open(&storage, source, LakeOptions::default())
        .await
        .unwrap();
    assert_eq!(lake.partition_keys(), []);
    let entries: Vec<LakeEntry> = lake.files().try_collect().await.unwrap();
    let found: Vec<&Location> = files(&entries).map(|file| &file.location).collect();
    assert_eq!(found, [&file.location]);
}

#[tokio::test]
async fn missing_and_empty_local_folders() {
    let folder = tempfile::tempdir().unwrap();
    let storage = Storage::new(calve_base::Properties::new());
    for (path, problem) in [
        ("missing", "no such file or folder"),
        ("", "no data files"),
        ("/", "no data files"),
    ] {
        let path = if path == "/" {
            format!("{}/", folder.path().display())
        } else {
            folder.path().join(path).to_str().unwrap().to_owned()
        };
        let source = Source::Location(Location::parse(&path).unwrap());
        let error = Lake::open(&storage, source, LakeOptions::default())
            .await
            .unwrap_err();
        assert!(error.to_string().ends_with(problem), "{path}: {error}");
    }
}
