//! Which way to take, why, and by which commands.

use calve_base::{TableIdent, units};
use calve_lake::Recursive;
use calve_lake::hive_path::NULL_PARTITION;

use super::report::{Census, Partition, Recommendation};
use crate::Int96;

/// How many partitions a condition names at the most.
const CONDITION_LIMIT: usize = 50;
/// What stands for the table where none is named.
const SOME_TABLE: &str = "db.table";

/// What commands must say so that they see what was assessed.
#[derive(Debug, Clone)]
pub(super) struct Wording {
    /// The source, as it is typed.
    pub(super) source: String,
    /// The table that is to be made.
    pub(super) table: Option<TableIdent>,
    /// The entry, where the source is one.
    pub(super) entry: Option<TableIdent>,
    /// Whether the entry is bucketed, so that it cannot become a table itself.
    pub(super) is_bucketed: bool,
    pub(super) partition_filter: Vec<(String, String)>,
    /// Names and types.
    pub(super) partition_types: Vec<(String, String)>,
    pub(super) recursive: Recursive,
    pub(super) int96: Int96,
}

/// A way, with its reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) recommendation: Recommendation,
    pub(super) reasons: Vec<String>,
    pub(super) commands: Vec<String>,
}

/// Decides.
///
/// Files that can stay, stay. Where some cannot, their partitions are excepted, unless these hold most of the
/// data, or there are no partitions: then everything is rewritten. What can neither stay nor be rewritten is
/// left to the user, and no command is given that it would make fail.
pub(super) fn advise(census: &Census, wording: &Wording) -> Advice {
    let recommendation = recommend(census);
    Advice {
        recommendation,
        reasons: reasons(census, recommendation),
        commands: commands(census, wording, recommendation),
    }
}

fn refused_files(census: &Census) -> u64 {
    census.in_place.only_if_allowed.files + census.in_place.refused.files
}

/// Whether `ctas` reads every file, all beside each other.
fn all_rewritable(census: &Census) -> bool {
    census.rewritable.files == census.files
}

fn recommend(census: &Census) -> Recommendation {
    let is_partitioned = !census.partition_keys.is_empty();
    let most_is_excepted = census.except.amount.bytes > census.bytes / 2;
    if refused_files(census) == 0 {
        Recommendation::InPlace
    } else if census.in_place.safe.files == 0 {
        match census.rewritable.files {
            0 => Recommendation::None,
            _ => Recommendation::Ctas,
        }
    } else if all_rewritable(census) && (!is_partitioned || most_is_excepted) {
        Recommendation::Ctas
    } else {
        Recommendation::InPlaceExcept
    }
}

fn reasons(census: &Census, recommendation: Recommendation) -> Vec<String> {
    let (safe, refused) = (census.in_place.safe.files, refused_files(census));
    let mut reasons = Vec::new();
    let stuck = census.files - census.rewritable.files;
    match recommendation {
        Recommendation::InPlace if census.files == 0 => {
            reasons
                .push("there are no data files: the table is made from the entry alone".to_owned());
        }
        Recommendation::InPlace => reasons.push(format!(
            "nothing that is known of {} stands in the way: they can stay as they are",
            all_of(safe + census.in_place.no_rows.files)
        )),
        Recommendation::None => {
            reasons.push("no file can be added as it is, and none can be rewritten".to_owned());
        }
        Recommendation::Ctas if safe == 0 => {
            reasons.push(format!("none of the {refused} files can stay as it is"));
        }
        Recommendation::Ctas if census.partition_keys.is_empty() => reasons.push(format!(
            "{refused} of {} files cannot stay as they are, and there are no partitions to except",
            census.files
        )),
        Recommendation::Ctas => reasons.push(format!(
            "partitions with files that cannot stay hold {} of {}",
            units::format_bytes(census.except.amount.bytes),
            units::format_bytes(census.bytes)
        )),
        Recommendation::InPlaceExcept => reasons.push(format!(
            "{safe} of {} files can stay as they are; {refused} cannot{}",
            census.files,
            in_partitions(census)
        )),
    }
    if recommendation != Recommendation::InPlace {
        reasons.extend(rules(census));
    }
    if stuck > 0 && recommendation != Recommendation::None {
        reasons.push(format!(
            "`ctas` cannot rewrite {stuck} of the files, or not beside the others: repair them or move them away first"
        ));
    }
    if census.except.mixed_partitions_count > 0 && recommendation == Recommendation::InPlaceExcept {
        reasons.push(format!(
            "{} of the partitions hold files that can stay beside others that cannot: \
             rewriting such a partition rewrites all of it",
            census.except.mixed_partitions_count
        ));
    }
    if census.small_files.files * 2 > census.files && census.files > 1 {
        reasons.push(format!(
            "{} of {} files are smaller than {}: in place they stay so until they are compacted, `ctas` writes larger ones",
            census.small_files.files,
            census.files,
            units::format_bytes(census.target_file_bytes)
        ));
    }
    reasons
}

/// What stands in the way, each rule once, with the columns that it is about.
fn rules(census: &Census) -> Vec<String> {
    let mut rules: Vec<(&str, Vec<&str>, u64)> = Vec::new();
    for finding in census.findings.iter().filter(|it| it.severity != "note") {
        let (code, files) = (finding.code.as_str(), finding.amount.files);
        match rules.iter_mut().find(|(other, ..)| *other == code) {
            Some((_, columns, most)) => {
                columns.push(&finding.column);
                *most = files.max(*most);
            }
            None => rules.push((code, vec![&finding.column], files)),
        }
    }
    let describe = |(code, columns, files): (&str, Vec<&str>, u64)| {
        let files = if files == 1 {
            "1 file".to_owned()
        } else {
            format!("{files} files")
        };
        let named: Vec<_> = columns.iter().filter(|it| !it.is_empty()).take(5).collect();
        let more = if columns.len() > 5 { ", …" } else { "" };
        match named.as_slice() {
            [] => format!("{code}: {files}"),
            named => {
                let named = named.iter().map(|it| format!("`{it}`"));
                format!(
                    "{code}: {files}, {}{more}",
                    named.collect::<Vec<_>>().join(", ")
                )
            }
        }
    };
    rules.into_iter().map(describe).collect()
}

fn all_of(files: u64) -> String {
    match files {
        1 => "the one file".to_owned(),
        files => format!("all {files} files"),
    }
}

fn in_partitions(census: &Census) -> String {
    match census.except.partitions_count {
        0 => String::new(),
        1 => ", in one partition".to_owned(),
        count => format!(", in {count} of {} partitions", census.partitions),
    }
}

fn commands(census: &Census, wording: &Wording, recommendation: Recommendation) -> Vec<String> {
    let proof = wording.command("verify", &["--level", "aggregates"]);
    match (recommendation, &wording.entry) {
        (Recommendation::None, _) => Vec::new(),
        (Recommendation::InPlace, Some(entry)) if wording.can_migrate() => {
            vec![format!(
                "calve migrate {}",
                quoted(&format!("glue:{entry}"))
            )]
        }
        (Recommendation::InPlace, _) => vec![wording.command("add-files", &[]), proof],
        (Recommendation::Ctas, _) if !all_rewritable(census) => Vec::new(),
        (Recommendation::Ctas, _) => vec![wording.ctas(census, None), proof],
        (Recommendation::InPlaceExcept, _) => match condition(census, wording) {
            Some(condition) => {
                let mut commands = vec![wording.ctas(census, Some(&condition))];
                commands.extend(wording.add_others(census));
                commands.push(proof);
                commands
            }
            None => vec![wording.command("add-files", &["--on-refused", "skip"])],
        },
    }
}

/// An SQL condition for the rows of the excepted partitions, where these can be rewritten by themselves without
/// doubling a row: no file in them stays, and each of the lake can be read.
fn condition(census: &Census, wording: &Wording) -> Option<String> {
    let except = &census.except;
    let are_named = except.partitions.len() as u64 == except.partitions_count
        && (1..=CONDITION_LIMIT).contains(&except.partitions.len());
    if !are_named
        || except.mixed_partitions_count > 0
        || !all_rewritable(census)
        || !wording.partition_filter.is_empty()
    {
        return None;
    }
    let of = |partition: &Partition| {
        let pairs = census.partition_keys.iter().zip(&partition.values);
        let terms = pairs.map(|(key, value)| {
            let name = format!("\"{}\"", key.name.replace('"', "\"\""));
            Some(match value {
                None => format!("{name} IS NULL"),
                Some(value) => format!("{name} = {}", literal(value, &key.key_type)?),
            })
        });
        Some(terms.collect::<Option<Vec<_>>>()?.join(" AND "))
    };
    let conditions: Vec<String> = except.partitions.iter().map(of).collect::<Option<_>>()?;
    Some(match conditions.as_slice() {
        [one] => one.clone(),
        several => {
            let several: Vec<String> = several.iter().map(|it| format!("({it})")).collect();
            several.join(" OR ")
        }
    })
}

/// A value in SQL; nothing for types that have no literals.
fn literal(value: &str, of: &str) -> Option<String> {
    let text = format!("'{}'", value.replace('\'', "''"));
    Some(match of {
        "int" | "long" | "boolean" => value.to_owned(),
        "string" => text,
        "date" => format!("CAST({text} AS DATE)"),
        "float" => format!("CAST({text} AS REAL)"),
        "double" => format!("CAST({text} AS DOUBLE)"),
        "timestamp" => format!("CAST({text} AS TIMESTAMP)"),
        other if other.starts_with("decimal(") => format!("CAST({text} AS {other})"),
        _ => return None,
    })
}

impl Wording {
    fn can_migrate(&self) -> bool {
        !self.is_bucketed && self.partition_filter.is_empty() && self.partition_types.is_empty()
    }

    fn table(&self) -> String {
        match (&self.table, &self.entry) {
            (Some(table), _) => table.to_string(),
            (None, Some(entry)) => format!("{entry}_iceberg"),
            (None, None) => SOME_TABLE.to_owned(),
        }
    }

    /// A command on the source and the table.
    fn command(&self, name: &str, more: &[&str]) -> String {
        let mut words = vec![
            name.to_owned(),
            self.source.clone(),
            "--table".to_owned(),
            self.table(),
        ];
        words.extend(more.iter().map(|word| (*word).to_owned()));
        for (key, value) in &self.partition_filter {
            words.extend(["--partition-filter".to_owned(), format!("{key}={value}")]);
        }
        for (key, value) in &self.partition_types {
            words.extend(["--partition-type".to_owned(), format!("{key}={value}")]);
        }
        let recursive = match self.recursive {
            Recursive::Fail => None,
            Recursive::True => Some("true"),
            Recursive::False => Some("false"),
        };
        words.extend(recursive.map(|it| format!("--recursive={it}")));
        let int96 = match (name, self.int96) {
            ("add-files", Int96::Instant) => Some("--int96=instant"),
            ("add-files", Int96::Local) => Some("--int96=local"),
            ("ctas", Int96::Local) => Some("--int96-zone=local"),
            _ => None,
        };
        words.extend(int96.map(ToOwned::to_owned));
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        format!("calve {}", words.join(" "))
    }

    fn ctas(&self, census: &Census, condition: Option<&str>) -> String {
        let keys: Vec<String> = census
            .partition_keys
            .iter()
            .map(|it| field(&it.name))
            .collect();
        let keys = keys.join(", ");
        let mut more = Vec::new();
        if !keys.is_empty() {
            more.extend(["--partition-by", &keys]);
        }
        if let Some(condition) = condition {
            more.extend(["--where", condition]);
        }
        self.command("ctas", &more)
    }

    /// The partitions that stay, added to the table that has the others.
    fn add_others(&self, census: &Census) -> Vec<String> {
        if census.except.others.is_empty() {
            return vec![self.command("add-files", &["--on-refused", "skip"])];
        }
        let add = |partition: &Partition| {
            let pairs = census.partition_keys.iter().zip(&partition.values);
            let filters: Vec<String> = pairs
                .map(|(key, value)| {
                    let value = value.as_deref().unwrap_or(NULL_PARTITION);
                    format!("{}={value}", key.name)
                })
                .collect();
            let filters = filters.iter().flat_map(|it| ["--partition-filter", it]);
            self.command("add-files", &filters.collect::<Vec<_>>())
        };
        census.except.others.iter().map(add).collect()
    }
}

/// A column as `--partition-by` takes it.
fn field(name: &str) -> String {
    let is_plain = name
        .chars()
        .all(|it| it.is_alphanumeric() || matches!(it, '_' | '-'));
    if is_plain {
        name.to_owned()
    } else {
        format!("`{name}`")
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "_-./:=,@%+".contains(it);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
