//! `FOR VERSION AS OF` and `FOR TIMESTAMP AS OF`, which the SQL parser does not know.
//!
//! The clauses are taken out of the token stream before it is parsed. What is left of one is a mark
//! in the name of its table.

use calve_catalog::Table;
use calve_table::SnapshotLookup;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer, Word};
use iceberg::spec::{SchemaRef, SnapshotRef};

use crate::{Error, Result};

/// Stands in a marked name between the name and the number of its version. No name has it.
const MARK: char = '\u{1}';

/// The version of a table that a query asks for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Version {
    /// A snapshot, by its id.
    Snapshot(i64),
    /// A branch or a tag (or a snapshot's id as text).
    Ref(String),
    /// The last version at or before a time, in milliseconds since the epoch.
    AsOf(i64),
}

/// A query without its version clauses, and the clauses.
#[derive(Debug, PartialEq)]
pub(crate) struct Taken {
    /// The query, its tables marked.
    pub(crate) query: String,
    /// For each mark: the version, and whether the marked name was quoted.
    pub(crate) versions: Vec<(Version, bool)>,
}

impl Taken {
    /// The name without its mark, whether it was quoted, and the version it asks for.
    pub(crate) fn unmark<'a>(&self, name: &'a str) -> Option<(&'a str, bool, Version)> {
        let (name, number) = name.split_once(MARK)?;
        let (version, quoted) = self.versions.get(number.parse::<usize>().ok()?)?;
        Some((name, *quoted, version.clone()))
    }
}

/// Takes the version clauses out of a query.
pub(crate) fn take_versions(query: &str) -> Result<Taken> {
    let dialect = GenericDialect {};
    // A text that is no SQL is left for the parser to complain about.
    let Ok(tokens) = Tokenizer::new(&dialect, query)
        .with_unescape(false)
        .tokenize()
    else {
        return Ok(Taken {
            query: query.to_owned(),
            versions: Vec::new(),
        });
    };
    let mut out: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut versions = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if let Some((version, length)) = clause(&tokens[at..])? {
            let last = out
                .iter_mut()
                .rev()
                .find(|token| !matches!(token, Token::Whitespace(_)));
            if let Some(Token::Word(name)) = last {
                versions.push((version, name.quote_style.is_some()));
                *name = Word {
                    value: format!("{}{MARK}{}", name.value, versions.len() - 1),
                    quote_style: Some('"'),
                    keyword: name.keyword,
                };
                at += length;
                continue;
            }
        }
        out.push(tokens[at].clone());
        at += 1;
    }
    let query = if versions.is_empty() {
        query.to_owned()
    } else {
        out.iter().map(ToString::to_string).collect()
    };
    Ok(Taken { query, versions })
}

/// The clause that begins here, if one does, and its length in tokens.
fn clause(tokens: &[Token]) -> Result<Option<(Version, usize)>> {
    if !matches!(tokens.first(), Some(Token::Word(_))) {
        return Ok(None);
    }
    let mut reader = Reader { tokens, at: 0 };
    let explicit = reader.word(&["FOR"]).is_some();
    let Some(kind) = reader.word(&["VERSION", "SYSTEM_VERSION", "TIMESTAMP", "SYSTEM_TIME"]) else {
        return Ok(None);
    };
    if reader.word(&["AS"]).is_none() || reader.word(&["OF"]).is_none() {
        return Ok(None);
    }
    let by_time = kind.contains("TIME");
    if by_time {
        // `TIMESTAMP AS OF TIMESTAMP '…'`
        let _ = reader.word(&["TIMESTAMP", "DATE"]);
    }
    let Some(value) = reader.value() else {
        return if explicit {
            Err(Error::Version {
                text: format!("FOR {kind} AS OF …"),
                expected: "version clause: a number or a text in single quotes must follow",
            })
        } else {
            Ok(None)
        };
    };
    let version = match (by_time, value) {
        (false, Value::Number(id)) => Version::Snapshot(id),
        (false, Value::Text(name)) => Version::Ref(name),
        (true, Value::Text(text)) => Version::AsOf(parse_time(&text)?),
        (true, Value::Number(number)) => Version::AsOf(epoch_ms(number)),
    };
    Ok(Some((version, reader.at)))
}

enum Value {
    Number(i64),
    Text(String),
}

/// Steps over tokens, whitespace and comments left out.
struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl<'a> Reader<'a> {
    fn next(&self, from: usize) -> Option<(usize, &'a Token)> {
        self.tokens
            .iter()
            .enumerate()
            .skip(from)
            .find(|(_, token)| !matches!(token, Token::Whitespace(_)))
    }

    fn word(&mut self, wanted: &[&'static str]) -> Option<&'static str> {
        let (at, token) = self.next(self.at)?;
        let Token::Word(word) = token else {
            return None;
        };
        if word.quote_style.is_some() {
            return None;
        }
        let found = wanted
            .iter()
            .find(|wanted| word.value.eq_ignore_ascii_case(wanted))?;
        self.at = at + 1;
        Some(found)
    }

    fn value(&mut self) -> Option<Value> {
        let (mut at, mut token) = self.next(self.at)?;
        let negative = matches!(token, Token::Minus);
        if negative {
            (at, token) = self.next(at + 1)?;
        }
        let value = match token {
            Token::Number(digits, _) => {
                let digits: i64 = digits.parse().ok()?;
                Value::Number(if negative { -digits } else { digits })
            }
            Token::SingleQuotedString(text) if !negative => Value::Text(text.replace("''", "'")),
            _ => return None,
        };
        self.at = at + 1;
        Some(value)
    }
}

/// A number as a time: seconds, as Spark takes it, or milliseconds where seconds would be past the year 5000.
fn epoch_ms(number: i64) -> i64 {
    if number.unsigned_abs() >= 100_000_000_000 {
        number
    } else {
        number * 1000
    }
}

/// A time in ISO's spelling, in UTC where it names no offset, as milliseconds since the epoch.
fn parse_time(text: &str) -> Result<i64> {
    let trimmed = text.trim();
    if let Ok(time) = DateTime::parse_from_rfc3339(&trimmed.replacen(' ', "T", 1)) {
        return Ok(time.timestamp_millis());
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z"] {
        if let Ok(time) = DateTime::parse_from_str(trimmed, format) {
            return Ok(time.timestamp_millis());
        }
    }
    let plain = trimmed.trim_end_matches(" UTC");
    for format in [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%d %H:%M",
    ] {
        if let Ok(time) = NaiveDateTime::parse_from_str(plain, format) {
            return Ok(time.and_utc().timestamp_millis());
        }
    }
    NaiveDate::parse_from_str(plain, "%Y-%m-%d")
        .map(|date| date.and_time(NaiveTime::MIN).and_utc().timestamp_millis())
        .map_err(|_| Error::Version {
            text: text.to_owned(),
            expected: "time (like 2024-01-31 or 2024-01-31 12:00:00)",
        })
}

/// Finds a version of a table, and the schema it is read by: a branch by the current one, all others
/// by the one they were written with.
pub(crate) fn snapshot_at(table: &Table, version: &Version) -> Result<(SnapshotRef, SchemaRef)> {
    let metadata = table.metadata();
    let snapshot = match version {
        Version::Snapshot(id) => table.snapshot(*id)?,
        Version::Ref(name) if metadata.snapshot_for_ref(name).is_some() => {
            let snapshot = table.snapshot_of_ref(name)?;
            if is_branch(table, name) {
                return Ok((snapshot, SchemaRef::clone(metadata.current_schema())));
            }
            snapshot
        }
        Version::Ref(name) => match name.parse() {
            Ok(id) => table.snapshot(id)?,
            Err(_) => table.snapshot_of_ref(name)?,
        },
        Version::AsOf(time_ms) => table.snapshot_as_of(*time_ms)?,
    };
    let schema = snapshot
        .schema(metadata)
        .map_err(|source| Error::Metadata {
            ident: table.ident().clone(),
            source,
        })?;
    Ok((snapshot, schema))
}

fn is_branch(table: &Table, name: &str) -> bool {
    // The metadata keeps its references to itself; its JSON tells what kind each is.
    name == iceberg::spec::MAIN_BRANCH
        || serde_json::to_value(table.metadata())
            .ok()
            .and_then(|json| json.get("refs")?.get(name)?.get("type").cloned())
            .is_some_and(|kind| kind == "branch")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, rest: &str, versions: &[Version]) {
        let taken = take_versions(query).unwrap();
        assert_eq!(taken.query.replace(MARK, "@"), rest);
        let found: Vec<_> = taken
            .versions
            .into_iter()
            .map(|(version, _)| version)
            .collect();
        assert_eq!(found, versions);
    }

    #[test]
    fn clauses_are_taken_out() {
        check("SELECT 1", "SELECT 1", &[]);
        check(
            "SELECT * FROM db.t FOR VERSION AS OF 12 WHERE x = 'it''s'",
            "SELECT * FROM db.\"t@0\"  WHERE x = 'it''s'",
            &[Version::Snapshot(12)],
        );
        check(
            "select * from db.t for system_version as of 'v1.0' x join u timestamp as of '2024-01-01' y on true",
            "select * from db.\"t@0\"  x join \"u@1\"  y on true",
            &[
                Version::Ref("v1.0".to_owned()),
                Version::AsOf(1_704_067_200_000),
            ],
        );
        check(
            "SELECT * FROM \"a b\".\"T\" /* old */ FOR SYSTEM_TIME AS OF TIMESTAMP '1970-01-01 00:00:01.5' t",
            "SELECT * FROM \"a b\".\"T@0\" /* old */  t",
            &[Version::AsOf(1500)],
        );
        check(
            "SELECT * FROM t VERSION AS OF -7",
            "SELECT * FROM \"t@0\" ",
            &[Version::Snapshot(-7)],
        );
        check(
            "SELECT * FROM t FOR TIMESTAMP AS OF 5",
            "SELECT * FROM \"t@0\" ",
            &[Version::AsOf(5000)],
        );
    }

    #[test]
    fn what_looks_alike_is_left() {
        for query in [
            "SELECT 'FROM t FOR VERSION AS OF 1'",
            "SELECT version AS of FROM t",
            "SELECT timestamp FROM t -- FOR VERSION AS OF 1",
            "SELECT \"unclosed",
        ] {
            check(query, query, &[]);
        }
    }

    #[test]
    fn wrong_clauses_are_named() {
        for (query, message) in [
            (
                "SELECT * FROM t FOR TIMESTAMP AS OF 'yesterday'",
                "`yesterday` is no time (like 2024-01-31 or 2024-01-31 12:00:00)",
            ),
            (
                "SELECT * FROM t FOR VERSION AS OF x",
                "`FOR VERSION AS OF …` is no version clause: a number or a text in single quotes must follow",
            ),
        ] {
            assert_eq!(take_versions(query).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn times() {
        for (text, expected) in [
            ("1970-01-02", 86_400_000),
            ("1970-01-01T00:00:01Z", 1000),
            ("1970-01-01 00:00:01.250", 1250),
            ("1970-01-01 01:00:00+01:00", 0),
            ("1970-01-01 00:01", 60_000),
            ("1970-01-01 00:00:01 UTC", 1000),
        ] {
            assert_eq!(parse_time(text).unwrap(), expected, "{text}");
        }
    }
}
