use calve_base::Location;
use calve_lake::{Recursive, Source};
use iceberg::spec::PrimitiveType;

use crate::support::{With, lines, store};

fn root() -> Location {
    Location::parse("memory:///lake").unwrap()
}

#[track_caller]
fn check(paths: &[&str], with: With, expected: &[&str]) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let found = runtime.block_on(async {
        let storage = store(&root(), paths).await;
        lines(&storage, Source::Location(root()), with).await
    });
    assert_eq!(found, expected);
}

fn default() -> With {
    With::default()
}

fn filtered(filter: &[(&'static str, &'static str)]) -> With {
    With {
        filter: filter.to_vec(),
        ..With::default()
    }
}

#[test]
fn files_without_partitions() {
    check(
        &["b.parquet", "a.parquet"],
        default(),
        &["[] 0 partitions", "a.parquet []", "b.parquet []"],
    );
}

#[test]
fn partitions_of_every_inferred_type() {
    check(
        &[
            "n=1/d=2024-01-31/s=01/f",
            "n=2147483648/d=2024-02-29/s=2/f",
            "n=-3/d=1969-12-31/s=/f",
        ],
        default(),
        &[
            "[n: long, d: date, s: string] 3 partitions",
            "n=-3/d=1969-12-31/s=/f [-3,\"1969-12-31\",\"\"]",
            "n=1/d=2024-01-31/s=01/f [1,\"2024-01-31\",\"01\"]",
            "n=2147483648/d=2024-02-29/s=2/f [2147483648,\"2024-02-29\",\"2\"]",
        ],
    );
}

#[test]
fn null_and_what_only_looks_like_it() {
    check(
        &["k=__HIVE_DEFAULT_PARTITION__/f", "k=NULL/f", "k=/f"],
        default(),
        &[
            "[k: string] 3 partitions",
            "k=/f [\"\"]",
            "k=NULL/f [\"NULL\"]",
            "k=__HIVE_DEFAULT_PARTITION__/f [null]",
        ],
    );
    check(
        &["k=__HIVE_DEFAULT_PARTITION__/f", "k=7/f"],
        default(),
        &[
            "[k: int] 2 partitions",
            "k=7/f [7]",
            "k=__HIVE_DEFAULT_PARTITION__/f [null]",
        ],
    );
    check(
        &["k=__HIVE_DEFAULT_PARTITION__/f"],
        default(),
        &[
            "[k: string] 1 partitions",
            "k=__HIVE_DEFAULT_PARTITION__/f [null]",
        ],
    );
}

#[test]
fn types_that_are_given() {
    let types = |kind: PrimitiveType| With {
        types: vec![("K", kind)],
        ..With::default()
    };
    check(
        &["k=01/f", "k=2/f"],
        types(PrimitiveType::Int),
        &["[k: int] 2 partitions", "k=01/f [1]", "k=2/f [2]"],
    );
    let decimal = PrimitiveType::Decimal {
        precision: 4,
        scale: 3,
    };
    check(
        &["k=2.71/f"],
        types(decimal),
        &["[k: decimal(4, 3)] 1 partitions", "k=2.71/f [\"2.710\"]"],
    );
    check(
        &["k=2/f", "k=x%0Ay/f"],
        types(PrimitiveType::Int),
        &["error: memory:///lake/k=x%0Ay: partition value `x\\ny` is no int (key `k`)"],
    );
}

#[test]
fn keys_match_by_name() {
    check(
        &["Region=eu/dt=1/f", "dt=2/REGION=us/f"],
        default(),
        &[
            "[Region: string, dt: int] 2 partitions",
            "Region=eu/dt=1/f [\"eu\",1]",
            "dt=2/REGION=us/f [\"us\",2]",
        ],
    );
}

#[test]
fn keys_that_differ() {
    check(
        &["a=1/f", "b=1/f"],
        default(),
        &["error: partition keys differ: a in memory:///lake/a=1/f, b in memory:///lake/b=1/f"],
    );
    check(
        &["a=1/b=1/f", "a=1/g"],
        default(),
        &[
            "error: partition keys differ: a, b in memory:///lake/a=1/b=1/f, a in memory:///lake/a=1/g",
        ],
    );
    check(
        &["a=1/f", "g"],
        default(),
        &["error: partition keys differ: a in memory:///lake/a=1/f, no keys in memory:///lake/g"],
    );
    check(
        &["x=1/X=2/f"],
        default(),
        &["error: memory:///lake/x=1/X=2: partition key `X` comes twice"],
    );
}

#[test]
fn folders_that_are_no_partitions() {
    let recursive = |recursive| With {
        recursive,
        ..With::default()
    };
    let paths = ["a=1/f", "a=1/sub/deep/f", "a=2/f"];
    check(
        &paths,
        default(),
        &["error: memory:///lake/a=1/sub: not a partition folder"],
    );
    check(
        &paths,
        recursive(Recursive::True),
        &[
            "[a: int] 2 partitions",
            "a=1/f [1]",
            "a=1/sub/deep/f [1]",
            "a=2/f [2]",
        ],
    );
    check(
        &paths,
        recursive(Recursive::False),
        &[
            "[a: int] 2 partitions",
            "a=1/f [1]",
            "- a=1/sub/deep/f: sub_folder",
            "a=2/f [2]",
        ],
    );
}

#[test]
fn what_is_no_data_is_reported() {
    check(
        &[
            "_SUCCESS!",
            "_temporary/0/f",
            ".f.crc",
            "a=1_$folder$!",
            "a=1/f",
            "a=1/_SUCCESS!",
            "a=1/empty.parquet!",
            "a=1/.staging/f",
        ],
        default(),
        &[
            "[a: int] 1 partitions",
            "- .f.crc: hidden",
            "- _SUCCESS: hidden",
            "- _temporary/0/f: hidden",
            "- a=1/.staging/f: hidden",
            "- a=1/_SUCCESS: hidden",
            "- a=1/empty.parquet: zero_byte",
            "a=1/f [1]",
            "- a=1_$folder$: marker",
        ],
    );
}

/// A lake of two keys.
const TWO_KEYS: [&str; 4] = [
    "y=2022/m=01/f",
    "y=2023/m=01/f",
    "y=2023/m=02/f",
    "y=2023/m=__HIVE_DEFAULT_PARTITION__/f",
];

#[test]
fn filters() {
    let paths = TWO_KEYS;
    let head = |count: u32| format!("[y: int, m: string] {count} partitions");
    let (one, two, three) = (head(1), head(2), head(3));
    let null = "y=2023/m=__HIVE_DEFAULT_PARTITION__/f [2023,null]";
    let (january, february) = ("y=2023/m=01/f [2023,\"01\"]", "y=2023/m=02/f [2023,\"02\"]");
    check(
        &paths,
        filtered(&[("Y", "2023")]),
        &[&three, january, february, null],
    );
    check(
        &paths,
        filtered(&[("y", "02023")]),
        &[&three, january, february, null],
    );
    check(
        &paths,
        filtered(&[("m", "01")]),
        &[&two, "y=2022/m=01/f [2022,\"01\"]", january],
    );
    check(
        &paths,
        filtered(&[("m", "02"), ("y", "2023")]),
        &[&one, february],
    );
    check(
        &paths,
        filtered(&[("m", "__HIVE_DEFAULT_PARTITION__")]),
        &[&one, null],
    );
    // `m` is text, though `1` and `01` are one number.
    check(
        &paths,
        filtered(&[("m", "1")]),
        &["error: memory:///lake: no partition has m=1"],
    );
    check(
        &paths,
        filtered(&[("y", "2021")]),
        &["error: memory:///lake: no partition has y=2021"],
    );
    check(
        &paths,
        filtered(&[("year", "2023")]),
        &["error: memory:///lake: the partition filter names `year`, which is no partition key"],
    );
}

#[test]
fn types_must_be_given_for_keys_and_fit_the_filter() {
    let paths = TWO_KEYS;
    let typed = |types: &[&'static str]| With {
        types: types
            .iter()
            .map(|name| (*name, PrimitiveType::String))
            .collect(),
        ..With::default()
    };
    check(
        &paths,
        typed(&["Y", "year"]),
        &["error: memory:///lake: a partition type is given for `year`, which is no partition key"],
    );
    check(
        &paths,
        typed(&["m", "M"]),
        &["error: partition key `M` is given a type twice"],
    );
    check(
        &paths,
        With {
            types: vec![("y", PrimitiveType::Int)],
            ..filtered(&[("y", "x")])
        },
        &["error: the partition filter's `x` is no int (key `y`)"],
    );
}

#[test]
fn folders_that_a_filter_leaves_out_have_a_say_in_the_type() {
    check(
        &["k=1/f", "k=x/f"],
        filtered(&[("k", "1")]),
        &["[k: string] 1 partitions", "k=1/f [\"1\"]"],
    );
    check(
        &["k=1/f", "k=2/f"],
        filtered(&[("k", "01")]),
        &["[k: int] 1 partitions", "k=1/f [1]"],
    );
}

#[test]
fn a_filter_lists_only_what_can_match() {
    // Neither the mixed keys nor the hidden folders of the other years are looked at.
    check(
        &[
            "y=2022/z=1/f",
            "y=2022/_tmp/f",
            "y=2023/f",
            "y=2023/_SUCCESS!",
            "_tmp/f",
        ],
        filtered(&[("y", "2023")]),
        &[
            "[y: int] 1 partitions",
            "- y=2023/_SUCCESS: hidden",
            "y=2023/f [2023]",
        ],
    );
}

#[test]
fn the_order_is_that_of_the_keys() {
    check(
        &["a-b=1/f", "a=1/f", "a=1-/f", "a=1/e"],
        With {
            recursive: Recursive::True,
            ..With::default()
        },
        &[
            "error: partition keys differ: a-b in memory:///lake/a-b=1/f, a in memory:///lake/a=1-/f",
        ],
    );
    check(
        &["a=1/f", "a=1-/f", "a=1/e"],
        default(),
        &[
            "[a: string] 2 partitions",
            "a=1-/f [\"1-\"]",
            "a=1/e [\"1\"]",
            "a=1/f [\"1\"]",
        ],
    );
}

#[test]
fn nothing_there() {
    check(
        &[],
        default(),
        &["error: memory:///lake: no such file or folder"],
    );
    check(
        &["_SUCCESS!", "empty!"],
        default(),
        &["error: memory:///lake: no data files (2 other objects skipped)"],
    );
}

#[test]
fn many_folders_come_in_order() {
    let paths: Vec<String> = (0..700)
        .flat_map(|a| (0..2).map(move |b| format!("a={a:03}/b={b}/f")))
        .collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let mut expected = vec!["[a: string, b: int] 1400 partitions".to_owned()];
    expected.extend(
        paths
            .iter()
            .map(|path| format!("{path} [\"{}\",{}]", &path[2..5], &path[8..9])),
    );
    let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    check(&paths, default(), &expected);
}

#[test]
fn table_formats_are_refused() {
    check(
        &["a=1/f", "_delta_log/00000000000000000000.json"],
        default(),
        &["error: memory:///lake/_delta_log/00000000000000000000.json: the files of a Delta table"],
    );
}
