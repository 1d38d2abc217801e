//! The properties that describe a projection.

use calve_base::Clock;
use calve_catalog::HiveTable;
use chrono::{DateTime, NaiveDateTime};

use super::{Kind, Token};
use crate::hive_path::same_name;
use crate::metastore::date_format::{DateFormat, Unit};
use crate::{Error, PartitionKey, Result};

/// The properties of an entry, read with errors that name them.
pub(super) struct Properties<'a> {
    table: &'a HiveTable,
}

impl<'a> Properties<'a> {
    pub(super) fn new(table: &'a HiveTable) -> Self {
        Self { table }
    }

    /// A property's value; its name in any case.
    pub(super) fn find(&self, name: &str) -> Option<&str> {
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

    /// How the values of a key are computed.
    pub(super) fn kind(&self, key: &str, clock: &dyn Clock) -> Result<Kind> {
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
    pub(super) fn template(&self, template: &str, keys: &[PartitionKey]) -> Result<Vec<Token>> {
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
