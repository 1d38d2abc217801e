//! Reads rows into a shape.

use std::borrow::Cow;

use crate::content::{is_blank, literal, preserves_space, push, trim};
use crate::lexer::{Event, Lexer, StartTag};
use crate::names::Naming;
use crate::options::{Mode, XmlOptions};
use crate::row_reader::{RowError, RowReader};
use crate::types::classify::{Classifier, Kind};
use crate::{Error, Place, Result};

use super::scalar::Scalar;
use super::shape::{MOST_COLUMNS, Origin, Shape};

/// What inference has seen of some rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) shape: Shape,
    /// Rows read, without the bad ones.
    pub(crate) rows: u64,
    /// Rows that are malformed.
    pub(crate) bad_rows: u64,
    /// Whether the sample is full.
    pub(crate) is_full: bool,
}

/// Which rows are in a sample: of a row, its place in its document decides, so that the sample is the same
/// in whatever order, on however many threads and in whatever segments documents are read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Sampling {
    All,
    /// About this part of them: a bound for the hash of the place.
    Part(u64),
}

impl Sampling {
    /// `ratio` is above 0; from 1 on, all rows are taken.
    pub(crate) fn of(ratio: f64) -> Self {
        if ratio >= 1.0 {
            return Self::All;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a bound need not be exact, and casts of floats saturate"
        )]
        Self::Part((ratio * u64::MAX as f64) as u64)
    }

    /// Whether the row that begins at this byte is in the sample.
    #[inline]
    fn takes(self, byte: u64) -> bool {
        match self {
            Self::All => true,
            Self::Part(bound) => mix(byte) <= bound,
        }
    }
}

/// The finalizer of `SplitMix64`: neighbours come to lie anywhere.
fn mix(number: u64) -> u64 {
    let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Reads rows into a [`Shape`].
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(crate) struct InferReader {
    seen: Seen,
    naming: Naming,
    classifier: Classifier,
    value_tag: String,
    null_value: Option<String>,
    ignore_spaces: bool,
    /// Whether the kinds of all values are wanted, though one of them is text.
    wants_all_kinds: bool,
    mode: Mode,
    /// How many rows may still be read; the others are left alone.
    rows_left: u64,
    sampling: Sampling,
    /// Where the segment begins in its document.
    segment_byte: u64,
    /// Whether the row that was read last is in the sample.
    is_sampled: bool,
    /// The number of the element read last, counted through all rows.
    element: u64,
    /// Whether there were too many columns.
    is_overfull: bool,
}

/// An element that is open.
struct Open<'a> {
    node: usize,
    /// Its number, which tells elements of one path apart.
    element: u64,
    /// Whether it has attributes or children.
    has_structure: bool,
    /// The characters since the last tag.
    text: Option<Cow<'a, str>>,
    keeps_spaces: bool,
}

impl InferReader {
    pub(crate) fn new(
        options: &XmlOptions,
        classifier: Classifier,
        sample: (Option<u64>, Sampling),
        wants_all_kinds: bool,
    ) -> Self {
        Self {
            seen: Seen::default(),
            naming: Naming::new(options),
            classifier,
            value_tag: options.value_tag.clone(),
            null_value: options.null_value.clone(),
            ignore_spaces: options.ignore_surrounding_spaces,
            wants_all_kinds,
            mode: options.mode,
            rows_left: sample.0.unwrap_or(u64::MAX),
            sampling: sample.1,
            segment_byte: 0,
            is_sampled: true,
            element: 0,
            is_overfull: false,
        }
    }

    fn read<'a>(&mut self, lexer: &mut Lexer<'a>) -> Result<(), RowError> {
        let mut stack: Vec<Open<'a>> = Vec::with_capacity(16);
        let keeps_spaces = !self.ignore_spaces;
        stack.push(self.open(lexer, Shape::ROOT, keeps_spaces));
        while let Some(top) = stack.last_mut() {
            if !top.keeps_spaces && top.text.is_none() {
                lexer.skip_blank();
            }
            match lexer.next_event() {
                Ok(Event::Start(tag)) => {
                    self.end_text(top);
                    top.has_structure = true;
                    let node = self.child(lexer, top, tag.name);
                    let keeps_spaces = top.keeps_spaces;
                    let mut child = self.open(lexer, node, keeps_spaces);
                    match lexer.take_text_and_end()? {
                        Some(raw) => self.close_text(lexer, raw, &mut child),
                        None => stack.push(child),
                    }
                }
                Ok(Event::End(_)) => {
                    self.close(top);
                    stack.pop();
                }
                Ok(event @ (Event::Text(_) | Event::CData(_))) => add_text(lexer, top, event),
                Ok(Event::Eof) => break,
                Err(error) => return Err(error),
            }
            if self.seen.shape.columns() > MOST_COLUMNS {
                self.is_overfull = true;
                self.rows_left = 0;
                break;
            }
        }
        Ok(())
    }

    /// Begins an element whose start tag was taken last.
    #[inline]
    fn open<'a>(&mut self, lexer: &Lexer<'a>, node: usize, keeps_spaces: bool) -> Open<'a> {
        self.element += 1;
        let mut open = Open {
            node,
            element: self.element,
            has_structure: false,
            text: None,
            keeps_spaces,
        };
        self.seen.shape.node_mut(node).elements.rewind();
        if !lexer.attributes().is_empty() && self.naming.has_attributes() {
            self.read_attributes(lexer, &mut open);
        }
        open
    }

    fn read_attributes<'a>(&mut self, lexer: &Lexer<'a>, open: &mut Open<'a>) {
        if let Some(preserves) = preserves_space(lexer) {
            open.keeps_spaces = preserves || !self.ignore_spaces;
        }
        self.seen.shape.node_mut(open.node).attributes.rewind();
        for attribute in lexer.attributes() {
            let shape = &mut self.seen.shape;
            let is_stable = self.naming.is_stable();
            let known = is_stable
                .then(|| shape.node_mut(open.node).attributes.find(attribute.name))
                .flatten();
            let field = if let Some(field) = known {
                field as usize
            } else {
                let Some(name) = self.naming.attribute(attribute.name, lexer) else {
                    continue;
                };
                let field = shape.field(open.node, &name);
                let raw = if is_stable { attribute.name } else { &name };
                shape.add_origin(open.node, field, Origin::ATTRIBUTE, raw);
                let attributes = &mut shape.node_mut(open.node).attributes;
                attributes.insert(attribute.name, u32::try_from(field).unwrap_or(u32::MAX));
                field
            };
            open.has_structure = true;
            let node = shape.touch(open.node, field, open.element);
            if self.wants_kind(node) {
                let value = attribute.unescape(lexer.entities());
                let kind = self.kind(&value, open.keeps_spaces);
                self.seen.shape.add_text(node, kind);
            }
        }
        if open.has_structure {
            self.seen.shape.add_attributes(open.node);
        }
    }

    /// The node of a child whose start tag was taken last.
    #[inline]
    fn child(&mut self, lexer: &Lexer<'_>, parent: &Open<'_>, raw: &str) -> usize {
        let shape = &mut self.seen.shape;
        let is_stable = self.naming.is_stable();
        let known = is_stable
            .then(|| shape.node_mut(parent.node).elements.find(raw))
            .flatten();
        let field = if let Some(field) = known {
            field as usize
        } else {
            let name = self.naming.element(raw, lexer);
            let field = shape.field(parent.node, &name);
            let written = if is_stable { raw } else { &name };
            shape.add_origin(parent.node, field, Origin::ELEMENT, written);
            if is_stable {
                let elements = &mut shape.node_mut(parent.node).elements;
                elements.insert(raw, u32::try_from(field).unwrap_or(u32::MAX));
            }
            field
        };
        shape.touch(parent.node, field, parent.element)
    }

    /// Takes the characters before or between children as a value of the value tag.
    #[inline]
    fn end_text(&mut self, open: &mut Open<'_>) {
        let Some(text) = open.text.take() else {
            return;
        };
        if is_blank(&text) {
            return;
        }
        let field = self.seen.shape.field(open.node, &self.value_tag);
        let shape = &mut self.seen.shape;
        shape.add_origin(open.node, field, Origin::TEXT, &self.value_tag);
        let node = self.seen.shape.touch(open.node, field, open.element);
        if self.wants_kind(node) {
            let kind = self.kind(&text, open.keeps_spaces);
            self.seen.shape.add_text(node, kind);
        }
    }

    #[inline]
    fn close(&mut self, open: &mut Open<'_>) {
        if open.has_structure {
            self.end_text(open);
        } else if self.wants_kind(open.node) {
            let text = open.text.take().unwrap_or_default();
            let kind = self.kind(&text, open.keeps_spaces);
            self.seen.shape.add_text(open.node, kind);
        }
    }

    /// Ends an element that holds nothing but text.
    #[inline]
    fn close_text<'a>(&mut self, lexer: &Lexer<'a>, raw: &'a str, open: &mut Open<'a>) {
        if open.has_structure || self.wants_kind(open.node) {
            open.text = Some(lexer.unescape(raw));
            self.close(open);
        }
    }

    /// Whether another value of a node tells anything: it does not where the node is a string anyway, unless its other kinds
    /// are wanted, too.
    #[inline]
    fn wants_kind(&self, node: usize) -> bool {
        self.wants_all_kinds || !self.seen.shape.node(node).text.is_string()
    }

    fn kind(&self, text: &str, keeps_spaces: bool) -> Scalar {
        if is_blank(text) {
            return Scalar::of(Kind::Null);
        }
        let text = if keeps_spaces { text } else { trim(text) };
        let kind = self.classifier.kind(text);
        // The text that means null says nothing of the type, unless it is of a narrower one itself.
        if kind == Kind::String && self.null_value.as_deref() == Some(text) {
            return Scalar::of(Kind::Null);
        }
        Scalar::of(kind)
    }
}

#[inline]
fn add_text<'a>(lexer: &Lexer<'a>, open: &mut Open<'a>, event: Event<'a>) {
    match (&mut open.text, event) {
        (Some(text), _) => push(lexer, event, text.to_mut()),
        (none, Event::Text(raw)) => *none = Some(lexer.unescape(raw)),
        (none, Event::CData(raw)) => *none = Some(literal(lexer, raw)),
        _ => {}
    }
}

impl RowReader for InferReader {
    type Output = Seen;

    fn begin_segment(&mut self, _file: &str, byte: u64) {
        self.segment_byte = byte;
    }

    fn read_row<'a>(
        &mut self,
        lexer: &mut Lexer<'a>,
        start: StartTag<'a>,
    ) -> std::result::Result<(), RowError> {
        let byte = self.segment_byte + start.start as u64;
        self.is_sampled = self.rows_left > 0 && self.sampling.takes(byte);
        if !self.is_sampled {
            lexer.skip_element()?;
            return Ok(());
        }
        match self.read(lexer) {
            Ok(()) => {
                self.seen.shape.commit();
                self.seen.rows += 1;
                self.rows_left = self.rows_left.saturating_sub(1);
                Ok(())
            }
            Err(error) => {
                self.seen.shape.roll_back();
                Err(error)
            }
        }
    }

    fn reject_row(&mut self, _raw: &str, place: &Place, error: RowError) -> Result<()> {
        if !self.is_sampled {
            return Ok(());
        }
        if self.mode == Mode::FailFast {
            return Err(Error::bad_row(place, error));
        }
        self.seen.bad_rows += 1;
        Ok(())
    }

    fn finish_segment(&mut self) -> Result<Seen> {
        if self.is_overfull {
            return Err(Error::TooManyInferredColumns {
                limit: MOST_COLUMNS,
            });
        }
        self.seen.is_full = self.rows_left == 0;
        Ok(std::mem::take(&mut self.seen))
    }
}
