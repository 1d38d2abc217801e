//! From text to events: the one place that knows XML's syntax.

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
    /// The content of a CDATA section, to be taken literally.
    CData(&'a str),
    /// The end of the text.
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

/// Walks through the text of one segment.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// Starts at the beginning of `text`.
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The whole text of the segment: raw inner XML is a slice of it.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Where the next event begins, in bytes from the start of the segment.
    pub fn offset(&self) -> usize {
        self.at
    }
}
