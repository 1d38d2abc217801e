//! The document type declaration. Its internal subset is read for the sake of its entities; external
//! subsets and parameter entities are never followed.

use std::sync::Arc;

use memchr::memmem;

use crate::entities::Entities;
use crate::row_reader::RowError;

use super::{Lexer, Part, Syntax, names, scan};

/// What is in a document type declaration, for messages.
const WHAT: &str = "a document type declaration";

impl Lexer<'_> {
    /// Moves behind a document type declaration.
    pub(super) fn document_type(&mut self) -> Result<(), RowError> {
        let start = self.at;
        if self.part != Part::Prolog || self.depth() > 0 || !self.entities.is_empty() {
            return Err(Syntax::Misplaced(WHAT).at(start));
        }
        let mut entities = Entities::default();
        let mut at = self.doctype_name(start + 9)?;
        let mut in_subset = false;
        loop {
            at = scan::white_space(self.bytes, at);
            let rest = &self.bytes[at..];
            match rest.first() {
                None => return Err(Syntax::Truncated(WHAT).at(start)),
                Some(b'>') if !in_subset => break,
                Some(b'[') if !in_subset => {
                    in_subset = true;
                    at += 1;
                }
                Some(b']') if in_subset => {
                    at = scan::white_space(self.bytes, at + 1);
                    match self.bytes.get(at) {
                        Some(b'>') => break,
                        Some(_) => return Err(Syntax::Expected("`>`").at(at)),
                        None => return Err(Syntax::Truncated(WHAT).at(start)),
                    }
                }
                Some(b'"' | b'\'') if !in_subset => at = self.doctype_quoted(start, at)?,
                Some(b'<') if !in_subset => return Err(Syntax::Expected("`>`").at(at)),
                // A parameter entity would bring declarations from elsewhere.
                Some(b'%') if in_subset => at = self.after_byte(start, at, b';')?,
                Some(b'<') => at = self.declaration_in_subset(start, at, &mut entities)?,
                Some(_) if in_subset => return Err(Syntax::Expected("a declaration").at(at)),
                Some(_) => {
                    let end = scan::name(self.bytes, at).end;
                    if end == at {
                        return Err(Syntax::Expected("`SYSTEM`, `PUBLIC`, `[` or `>`").at(at));
                    }
                    at = end;
                }
            }
        }
        self.check_characters(start, at)?;
        entities.seal();
        if !entities.is_empty() {
            self.entities = Arc::new(entities);
        }
        self.at = at + 1;
        Ok(())
    }

    /// The end of the root's name.
    fn doctype_name(&self, at: usize) -> Result<usize, RowError> {
        let name_at = scan::white_space(self.bytes, at);
        let end = scan::name(self.bytes, name_at).end;
        if end == self.bytes.len() {
            return Err(Syntax::Truncated(WHAT).at(self.at));
        }
        if name_at == at || !names::is_name(&self.text[name_at..end]) {
            return Err(Syntax::Expected("the name of the root element").at(name_at));
        }
        Ok(end)
    }

    /// The end of a quoted string.
    fn doctype_quoted(&self, start: usize, at: usize) -> Result<usize, RowError> {
        let quote = self.bytes[at];
        self.after_byte(start, at + 1, quote)
    }

    /// Behind the next `byte`.
    fn after_byte(&self, start: usize, at: usize, byte: u8) -> Result<usize, RowError> {
        match memchr::memchr(byte, &self.bytes[at..]) {
            Some(passed) => Ok(at + passed + 1),
            None => Err(Syntax::Truncated(WHAT).at(start)),
        }
    }

    /// Moves behind one declaration, comment or instruction of the internal subset.
    fn declaration_in_subset(
        &self,
        start: usize,
        at: usize,
        entities: &mut Entities,
    ) -> Result<usize, RowError> {
        let rest = &self.bytes[at..];
        if rest.starts_with(b"<!--") {
            return match memmem::find(&rest[4..], b"--") {
                Some(length) if rest.get(length + 6) == Some(&b'>') => Ok(at + length + 7),
                Some(length) if rest.len() > length + 6 => {
                    Err(Syntax::Misplaced("`--` in a comment").at(at + 4 + length))
                }
                _ => Err(Syntax::Truncated(WHAT).at(start)),
            };
        }
        if rest.starts_with(b"<?") {
            return match memmem::find(rest, b"?>") {
                Some(length) => Ok(at + length + 2),
                None => Err(Syntax::Truncated(WHAT).at(start)),
            };
        }
        let is_known = [&b"<!ENTITY"[..], b"<!ELEMENT", b"<!ATTLIST", b"<!NOTATION"]
            .into_iter()
            .find(|keyword| rest.starts_with(keyword));
        let Some(keyword) = is_known else {
            return Err(Syntax::Expected("a declaration").at(at));
        };
        let body = at + keyword.len();
        let end = self.end_of_declaration(start, body)?;
        if keyword == b"<!ENTITY" {
            self.entity(body, end, entities)?;
        }
        Ok(end + 1)
    }

    /// Where the `>` of a declaration stands.
    fn end_of_declaration(&self, start: usize, mut at: usize) -> Result<usize, RowError> {
        loop {
            match self.bytes.get(at) {
                None => return Err(Syntax::Truncated(WHAT).at(start)),
                Some(b'>') => return Ok(at),
                Some(b'<') => return Err(Syntax::Misplaced("`<` in a declaration").at(at)),
                Some(b'"' | b'\'') => at = self.doctype_quoted(start, at)?,
                Some(_) => at += 1,
            }
        }
    }

    /// `<!ENTITY name "value">`, between the keyword and the `>`.
    fn entity(&self, at: usize, end: usize, entities: &mut Entities) -> Result<(), RowError> {
        let body = self.text[at..end].trim_start();
        if body.len() == end - at {
            return Err(Syntax::Expected("white space").at(at));
        }
        // Entities of parameters are of use only to what is not read.
        if body.starts_with('%') {
            return Ok(());
        }
        let name_end = scan::name(body.as_bytes(), 0).end;
        let (name, rest) = body.split_at(name_end);
        if !names::is_name(name) || name.len() > self.limits.name_bytes {
            return Err(Syntax::Expected("the name of an entity").at(at));
        }
        let value = rest.trim_start();
        if value.len() == rest.len() {
            return Err(Syntax::Expected("white space after the entity's name").at(at));
        }
        match value.bytes().next() {
            Some(quote @ (b'"' | b'\'')) => {
                let inner = &value[1..];
                let length = inner.find(char::from(quote)).unwrap_or(inner.len());
                if inner.contains('%') {
                    entities.refuse(name, "it refers to an entity of parameters");
                } else {
                    entities
                        .declare(name, &inner[..length])
                        .map_err(|syntax| syntax.at(at))?;
                }
                Ok(())
            }
            _ if value.starts_with("SYSTEM") || value.starts_with("PUBLIC") => {
                entities.refuse(name, "it is external");
                Ok(())
            }
            _ => Err(Syntax::Expected("the value of an entity").at(at)),
        }
    }
}
