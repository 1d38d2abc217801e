use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};

use super::{Made, batch, write_parquet};

/// Partition values that naive readers get wrong; `None` is null.
pub const HARD_VALUES: &[Option<&str>] = &[
    None,
    Some(""),
    Some("01"),
    Some("1"),
    Some("1.0"),
    Some("-7"),
    Some("2024-01-31"),
    Some("2024-01-31 10:00:00"),
    Some("NULL"),
    Some("null"),
    Some("a b"),
    Some(" both ends "),
    Some("a+b"),
    Some("a/b"),
    Some("a=b"),
    Some("a%2Fb"),
    Some("100%"),
    Some("a,b&c;d"),
    Some("tab\tnew\nline"),
    Some("\"#%'*/:=?\\{[]^}"),
    Some("_underscore"),
    Some(".dot"),
    Some(".."),
    Some("São Paulo"),
    Some("日本語"),
    Some("🧊"),
];

/// One row of the typed lake: what the folders say, and what that means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Typed {
    /// A number that needs 64 bits in one place.
    pub n: Option<i64>,
    /// A date.
    pub d: Option<&'static str>,
    /// A text, though it looks like a number.
    pub s: Option<&'static str>,
}

const TYPED: &[Typed] = &[
    Typed {
        n: Some(1),
        d: Some("2024-02-29"),
        s: Some("01"),
    },
    Typed {
        n: Some(1),
        d: Some("2024-02-29"),
        s: Some("02"),
    },
    Typed {
        n: Some(-5),
        d: Some("1969-12-31"),
        s: Some("10"),
    },
    Typed {
        n: Some(2_147_483_648),
        d: None,
        s: Some(""),
    },
    Typed {
        n: None,
        d: Some("2024-03-01"),
        s: None,
    },
    Typed {
        n: None,
        d: None,
        s: None,
    },
];

/// The folders of [`keys_in_any_order`], with region and day.
pub const ORDERS: &[(&str, &str, &str)] = &[
    ("Region=eu/dt=2024-01-01", "eu", "2024-01-01"),
    ("DT=2024-01-02/REGION=us", "us", "2024-01-02"),
    ("region=asia/Dt=2024-01-03", "asia", "2024-01-03"),
];

/// The name Hive and Spark give a partition's folder: `key=value`, escaped their way.
///
/// ```
/// use calve_testkit::lakes::hive_folder;
/// assert_eq!(hive_folder("k", Some("a/b c+é")), "k=a%2Fb c+é");
/// assert_eq!(hive_folder("k", None), "k=__HIVE_DEFAULT_PARTITION__");
/// assert_eq!(hive_folder("k", Some("")), "k=");
/// ```
pub fn hive_folder(key: &str, value: Option<&str>) -> String {
    let value = value.map_or_else(|| "__HIVE_DEFAULT_PARTITION__".to_owned(), escape);
    format!("{}={value}", escape(key))
}

/// Makes a lake with one partition, of one file, for each of [`HARD_VALUES`].
///
/// The partition key is `k`. Column `expected` repeats the value as a reader must see it, so that
/// `k IS NOT DISTINCT FROM expected` holds in every row of a right table.
pub fn hard_partitions(dir: &Path) -> Made {
    let mut made = Made::default();
    for (id, value) in (0..).zip(HARD_VALUES) {
        let rows = batch(vec![
            (
                "id",
                Arc::new(Int64Array::from(vec![id, id + 1000])) as ArrayRef,
            ),
            ("expected", Arc::new(StringArray::from(vec![*value; 2]))),
        ]);
        made.partitions += 1;
        made.add(write_parquet(
            &dir.join(hive_folder("k", *value)).join("part-0.parquet"),
            &rows,
        ));
    }
    made
}

/// Makes a lake of three levels, `n=…/d=…/s=…`: a long, a date and a text with leading zeros, each
/// with nulls. Columns `expected_n`, `expected_d` and `expected_s` repeat the values as text.
pub fn typed(dir: &Path) -> Made {
    let mut made = Made::default();
    for (id, row) in (0..).zip(TYPED) {
        let n = row.n.map(|n| n.to_string());
        let folder = dir
            .join(hive_folder("n", n.as_deref()))
            .join(hive_folder("d", row.d))
            .join(hive_folder("s", row.s));
        let rows = batch(vec![
            ("id", Arc::new(Int64Array::from(vec![id])) as ArrayRef),
            ("expected_n", Arc::new(StringArray::from(vec![n]))),
            ("expected_d", Arc::new(StringArray::from(vec![row.d]))),
            ("expected_s", Arc::new(StringArray::from(vec![row.s]))),
        ]);
        made.partitions += 1;
        made.add(write_parquet(&folder.join("part-0.parquet"), &rows));
    }
    made
}

/// Makes a lake whose folders have the same two keys in either order and in any case: [`ORDERS`].
/// Columns `expected_region` and `expected_dt` repeat the values as text.
pub fn keys_in_any_order(dir: &Path) -> Made {
    let mut made = Made::default();
    for (id, (folder, region, day)) in (0..).zip(ORDERS) {
        let rows = batch(vec![
            ("id", Arc::new(Int64Array::from(vec![id])) as ArrayRef),
            (
                "expected_region",
                Arc::new(StringArray::from(vec![*region])),
            ),
            ("expected_dt", Arc::new(StringArray::from(vec![*day]))),
        ]);
        made.partitions += 1;
        made.add(write_parquet(
            &dir.join(folder).join("part-0.parquet"),
            &rows,
        ));
    }
    made
}

/// Hive escapes control characters and these; nothing else, whatever a URL would want.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '\u{1}'..='\u{1f}' | '\u{7f}')
            || "\"#%'*/:=?\\{[]^".contains(character)
        {
            write!(escaped, "%{:02X}", u32::from(character)).unwrap();
        } else {
            escaped.push(character);
        }
    }
    escaped
}
