//! What an entry of a metastore is.

use calve_base::Location;
use calve_catalog::{HiveColumn, HiveTable};
use iceberg::spec::{Literal, PrimitiveLiteral, PrimitiveType};

use super::key_type;
use crate::{Error, FileFormat, PartitionKey, Result, Warning};

/// Parameters in which crawlers leave their name.
const CRAWLER_NAMES: [&str; 2] = ["UPDATED_BY_CRAWLER", "UpdatedByCrawler"];
/// Parameters that crawlers leave in each entry.
const CRAWLER_VERSIONS: [&str; 2] = [
    "CrawlerSchemaSerializerVersion",
    "CrawlerSchemaDeserializerVersion",
];

/// Checks that an entry is a Hive-style table of a format, and no view, nor a table of another format; its location.
///
/// # Errors
/// [`Error::NotHiveTable`] that says what it is.
pub fn check(table: &HiveTable, expected: FileFormat) -> Result<Location> {
    let kind = match (other_kind(table, expected), &table.location) {
        (None, Some(location)) => return Ok(location.clone()),
        (None, None) => "an entry without a location".to_owned(),
        (Some(kind), _) => kind,
    };
    Err(Error::NotHiveTable {
        ident: table.ident.clone(),
        kind,
        expected,
    })
}

/// The partition keys with their types: the given ones, else the entry's.
pub(super) fn keys(
    table: &HiveTable,
    given: &[(String, PrimitiveType)],
) -> Result<Vec<PartitionKey>> {
    let key = |column: &HiveColumn| match key_type(given, &column.name, &column.hive_type) {
        Some(primitive_type) => Ok(PartitionKey {
            name: column.name.clone(),
            primitive_type,
        }),
        None => Err(Error::KeyType {
            ident: table.ident.clone(),
            key: column.name.clone(),
            hive_type: column.hive_type.clone(),
        }),
    };
    table.partition_keys.iter().map(key).collect()
}

/// What the reader of the entry should know.
pub(super) fn warnings(table: &HiveTable) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if table.buckets > 0 {
        let buckets = table.buckets;
        warnings.push(Warning::Bucketed { buckets });
    }
    let crawler = CRAWLER_NAMES.iter().find_map(|it| parameter(table, it));
    let is_crawled = |name: &&str| parameter(table, name).is_some();
    if crawler.is_some() || CRAWLER_VERSIONS.iter().any(is_crawled) {
        let name = crawler.map(str::to_owned);
        warnings.push(Warning::Crawler { name });
    }
    if table.table_type.as_deref() == Some("MANAGED_TABLE") {
        warnings.push(Warning::Managed);
    }
    if parameter(table, "projection.enabled").is_some_and(|it| it.eq_ignore_ascii_case("true")) {
        warnings.push(Warning::Projected);
    }
    if table.is_registered_with_lake_formation {
        warnings.push(Warning::LakeFormation);
    }
    warnings
}

/// The Iceberg type of a Hive type; `None` where no partition can have it.
pub(super) fn primitive_type(hive_type: &str) -> Option<PrimitiveType> {
    let lower = hive_type.trim().to_ascii_lowercase();
    let (name, arguments) = match lower.split_once('(') {
        Some((name, rest)) => (name.trim_end(), rest.strip_suffix(')')?),
        None => (lower.as_str(), ""),
    };
    Some(match name {
        "boolean" => PrimitiveType::Boolean,
        "tinyint" | "smallint" | "int" | "integer" => PrimitiveType::Int,
        "bigint" => PrimitiveType::Long,
        "float" => PrimitiveType::Float,
        "double" => PrimitiveType::Double,
        "date" => PrimitiveType::Date,
        "timestamp" => PrimitiveType::Timestamp,
        "timestamp with local time zone" => PrimitiveType::Timestamptz,
        "string" | "varchar" | "char" => PrimitiveType::String,
        "binary" => PrimitiveType::Binary,
        "decimal" => {
            let mut numbers = arguments
                .split(',')
                .map(|number| number.trim().parse::<u32>().ok());
            let (precision, scale) = match (numbers.next(), numbers.next()) {
                (Some(Some(precision)), scale) => {
                    (precision, scale.map_or(Some(0), |scale| scale)?)
                }
                _ if arguments.is_empty() => (10, 0),
                _ => return None,
            };
            let fits = (1..=38).contains(&precision) && scale <= precision;
            fits.then_some(PrimitiveType::Decimal { precision, scale })?
        }
        _ => return None,
    })
}

/// A condition in the language of Glue's partition filters; `None` where it may mean another thing.
pub(super) fn expression(
    column: &HiveColumn,
    key: &PartitionKey,
    literal: &Literal,
) -> Option<String> {
    // Where the user gave another type than the metastore's, the metastore compares other things.
    if primitive_type(&column.hive_type).as_ref() != Some(&key.primitive_type) {
        return None;
    }
    let value = match (literal.as_primitive_literal()?, &key.primitive_type) {
        (PrimitiveLiteral::Int(number), PrimitiveType::Int) => number.to_string(),
        (PrimitiveLiteral::Long(number), PrimitiveType::Long) => number.to_string(),
        (PrimitiveLiteral::String(text), _) if column.hive_type.eq_ignore_ascii_case("string") => {
            if text.contains(['\'', '\\', '"']) {
                return None;
            }
            format!("'{text}'")
        }
        _ => return None,
    };
    let is_plain = |name: &str| {
        name.chars()
            .all(|character| character.is_ascii_alphanumeric() || character == '_')
    };
    is_plain(&column.name).then(|| format!("{}={value}", column.name))
}

/// Whether these classes read a format.
pub(super) fn is_of(format: FileFormat, input_format: Option<&str>, serde: Option<&str>) -> bool {
    let class = input_format.or(serde).unwrap_or_default();
    let word = format.to_string().to_ascii_lowercase();
    class.to_ascii_lowercase().contains(&word)
}

fn parameter<'a>(table: &'a HiveTable, name: &str) -> Option<&'a str> {
    let mut named = table
        .parameters
        .iter()
        .filter(|(key, _)| key.eq_ignore_ascii_case(name));
    named.next().map(|(_, value)| value.as_str())
}

/// What the entry is, if it is no Hive-style table of the format.
fn other_kind(table: &HiveTable, expected: FileFormat) -> Option<String> {
    let is = |name: &str, value: &str| {
        parameter(table, name).is_some_and(|found| found.eq_ignore_ascii_case(value))
    };
    let provider = |value: &str| {
        is("table_type", value)
            || is("spark.sql.sources.provider", value)
            || is("classification", value)
    };
    let handler = parameter(table, "storage_handler")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let input_format = table.input_format.as_deref();
    let reads =
        |word: &str| input_format.is_some_and(|class| class.to_ascii_lowercase().contains(word));
    let kind = if table
        .table_type
        .as_deref()
        .is_some_and(|kind| kind.contains("VIEW"))
    {
        "a view"
    } else if provider("iceberg") || handler.contains("iceberg") {
        "an Iceberg table"
    } else if provider("delta") || handler.contains("delta") {
        "a Delta table"
    } else if provider("hudi") || reads("hudi") || reads("hoodie") {
        "a Hudi table"
    } else if is("transactional", "true") {
        "a transactional table"
    } else if is("spark.sql.sources.provider", &expected.to_string())
        || is_of(expected, input_format, table.serde.as_deref())
    {
        return None;
    } else {
        return Some(format!(
            "of format {}",
            format_name(input_format, table.serde.as_deref())
        ));
    };
    Some(kind.to_owned())
}

/// A format's name, as people say it, or the class where it has none.
fn format_name(input_format: Option<&str>, serde: Option<&str>) -> String {
    let classes = format!(
        "{} {}",
        input_format.unwrap_or_default(),
        serde.unwrap_or_default()
    );
    let classes = classes.to_ascii_lowercase();
    let known = [
        ("symlink", "symlink manifest"),
        ("orc", "ORC"),
        ("avro", "Avro"),
        ("csv", "CSV"),
        ("json", "JSON"),
        ("rcfile", "RCFile"),
        ("sequencefile", "SequenceFile"),
        ("text", "text"),
    ];
    let known = known.iter().find(|(word, _)| classes.contains(word));
    match (known, input_format) {
        (Some((_, name)), _) => (*name).to_owned(),
        (None, _) if is_of(FileFormat::Parquet, input_format, serde) => "Parquet".to_owned(),
        (None, Some(class)) => class.to_owned(),
        (None, None) => "unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> HiveTable {
        HiveTable {
            ident: calve_base::TableIdent::new("db", "t"),
            table_type: Some("EXTERNAL_TABLE".to_owned()),
            location: Location::parse("s3://b/t").ok(),
            columns: Vec::new(),
            partition_keys: Vec::new(),
            parameters: calve_base::Properties::new(),
            input_format: Some(
                "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat".to_owned(),
            ),
            serde: Some("org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe".to_owned()),
            buckets: -1,
            version: None,
            is_registered_with_lake_formation: false,
        }
    }

    #[track_caller]
    fn check_kind(change: impl FnOnce(&mut HiveTable), expected: Option<&str>) {
        let mut table = entry();
        change(&mut table);
        let found = check(&table, FileFormat::Parquet).map_err(|error| error.to_string());
        let expected = expected.map_or(Ok(Location::parse("s3://b/t").unwrap()), |kind| {
            Err(format!("db.t is {kind}, not a Hive-style Parquet table"))
        });
        assert_eq!(found, expected);
    }

    fn set(table: &mut HiveTable, key: &str, value: &str) {
        table.parameters.insert(key.to_owned(), value.to_owned());
    }

    #[test]
    fn kinds_of_entries() {
        check_kind(|_| {}, None);
        check_kind(
            |table| table.table_type = Some("VIRTUAL_VIEW".to_owned()),
            Some("a view"),
        );
        check_kind(
            |table| table.location = None,
            Some("an entry without a location"),
        );
        check_kind(
            |table| set(table, "table_type", "iceberg"),
            Some("an Iceberg table"),
        );
        check_kind(
            |table| set(table, "spark.sql.sources.provider", "DELTA"),
            Some("a Delta table"),
        );
        check_kind(
            |table| set(table, "transactional", "TRUE"),
            Some("a transactional table"),
        );
        let format = |class: &'static str| {
            move |table: &mut HiveTable| table.input_format = Some(class.to_owned())
        };
        check_kind(
            format("org.apache.hudi.hadoop.HoodieParquetInputFormat"),
            Some("a Hudi table"),
        );
        check_kind(
            format("org.apache.hadoop.hive.ql.io.orc.OrcInputFormat"),
            Some("of format ORC"),
        );
        check_kind(
            format("org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat"),
            Some("of format symlink manifest"),
        );
        check_kind(
            format("com.example.Mine"),
            Some("of format com.example.Mine"),
        );
        check_kind(
            |table| {
                table.input_format = Some("org.apache.hadoop.mapred.TextInputFormat".to_owned());
                table.serde = Some("org.apache.hadoop.hive.serde2.OpenCSVSerde".to_owned());
            },
            Some("of format CSV"),
        );
        check_kind(
            |table| (table.input_format, table.serde) = (None, None),
            Some("of format unknown"),
        );
        check_kind(|table| table.input_format = None, None);
        check_kind(
            |table| {
                table.input_format =
                    Some("org.apache.hadoop.mapred.SequenceFileInputFormat".to_owned());
                set(table, "spark.sql.sources.provider", "parquet");
            },
            None,
        );
    }

    #[test]
    fn entries_of_other_formats() {
        let mut table = entry();
        let refused = check(&table, FileFormat::Orc).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "db.t is of format Parquet, not a Hive-style ORC table"
        );
        table.input_format = Some("org.apache.hadoop.hive.ql.io.orc.OrcInputFormat".to_owned());
        assert!(check(&table, FileFormat::Orc).is_ok());
        check(&table, FileFormat::Avro).unwrap_err();
        table.input_format = Some("org.apache.hadoop.mapred.SequenceFileInputFormat".to_owned());
        set(&mut table, "spark.sql.sources.provider", "orc");
        assert!(check(&table, FileFormat::Orc).is_ok());
        set(&mut table, "transactional", "true");
        let refused = check(&table, FileFormat::Orc).unwrap_err();
        assert!(refused.to_string().contains("a transactional table"));
    }

    #[track_caller]
    fn check_warnings(change: impl FnOnce(&mut HiveTable), expected: &[&str]) {
        let mut table = entry();
        change(&mut table);
        let codes: Vec<_> = warnings(&table).iter().map(Warning::code).collect();
        assert_eq!(codes, expected);
    }

    #[test]
    fn warnings_about_entries() {
        check_warnings(|_| {}, &[]);
        check_warnings(|table| table.buckets = 4, &["bucketed"]);
        for name in CRAWLER_NAMES.into_iter().chain(CRAWLER_VERSIONS) {
            check_warnings(|table| set(table, name, "nightly"), &["crawler"]);
        }
        check_warnings(
            |table| set(table, "projection.enabled", "TRUE"),
            &["projected"],
        );
        check_warnings(|table| set(table, "projection.enabled", "false"), &[]);
        check_warnings(
            |table| {
                table.table_type = Some("MANAGED_TABLE".to_owned());
                table.is_registered_with_lake_formation = true;
            },
            &["managed", "lake_formation"],
        );
    }

    #[test]
    fn types_of_keys() {
        for (hive_type, expected) in [
            ("tinyint", Some(PrimitiveType::Int)),
            ("BIGINT", Some(PrimitiveType::Long)),
            ("varchar(10)", Some(PrimitiveType::String)),
            (
                "decimal(10,2)",
                Some(PrimitiveType::Decimal {
                    precision: 10,
                    scale: 2,
                }),
            ),
            (
                "decimal(10, 2)",
                Some(PrimitiveType::Decimal {
                    precision: 10,
                    scale: 2,
                }),
            ),
            (
                "decimal(5)",
                Some(PrimitiveType::Decimal {
                    precision: 5,
                    scale: 0,
                }),
            ),
            (
                "decimal",
                Some(PrimitiveType::Decimal {
                    precision: 10,
                    scale: 0,
                }),
            ),
            ("decimal(39,2)", None),
            ("decimal(x)", None),
            ("decimal(2,3)", None),
            ("timestamp", Some(PrimitiveType::Timestamp)),
            ("array<int>", None),
            ("", None),
        ] {
            assert_eq!(primitive_type(hive_type), expected, "{hive_type}");
        }
    }

    #[test]
    fn expressions() {
        #[track_caller]
        fn check(
            hive_type: &str,
            given: Option<PrimitiveType>,
            literal: &Literal,
            expected: Option<&str>,
        ) {
            let column = HiveColumn {
                name: "k".to_owned(),
                hive_type: hive_type.to_owned(),
                comment: None,
            };
            let key = PartitionKey {
                name: "k".to_owned(),
                primitive_type: given.or_else(|| primitive_type(hive_type)).unwrap(),
            };
            assert_eq!(expression(&column, &key, literal).as_deref(), expected);
        }
        check("int", None, &Literal::int(7), Some("k=7"));
        check("bigint", None, &Literal::long(7_i64), Some("k=7"));
        check("string", None, &Literal::string("07"), Some("k='07'"));
        check("string", None, &Literal::string("it's"), None);
        check("string", Some(PrimitiveType::Int), &Literal::int(7), None);
        check("varchar(3)", None, &Literal::string("a"), None);
        check("double", None, &Literal::double(1.0), None);
    }
}
