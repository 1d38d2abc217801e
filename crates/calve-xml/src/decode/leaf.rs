//! A column of values.

use std::collections::BTreeMap;

use arrow::array::{ArrayRef, NullBufferBuilder};
use arrow::datatypes::DataType;

use crate::Result;
use crate::content::{self, Content, is_blank, preserves_space, trim};
use crate::row_reader::RowError;

use super::values::Values;
use super::{Reading, Settings, join};

/// How many attributes without a column are told apart.
const MOST_UNKNOWN: usize = 64;

/// An attribute that has no column.
#[derive(Debug)]
struct Unknown {
    /// As it is written in the document.
    raw: Box<str>,
    /// As its column would be called.
    name: String,
    /// How often it was met.
    count: u64,
}

/// A column of values.
#[derive(Debug)]
pub(crate) struct Leaf {
    path: Box<str>,
    values: Values,
    nulls: NullBufferBuilder,
    /// How many slots are written.
    len: usize,
    /// Attributes that have no column here.
    unknown: Vec<Unknown>,
}

impl Leaf {
    /// None for types that values of XML cannot have.
    pub(crate) fn new(data_type: &DataType, path: &str) -> Option<Self> {
        Some(Self {
            path: path.into(),
            values: Values::new(data_type)?,
            nulls: NullBufferBuilder::new(0),
            len: 0,
            unknown: Vec::new(),
        })
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Whether it is a column of strings.
    pub(crate) fn is_text(&self) -> bool {
        self.values.is_text()
    }

    pub(crate) fn truncate(&mut self, slots: usize) {
        self.nulls.truncate(slots);
        self.values.resize(slots);
        self.len = slots;
    }

    fn fill(&mut self, slots: usize) {
        if slots > self.len {
            self.nulls.append_n_nulls(slots - self.len);
            self.values.resize(slots);
            self.len = slots;
        }
    }

    pub(crate) fn finish(&mut self, slots: usize) -> Result<ArrayRef> {
        self.fill(slots);
        let nulls = self.nulls.finish();
        self.len = 0;
        self.values.finish(nulls, &self.path)
    }

    #[inline]
    pub(crate) fn read(
        &mut self,
        slot: usize,
        start: usize,
        reading: &mut Reading<'_, '_>,
    ) -> Result<bool, RowError> {
        let keeps_spaces = match preserves_space(reading.lexer) {
            None => reading.keeps_spaces,
            Some(preserves) => preserves || !reading.settings.ignore_spaces,
        };
        if reading.rescues() {
            return self.read_rescuing(slot, start, keeps_spaces, reading);
        }
        if !reading.lexer.attributes().is_empty() {
            self.count_attributes(reading);
        }
        match content::read(reading.lexer)? {
            Content::Text(text) => Ok(self.store_spaced(slot, &text, start, keeps_spaces, reading)),
            Content::Xml(raw) if self.is_text() => {
                Ok(self.store_spaced(slot, raw, start, keeps_spaces, reading))
            }
            Content::Xml(raw) => {
                self.refuse(raw, start, reading);
                Ok(false)
            }
        }
    }

    /// Counts the attributes of an element that is a plain value here.
    #[cold]
    fn count_attributes(&mut self, reading: &Reading<'_, '_>) {
        let naming = &reading.settings.naming;
        for attribute in reading.lexer.attributes() {
            let same_raw = |known: &Unknown| naming.is_stable() && *known.raw == *attribute.name;
            let mut at = self.unknown.iter().position(same_raw);
            if at.is_none() {
                let Some(name) = naming.attribute(attribute.name, reading.lexer) else {
                    continue;
                };
                at = self.unknown.iter().position(|known| known.name == name);
                if at.is_none() && self.unknown.len() < MOST_UNKNOWN {
                    at = Some(self.unknown.len());
                    self.unknown.push(Unknown {
                        raw: attribute.name.into(),
                        name,
                        count: 0,
                    });
                }
            }
            if let Some(at) = at {
                self.unknown[at].count += 1;
            }
        }
    }

    /// Moves the counts of what no column takes, by dotted path.
    pub(crate) fn take_unknown(&mut self, into: &mut BTreeMap<String, u64>) {
        for unknown in self.unknown.drain(..) {
            *into.entry(join(&self.path, &unknown.name)).or_default() += unknown.count;
        }
    }

    /// Keeps what does not fit: attributes, and children in a column that is no string.
    fn read_rescuing(
        &mut self,
        slot: usize,
        start: usize,
        keeps_spaces: bool,
        reading: &mut Reading<'_, '_>,
    ) -> Result<bool, RowError> {
        let may_have_children = !self.is_text() && !reading.lexer.is_before_end_tag();
        let before = may_have_children.then(|| reading.lexer.clone());
        if before.is_none() {
            reading.rescue_attributes(None, &self.path);
        }
        let text = match (content::read(reading.lexer)?, before) {
            (Content::Xml(_), Some(before)) => {
                reading.rescue_again(before, &self.path)?;
                return Ok(false);
            }
            (Content::Text(text), Some(before)) => {
                reading.rescue_attributes(Some(&before), &self.path);
                text
            }
            (Content::Text(text), None) => text,
            (Content::Xml(raw), None) => raw.into(),
        };
        Ok(self.store_spaced(slot, &text, start, keeps_spaces, reading))
    }

    #[inline]
    pub(crate) fn store(
        &mut self,
        slot: usize,
        text: &str,
        offset: usize,
        reading: &mut Reading<'_, '_>,
    ) -> bool {
        self.store_spaced(slot, text, offset, reading.keeps_spaces, reading)
    }

    #[inline]
    fn store_spaced(
        &mut self,
        slot: usize,
        text: &str,
        offset: usize,
        keeps_spaces: bool,
        reading: &mut Reading<'_, '_>,
    ) -> bool {
        if slot < self.len() {
            self.refuse_another(text, offset, reading);
            return false;
        }
        if slot > self.len {
            self.fill(slot);
        }
        let text = if keeps_spaces { text } else { trim(text) };
        if self.is_null(text, reading) {
            self.fill(slot + 1);
            return true;
        }
        if self.values.push(text, &reading.settings.formats).is_none() {
            self.refuse(text, offset, reading);
            return false;
        }
        self.nulls.append_non_null();
        self.len = slot + 1;
        true
    }

    #[inline]
    fn is_null(&self, text: &str, reading: &Reading<'_, '_>) -> bool {
        let settings = reading.settings;
        if text.is_empty() && !self.is_text() {
            return true;
        }
        if settings.empty_is_null && is_blank(text) {
            return true;
        }
        matches!(&settings.null_value, Some(null) if null == text)
    }

    /// Stores a value where it fits; gives whether it does.
    pub(crate) fn try_store(&mut self, slot: usize, text: &str, settings: &Settings) -> bool {
        if slot < self.len() {
            return false;
        }
        self.fill(slot);
        if self.values.push(text, &settings.formats).is_none() {
            return false;
        }
        self.nulls.append_non_null();
        self.len = slot + 1;
        true
    }

    /// Stores raw text, whatever the options say of it.
    pub(crate) fn store_raw(&mut self, slot: usize, text: &str, settings: &Settings) -> bool {
        self.truncate(slot.min(self.len()));
        self.fill(slot);
        if self.values.push(text, &settings.formats).is_none() {
            return false;
        }
        self.nulls.append_non_null();
        self.len = slot + 1;
        true
    }

    /// The text in a slot that was stored.
    pub(crate) fn text(&self, slot: usize) -> Option<&[u8]> {
        self.values.text(slot)
    }

    #[cold]
    fn refuse(&self, text: &str, offset: usize, reading: &mut Reading<'_, '_>) {
        reading
            .faults
            .add(offset, &self.path, text, self.values.expected());
    }

    #[cold]
    fn refuse_another(&self, text: &str, offset: usize, reading: &mut Reading<'_, '_>) {
        reading.faults.add(
            offset,
            &self.path,
            text,
            "single value: the column is no list, and has one already",
        );
    }
}
