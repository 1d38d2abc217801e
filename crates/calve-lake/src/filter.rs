//! The partition filter: keys and the values that they must have.

use iceberg::spec::{Literal, PrimitiveType};

use crate::hive_path::{NULL_PARTITION, same_name};
use crate::{Error, PartitionKey, Result, value};

/// Conditions that all must hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct PartitionFilter {
    conditions: Vec<Condition>,
}

#[derive(Debug, Clone)]
struct Condition {
    key: String,
    text: String,
    /// The value in the key's type, once that is known.
    typed: Option<(PrimitiveType, Option<Literal>)>,
}

/// How a partition's value compares with the filter's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    /// It is another.
    Unequal,
    /// It is equal if its key is a number or a date, but not if it is text.
    PerhapsEqual,
    /// It is equal.
    Equal,
}

impl PartitionFilter {
    /// Reads a filter.
    ///
    /// # Errors
    /// When a key comes twice.
    pub(crate) fn new(conditions: &[(String, String)]) -> Result<Self> {
        for (index, (key, _)) in conditions.iter().enumerate() {
            if conditions[..index]
                .iter()
                .any(|(known, _)| same_name(known, key))
            {
                return Err(Error::DuplicateFilterKey { key: key.clone() });
            }
        }
        let conditions = conditions.iter().map(|(key, text)| Condition {
            key: key.clone(),
            text: text.clone(),
            typed: None,
        });
        Ok(Self {
            conditions: conditions.collect(),
        })
    }

    /// Gives the keys among `types` their types; from then on they are compared by them.
    ///
    /// # Errors
    /// When a value does not fit.
    pub(crate) fn set_types<'a>(
        &mut self,
        types: impl IntoIterator<Item = (&'a str, &'a PrimitiveType)>,
    ) -> Result<()> {
        for (name, primitive_type) in types {
            let Some(index) = self.position(name) else {
                continue;
            };
            let condition = &mut self.conditions[index];
            let literal = condition.literal(primitive_type)?;
            condition.typed = Some((primitive_type.clone(), literal));
        }
        Ok(())
    }

    /// Which condition is about a key.
    pub(crate) fn position(&self, key: &str) -> Option<usize> {
        self.conditions
            .iter()
            .position(|condition| same_name(&condition.key, key))
    }

    /// Number of conditions.
    pub(crate) fn len(&self) -> usize {
        self.conditions.len()
    }

    /// Compares a partition's value with that of a condition.
    pub(crate) fn compare(&self, index: usize, text: Option<&str>) -> Comparison {
        self.conditions[index].compare(text)
    }

    /// Whether all conditions hold for a partition with all its keys.
    ///
    /// # Errors
    /// The first key of the filter that the partition does not have.
    pub(crate) fn matches<'a>(
        &self,
        pairs: &(impl Iterator<Item = (&'a str, Option<&'a str>)> + Clone),
    ) -> Result<Comparison, &str> {
        let mut result = Comparison::Equal;
        for condition in &self.conditions {
            let mut named = pairs
                .clone()
                .filter(|(key, _)| same_name(key, &condition.key));
            let (_, text) = named.next().ok_or(condition.key.as_str())?;
            match condition.compare(text) {
                Comparison::Equal => {}
                Comparison::PerhapsEqual if result == Comparison::Equal => {
                    result = Comparison::PerhapsEqual;
                }
                Comparison::PerhapsEqual => {}
                Comparison::Unequal => result = Comparison::Unequal,
            }
        }
        Ok(result)
    }

    /// The first key that is none of the lake's.
    pub(crate) fn unknown_key(&self, keys: &[PartitionKey]) -> Option<&str> {
        let unknown =
            |condition: &&Condition| !keys.iter().any(|key| same_name(&key.name, &condition.key));
        self.conditions
            .iter()
            .find(unknown)
            .map(|condition| condition.key.as_str())
    }

    /// The conditions with their values in the types of their keys, as far as they are known.
    pub(crate) fn typed(&self) -> impl Iterator<Item = (&str, Option<&Literal>)> {
        self.conditions.iter().map(|condition| {
            let literal = condition
                .typed
                .as_ref()
                .and_then(|(_, literal)| literal.as_ref());
            (condition.key.as_str(), literal)
        })
    }
}

impl std::fmt::Display for PartitionFilter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, condition) in self.conditions.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{}={}", condition.key, condition.text)?;
        }
        Ok(())
    }
}

impl Condition {
    fn literal(&self, primitive_type: &PrimitiveType) -> Result<Option<Literal>> {
        if self.text == NULL_PARTITION {
            return Ok(None);
        }
        match value::parse(&self.text, primitive_type) {
            Some(literal) => Ok(Some(literal)),
            None if self.text.eq_ignore_ascii_case("null") => Ok(None),
            None => Err(Error::FilterValue {
                key: self.key.clone(),
                value: self.text.clone(),
                expected: primitive_type.to_string(),
            }),
        }
    }

    fn compare(&self, text: Option<&str>) -> Comparison {
        let equal = |equal: bool| {
            if equal {
                Comparison::Equal
            } else {
                Comparison::Unequal
            }
        };
        match (&self.typed, text) {
            (Some((_, literal)), None) => equal(literal.is_none()),
            (Some((primitive_type, literal)), Some(text)) => {
                let value = value::parse(text, primitive_type);
                equal(value.is_some() && value == *literal)
            }
            (None, None) if self.text == NULL_PARTITION => Comparison::Equal,
            (None, None) if self.text.eq_ignore_ascii_case("null") => Comparison::PerhapsEqual,
            (None, None) => Comparison::Unequal,
            (None, Some(text)) if text == self.text => Comparison::Equal,
            (None, Some(text)) => {
                let alike = |primitive_type| {
                    let value = value::parse(text, primitive_type);
                    value.is_some() && value == value::parse(&self.text, primitive_type)
                };
                if alike(&PrimitiveType::Long) || alike(&PrimitiveType::Date) {
                    Comparison::PerhapsEqual
                } else {
                    Comparison::Unequal
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(
        wanted: &str,
        primitive_type: Option<&PrimitiveType>,
        text: Option<&str>,
        expected: Comparison,
    ) {
        let mut filter = PartitionFilter::new(&[("K".to_owned(), wanted.to_owned())]).unwrap();
        if let Some(primitive_type) = primitive_type {
            filter.set_types([("k", primitive_type)]).unwrap();
        }
        let found = filter.matches(&[("k", text)].into_iter());
        assert_eq!(found, Ok(expected), "{wanted} {primitive_type:?} {text:?}");
    }

    #[test]
    fn values_compare_by_type() {
        use Comparison::{Equal, PerhapsEqual, Unequal};
        let (int, text) = (Some(&PrimitiveType::Int), Some(&PrimitiveType::String));
        check("1", None, Some("1"), Equal);
        check("01", None, Some("1"), PerhapsEqual);
        check("01", int, Some("1"), Equal);
        check("1", int, Some("01"), Equal);
        check("1", int, Some("x"), Unequal);
        check("01", text, Some("1"), Unequal);
        check("2024-1-5", None, Some("2024-01-05"), PerhapsEqual);
        check("a", None, Some("A"), Unequal);
        check("", None, Some(""), Equal);
        check("", None, None, Unequal);
        let decimal = PrimitiveType::Decimal {
            precision: 5,
            scale: 2,
        };
        check("1.5", Some(&decimal), Some("1.50"), Equal);
        check(NULL_PARTITION, None, None, Equal);
        check(NULL_PARTITION, int, None, Equal);
        check(NULL_PARTITION, text, None, Equal);
        check("null", None, None, PerhapsEqual);
        check("NULL", int, None, Equal);
        check("null", text, None, Unequal);
        check("null", text, Some("null"), Equal);
        check("1", int, None, Unequal);
    }

    #[test]
    fn filters_that_make_no_sense() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let error = PartitionFilter::new(&[pair("k", "1"), pair("K", "2")]).unwrap_err();
        assert_eq!(error.to_string(), "the partition filter has key `K` twice");
        let mut filter = PartitionFilter::new(&[pair("k", "x")]).unwrap();
        let error = filter.set_types([("K", &PrimitiveType::Int)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the partition filter's `x` is no int (key `k`)"
        );
        assert_eq!(filter.matches(&[("j", None)].into_iter()), Err("k"));
    }
}
