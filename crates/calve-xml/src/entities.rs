//! The entities that a document declares for itself.

use std::collections::HashMap;

use crate::lexer::Syntax;
use crate::text::{character_of, predefined, reference};

/// How deep entities may refer to entities.
const DEPTH: usize = 40;

/// An entity of the internal subset.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entity {
    /// The replacement text: references by number are replaced, those by name are not.
    replacement: String,
    /// The length of its whole expansion in bytes, or why it is refused.
    expanded: Result<u64, &'static str>,
}

/// The entities that a document declares for itself, beside the five predefined ones.
///
/// Only text is supported: an entity that is external, holds markup, refers to itself or to one that is
/// not declared is refused where it is used. What is kept is the declarations, not the expansions, so
/// that declarations alone cannot fill the memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entities {
    by_name: HashMap<String, Entity>,
}

impl Entities {
    /// Whether nothing is declared.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Declares an entity by the text between the quotes of its declaration. The first declaration of a
    /// name counts, as the standard says.
    pub(crate) fn declare(&mut self, name: &str, value: &str) -> Result<(), Syntax> {
        let replacement = replace_numbers(value)?;
        self.by_name.entry(name.to_owned()).or_insert(Entity {
            replacement,
            expanded: Ok(0),
        });
        Ok(())
    }

    /// Declares an entity that is always refused.
    pub(crate) fn refuse(&mut self, name: &str, reason: &'static str) {
        self.by_name.entry(name.to_owned()).or_insert(Entity {
            replacement: String::new(),
            expanded: Err(reason),
        });
    }

    /// Measures all expansions, once all declarations are known.
    pub(crate) fn seal(&mut self) {
        let mut known: HashMap<String, Result<u64, &'static str>> = HashMap::new();
        // Each round measures those that refer to nothing but what the rounds before have measured, so
        // that depth needs no recursion and a cycle is never measured at all.
        for _ in 0..DEPTH {
            let measured: Vec<_> = self
                .by_name
                .iter()
                .filter(|(name, _)| !known.contains_key(*name))
                .filter_map(|(name, entity)| Some((name.clone(), self.measure(entity, &known)?)))
                .collect();
            if measured.is_empty() {
                break;
            }
            known.extend(measured);
        }
        for (name, entity) in &mut self.by_name {
            entity.expanded = known
                .remove(name)
                .unwrap_or(Err("it refers to itself, or is nested too deep"));
        }
    }

    /// The length of an entity's expansion, or why it is refused; none while one that it refers to is
    /// not known.
    fn measure(
        &self,
        entity: &Entity,
        known: &HashMap<String, Result<u64, &'static str>>,
    ) -> Option<Result<u64, &'static str>> {
        let mut length = 0_u64;
        for piece in pieces(&entity.replacement) {
            let added = match piece {
                Piece::Text(text) if text.contains('<') => return Some(Err("it holds markup")),
                Piece::Text(text) => text.len() as u64,
                Piece::Character(character) => character.len_utf8() as u64,
                Piece::Entity(inner) if !self.by_name.contains_key(inner) => {
                    return Some(Err("it refers to one that is not declared"));
                }
                Piece::Entity(inner) => match known.get(inner)? {
                    Ok(length) => *length,
                    Err(reason) => return Some(Err(reason)),
                },
                Piece::Wrong => return Some(Err("it holds an `&` that begins no reference")),
            };
            length = length.saturating_add(added);
        }
        Some(entity.expanded.map(|_| length))
    }

    /// How many bytes the entity's expansion has.
    pub(crate) fn expanded_bytes(&self, name: &str) -> Result<u64, Syntax> {
        match self.by_name.get(name) {
            None => Err(Syntax::UnknownEntity(name.to_owned())),
            Some(entity) => entity.expanded.map_err(|reason| Syntax::RefusedEntity {
                name: name.to_owned(),
                reason,
            }),
        }
    }

    /// Appends the entity's expansion; gives whether there is one. The caller knows that its length is
    /// within the budget.
    pub(crate) fn expand(&self, name: &str, text: &mut String) -> bool {
        let Some(entity) = self.by_name.get(name) else {
            return false;
        };
        // Measured expansions are neither cyclic nor deep.
        if entity.expanded.is_err() {
            return false;
        }
        for piece in pieces(&entity.replacement) {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Character(character) => text.push(character),
                Piece::Entity(inner) => {
                    self.expand(inner, text);
                }
                Piece::Wrong => {}
            }
        }
        true
    }
}

/// A piece of a replacement text.
enum Piece<'a> {
    Text(&'a str),
    Character(char),
    Entity(&'a str),
    Wrong,
}

/// Cuts a replacement text at its references.
fn pieces(replacement: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = replacement.get(at..).filter(|rest| !rest.is_empty())?;
        let Some(passed) = rest.find('&') else {
            at = replacement.len();
            return Some(Piece::Text(rest));
        };
        if passed > 0 {
            at += passed;
            return Some(Piece::Text(&rest[..passed]));
        }
        let Some((name, end)) = reference(replacement, at) else {
            at = replacement.len();
            return Some(Piece::Wrong);
        };
        at = end;
        Some(match (name.strip_prefix('#'), predefined(name)) {
            (Some(number), _) => character_of(number).map_or(Piece::Wrong, Piece::Character),
            (None, Some(character)) => Piece::Character(character),
            (None, None) => Piece::Entity(name),
        })
    })
}

/// Replaces the references by number in the value of a declaration.
fn replace_numbers(value: &str) -> Result<String, Syntax> {
    let mut replacement = String::with_capacity(value.len());
    let mut at = 0;
    while let Some(passed) = value[at..].find('&') {
        let start = at + passed;
        let (name, end) = reference(value, start).ok_or(Syntax::Ampersand)?;
        replacement.push_str(&value[at..start]);
        match name.strip_prefix('#') {
            Some(number) => replacement.push(character_of(number)?),
            None => replacement.push_str(&value[start..end]),
        }
        at = end;
    }
    replacement.push_str(&value[at..]);
    Ok(replacement)
}
