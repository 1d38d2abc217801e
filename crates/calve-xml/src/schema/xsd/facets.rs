//! What a restriction asks of text.

use regex::Regex;

use super::load::Definition;
use super::model::Kind;
use super::pattern;
use super::values::{self, WhiteSpace};
use crate::Result;

/// Which side of a value a bound is on, and whether it is allowed itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    MinInclusive,
    MinExclusive,
    MaxInclusive,
    MaxExclusive,
}

/// The facets of one restriction.
#[derive(Debug, Clone, Default)]
pub(super) struct Facets {
    pub(super) length: Option<u64>,
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    /// One of them must match.
    pub(super) patterns: Vec<Regex>,
    pub(super) enumeration: Vec<String>,
    pub(super) white_space: Option<WhiteSpace>,
    pub(super) bounds: Vec<(Bound, String)>,
    pub(super) total_digits: Option<u32>,
    pub(super) fraction_digits: Option<u32>,
}

impl Facets {
    /// Reads the facets of a restriction; gives also what text cannot be checked for.
    pub(super) fn read(at: &Definition, kind: &Kind) -> Result<(Self, Vec<String>)> {
        let mut facets = Self::default();
        let mut unsupported = Vec::new();
        for node in at.node.parts() {
            let part = at.at(node);
            let Some(value) = node.get("value") else {
                // Types, attributes and particles stand beside facets.
                continue;
            };
            match node.name.as_str() {
                "length" => facets.length = Some(number(&part, value)?),
                "minLength" => facets.min_length = Some(number(&part, value)?),
                "maxLength" => facets.max_length = Some(number(&part, value)?),
                "totalDigits" => facets.total_digits = Some(digits(&part, value)?),
                "fractionDigits" => facets.fraction_digits = Some(digits(&part, value)?),
                "enumeration" => facets.enumeration.push(value.to_owned()),
                "pattern" => match pattern::compile(value) {
                    Ok(regex) => facets.patterns.push(regex),
                    Err(problem) => unsupported.push(format!("the pattern `{value}`: {problem}")),
                },
                "whiteSpace" => {
                    let white_space = WhiteSpace::named(value)
                        .ok_or_else(|| part.error(format!("`{value}` is no `whiteSpace`")))?;
                    facets.white_space = Some(white_space);
                }
                name => {
                    if let Some(bound) = bound(name) {
                        if !values::is_ordered(kind) {
                            unsupported.push(format!("bounds of {}", values::describe(kind)));
                        }
                        facets.bounds.push((bound, value.trim().to_owned()));
                    } else {
                        unsupported.push(format!("`xs:{name}`"));
                    }
                }
            }
        }
        Ok((facets, unsupported))
    }
}

fn bound(name: &str) -> Option<Bound> {
    Some(match name {
        "minInclusive" => Bound::MinInclusive,
        "minExclusive" => Bound::MinExclusive,
        "maxInclusive" => Bound::MaxInclusive,
        "maxExclusive" => Bound::MaxExclusive,
        _ => return None,
    })
}

fn number(part: &Definition, value: &str) -> Result<u64> {
    let number = value.trim().parse();
    number.map_err(|_| part.error(format!("`{value}` is no number")))
}

fn digits(part: &Definition, value: &str) -> Result<u32> {
    let number = number(part, value)?;
    // More digits than any decimal has are as good as no bound.
    Ok(u32::try_from(number).unwrap_or(u32::MAX))
}
