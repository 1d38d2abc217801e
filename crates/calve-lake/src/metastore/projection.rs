//! Partition projection: Athena computes the partitions from the entry's properties instead of
//! having them registered. Here the folders are listed, and those are taken that it would compute.

mod properties;
mod walk;

use calve_base::{Clock, Location};
use calve_catalog::HiveTable;
use chrono::NaiveDateTime;
use iceberg::spec::PrimitiveType;

use super::date_format::{DateFormat, Unit};
use crate::{PartitionKey, Result};
use properties::Properties;

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
        let properties = Properties::new(table);
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
