//! Partition projection: Athena computes the partitions from the entry's properties instead of
//! having them registered. Here the folders are listed, and those are taken that it would compute.

use std::sync::Arc;

use calve_base::{Clock, Location};
use calve_catalog::HiveTable;
use chrono::{DateTime, NaiveDateTime};
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::spec::{PrimitiveLiteral, PrimitiveType};
use regex::Regex;

use super::Reader;
use super::date_format::{DateFormat, Unit};
use crate::filter::PartitionFilter;
use crate::folder::Reading;
use crate::folders::{Values, file, skipped};
use crate::hive_path::{NULL_PARTITION, same_name};
use crate::tree::{Found, Tree};
use crate::{Error, LakeEntry, PartitionKey, Recursive, Result, SkipReason};

/// The projection of an entry.
#[derive(Debug)]
pub(super) struct Projection {
    template: Vec<Token>,
    kinds: Vec<Kind>,
}

/// A part of a location template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Text(String),
    /// The value of the key of that index.
    Key(usize),
}

/// How a key's values are computed.
#[derive(Debug, Clone, PartialEq)]
enum Kind {
    Enum(Vec<String>),
    Integer {
        first: i64,
        last: i64,
        interval: i64,
        digits: Option<usize>,
    },
    Date {
        format: DateFormat,
        first: NaiveDateTime,
        last: NaiveDateTime,
        interval: i64,
        unit: Unit,
    },
    Injected,
}

impl Projection {
    /// The projection of an entry, where one is enabled.
    pub(super) fn of(
        table: &HiveTable,
        location: &Location,
        keys: &[PartitionKey],
        clock: &dyn Clock,
    ) -> Result<Option<Self>> {
        let properties = Properties { table };
        let is_enabled = properties.find("projection.enabled");
        if keys.is_empty() || !is_enabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let kinds = keys
            .iter()
            .map(|key| properties.kind(&key.name, clock))
            .collect::<Result<_>>()?;
        let usual = || {
            let folder = |key: &PartitionKey| format!("{0}=${{{0}}}", key.name);
            let folders: Vec<String> = keys.iter().map(folder).collect();
            location.join(&folders.join("/")).to_string()
        };
        let template = properties.find("storage.location.template");
        let template = template.map_or_else(usual, str::to_owned);
        let template = properties.template(&template, keys)?;
        Ok(Some(Self { template, kinds }))
    }

    /// Everything in the projected partitions that the filter lets through.
    pub(super) fn entries(
        self: Arc<Self>,
        reader: Reader,
    ) -> BoxStream<'static, Result<LakeEntry>> {
        let matcher = match self.matcher(&reader) {
            Ok(matcher) => matcher,
            Err(error) => return futures::stream::once(std::future::ready(Err(error))).boxed(),
        };
        let tree = Tree {
            storage: reader.storage.clone(),
            root: matcher.base.clone(),
            filter: Arc::default(),
            recursive: reader.options.recursive,
            concurrency: reader.options.concurrency,
        };
        let mut walk = Walk {
            folders: reader.folder_reader(&matcher.base, Recursive::True),
            projection: self,
            matcher,
            reader,
            last: None,
        };
        tree.list()
            .filter_map(move |found| {
                let entry = found.and_then(|found| walk.entry(found)).transpose();
                std::future::ready(entry)
            })
            .boxed()
    }

    /// What the folders of files look like, and the longest folder that they share.
    fn matcher(&self, reader: &Reader) -> Result<Matcher> {
        let keys = reader.source.keys();
        let mut pattern = "^".to_owned();
        let mut groups = Vec::new();
        for token in &self.template {
            match token {
                Token::Text(text) => pattern.push_str(&regex::escape(text)),
                Token::Key(index) => {
                    pattern.push('(');
                    pattern.push_str(&self.kinds[*index].regex());
                    pattern.push(')');
                    groups.push(*index);
                }
            }
        }
        let texts = self.template.iter().map(|token| match token {
            Token::Text(text) => Some(text.clone()),
            Token::Key(index) => self.fixed(*index, &keys[*index], &reader.filter),
        });
        let known: String = texts.map_while(|text| text).collect();
        let base = &known[..known.rfind('/').map_or(0, |slash| slash + 1)];
        let invalid = |problem: String| Error::Projection {
            ident: reader.source.table().ident.clone(),
            property: "storage.location.template".to_owned(),
            problem,
        };
        Ok(Matcher {
            base: Location::parse(base).map_err(|error| invalid(error.to_string()))?,
            regex: Regex::new(&pattern).map_err(|error| invalid(error.to_string()))?,
            groups,
        })
    }

    /// The text of a key in all paths, where the filter allows one only.
    fn fixed(&self, index: usize, key: &PartitionKey, filter: &PartitionFilter) -> Option<String> {
        let (_, literal) = filter
            .typed()
            .find(|(name, _)| same_name(name, &key.name))?;
        match (&self.kinds[index], literal?.as_primitive_literal()?) {
            (_, PrimitiveLiteral::String(text)) => Some(text),
            (Kind::Integer { digits, .. }, PrimitiveLiteral::Int(number)) => {
                Some(format!("{number:0width$}", width = digits.unwrap_or(0)))
            }
            (Kind::Integer { digits, .. }, PrimitiveLiteral::Long(number)) => {
                Some(format!("{number:0width$}", width = digits.unwrap_or(0)))
            }
            _ => None,
        }
    }
}

/// What the folders of files look like.
#[derive(Debug)]
struct Matcher {
    /// All of them lie below.
    base: Location,
    regex: Regex,
    /// The keys of the pattern's groups.
    groups: Vec<usize>,
}

/// What a folder of the listing is.
#[derive(Debug, Clone)]
enum Verdict {
    Partition(Values),
    LeftOut,
    Skip(SkipReason),
}

struct Walk {
    folders: crate::folder::FolderReader,
    projection: Arc<Projection>,
    matcher: Matcher,
    reader: Reader,
    last: Option<(String, Verdict)>,
}

impl Walk {
    fn entry(&mut self, found: Found) -> Result<Option<LakeEntry>> {
        let object = match found {
            Found::Object(object) => object,
            Found::Partition(..) => return Ok(None),
            Found::Skipped(skipped) => return Ok(Some(LakeEntry::Skipped(skipped))),
        };
        if let Reading::Skip(reason) = self.folders.read(&object)? {
            return Ok(Some(skipped(object, reason)));
        }
        let location = object.location.as_str();
        let folder = location.rfind('/').map_or("", |slash| &location[..=slash]);
        let verdict = match &self.last {
            Some((last, verdict)) if last == folder => verdict.clone(),
            _ => {
                let verdict = self.verdict(folder, &object.location)?;
                self.last = Some((folder.to_owned(), verdict.clone()));
                verdict
            }
        };
        Ok(match verdict {
            Verdict::Partition(values) => Some(file(object, values)),
            Verdict::LeftOut => None,
            Verdict::Skip(reason) => Some(skipped(object, reason)),
        })
    }

    fn verdict(&self, folder: &str, file: &Location) -> Result<Verdict> {
        let keys = self.reader.source.keys();
        let Some((texts, end)) = self.texts(folder, keys.len()) else {
            return Ok(Verdict::Skip(SkipReason::OutsideProjection));
        };
        let is_projected = |(kind, text): (&Kind, &String)| kind.contains(text);
        if !self.projection.kinds.iter().zip(&texts).all(is_projected) {
            return Ok(Verdict::Skip(SkipReason::OutsideProjection));
        }
        let canonical = keys.iter().zip(&self.projection.kinds).zip(&texts);
        let values: Vec<Option<String>> = canonical
            .map(|((key, kind), text)| {
                (text != NULL_PARTITION).then(|| kind.value(text, &key.primitive_type))
            })
            .collect();
        let pairs = keys.iter().zip(&values);
        let pairs = pairs.map(|(key, value)| (key.name.as_str(), value.as_deref()));
        if !self
            .reader
            .source
            .lets_through(&self.reader.filter, &pairs)?
        {
            return Ok(Verdict::LeftOut);
        }
        if end < folder.len() {
            match self.reader.options.recursive {
                Recursive::Fail => {
                    let folder = file.parent().unwrap_or_else(|| file.clone());
                    return Err(Error::SubFolder { folder });
                }
                Recursive::False => return Ok(Verdict::Skip(SkipReason::SubFolder)),
                Recursive::True => {}
            }
        }
        let texts = values.iter().map(Option::as_deref);
        Ok(Verdict::Partition(
            self.reader.source.literals(texts, file)?,
        ))
    }

    /// The texts of the keys in a folder's path, and where the partition's part of it ends.
    fn texts(&self, folder: &str, key_count: usize) -> Option<(Vec<String>, usize)> {
        let captures = self.matcher.regex.captures(folder)?;
        let mut texts: Vec<Option<String>> = vec![None; key_count];
        for (key, text) in self.matcher.groups.iter().zip(captures.iter().skip(1)) {
            let text = text?.as_str();
            let known = texts[*key].get_or_insert_with(|| text.to_owned());
            if known.as_str() != text {
                return None;
            }
        }
        let texts: Option<Vec<String>> = texts.into_iter().collect();
        Some((texts?, captures.get_match().end()))
    }
}

impl Kind {
    fn regex(&self) -> String {
        match self {
            Self::Enum(values) => {
                let mut values: Vec<String> =
                    values.iter().map(|value| regex::escape(value)).collect();
                values.sort_by_key(|value| std::cmp::Reverse(value.len()));
                values.join("|")
            }
            Self::Integer { .. } => "-?[0-9]+".to_owned(),
            Self::Date { format, .. } => format.regex(),
            Self::Injected => "[^/]+".to_owned(),
        }
    }

    /// Whether the projection computes this value.
    fn contains(&self, text: &str) -> bool {
        match self {
            Self::Enum(values) => values.iter().any(|value| value == text),
            Self::Injected => true,
            Self::Integer {
                first,
                last,
                interval,
                digits,
            } => {
                let Ok(number) = text.parse::<i64>() else {
                    return false;
                };
                let printed = format!("{number:0width$}", width = digits.unwrap_or(0));
                (*first..=*last).contains(&number)
                    && number.abs_diff(*first) % interval.unsigned_abs() == 0
                    && printed == text
            }
            Self::Date {
                format,
                first,
                last,
                interval,
                unit,
            } => {
                let Some(moment) = format.parse(text) else {
                    return false;
                };
                (*first..=*last).contains(&moment) && unit.between(*first, moment) % interval == 0
            }
        }
    }

    /// The text as Iceberg's parsers of the type expect it.
    fn value(&self, text: &str, primitive_type: &PrimitiveType) -> String {
        if let (Self::Date { format, .. }, false) = (self, *primitive_type == PrimitiveType::String)
            && let Some(moment) = format.parse(text)
        {
            return match primitive_type {
                PrimitiveType::Date => moment.format("%Y-%m-%d").to_string(),
                PrimitiveType::Int | PrimitiveType::Long => text.to_owned(),
                _ => moment.format("%Y-%m-%d %H:%M:%S").to_string(),
            };
        }
        text.to_owned()
    }
}

/// The properties of an entry, read with errors that name them.
struct Properties<'a> {
    table: &'a HiveTable,
}

impl Properties<'_> {
    fn find(&self, name: &str) -> Option<&str> {
        let mut named = self
            .table
            .parameters
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }

    fn invalid(&self, property: &str, problem: impl Into<String>) -> Error {
        Error::Projection {
            ident: self.table.ident.clone(),
            property: property.to_owned(),
            problem: problem.into(),
        }
    }

    fn require(&self, property: &str) -> Result<&str> {
        self.find(property)
            .ok_or_else(|| self.invalid(property, "missing"))
    }

    fn kind(&self, key: &str, clock: &dyn Clock) -> Result<Kind> {
        let property = |name: &str| format!("projection.{key}.{name}");
        let kind = self.require(&property("type"))?;
        match kind.to_ascii_lowercase().as_str() {
            "enum" => {
                let values = self.require(&property("values"))?;
                Ok(Kind::Enum(values.split(',').map(str::to_owned).collect()))
            }
            "injected" => Ok(Kind::Injected),
            "integer" => {
                let (first, last) = self.range(&property("range"))?;
                let number = |text: &str| {
                    let number = text.trim().parse::<i64>();
                    number.map_err(|_| {
                        self.invalid(&property("range"), format!("`{text}` is no number"))
                    })
                };
                let digits = self.find(&property("digits"));
                let digits = digits.map(|text| match text.trim().parse() {
                    Ok(digits @ 1..=20) => Ok(digits),
                    _ => Err(self.invalid(
                        &property("digits"),
                        format!("`{text}` is no number of digits"),
                    )),
                });
                Ok(Kind::Integer {
                    first: number(first)?,
                    last: number(last)?,
                    interval: self.interval(&property("interval"))?,
                    digits: digits.transpose()?,
                })
            }
            "date" => self.date(&property, clock),
            other => Err(self.invalid(&property("type"), format!("`{other}` is not known"))),
        }
    }

    fn date(&self, property: &dyn Fn(&str) -> String, clock: &dyn Clock) -> Result<Kind> {
        let name = property("format");
        let format = DateFormat::new(self.require(&name)?)
            .map_err(|letter| self.invalid(&name, format!("letter `{letter}` is not known")))?;
        let shortest = format.shortest_unit();
        let name = property("interval.unit");
        let unit = match self.find(&name) {
            None => shortest,
            Some(text) => Unit::parse(text.trim())
                .ok_or_else(|| self.invalid(&name, format!("`{text}` is no unit")))?,
        };
        let range = property("range");
        let (first, last) = self.range(&range)?;
        let moment = |text: &str| {
            let now = DateTime::from_timestamp_millis(clock.now_ms()).map(|now| now.naive_utc());
            moment(text.trim(), &format, now.unwrap_or_default())
                .ok_or_else(|| self.invalid(&range, format!("`{text}` is no date of that format")))
        };
        let (first, last) = (moment(first)?, moment(last)?);
        let interval = self.interval(&property("interval"))?;
        Ok(Kind::Date {
            format,
            first,
            last,
            interval,
            unit,
        })
    }

    fn range(&self, property: &str) -> Result<(&str, &str)> {
        let range = self.require(property)?;
        range.split_once(',').ok_or_else(|| {
            self.invalid(
                property,
                format!("`{range}` is no range: expected `first,last`"),
            )
        })
    }

    fn interval(&self, property: &str) -> Result<i64> {
        match self
            .find(property)
            .map(|text| (text, text.trim().parse::<i64>()))
        {
            None => Ok(1),
            Some((_, Ok(interval))) if interval > 0 => Ok(interval),
            Some((text, _)) => {
                Err(self.invalid(property, format!("`{text}` is no positive number")))
            }
        }
    }

    /// Splits `s3://b/year=${year}/` into its parts.
    fn template(&self, template: &str, keys: &[PartitionKey]) -> Result<Vec<Token>> {
        let invalid = |problem: String| self.invalid("storage.location.template", problem);
        let mut tokens = Vec::new();
        let mut rest = template;
        while let Some((text, after)) = rest.split_once("${") {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| invalid(format!("`{template}`: `}}` is missing")))?;
            let index = keys
                .iter()
                .position(|key| same_name(&key.name, name))
                .ok_or_else(|| invalid(format!("`{name}` is no partition key")))?;
            tokens.push(Token::Text(text.to_owned()));
            tokens.push(Token::Key(index));
            rest = after;
        }
        // A template names a folder, with or without its last slash.
        tokens.push(Token::Text(format!("{}/", rest.trim_end_matches('/'))));
        let unused = (0..keys.len()).find(|index| !tokens.contains(&Token::Key(*index)));
        match unused {
            Some(index) => Err(invalid(format!(
                "`{template}` does not name key `{}`",
                keys[index].name
            ))),
            None => Ok(tokens),
        }
    }
}

/// `NOW`, `NOW-3YEARS`, or a date in the format.
fn moment(text: &str, format: &DateFormat, now: NaiveDateTime) -> Option<NaiveDateTime> {
    let Some(shift) = text.strip_prefix("NOW") else {
        return format.parse(text);
    };
    let shift: String = shift
        .chars()
        .filter(|character| !character.is_whitespace())
        .collect();
    if shift.is_empty() {
        return format.shortest_unit().truncate(now);
    }
    let letters = shift.find(|character: char| character.is_ascii_alphabetic())?;
    let (count, unit) = shift.split_at(letters);
    let moment = Unit::parse(unit)?.add(now, count.parse().ok()?)?;
    format.shortest_unit().truncate(moment)
}
