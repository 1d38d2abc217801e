use std::sync::{Arc, Mutex};

use calve_base::{Clock, Location, TableIdent};
use calve_catalog::{Catalog, HiveColumn, HivePartition, HiveTable};
use calve_lake::{Lake, LakeOptions, Recursive, Source};
use iceberg::spec::PrimitiveType;

use crate::fake::Fake;
use crate::support::{With, lines, lines_with, store};

const PARQUET: &str = "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat";

/// A table of a metastore for a test.
struct Entry {
    paths: Vec<&'static str>,
    keys: Vec<(&'static str, &'static str)>,
    partitions: Vec<HivePartition>,
    parameters: Vec<(&'static str, &'static str)>,
    with: With,
}

impl Entry {
    fn new(paths: &[&'static str], keys: &[(&'static str, &'static str)]) -> Self {
        Self {
            paths: paths.to_vec(),
            keys: keys.to_vec(),
            partitions: Vec::new(),
            parameters: Vec::new(),
            with: With::default(),
        }
    }

    fn partition(mut self, values: &[&str], path: &str) -> Self {
        self.partitions.push(HivePartition {
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            location: (!path.is_empty()).then(|| root().join(path)),
            input_format: Some(PARQUET.to_owned()),
        });
        self
    }

    fn parameters(mut self, parameters: &[(&'static str, &'static str)]) -> Self {
        self.parameters.extend(parameters);
        self
    }

    fn with(mut self, with: With) -> Self {
        self.with = with;
        self
    }

    async fn fake(&self) -> Fake {
        let column = |(name, hive_type): &(&str, &str)| HiveColumn {
            name: (*name).to_owned(),
            hive_type: (*hive_type).to_owned(),
            comment: None,
        };
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Fake {
            storage: store(&root(), &self.paths).await,
            table: HiveTable {
                ident: TableIdent::new("db", "t"),
                table_type: Some("EXTERNAL_TABLE".to_owned()),
                location: Some(root().join("t")),
                columns: vec![column(&("id", "bigint"))],
                partition_keys: self.keys.iter().map(column).collect(),
                parameters: self.parameters.iter().map(own).collect(),
                input_format: Some(PARQUET.to_owned()),
                serde: None,
                buckets: -1,
                version: None,
                is_registered_with_lake_formation: false,
            },
            partitions: self.partitions.clone(),
            expressions: Mutex::default(),
            has_metastore: true,
        }
    }

    #[track_caller]
    fn check(self, expected: &[&str]) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let found = runtime.block_on(async {
            let fake = self.fake().await;
            let storage = fake.storage.clone();
            let options = LakeOptions {
                clock: Arc::new(Noon),
                ..self.with.into()
            };
            lines_with(&storage, source(Arc::new(fake)), options).await
        });
        assert_eq!(found, expected);
    }
}

/// 2024-06-15T12:00:00Z.
#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now_ms(&self) -> i64 {
        1_718_452_800_000
    }
}

fn root() -> Location {
    Location::parse("memory:///lake").unwrap()
}

fn source(metastore: Arc<dyn Catalog>) -> Source {
    let ident = TableIdent::new("db", "t");
    Source::HiveTable { metastore, ident }
}

fn filter(key: &'static str, value: &'static str) -> With {
    With {
        filter: vec![(key, value)],
        ..With::default()
    }
}

#[test]
fn a_table_without_partitions() {
    Entry::new(&["t/b", "t/a", "t/_SUCCESS!", "t2/x"], &[]).check(&[
        "[] 0 partitions",
        "- _SUCCESS: hidden",
        "a []",
        "b []",
    ]);
    Entry::new(&["t2/x"], &[]).check(&["[] 0 partitions"]);
    Entry::new(&["t/a", "t/sub/b"], &[])
        .check(&["error: memory:///lake/t/sub: not a partition folder"]);
    let recursive = Recursive::True;
    let with = With {
        recursive,
        ..With::default()
    };
    Entry::new(&["t/a", "t/k=1/b"], &[])
        .with(with)
        .check(&["[] 0 partitions", "a []", "k=1/b []"]);
}

#[test]
fn partitions_wherever_they_lie() {
    Entry::new(
        &[
            "t/y=2023/m=01/a",
            "elsewhere/x/b",
            "elsewhere/x/c",
            "t/y=2022/m=07/d",
            "t/y=1/m=1/never",
        ],
        &[("y", "int"), ("m", "string")],
    )
    .partition(&["2023", "01"], "t/y=2023/m=01")
    .partition(&["2023", "__HIVE_DEFAULT_PARTITION__"], "elsewhere/x/")
    .partition(&["2022", "07"], "")
    .partition(&["2021", "07"], "t/gone")
    .check(&[
        "[y: int, m: string] 3 partitions",
        "y=2023/m=01/a [2023,\"01\"]",
        "memory:///lake/elsewhere/x/b [2023,null]",
        "memory:///lake/elsewhere/x/c [2023,null]",
        "y=2022/m=07/d [2022,\"07\"]",
        "- gone: empty_partition",
    ]);
}

#[test]
fn values_are_taken_as_they_are() {
    Entry::new(&["t/p/a", "t/q/a"], &[("k", "string")])
        .partition(&["a%2Fb"], "t/p")
        .partition(&[""], "t/q")
        .check(&["[k: string] 2 partitions", "p/a [\"a%2Fb\"]", "q/a [\"\"]"]);
}

#[test]
fn values_that_do_not_fit() {
    Entry::new(&["t/p/a"], &[("k", "int")])
        .partition(&["x"], "t/p")
        .check(&["error: memory:///lake/t/p: partition value `x` is no int (key `k`)"]);
    Entry::new(&["t/p/a"], &[("k", "int"), ("l", "int")])
        .partition(&["1"], "t/p")
        .check(&["error: db.t: a partition has 1 values for 2 keys"]);
    Entry::new(&[], &[("k", "array<int>")]).check(&[
        "error: db.t: partition key `k` is of type array<int>, which no partition can have",
    ]);
    let types = vec![("K", PrimitiveType::String)];
    Entry::new(&["t/p/a"], &[("k", "int")])
        .partition(&["x"], "t/p")
        .with(With {
            types,
            ..With::default()
        })
        .check(&["[k: string] 1 partitions", "p/a [\"x\"]"]);
}

#[test]
fn partitions_of_another_format() {
    let mut entry = Entry::new(&["t/p/a"], &[("k", "int")]).partition(&["1"], "t/p");
    entry.partitions[0].input_format =
        Some("org.apache.hadoop.hive.ql.io.orc.OrcInputFormat".to_owned());
    entry.check(&[
        "error: db.t: partition k=1 is of format org.apache.hadoop.hive.ql.io.orc.OrcInputFormat, not Parquet",
    ]);
}

#[test]
fn filters() {
    let entry = |with| {
        Entry::new(
            &["t/p/a", "t/q/a", "t/r/a"],
            &[("y", "int"), ("m", "string")],
        )
        .partition(&["2023", "01"], "t/p")
        .partition(&["2023", "1"], "t/q")
        .partition(&["2022", "01"], "t/r")
        .with(with)
    };
    let two = "[y: int, m: string] 2 partitions";
    entry(filter("Y", "02023")).check(&[two, "p/a [2023,\"01\"]", "q/a [2023,\"1\"]"]);
    entry(filter("m", "01")).check(&[two, "p/a [2023,\"01\"]", "r/a [2022,\"01\"]"]);
    entry(filter("y", "1")).check(&["[y: int, m: string] 0 partitions"]);
    entry(filter("z", "1")).check(&[
        "error: memory:///lake/t: the partition filter names `z`, which is no partition key",
    ]);
    entry(filter("y", "x")).check(&["error: the partition filter's `x` is no int (key `y`)"]);
}

#[tokio::test]
async fn what_the_metastore_can_filter_is_left_to_it() {
    let entry =
        Entry::new(&["t/p/a"], &[("y", "int"), ("m", "string")]).partition(&["2023", "01"], "t/p");
    let fake = Arc::new(entry.fake().await);
    let metastore: Arc<dyn Catalog> = Arc::<Fake>::clone(&fake);
    let with = With {
        filter: vec![("m", "01"), ("y", "2023")],
        ..With::default()
    };
    lines(&fake.storage, source(metastore), with).await;
    let expressions = fake.expressions.lock().unwrap();
    assert_eq!(expressions[0].as_deref(), Some("m='01' AND y=2023"));
}

#[test]
fn forgotten_partitions_are_told() {
    Entry::new(&["t/y=1/a"], &[("y", "int")])
        .check(&["[y: int] 0 partitions", "warning: no_partitions"]);
    Entry::new(&[], &[("y", "int")]).check(&["[y: int] 0 partitions"]);
    Entry::new(&["t/a"], &[])
        .parameters(&[("UPDATED_BY_CRAWLER", "nightly")])
        .check(&["[] 0 partitions", "warning: crawler", "a []"]);
}

#[test]
fn entries_that_are_no_lakes() {
    Entry::new(&[], &[])
        .parameters(&[("table_type", "ICEBERG")])
        .check(&["error: db.t is an Iceberg table, not a Hive-style Parquet table"]);
}

#[tokio::test]
async fn a_catalog_without_a_metastore() {
    let mut fake = Entry::new(&[], &[]).fake().await;
    fake.has_metastore = false;
    let storage = fake.storage.clone();
    let error = Lake::open(&storage, source(Arc::new(fake)), LakeOptions::default())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "catalog fake has no Hive-style tables, so there is no source db.t"
    );
}

const PROJECTED: [(&str, &str); 2] = [
    ("projection.enabled", "TRUE"),
    ("projection.k.type", "injected"),
];

#[test]
fn projected_values() {
    let entry = |kind: &[(&'static str, &'static str)], hive_type| {
        Entry::new(
            &[
                "t/k=1/a", "t/k=02/a", "t/k=3/a", "t/k=7/a", "t/k=x/a", "t/_tmp/a",
            ],
            &[("k", hive_type)],
        )
        .parameters(&[("projection.enabled", "true")])
        .parameters(kind)
    };
    entry(
        &[
            ("projection.k.type", "enum"),
            ("projection.k.values", "x,1"),
        ],
        "string",
    )
    .check(&[
        "[k: string] 2 partitions",
        "warning: projected",
        "- _tmp/a: hidden",
        "- k=02/a: outside_projection",
        "k=1/a [\"1\"]",
        "- k=3/a: outside_projection",
        "- k=7/a: outside_projection",
        "k=x/a [\"x\"]",
    ]);
    let integer = [
        ("projection.k.type", "integer"),
        ("projection.k.range", "1,5"),
        ("projection.k.interval", "2"),
    ];
    entry(&integer, "int").check(&[
        "[k: int] 2 partitions",
        "warning: projected",
        "- _tmp/a: hidden",
        "- k=02/a: outside_projection",
        "k=1/a [1]",
        "k=3/a [3]",
        "- k=7/a: outside_projection",
        "- k=x/a: outside_projection",
    ]);
    let digits = [
        ("projection.k.type", "integer"),
        ("projection.k.range", "0,9"),
        ("projection.k.digits", "2"),
    ];
    let with_digits = entry(&digits, "int").with(filter("k", "2"));
    with_digits.check(&["[k: int] 1 partitions", "warning: projected", "k=02/a [2]"]);
    entry(&PROJECTED, "string").with(filter("k", "x")).check(&[
        "[k: string] 1 partitions",
        "warning: projected",
        "k=x/a [\"x\"]",
    ]);
}

#[test]
fn projected_dates() {
    let entry = |hive_type| {
        Entry::new(
            &[
                "d/2024/05/31/eu/a",
                "d/2024/06/14/eu/a",
                "d/2024/06/15/us/a",
                "d/2024/06/16/eu/a",
                "d/x/a",
            ],
            &[("day", hive_type), ("region", "string")],
        )
        .parameters(&[
            ("projection.enabled", "true"),
            ("projection.day.type", "date"),
            ("projection.day.format", "yyyy/MM/dd"),
            ("projection.day.range", "NOW-7DAYS,NOW"),
            ("projection.region.type", "enum"),
            ("projection.region.values", "eu,us"),
            (
                "storage.location.template",
                "memory:///lake/d/${day}/${region}/",
            ),
        ])
    };
    let outside = |path: &str| format!("- memory:///lake/d/{path}/a: outside_projection");
    entry("date").check(&[
        "[day: date, region: string] 2 partitions",
        "warning: projected",
        &outside("2024/05/31/eu"),
        "memory:///lake/d/2024/06/14/eu/a [\"2024-06-14\",\"eu\"]",
        "memory:///lake/d/2024/06/15/us/a [\"2024-06-15\",\"us\"]",
        &outside("2024/06/16/eu"),
        &outside("x"),
    ]);
    entry("string").with(filter("day", "2024/06/14")).check(&[
        "[day: string, region: string] 1 partitions",
        "warning: projected",
        "memory:///lake/d/2024/06/14/eu/a [\"2024/06/14\",\"eu\"]",
    ]);
    entry("date").with(filter("day", "2024-06-15")).check(&[
        "[day: date, region: string] 1 partitions",
        "warning: projected",
        &outside("2024/05/31/eu"),
        "memory:///lake/d/2024/06/15/us/a [\"2024-06-15\",\"us\"]",
        &outside("2024/06/16/eu"),
        &outside("x"),
    ]);
}

#[test]
fn a_template_may_name_a_key_twice() {
    Entry::new(
        &["r/1/f-1/a", "r/1/f-2/a", "r/1/f-1/sub/b"],
        &[("k", "int")],
    )
    .parameters(&PROJECTED)
    .parameters(&[("storage.location.template", "memory:///lake/r/${k}/f-${k}")])
    .with(With {
        recursive: Recursive::False,
        ..With::default()
    })
    .check(&[
        "[k: int] 1 partitions",
        "warning: projected",
        "memory:///lake/r/1/f-1/a [1]",
        "- memory:///lake/r/1/f-1/sub/b: sub_folder",
        "- memory:///lake/r/1/f-2/a: outside_projection",
    ]);
}

#[test]
fn projections_that_make_no_sense() {
    let entry = |parameters: &[(&'static str, &'static str)]| {
        Entry::new(&["t/k=1/a"], &[("k", "int")])
            .parameters(&[("projection.enabled", "true")])
            .parameters(parameters)
    };
    entry(&[]).check(&["error: db.t: projection.k.type: missing"]);
    entry(&[("projection.k.type", "magic")])
        .check(&["error: db.t: projection.k.type: `magic` is not known"]);
    let integer = ("projection.k.type", "integer");
    entry(&[integer]).check(&["error: db.t: projection.k.range: missing"]);
    entry(&[integer, ("projection.k.range", "1")])
        .check(&["error: db.t: projection.k.range: `1` is no range: expected `first,last`"]);
    entry(&[integer, ("projection.k.range", "1,x")])
        .check(&["error: db.t: projection.k.range: `x` is no number"]);
    entry(&[
        integer,
        ("projection.k.range", "1,2"),
        ("projection.k.interval", "0"),
    ])
    .check(&["error: db.t: projection.k.interval: `0` is no positive number"]);
    let date = ("projection.k.type", "date");
    entry(&[date, ("projection.k.format", "yyyy-QQ")])
        .check(&["error: db.t: projection.k.format: letter `Q` is not known"]);
    entry(&[
        date,
        ("projection.k.format", "yyyy"),
        ("projection.k.range", "x,NOW"),
    ])
    .check(&["error: db.t: projection.k.range: `x` is no date of that format"]);
    let injected = ("projection.k.type", "injected");
    let template = "storage.location.template";
    entry(&[injected, (template, "memory:///lake/${j}/")])
        .check(&["error: db.t: storage.location.template: `j` is no partition key"]);
    entry(&[injected, (template, "memory:///lake/${k")])
        .check(&["error: db.t: storage.location.template: `memory:///lake/${k`: `}` is missing"]);
    entry(&[injected, (template, "memory:///lake/")]).check(&[
        "error: db.t: storage.location.template: `memory:///lake/` does not name key `k`",
    ]);
    entry(&[injected, (template, "gs://b/${k}")]).check(&[
        "error: db.t: storage.location.template: `gs://b/`: unknown scheme `gs`: expected s3://, s3a://, s3n://, file:// or a path",
    ]);
}
