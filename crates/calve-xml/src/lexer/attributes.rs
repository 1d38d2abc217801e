use std::borrow::Cow;
use std::collections::HashSet;

use crate::entities::Entities;
use crate::row_reader::RowError;
use crate::text;

use super::{Lexer, Syntax, names, scan};

/// From how many attributes on names are looked up in a set rather than compared with one another.
const MANY: usize = 24;

/// An attribute of a start tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attribute<'a> {
    /// The name as written, with its prefix.
    pub name: &'a str,
    /// What stands between the quotes, raw.
    pub value: &'a str,
    /// Whether the value has neither references nor white space to normalise.
    pub is_plain: bool,
}

impl<'a> Attribute<'a> {
    /// The value that the attribute stands for: references replaced, white space normalised.
    #[inline]
    pub fn unescape(&self, entities: &Entities) -> Cow<'a, str> {
        if self.is_plain {
            Cow::Borrowed(self.value)
        } else {
            text::unescape_attribute(self.value, entities)
        }
    }
}

/// Goes through raw attributes that are known to be well-formed.
#[derive(Debug, Clone)]
pub struct Attributes<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Attributes<'a> {
    /// Goes through a tag's raw attributes, as [`StartTag::attributes`](super::StartTag::attributes) does.
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;

    fn next(&mut self) -> Option<Attribute<'a>> {
        let bytes = self.text.as_bytes();
        let start = scan::white_space(bytes, self.at);
        let name_end = scan::name(bytes, start).end;
        let equals = scan::white_space(bytes, name_end);
        let open = scan::white_space(bytes, equals + 1);
        let quote = *bytes.get(open)?;
        let value = scan::value(bytes, open + 1, quote);
        self.at = value.end + 1;
        Some(Attribute {
            name: &self.text[start..name_end],
            value: &self.text[open + 1..value.end],
            is_plain: !value.special,
        })
    }
}

impl Lexer<'_> {
    /// Reads the attributes of a start tag from the end of its name on. Gives whether the tag closes
    /// itself, where its attributes end, and where it ends.
    pub(super) fn read_attributes(
        &mut self,
        name_end: usize,
    ) -> Result<(bool, usize, usize), RowError> {
        let mut at = name_end;
        loop {
            let start = scan::white_space(self.bytes, at);
            match self.bytes.get(start) {
                Some(b'>') => {
                    self.check_attributes(name_end, start)?;
                    return Ok((false, start, start + 1));
                }
                Some(b'/') => {
                    return match self.bytes.get(start + 1) {
                        Some(b'>') => {
                            self.check_attributes(name_end, start)?;
                            Ok((true, start, start + 2))
                        }
                        Some(_) => Err(Syntax::Expected("`>` after `/`").at(start + 1)),
                        None => Err(self.truncated_tag()),
                    };
                }
                None => return Err(self.truncated_tag()),
                Some(_) if start == at && at == name_end => {
                    return Err(Syntax::Expected("white space, `>` or `/>` after the name").at(at));
                }
                Some(_) if start == at => {
                    return Err(Syntax::Expected("white space between attributes").at(at));
                }
                Some(_) => at = self.read_attribute(start)?,
            }
        }
    }

    /// Reads one attribute; gives where it ends.
    #[inline]
    fn read_attribute(&mut self, start: usize) -> Result<usize, RowError> {
        let scanned = scan::name(self.bytes, start);
        let name = &self.text[start..scanned.end];
        let mut at = scanned.end;
        if self.bytes.get(at) != Some(&b'=') {
            at = scan::white_space(self.bytes, at);
            match self.bytes.get(at) {
                _ if name.is_empty() => {
                    return Err(Syntax::Expected("the name of an attribute").at(start));
                }
                Some(b'=') => {}
                Some(_) => return Err(Syntax::Expected("`=` after an attribute's name").at(at)),
                None => return Err(self.truncated_tag()),
            }
        }
        if scanned.special
            || name.len() > self.limits.name_bytes
            || !matches!(
                self.bytes.get(start),
                Some(b'A'..=b'Z' | b'a'..=b'z' | b'_' | b':')
            )
        {
            self.check_attribute_name(name, start)?;
        }
        at += 1;
        if !matches!(self.bytes.get(at), Some(b'"' | b'\'')) {
            at = scan::white_space(self.bytes, at);
        }
        let quote = match self.bytes.get(at) {
            Some(quote @ (b'"' | b'\'')) => *quote,
            Some(_) => return Err(Syntax::Expected("a quoted value").at(at)),
            None => return Err(self.truncated_tag()),
        };
        let value_start = at + 1;
        let scanned = scan::value(self.bytes, value_start, quote);
        match self.bytes.get(scanned.end) {
            Some(b'<') => return Err(Syntax::Misplaced("`<` in an attribute").at(scanned.end)),
            Some(_) => {}
            None => return Err(self.truncated_tag()),
        }
        let value = &self.text[value_start..scanned.end];
        if scanned.special {
            let checked = text::check(value, &self.entities)
                .map_err(|fault| fault.syntax.at(value_start + fault.offset))?;
            self.add_expanded(checked.expanded_bytes, value_start)?;
        }
        self.attributes.push(Attribute {
            name,
            value,
            is_plain: !scanned.special,
        });
        Ok(scanned.end + 1)
    }

    #[cold]
    fn truncated_tag(&self) -> RowError {
        Syntax::Truncated("a start tag").at(self.at)
    }

    /// A name that needs a closer look.
    #[cold]
    fn check_attribute_name(&self, name: &str, start: usize) -> Result<(), RowError> {
        if name.is_empty() {
            return Err(Syntax::Expected("the name of an attribute").at(start));
        }
        if name.len() > self.limits.name_bytes {
            return Err(Syntax::Limit {
                what: "a name is long",
                limit: self.limits.name_bytes,
            }
            .at(start));
        }
        if !names::is_name(name) {
            return Err(Syntax::Name(name.to_owned()).at(start));
        }
        Ok(())
    }

    /// Whether no name comes twice, and there are not too many.
    #[inline]
    fn check_attributes(&self, start: usize, end: usize) -> Result<(), RowError> {
        let attributes = &self.attributes;
        if attributes.len() > self.limits.attributes {
            return Err(Syntax::Limit {
                what: "there are attributes",
                limit: self.limits.attributes,
            }
            .at(start));
        }
        if end - start > self.limits.attribute_bytes {
            return Err(Syntax::Limit {
                what: "attributes are long",
                limit: self.limits.attribute_bytes,
            }
            .at(start));
        }
        if attributes.len() < 2 {
            return Ok(());
        }
        let twice = if attributes.len() < MANY {
            attributes.iter().enumerate().find(|(index, attribute)| {
                let before = &attributes[..*index];
                before.iter().any(|other| other.name == attribute.name)
            })
        } else {
            let mut seen = HashSet::with_capacity(attributes.len());
            attributes
                .iter()
                .enumerate()
                .find(|(_, attribute)| !seen.insert(attribute.name))
        };
        match twice {
            None => Ok(()),
            Some((_, attribute)) => {
                Err(Syntax::DuplicateAttribute(attribute.name.to_owned()).at(start))
            }
        }
    }
}
