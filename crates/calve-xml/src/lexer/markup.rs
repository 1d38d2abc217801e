//! Comments, processing instructions and CDATA sections.

use memchr::memmem;

use crate::row_reader::RowError;
use crate::text;

use super::{Event, Lexer, Part, Syntax, names, scan};

impl<'a> Lexer<'a> {
    /// What begins with `<!`. Only a CDATA section is an event.
    #[inline(never)]
    pub(super) fn declaration(&mut self) -> Result<Option<Event<'a>>, RowError> {
        let rest = &self.bytes[self.at..];
        if rest.starts_with(b"<!--") {
            self.comment()?;
            return Ok(None);
        }
        if rest.starts_with(b"<![CDATA[") {
            return self.character_section().map(Some);
        }
        if rest.starts_with(b"<!DOCTYPE") {
            self.document_type()?;
            return Ok(None);
        }
        let is_cut = [b"<!--".as_slice(), b"<![CDATA[", b"<!DOCTYPE"]
            .iter()
            .any(|whole| whole.starts_with(rest));
        Err(if is_cut {
            Syntax::Truncated("a declaration").at(self.at)
        } else {
            Syntax::Expected("a comment, a CDATA section or a document type").at(self.at)
        })
    }

    /// Moves behind a comment.
    fn comment(&mut self) -> Result<(), RowError> {
        let start = self.at + 4;
        let Some(length) = find(self.bytes, start, b"--", &mut self.missing.comment) else {
            return Err(Syntax::Truncated("a comment").at(self.at));
        };
        let end = start + length;
        self.check_characters(start, end)?;
        match self.bytes.get(end + 2) {
            Some(b'>') => {
                self.at = end + 3;
                Ok(())
            }
            Some(_) => Err(Syntax::Misplaced("`--` in a comment").at(end)),
            None => Err(Syntax::Truncated("a comment").at(self.at)),
        }
    }

    /// Moves behind a processing instruction, or the XML declaration.
    #[inline(never)]
    pub(super) fn instruction(&mut self) -> Result<(), RowError> {
        let start = self.at;
        let Some(length) = find(self.bytes, start + 2, b"?>", &mut self.missing.instruction) else {
            return Err(Syntax::Truncated("a processing instruction").at(start));
        };
        let end = start + 2 + length;
        let name_end = scan::name(self.bytes, start + 2).end;
        let name = &self.text[start + 2..name_end];
        if !names::is_name(name) {
            return Err(Syntax::Name(name.to_owned()).at(start + 2));
        }
        if name_end != end && scan::white_space(self.bytes, name_end) == name_end {
            return Err(Syntax::Expected("white space after the name").at(name_end));
        }
        // The byte-order mark is not part of the text.
        let is_at_start = self.document_start == Some(start);
        let is_declaration = name == "xml" && is_at_start && self.part == Part::Prolog;
        if name.eq_ignore_ascii_case("xml") && !is_declaration {
            return Err(Syntax::Misplaced("an XML declaration").at(start));
        }
        self.check_characters(name_end, end)?;
        self.at = end + 2;
        Ok(())
    }

    /// The content of a CDATA section.
    fn character_section(&mut self) -> Result<Event<'a>, RowError> {
        let start = self.at + 9;
        let Some(length) = find(self.bytes, start, b"]]>", &mut self.missing.section) else {
            return Err(Syntax::Truncated("a CDATA section").at(self.at));
        };
        if self.depth() == 0 {
            return Err(
                Syntax::Misplaced("a CDATA section outside of the root element").at(self.at),
            );
        }
        let end = start + length;
        self.check_characters(start, end)?;
        let content = &self.text[start..end];
        self.is_plain = memchr::memchr(b'\r', content.as_bytes()).is_none();
        self.at = end + 3;
        Ok(Event::CData(content))
    }

    /// Whether XML allows all characters between two places.
    pub(super) fn check_characters(&self, start: usize, end: usize) -> Result<(), RowError> {
        text::check_characters(&self.text[start..end])
            .map_err(|fault| fault.syntax.at(start + fault.offset))
    }
}

/// How far behind `from` the needle is, where it is not known to be missing.
fn find(bytes: &[u8], from: usize, needle: &[u8], missing: &mut usize) -> Option<usize> {
    if from >= *missing {
        return None;
    }
    let found = memmem::find(&bytes[from..], needle);
    if found.is_none() {
        *missing = from;
    }
    found
}
