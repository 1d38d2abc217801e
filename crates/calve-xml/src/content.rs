//! The content of one element that is a value.

use std::borrow::Cow;

use crate::lexer::{Event, Lexer};
use crate::row_reader::RowError;
use crate::text;

/// What an element holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    /// Characters only, references replaced.
    Text(Cow<'a, str>),
    /// Elements, and maybe characters: the raw inner XML.
    Xml(&'a str),
}

/// Reads an element, whose start tag was just taken, through its end tag.
#[inline]
pub(crate) fn read<'a>(lexer: &mut Lexer<'a>) -> Result<Content<'a>, RowError> {
    let inner = lexer.offset();
    if lexer.is_end_due() {
        lexer.next_event()?;
        return Ok(Content::Text(Cow::Borrowed("")));
    }
    if let Some(raw) = lexer.take_text_and_end()? {
        return Ok(Content::Text(lexer.unescape(raw)));
    }
    let first = lexer.next_event()?;
    let text = match first {
        Event::End(_) | Event::Eof => return Ok(Content::Text(Cow::Borrowed(""))),
        Event::Start(_) => return skip_rest(lexer, inner),
        Event::Text(raw) => lexer.unescape(raw),
        Event::CData(raw) => literal(lexer, raw),
    };
    match lexer.next_event()? {
        Event::End(_) | Event::Eof => Ok(Content::Text(text)),
        Event::Start(_) => skip_rest(lexer, inner),
        second => {
            let mut joined = text.into_owned();
            push(lexer, second, &mut joined);
            read_on(lexer, inner, joined)
        }
    }
}

/// The characters of a CDATA section that was taken last.
pub(crate) fn literal<'a>(lexer: &Lexer<'a>, raw: &'a str) -> Cow<'a, str> {
    if lexer.is_plain() {
        Cow::Borrowed(raw)
    } else {
        text::normalize_line_ends(raw)
    }
}

/// Appends the characters of an event that was taken last.
pub(crate) fn push<'a>(lexer: &Lexer<'a>, event: Event<'a>, joined: &mut String) {
    match event {
        Event::Text(raw) => joined.push_str(&lexer.unescape(raw)),
        Event::CData(raw) => joined.push_str(&literal(lexer, raw)),
        _ => {}
    }
}

#[cold]
fn read_on<'a>(
    lexer: &mut Lexer<'a>,
    inner: usize,
    mut joined: String,
) -> Result<Content<'a>, RowError> {
    loop {
        match lexer.next_event()? {
            Event::End(_) | Event::Eof => return Ok(Content::Text(Cow::Owned(joined))),
            Event::Start(_) => return skip_rest(lexer, inner),
            event => push(lexer, event, &mut joined),
        }
    }
}

/// The start of a child was just taken: goes to the end of its parent.
#[cold]
fn skip_rest<'a>(lexer: &mut Lexer<'a>, inner: usize) -> Result<Content<'a>, RowError> {
    let parent = lexer.depth() - 1;
    lexer.skip_element()?;
    loop {
        match lexer.next_event()? {
            Event::End(_) if lexer.depth() < parent => break,
            Event::Eof => break,
            _ => {}
        }
    }
    Ok(Content::Xml(&lexer.text()[inner..lexer.event_start()]))
}

/// Whether there is nothing but white space, as XML has it.
#[inline]
pub(crate) fn is_blank(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' ' | b'\n' | b'\t' | b'\r'))
}

/// Without the white space around.
#[inline]
pub(crate) fn trim(text: &str) -> &str {
    let is_white = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\n' | b'\t' | b'\r'));
    let bytes = text.as_bytes();
    if !is_white(bytes.first()) && !is_white(bytes.last()) {
        return text;
    }
    text.trim_matches([' ', '\n', '\t', '\r'])
}

/// Whether `xml:space` says that white space is to be kept; none where it says nothing.
#[inline]
pub(crate) fn preserves_space(lexer: &Lexer<'_>) -> Option<bool> {
    let attributes = lexer.attributes();
    if attributes.is_empty() {
        return None;
    }
    let space = attributes
        .iter()
        .find(|attribute| attribute.name == "xml:space")?;
    match space.value {
        "preserve" => Some(true),
        "default" => Some(false),
        _ => None,
    }
}
