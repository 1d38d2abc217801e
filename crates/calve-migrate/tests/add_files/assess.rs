//! `Assess`: what it finds in lakes of every kind, which way it recommends, and what it asks for.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, StringArray, TimestampMicrosecondArray, TimestampMillisecondArray,
    UInt64Array,
};
use calve_base::Location;
use calve_catalog::Catalog;
use calve_lake::Source;
use calve_migrate::assess::{Prices, Recommendation};
use calve_migrate::{AddFiles, Assess, Assessment, OnUnsafe};
use calve_testkit::lakes::{self, Drift};
use calve_testkit::moto::Moto;
use calve_testkit::{s3, shared_data};
use serde_json::json;

use crate::support::Home;

fn assess(catalog: &Arc<dyn Catalog>, lake: &str) -> Assess {
    let source = Source::Location(Location::parse(lake).unwrap());
    Assess::new(Arc::clone(catalog), source)
}

/// Writes a file whose `at` counts microseconds, or milliseconds.
fn write_times(path: &Path, milliseconds: bool, rows: i64) {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
    let times = (0..rows).map(|it| 1_714_521_600_123 + it);
    let times: ArrayRef = if milliseconds {
        Arc::new(TimestampMillisecondArray::from_iter_values(times))
    } else {
        Arc::new(TimestampMicrosecondArray::from_iter_values(
            times.map(|it| it * 1_000),
        ))
    };
    lakes::write_parquet(path, &lakes::batch(vec![("id", ids), ("at", times)]));
}

/// Assesses what `make` leaves in a folder, and compares recommendation, files that can stay, files in all and
/// rules of findings.
#[track_caller]
fn check(
    make: impl Fn(&Path),
    recommendation: &str,
    stay: (u64, u64),
    rules: &[&str],
) -> Assessment {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let home = Home::new().await;
        make(&home.lake());
        let assessment = assess(&home.catalog, home.lake().to_str().unwrap());
        let assessment = assessment.await.unwrap();
        let census = &assessment.census;
        assert_eq!(
            assessment.recommendation.as_str(),
            recommendation,
            "{:?}",
            assessment.reasons
        );
        assert_eq!((census.in_place.safe.files, census.files), stay);
        let mut found: Vec<&str> = census.findings.iter().map(|it| it.code.as_str()).collect();
        found.dedup();
        assert_eq!(found, rules);
        assert!(!assessment.reasons.is_empty());
        assert!(home.warehouse_files().is_empty(), "nothing is written");
        assessment
    })
}

#[test]
fn a_sound_lake_stays() {
    let made = |lake: &Path| _ = lakes::ghcn(lake, 24, 10, 1);
    let assessment = check(made, "in-place", (24, 24), &[]);
    let census = &assessment.census;
    assert_eq!((census.records, census.row_groups), (240, 24));
    assert_eq!(census.partitions, 6);
    let keys = census.partition_keys.iter();
    let keys: Vec<_> = keys
        .map(|key| format!("{}: {}", key.name, key.key_type))
        .collect();
    assert_eq!(keys, ["YEAR: int", "ELEMENT: string"]);
    assert_eq!(
        census.sizes.iter().map(|it| it.amount.files).sum::<u64>(),
        24
    );
    assert_eq!(
        census.sizes.iter().map(|it| it.amount.bytes).sum::<u64>(),
        census.bytes
    );
    assert_eq!(census.rewritable.files, 24);
    assert_eq!(
        (census.schemas_count, census.schemas[0].amount.files),
        (1, 24)
    );
    assert_eq!(assessment.commands.len(), 2, "{:?}", assessment.commands);
}

#[test]
fn types_that_cannot_stay_are_rewritten() {
    let made = |lake: &Path| _ = lakes::milliseconds(lake);
    let assessment = check(made, "ctas", (0, 2), &["milliseconds"]);
    assert_eq!(assessment.census.in_place.only_if_allowed.files, 2);
    assert!(
        assessment.commands[0].contains("calve ctas"),
        "{:?}",
        assessment.commands
    );
    // There are no partitions to except.
    let assessment = check(
        |lake| {
            write_times(&lake.join("a.parquet"), false, 3);
            write_times(&lake.join("b.parquet"), true, 3);
        },
        "ctas",
        (1, 2),
        &["milliseconds"],
    );
    assert!(
        !assessment.commands[0].contains("--partition-by"),
        "{:?}",
        assessment.commands
    );
    // Most of the data is in partitions that cannot stay.
    check(
        |lake| {
            write_times(&lake.join("day=2024-01-01/a.parquet"), false, 3);
            write_times(&lake.join("day=2024-01-02/a.parquet"), true, 3_000);
        },
        "ctas",
        (1, 2),
        &["milliseconds"],
    );
}

#[test]
fn partitions_are_excepted() {
    let assessment = check(
        |lake| {
            for day in 1..=9 {
                write_times(
                    &lake.join(format!("day=2024-01-0{day}/a.parquet")),
                    day == 4,
                    3,
                );
            }
        },
        "in-place-except",
        (8, 9),
        &["milliseconds"],
    );
    let except = &assessment.census.except;
    assert_eq!(
        (except.partitions_count, except.mixed_partitions_count),
        (1, 0)
    );
    let keys = &assessment.census.partition_keys;
    assert_eq!(except.partitions[0].describe(keys), "day=2024-01-04");
    let commands = &assessment.commands;
    assert!(
        commands[0]
            .ends_with(r#"--partition-by day --where '"day" = CAST('\''2024-01-04'\'' AS DATE)'"#),
        "{commands:?}"
    );
    assert_eq!(commands.len(), 1 + 8 + 1, "{commands:?}");
    assert!(
        commands[1].ends_with("--partition-filter day=2024-01-01"),
        "{commands:?}"
    );
}

/// No command is given that would double rows, or fail.
#[test]
fn a_partition_with_both_kinds_of_files() {
    let assessment = check(
        |lake| {
            for day in 1..=5 {
                write_times(&lake.join(format!("day={day}/a.parquet")), false, 3);
            }
            write_times(&lake.join("day=3/b.parquet"), true, 3);
        },
        "in-place-except",
        (5, 6),
        &["milliseconds"],
    );
    assert_eq!(assessment.census.except.mixed_partitions_count, 1);
    assert_eq!(assessment.commands.len(), 1);
    assert!(
        assessment.commands[0].ends_with("--on-refused skip"),
        "{:?}",
        assessment.commands
    );
}

#[test]
fn files_that_contradict_each_other() {
    let made = |lake: &Path| _ = lakes::drift(lake, Drift::Conflicting);
    let assessment = check(made, "in-place-except", (2, 3), &["type_conflict"]);
    let finding = &assessment.census.findings[0];
    assert_eq!(
        (finding.column.as_str(), finding.not_rewritable_files),
        ("score", 1)
    );
    assert!(
        finding.examples[0]
            .as_str()
            .ends_with("day=2024-01-03/part-0.parquet")
    );
    // In one partition, too.
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["x"]));
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let assessment = check(
        |lake| {
            lakes::write_parquet(
                &lake.join("k=1/a.parquet"),
                &lakes::batch(vec![("v", Arc::clone(&numbers))]),
            );
            lakes::write_parquet(
                &lake.join("k=1/b.parquet"),
                &lakes::batch(vec![("v", Arc::clone(&texts))]),
            );
        },
        "in-place-except",
        (1, 2),
        &["type_conflict"],
    );
    assert_eq!(assessment.census.except.mixed_partitions_count, 1);
    assert_eq!(assessment.census.rewritable.files, 1);
    // An unsigned number becomes a decimal when it is rewritten, which contradicts whole numbers.
    let unsigned: ArrayRef = Arc::new(UInt64Array::from(vec![1]));
    let assessment = check(
        |lake| {
            for part in 1..=4 {
                let path = lake.join(format!("k={part}/a.parquet"));
                lakes::write_parquet(&path, &lakes::batch(vec![("v", Arc::clone(&numbers))]));
            }
            lakes::write_parquet(
                &lake.join("k=5/a.parquet"),
                &lakes::batch(vec![("v", Arc::clone(&unsigned))]),
            );
        },
        "in-place-except",
        (4, 5),
        &["unsigned_int64"],
    );
    assert_eq!(assessment.census.rewritable.files, 4);
    assert!(
        !assessment.commands[0].contains("ctas"),
        "{:?}",
        assessment.commands
    );
}

#[test]
fn damaged_files() {
    let damage =
        |path: &Path| lakes::write_bytes(path, b"this is no Parquet file, but long enough");
    let assessment = check(
        |lake| {
            damage(&lake.join("k=1/a.parquet"));
            damage(&lake.join("k=2/b.parquet"));
        },
        "none",
        (0, 2),
        &["not_parquet"],
    );
    assert_eq!(
        (assessment.census.records, assessment.commands.len()),
        (0, 0)
    );
    let assessment = check(
        |lake| {
            lakes::ghcn(lake, 6, 10, 1);
            damage(&lake.join("YEAR=2099/ELEMENT=TMAX/bad.parquet"));
            lakes::write_bytes(&lake.join("YEAR=2099/ELEMENT=TMAX/_SUCCESS"), b"");
            lakes::write_bytes(&lake.join("YEAR=2099/ELEMENT=TMAX/empty.parquet"), b"");
        },
        "in-place-except",
        (6, 7),
        &["not_parquet"],
    );
    let skipped = assessment.census.skipped.iter();
    let skipped: Vec<_> = skipped.map(|it| (it.reason.as_str(), it.objects)).collect();
    assert_eq!(skipped, [("hidden", 1), ("zero_byte", 1)]);
    assert_eq!(assessment.census.except.partitions_count, 1);
}

#[tokio::test]
async fn what_is_not_there() {
    let home = Home::new().await;
    let lake = home.lake();
    let lake = lake.to_str().unwrap();
    let error = assess(&home.catalog, lake).await.unwrap_err().to_string();
    assert!(error.contains("no such file or folder"), "{error}");
    lakes::write_bytes(&home.lake().join("_only_hidden"), b"x");
    let error = assess(&home.catalog, lake).await.unwrap_err().to_string();
    assert!(error.contains("no data files"), "{error}");
    let source = Source::HiveTable {
        metastore: Arc::clone(&home.catalog),
        ident: "db.t".parse().unwrap(),
    };
    let error = Assess::new(Arc::clone(&home.catalog), source)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("no Hive-style tables"), "{error}");
}

/// What is said of files is what `add-files` plans for them, real files included.
#[tokio::test(flavor = "multi_thread")]
async fn the_plan_agrees() {
    let home = Home::new().await;
    let mut lakes: Vec<std::path::PathBuf> = Drift::ALL
        .iter()
        .map(|drift| {
            let lake = home.folder.path().join(drift.folder());
            lakes::drift(&lake, *drift);
            lake
        })
        .collect();
    for (name, make) in [
        (
            "milliseconds",
            lakes::milliseconds as fn(&Path) -> lakes::Made,
        ),
        ("nested", lakes::nested),
        ("hard", lakes::hard_partitions),
        ("typed", lakes::typed),
    ] {
        let lake = home.folder.path().join(name);
        make(&lake);
        lakes.push(lake);
    }
    match shared_data() {
        Some(data) => lakes.extend(parquet_files(&data.join("parquet"))),
        None => eprintln!("skipped for real files: there is no folder of shared data"),
    }
    for lake in lakes {
        let text = lake.to_str().unwrap();
        let source = Source::Location(Location::parse(text).unwrap());
        let add = |on_unsafe| {
            let table = "db.t".parse().unwrap();
            AddFiles::new(Arc::clone(&home.catalog), source.clone(), table)
                .with_on_unsafe(on_unsafe)
        };
        let census = match assess(&home.catalog, text).with_neighbours(false).await {
            Ok(assessment) => assessment.census,
            Err(error) => {
                let planned = add(OnUnsafe::Refuse).plan().await.unwrap_err();
                assert_eq!(error.to_string(), planned.to_string(), "{text}");
                continue;
            }
        };
        let plan = add(OnUnsafe::Refuse).plan().await.unwrap();
        assert_eq!(census.in_place.safe.files, plan.added_files_count, "{text}");
        assert_eq!(
            census.in_place.safe.bytes, plan.added_files_size_bytes,
            "{text}"
        );
        let refused: std::collections::BTreeSet<_> =
            plan.refused.iter().map(|it| &it.file).collect();
        let found = census.in_place.only_if_allowed.files + census.in_place.refused.files;
        assert_eq!(found, refused.len() as u64, "{text}");
        assert_eq!(
            census.skipped_count + census.in_place.no_rows.files,
            plan.skipped_count,
            "{text}"
        );
        assert_eq!(census.columns, plan.columns, "{text}");
        if census.files == 1 {
            // Without other files beside it, allowing what is unsafe adds what is only unsafe.
            let allowed = add(OnUnsafe::Allow).plan().await.unwrap().added_files_count;
            let found = census.in_place.safe.files + census.in_place.only_if_allowed.files;
            assert_eq!(found, allowed, "{text}");
        }
    }
}

/// All files that may be Parquet, but for one that takes minutes.
fn parquet_files(root: &Path) -> Vec<std::path::PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![root.canonicalize().unwrap()]);
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let extension = path.extension().and_then(|it| it.to_str());
            if path.is_dir() {
                folders.push(path);
            } else if matches!(extension, Some("parquet" | "parq" | "encrypted")) {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 500, "only {} files", files.len());
    files.sort();
    files
}

async fn on_s3(server: &s3::S3Server) -> Arc<dyn Catalog> {
    let mut properties = server.properties();
    properties.insert("type".to_owned(), "memory".to_owned());
    properties.insert("warehouse".to_owned(), "s3://lake/warehouse".to_owned());
    calve_catalog::open("default", properties).await.unwrap()
}

fn footers(server: &s3::S3Server) -> usize {
    let requests = server.requests().into_iter();
    requests
        .filter(|it| it.operation == s3::Operation::Get && it.key.ends_with(".parquet"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_source_is_listed_once() {
    let server = s3::S3Server::with_buckets(&["lake"]);
    let catalog = on_s3(&server).await;
    let made = lakes::ghcn(&server.root().join("lake/in"), 60, 10, 1);
    let cache = Location::parse("s3://lake/cache/assessment.json").unwrap();
    let run = || assess(&catalog, "s3://lake/in").with_cache(cache.clone());
    let first = run().await.unwrap();
    assert!(!first.from_cache);
    assert_eq!(
        footers(&server) as u64,
        made.files,
        "one request for each footer"
    );
    server.forget_requests();
    let second = run().await.unwrap();
    assert!(second.from_cache);
    assert_eq!(second.census, first.census);
    assert_eq!(second.commands, first.commands);
    assert_eq!(
        (footers(&server), server.count(s3::Operation::List)),
        (0, 1)
    );
    assert_eq!(server.count(s3::Operation::Get), 1, "the cache itself");
    // What was asked, and prices, may be other ones.
    let prices = Prices {
        get_per_thousand: 1e6,
        ..Prices::default()
    };
    let dear = run().with_prices(prices).await.unwrap();
    assert!(dear.from_cache && dear.ways.in_place.dollars > first.ways.in_place.dollars);
    let filter = vec![("ELEMENT".to_owned(), "TMAX".to_owned())];
    let part = run().with_partition_filter(filter).await.unwrap();
    assert!(!part.from_cache && part.census.files < made.files);
    assert!(
        !run().await.unwrap().from_cache,
        "the file holds one assessment"
    );
    // A file more, and a damaged cache.
    let requests = server.requests();
    let file = requests.iter().find(|it| it.key.ends_with(".parquet"));
    let bytes = fs_err::read(server.root().join("lake").join(&file.unwrap().key)).unwrap();
    server.put("lake", "in/YEAR=2150/ELEMENT=TMAX/part-0.parquet", bytes);
    let more = run().await.unwrap();
    assert_eq!(
        (more.from_cache, more.census.files),
        (false, made.files + 1)
    );
    server.put("lake", "cache/assessment.json", "{\"version\": 1");
    let damaged = run().await.unwrap();
    assert!(
        !damaged.from_cache && damaged.census.notes[0].contains("damaged"),
        "{:?}",
        damaged.census.notes
    );
    assert!(run().await.unwrap().from_cache, "it was written anew");
    let inside = Location::parse("s3://lake/in/cache.json").unwrap();
    let error = assess(&catalog, "s3://lake/in")
        .with_cache(inside)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("would lie in the source"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_files() {
    let server = s3::S3Server::with_buckets(&["lake"]);
    let catalog = on_s3(&server).await;
    let root = server.root().join("lake/in");
    for year in ["2001", "2002", "2003"] {
        write_times(&root.join(format!("year={year}/a.parquet")), false, 3);
    }
    server.set_storage_class("2001", "DEEP_ARCHIVE");
    server.set_storage_class("2002", "GLACIER");
    let fault = s3::Fault::Status(403, "InvalidObjectState");
    let rule = s3::Rule::new(fault, s3::When::Always).for_operation(s3::Operation::Get);
    server.add_rule(rule.for_key("2001"));
    // What lies in GLACIER is restored for a while: it can be read.
    let assessment = assess(&catalog, "s3://lake/in").await.unwrap();
    let census = &assessment.census;
    assert_eq!(assessment.recommendation, Recommendation::InPlaceExcept);
    assert_eq!(census.findings[0].code, "archived");
    assert_eq!(
        (census.in_place.safe.files, census.in_place.refused.files),
        (2, 1)
    );
    let classes: Vec<_> = census
        .storage_classes
        .iter()
        .map(|it| it.class.as_str())
        .collect();
    assert_eq!(classes, ["DEEP_ARCHIVE", "GLACIER"]);
    let cautions = assessment
        .ownership
        .iter()
        .filter(|it| it.code == "storage_class");
    assert_eq!(cautions.count(), 2);
    assert!(assessment.ways.in_place.list_requests > 0 && assessment.ways.in_place.dollars > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tables_over_the_same_files() {
    let home = Home::new().await;
    lakes::ghcn(&home.lake(), 6, 10, 1);
    let lake = home.lake();
    let lake = lake.to_str().unwrap();
    home.add("db.adopted").await.unwrap();
    let assessment = assess(&home.catalog, lake).await.unwrap();
    let others: Vec<_> = assessment
        .ownership
        .iter()
        .filter(|it| it.code == "other_table")
        .collect();
    assert_eq!(others.len(), 1, "{others:?}");
    assert!(others[0].message.contains("db.adopted"), "{others:?}");
    assert!(others[0].message.contains("gc.enabled=false"), "{others:?}");
    let quiet = assess(&home.catalog, lake)
        .with_neighbours(false)
        .await
        .unwrap();
    assert!(quiet.ownership.iter().all(|it| it.code != "other_table"));
}

/// Makes entries of several kinds over the same three files, with what crawlers and projections leave in them.
fn make_entries(server: &s3::S3Server, moto: &Moto, database: &str) {
    moto.glue(
        "CreateDatabase",
        &json!({"DatabaseInput": {"Name": database}}),
    );
    let root = server.root().join("lake/days");
    lakes::drift(&root, Drift::Reordered);
    let hive = "org.apache.hadoop.hive.ql.io";
    let create = |name: &str, format: &str, more: serde_json::Value| {
        let mut table = json!({
            "Name": name,
            "TableType": "EXTERNAL_TABLE",
            "PartitionKeys": [{"Name": "day", "Type": "date"}],
            "StorageDescriptor": {
                "Columns": [
                    {"Name": "userid", "Type": "int"}, {"Name": "name", "Type": "string"},
                    {"Name": "score", "Type": "float"}, {"Name": "amount", "Type": "decimal(9,2)"},
                ],
                "Location": "s3://lake/days/",
                "InputFormat": format!("{hive}.{format}InputFormat"),
                "SerdeInfo": {"SerializationLibrary": format!("{hive}.{format}Serde")},
                "NumberOfBuckets": 4,
            },
            "Parameters": {
                "UpdatedByCrawler": "nightly", "CrawlerSchemaSerializerVersion": "1.0",
                "projection.enabled": "true", "projection.day.type": "date",
                "projection.day.range": "2024-01-01,2024-01-03", "projection.day.format": "yyyy-MM-dd",
            },
        });
        if let (Some(table), Some(more)) = (table.as_object_mut(), more.as_object()) {
            table.extend(more.clone());
        }
        moto.glue(
            "CreateTable",
            &json!({"DatabaseName": database, "TableInput": table}),
        );
    };
    create("days", "parquet.MapredParquet", json!({}));
    create(
        "twin",
        "parquet.MapredParquet",
        json!({"TableType": "MANAGED_TABLE"}),
    );
    create("orc", "orc.Orc", json!({}));
    create(
        "acid",
        "parquet.MapredParquet",
        json!({"Parameters": {"transactional": "true"}}),
    );
    create(
        "view",
        "parquet.MapredParquet",
        json!({"TableType": "VIRTUAL_VIEW"}),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_of_glue_with_its_leftovers() {
    let server = s3::S3Server::with_buckets(&["lake"]);
    let moto = Moto::start();
    let database = "assess_glue";
    make_entries(&server, moto, database);
    let mut properties = moto.properties();
    properties.extend(server.properties());
    properties.insert("type".to_owned(), "glue".to_owned());
    properties.insert("warehouse".to_owned(), "s3://lake/warehouse".to_owned());
    let catalog = calve_catalog::open("glue", properties).await.unwrap();
    let entry = |name: &str| {
        let source = Source::HiveTable {
            metastore: Arc::clone(&catalog),
            ident: format!("{database}.{name}").parse().unwrap(),
        };
        Assess::new(Arc::clone(&catalog), source)
    };
    let cache = Location::parse("s3://lake/cache.json").unwrap();
    let assessment = entry("days").with_cache(cache.clone()).await.unwrap();
    assert_eq!(assessment.recommendation, Recommendation::InPlace);
    let census = &assessment.census;
    assert_eq!((census.files, census.records, census.partitions), (3, 6, 3));
    let codes: Vec<_> = assessment
        .ownership
        .iter()
        .map(|it| it.code.as_str())
        .collect();
    let expected = [
        "shared_files",
        "bucketed",
        "crawler",
        "projected",
        "other_table",
        "other_table",
    ];
    assert_eq!(codes[..6], expected, "{:#?}", assessment.ownership);
    let crawler = &assessment.ownership[2].message;
    assert!(crawler.contains("nightly"), "{crawler}");
    // A bucketed entry cannot become a table itself.
    assert!(
        assessment.commands[0].starts_with("calve add-files glue:assess_glue.days"),
        "{:?}",
        assessment.commands
    );
    assert!(assessment.ways.in_place.glue_requests > 0);
    server.forget_requests();
    let again = entry("days").with_cache(cache).await.unwrap();
    assert!(again.from_cache && footers(&server) == 0);
    assert_eq!(
        (&again.census, &again.ownership),
        (census, &assessment.ownership)
    );
    for (name, kind) in [
        ("orc", "of format ORC"),
        ("acid", "a transactional table"),
        ("view", "a view"),
    ] {
        let error = entry(name).await.unwrap_err().to_string();
        assert!(error.contains(kind), "{error}");
    }
}
