//! From text to events: the one place that knows XML's syntax.
//!
//! The lexer checks that the document is well-formed while it goes: tags match, attributes are written
//! as they must be and come once, references are to entities that exist, characters are those that XML
//! allows. It does not validate, reads nothing from outside of the document, and does not add the
//! default attributes of a document type.

mod attributes;
mod context;
mod doctype;
mod expected;
mod markup;
pub(crate) mod names;
mod scan;
mod syntax;

use std::borrow::Cow;
use std::sync::Arc;

use crate::entities::Entities;
use crate::options::Limits;
use crate::row_reader::RowError;
use crate::text;

pub use attributes::{Attribute, Attributes};
pub use context::{Context, OpenElement, Part};
pub(crate) use scan::TagName;
pub use syntax::Syntax;

/// What the lexer finds next. All text is borrowed from the segment and still raw: entities are not
/// replaced, line ends not normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// `<name a="1">` or `<name/>`. After a self-closing tag comes its [`Event::End`] all the same, so
    /// that consumers see one shape.
    Start(StartTag<'a>),
    /// `</name>`, already known to match its start tag.
    End(&'a str),
    /// Character data between markup, never empty; it may come in several pieces (around comments,
    /// processing instructions and CDATA sections).
    Text(&'a str),
    /// The content of a CDATA section, to be taken literally but for its line ends.
    CData(&'a str),
    /// The end of the text; never inside of a row.
    Eof,
}

/// A start tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StartTag<'a> {
    /// The name as written, with its prefix: `gml:pos`.
    pub name: &'a str,
    /// What stands between the name and `>` or `/>`: the raw attributes. Already checked for
    /// well-formedness (quotes, `=`, no `<`, no name twice).
    pub attributes: &'a str,
    /// Whether the tag closes itself.
    pub is_empty: bool,
    /// Offset of the tag's `<` in the segment, in bytes.
    pub start: usize,
}

impl<'a> StartTag<'a> {
    /// The attributes, in the order of the text. [`Lexer::attributes`] is faster for the tag that was
    /// taken last.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.attributes)
    }
}

/// An element that is open, of this segment.
#[derive(Debug, Clone, Copy)]
struct Open<'a> {
    name: &'a str,
    attributes: &'a str,
    /// Where its name stands.
    name_start: usize,
}

/// Walks through the text of one segment.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    /// Where the next event begins.
    at: usize,
    /// Where the last event began.
    event_start: usize,
    /// The elements that were opened before the segment and are not closed yet.
    outer: &'a [OpenElement],
    /// The elements that were opened in the segment.
    open: Vec<Open<'a>>,
    /// How many elements are open where the row began; an end of the text with more is an error.
    row_depth: Option<usize>,
    part: Part,
    /// Where the document begins, where that is in the segment.
    document_start: Option<usize>,
    /// Whether the document ends with this text.
    is_last: bool,
    /// Whether the tag taken last closed itself, and its end is still to be told.
    end_is_due: bool,
    /// Whether the last text can be taken as it stands.
    is_plain: bool,
    attributes: Vec<Attribute<'a>>,
    entities: Arc<Entities>,
    /// Bytes that the document's own entities add to this segment.
    expanded_bytes: u64,
    /// From where on the text is known not to have `-->`, `?>` and `]]>`, so that a text with many that
    /// are not closed is searched to its end but once.
    missing: Missing,
    limits: Limits,
}

/// From where on the text is known not to have the ends of some kinds of markup.
#[derive(Debug, Clone, Copy)]
struct Missing {
    comment: usize,
    instruction: usize,
    section: usize,
}

impl<'a> Lexer<'a> {
    /// Starts at the beginning of a whole document.
    pub fn new(text: &'a str) -> Self {
        Self::with_context(text, Context::start(), true, Limits::default())
    }

    /// Starts in the middle of a document, where `context` is what stands before; `is_last` says
    /// whether the document ends with `text`.
    pub fn with_context(
        text: &'a str,
        context: &'a Context,
        is_last: bool,
        limits: Limits,
    ) -> Self {
        Self {
            text,
            bytes: text.as_bytes(),
            at: 0,
            event_start: 0,
            outer: &context.open,
            open: Vec::with_capacity(16),
            row_depth: None,
            part: context.part,
            document_start: (!context.is_begun).then_some(0),
            is_last,
            end_is_due: false,
            is_plain: true,
            attributes: Vec::new(),
            entities: context.entities(),
            expanded_bytes: 0,
            missing: Missing {
                comment: usize::MAX,
                instruction: usize::MAX,
                section: usize::MAX,
            },
            limits,
        }
    }

    /// The whole text of the segment: raw inner XML is a slice of it.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Where the next event begins, in bytes from the start of the segment.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Where the last event began, in bytes from the start of the segment. That of the end of a
    /// self-closing tag is where the tag ends.
    pub fn event_start(&self) -> usize {
        self.event_start
    }

    /// How many elements are open.
    pub fn depth(&self) -> usize {
        self.outer.len() + self.open.len()
    }

    /// The names and raw attributes of the open elements, outermost first. Of those that were opened
    /// before the segment, only the attributes `xmlns`, `xmlns:…` and `xml:…` are kept.
    pub fn open_elements(&self) -> impl DoubleEndedIterator<Item = (&'a str, &'a str)> + '_ {
        let outer = self
            .outer
            .iter()
            .map(|element| (element.name.as_str(), element.attributes.as_str()));
        outer.chain(self.open.iter().map(|open| (open.name, open.attributes)))
    }

    /// The attributes of the start tag that was taken last.
    #[inline]
    pub fn attributes(&self) -> &[Attribute<'a>] {
        &self.attributes
    }

    /// Whether the text or CDATA section that was taken last has neither references nor line ends to
    /// normalise.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// The entities of the document.
    pub fn entities(&self) -> &Arc<Entities> {
        &self.entities
    }

    /// The characters that an [`Event::Text`] stands for: references replaced, line ends normalised.
    #[inline]
    pub fn unescape(&self, raw: &'a str) -> Cow<'a, str> {
        if self.is_plain {
            Cow::Borrowed(raw)
        } else {
            text::unescape(raw, &self.entities)
        }
    }

    /// Whether the start tag that was just taken closed itself.
    #[inline]
    pub(crate) fn is_end_due(&self) -> bool {
        self.end_is_due
    }

    /// Whether the next markup is an end tag: an element that was just opened has text only.
    pub(crate) fn is_before_end_tag(&self) -> bool {
        let rest = &self.bytes[self.at..];
        self.end_is_due
            || memchr::memchr(b'<', rest).is_some_and(|at| rest.get(at + 1) == Some(&b'/'))
    }

    /// The next event.
    ///
    /// # Errors
    /// When the text is not well-formed. The lexer then stays where it is of no use.
    #[inline]
    pub fn next_event(&mut self) -> Result<Event<'a>, RowError> {
        if self.end_is_due {
            self.end_is_due = false;
            self.event_start = self.at;
            return Ok(Event::End(self.pop()));
        }
        loop {
            let at = self.at;
            self.event_start = at;
            match self.bytes.get(at) {
                Some(b'<') => match self.bytes.get(at + 1) {
                    Some(b'/') => return self.end_tag(),
                    Some(b'!') => {
                        if let Some(event) = self.declaration()? {
                            return Ok(event);
                        }
                    }
                    Some(b'?') => self.instruction()?,
                    _ => return self.start_tag(),
                },
                Some(_) => {
                    if let Some(event) = self.character_data()? {
                        return Ok(event);
                    }
                }
                None => return self.end_of_text(),
            }
        }
    }

    /// Moves behind white space that stands before markup, for those who take no text here. It may be left
    /// where there is much of it.
    #[inline]
    pub(crate) fn skip_blank(&mut self) {
        if !self.end_is_due {
            self.at = scan::short_blank(self.bytes, self.at);
        }
    }

    /// Takes the text and the end tag of an element whose start tag was just taken; none, and nothing is
    /// taken, where there is more in it than text, or nothing.
    ///
    /// # Errors
    /// When the text is not well-formed.
    #[inline]
    pub(crate) fn take_text_and_end(&mut self) -> Result<Option<&'a str>, RowError> {
        let start = self.at;
        let Some(open) = self.open.last() else {
            return Ok(None);
        };
        if self.end_is_due {
            return Ok(None);
        }
        let scanned = scan::text(self.bytes, start);
        let name_at = scanned.end + 2;
        let end = name_at + open.name.len();
        if scanned.end == start
            || self.bytes.get(scanned.end + 1) != Some(&b'/')
            || self.bytes.get(end) != Some(&b'>')
            || !scan::same(self.bytes, open.name_start, name_at, open.name.len())
        {
            return Ok(None);
        }
        let text = &self.text[start..scanned.end];
        self.is_plain = true;
        self.event_start = start;
        if scanned.special {
            self.check_text(text, start)?;
        }
        self.event_start = scanned.end;
        self.at = end + 1;
        self.pop();
        Ok(Some(text))
    }

    /// The names of the open elements, outermost first: `response/row/row`.
    pub fn path(&self) -> String {
        let names: Vec<&str> = self.open_elements().map(|(name, _)| name).collect();
        names.join("/")
    }

    /// How many bytes the document's own entities added so far, in this segment.
    pub(crate) fn expanded_bytes(&self) -> u64 {
        self.expanded_bytes
    }

    /// Says that the tag taken last begins a row: the text must not end before it is closed. Gives how
    /// many elements are open around it.
    pub(crate) fn enter_row(&mut self) -> usize {
        let depth = self.depth().saturating_sub(1);
        self.row_depth = Some(depth);
        depth
    }

    /// Whether the root element is closed.
    pub(crate) fn is_behind_root(&self) -> bool {
        self.part == Part::Epilog
    }

    /// Says that the row is over.
    pub(crate) fn leave_row(&mut self) {
        self.row_depth = None;
    }

    /// Goes on at `offset` after a fault, as if all but the outermost `depth` elements were closed.
    pub(crate) fn recover(&mut self, offset: usize, depth: usize) {
        self.at = offset;
        self.end_is_due = false;
        self.row_depth = None;
        self.attributes.clear();
        while self.depth() > depth {
            self.pop();
        }
        if self.part == Part::Epilog {
            // What follows may be another root; the fault is told already.
            self.part = Part::Content;
        }
    }

    /// Takes everything through the end of the element whose start was just taken; gives its raw
    /// inner XML.
    ///
    /// # Errors
    /// When the element is not well-formed.
    pub fn skip_element(&mut self) -> Result<&'a str, RowError> {
        let depth = self.depth();
        let start = self.at;
        loop {
            if let Event::End(_) = self.next_event()?
                && self.depth() < depth
            {
                return Ok(&self.text[start..self.event_start.max(start)]);
            }
        }
    }

    /// `</name>`.
    #[inline]
    fn end_tag(&mut self) -> Result<Event<'a>, RowError> {
        let name_at = self.at + 2;
        if let Some(open) = self.open.last() {
            let end = name_at + open.name.len();
            if self.bytes.get(end) == Some(&b'>')
                && scan::same(self.bytes, open.name_start, name_at, open.name.len())
            {
                self.at = end + 1;
                return Ok(Event::End(self.pop()));
            }
        }
        self.unusual_end_tag(name_at)
    }

    /// An end tag with white space, of an element that was opened before the segment, or a wrong one.
    #[inline(never)]
    fn unusual_end_tag(&mut self, name_at: usize) -> Result<Event<'a>, RowError> {
        let start = self.at;
        let end = scan::name(self.bytes, name_at).end;
        let found = &self.text[name_at..end];
        let close = scan::white_space(self.bytes, end);
        match self.bytes.get(close) {
            None => return Err(Syntax::Truncated("an end tag").at(start)),
            Some(b'>') if !found.is_empty() => {}
            Some(_) if found.is_empty() => return Err(Syntax::Expected("a name").at(name_at)),
            Some(_) => return Err(Syntax::Expected("`>`").at(close)),
        }
        let Some((open, _)) = self.open_elements().next_back() else {
            return Err(Syntax::NothingToClose(found.to_owned()).at(start));
        };
        if open != found {
            return Err(Syntax::EndTag {
                found: found.to_owned(),
                open: open.to_owned(),
            }
            .at(start));
        }
        self.at = close + 1;
        Ok(Event::End(self.pop()))
    }

    /// Closes the innermost open element; there is one.
    #[inline]
    fn pop(&mut self) -> &'a str {
        let name = match self.open.pop() {
            Some(open) => open.name,
            None => match self.outer.split_last() {
                Some((last, rest)) => {
                    self.outer = rest;
                    &last.name
                }
                None => "",
            },
        };
        if self.open.is_empty() && self.outer.is_empty() {
            self.part = Part::Epilog;
        }
        name
    }

    /// `<name …>`.
    #[inline]
    fn start_tag(&mut self) -> Result<Event<'a>, RowError> {
        let start = self.at;
        let name_start = start + 1;
        let scanned = scan::name(self.bytes, name_start);
        let name_end = scanned.end;
        let name = &self.text[name_start..name_end];
        if scanned.special
            || name.len() > self.limits.name_bytes
            || !matches!(
                self.bytes.get(name_start),
                Some(b'A'..=b'Z' | b'a'..=b'z' | b'_' | b':')
            )
        {
            self.check_name(name, name_start)?;
        }
        self.attributes.clear();
        let (is_empty, attributes_end, end) = match self.bytes.get(name_end) {
            Some(b'>') => (false, name_end, name_end + 1),
            Some(b'/') if self.bytes.get(name_end + 1) == Some(&b'>') => {
                (true, name_end, name_end + 2)
            }
            _ => self.read_attributes(name_end)?,
        };
        let attributes = &self.text[name_end..attributes_end];
        if self.open.is_empty() || self.open.len() >= self.limits.depth {
            self.check_opening(start)?;
        }
        self.open.push(Open {
            name,
            attributes,
            name_start,
        });
        self.at = end;
        self.end_is_due = is_empty;
        Ok(Event::Start(StartTag {
            name,
            attributes,
            is_empty,
            start,
        }))
    }

    /// Whether an element may be opened here, and what that means for the part of the document.
    #[inline(never)]
    fn check_opening(&mut self, start: usize) -> Result<(), RowError> {
        if self.depth() >= self.limits.depth {
            return Err(Syntax::Limit {
                what: "elements are nested",
                limit: self.limits.depth,
            }
            .at(start));
        }
        if self.part == Part::Epilog {
            return Err(Syntax::Misplaced("a second root element").at(start));
        }
        self.part = Part::Content;
        Ok(())
    }

    /// A name that needs a closer look.
    #[cold]
    fn check_name(&self, name: &str, start: usize) -> Result<(), RowError> {
        if name.len() > self.limits.name_bytes {
            return Err(Syntax::Limit {
                what: "a name is long",
                limit: self.limits.name_bytes,
            }
            .at(start));
        }
        if name.is_empty() {
            return Err(if start >= self.bytes.len() {
                Syntax::Truncated("a start tag").at(start - 1)
            } else {
                Syntax::Expected("a name after `<`").at(start)
            });
        }
        if !names::is_name(name) {
            return Err(Syntax::Name(name.to_owned()).at(start));
        }
        Ok(())
    }

    /// Text up to the next `<`; none where it is white space around the root.
    #[inline]
    fn character_data(&mut self) -> Result<Option<Event<'a>>, RowError> {
        let start = self.at;
        let scanned = scan::text(self.bytes, start);
        let text = &self.text[start..scanned.end];
        self.is_plain = true;
        if self.open.is_empty() && self.outer.is_empty() {
            self.at = scanned.end;
            return if names::is_white_space(text) {
                Ok(None)
            } else {
                Err(Syntax::Misplaced("text outside of the root element").at(start))
            };
        }
        if scanned.special {
            self.check_text(text, start)?;
        }
        self.at = scanned.end;
        Ok(Some(Event::Text(text)))
    }

    /// Looks at text that has special characters.
    #[inline(never)]
    fn check_text(&mut self, text: &str, start: usize) -> Result<(), RowError> {
        let checked = text::check(text, &self.entities)
            .map_err(|fault| fault.syntax.at(start + fault.offset))?;
        if let Some(offset) = memchr::memmem::find(text.as_bytes(), b"]]>") {
            return Err(Syntax::Misplaced("`]]>`").at(start + offset));
        }
        self.is_plain = checked.is_plain;
        self.add_expanded(checked.expanded_bytes, start)
    }

    /// Counts what entities add.
    fn add_expanded(&mut self, bytes: u64, offset: usize) -> Result<(), RowError> {
        self.expanded_bytes += bytes;
        if self.expanded_bytes > self.limits.entity_expansion_bytes {
            return Err(Syntax::EntityExpansion(self.limits.entity_expansion_bytes).at(offset));
        }
        Ok(())
    }

    /// Nothing is left.
    #[cold]
    fn end_of_text(&mut self) -> Result<Event<'a>, RowError> {
        let must_be_closed = if self.is_last {
            Some(0)
        } else {
            self.row_depth
        };
        if must_be_closed.is_some_and(|depth| self.depth() > depth)
            && let Some((name, _)) = self.open_elements().next_back()
        {
            return Err(Syntax::Unclosed(name.to_owned()).at(self.at));
        }
        if self.is_last && self.part == Part::Prolog {
            return Err(Syntax::Expected("a root element").at(self.at));
        }
        Ok(Event::Eof)
    }
}

#[cfg(test)]
mod tests;
