//! A column of values of several types: a [choice](crate::schema::choice).
//!
//! An element with attributes or children goes to the alternative with parts; text goes to the first
//! alternative that holds it, from numbers to strings.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, NullBufferBuilder, StructArray};
use arrow::datatypes::{DataType, Fields};

use crate::content::{self, Content, is_blank, preserves_space, trim};
use crate::row_reader::RowError;
use crate::{Error, Result};

use super::column::Column;
use super::leaf::Leaf;
use super::{Reading, Settings};

/// A column of choices.
#[derive(Debug)]
pub(crate) struct Choice {
    path: Box<str>,
    fields: Fields,
    children: Vec<Column>,
    nulls: NullBufferBuilder,
    /// The children that hold values, in the order in which they are tried.
    values: Vec<usize>,
    /// The child that holds elements with attributes or children.
    structure: Option<usize>,
    /// Whether one of the children holds any text.
    has_text: bool,
}

impl Choice {
    pub(crate) fn new(fields: &Fields, path: &str, settings: &Settings) -> Result<Self> {
        let mut children = Vec::with_capacity(fields.len());
        let (mut values, mut structure) = (Vec::new(), None);
        for (field, at) in fields.iter().zip(0..) {
            let child = Column::new(field, path, settings)?;
            match &child {
                Column::Leaf(_) => values.push(at),
                Column::Struct(_) | Column::Map(_) if structure.is_none() => structure = Some(at),
                _ => {
                    return Err(Error::Column {
                        column: path.to_owned(),
                        problem: "a choice is read of values and one type with parts; make it a \
                                  list of choices where it has lists"
                            .to_owned(),
                    });
                }
            }
            children.push(child);
        }
        values.sort_by_key(|at| rank(fields[*at].data_type()));
        Ok(Self {
            path: path.into(),
            has_text: fields.iter().any(|it| *it.data_type() == DataType::Utf8),
            fields: fields.clone(),
            children,
            nulls: NullBufferBuilder::new(0),
            values,
            structure,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.nulls.len()
    }

    pub(crate) fn truncate(&mut self, slots: usize) {
        self.nulls.truncate(slots);
        for child in &mut self.children {
            child.truncate(slots);
        }
    }

    /// Ends a slot, with those before it that nobody wrote.
    fn close(&mut self, slot: usize, is_set: bool) {
        self.fill(slot);
        self.nulls.append(is_set);
    }

    fn fill(&mut self, slots: usize) {
        let missing = slots.saturating_sub(self.len());
        if missing > 0 {
            self.nulls.append_n_nulls(missing);
        }
    }

    pub(crate) fn finish(&mut self, slots: usize) -> Result<ArrayRef> {
        self.fill(slots);
        let children = self.children.iter_mut().map(|child| child.finish(slots));
        let children = children.collect::<Result<Vec<_>>>()?;
        let array = StructArray::try_new(self.fields.clone(), children, self.nulls.finish());
        Ok(Arc::new(array.map_err(|source| Error::Array {
            column: self.path.to_string(),
            source,
        })?))
    }

    pub(crate) fn read(
        &mut self,
        slot: usize,
        start: usize,
        reading: &mut Reading<'_, '_>,
    ) -> Result<bool, RowError> {
        if slot < self.len() {
            if reading.rescues() {
                reading.rescue_element(self.path.to_string())?;
            } else {
                let raw = reading.lexer.skip_element()?;
                self.refuse_another(raw, start, reading);
            }
            return Ok(false);
        }
        if let Some(structure) = self.structure
            && has_structure(reading)?
        {
            self.children[structure].read(slot, start, reading)?;
            self.close(slot, true);
            return Ok(true);
        }
        let outer = reading.keeps_spaces;
        if let Some(preserves) = preserves_space(reading.lexer) {
            reading.keeps_spaces = preserves || !reading.settings.ignore_spaces;
        }
        reading.rescue_attributes(None, &self.path);
        let content = content::read(reading.lexer);
        let stored = content.map(|content| match content {
            Content::Text(text) => self.store(slot, &text, start, reading),
            Content::Xml(raw) => self.store_xml(slot, raw, start, reading),
        });
        reading.keeps_spaces = outer;
        stored
    }

    pub(crate) fn store(
        &mut self,
        slot: usize,
        text: &str,
        offset: usize,
        reading: &mut Reading<'_, '_>,
    ) -> bool {
        if slot < self.len() {
            self.refuse_another(text, offset, reading);
            return false;
        }
        let text = if reading.keeps_spaces {
            text
        } else {
            trim(text)
        };
        let settings = reading.settings;
        let is_null = (text.is_empty() && !self.has_text)
            || (settings.empty_is_null && is_blank(text))
            || settings.null_value.as_deref() == Some(text);
        if is_null || self.store_value(slot, text, settings) {
            self.close(slot, !is_null);
            return true;
        }
        if let Some(structure) = self.structure
            && self.children[structure].store(slot, text, offset, reading)
        {
            self.close(slot, true);
            return true;
        }
        if self.structure.is_none() {
            reading
                .faults
                .add(offset, &self.path, text, "value of any alternative");
        }
        false
    }

    fn store_value(&mut self, slot: usize, text: &str, settings: &Settings) -> bool {
        // As a number it would lose its zeros.
        let only_text = self.has_text && has_needless_zero(text);
        for at in &self.values {
            if let Column::Leaf(leaf) = &mut self.children[*at]
                && (leaf.is_text() || !only_text)
                && leaf.try_store(slot, text, settings)
            {
                return true;
            }
        }
        false
    }

    /// Stores raw XML where there is a string for it.
    fn store_xml(
        &mut self,
        slot: usize,
        raw: &str,
        offset: usize,
        reading: &mut Reading<'_, '_>,
    ) -> bool {
        let text = self.children.iter_mut().find_map(|child| match child {
            Column::Leaf(leaf) if leaf.is_text() => Some(leaf),
            _ => None,
        });
        if text.is_some_and(|leaf: &mut Leaf| leaf.try_store(slot, trim(raw), reading.settings)) {
            self.close(slot, true);
            return true;
        }
        reading
            .faults
            .add(offset, &self.path, raw, "value of any alternative");
        false
    }

    pub(crate) fn take_unknown(&mut self, settings: &Settings, into: &mut BTreeMap<String, u64>) {
        for child in &mut self.children {
            child.take_unknown(settings, into);
        }
    }

    #[cold]
    fn refuse_another(&self, text: &str, offset: usize, reading: &mut Reading<'_, '_>) {
        let expected = "single value: the column is no list, and has one already";
        reading.faults.add(offset, &self.path, text, expected);
    }
}

/// Whether the element whose start tag was just taken has attributes that are columns, or children.
fn has_structure(reading: &Reading<'_, '_>) -> Result<bool, RowError> {
    if reading.settings.naming.has_attributes() && !reading.lexer.attributes().is_empty() {
        return Ok(true);
    }
    if reading.lexer.is_before_end_tag() {
        return Ok(false);
    }
    let content = content::read(&mut reading.lexer.clone())?;
    Ok(matches!(content, Content::Xml(_)))
}

/// In which order the types of values are tried: what holds less comes first.
fn rank(data_type: &DataType) -> usize {
    match data_type {
        DataType::Null => 0,
        DataType::Int8 => 1,
        DataType::Int16 => 2,
        DataType::Int32 => 3,
        DataType::Int64 => 4,
        DataType::Decimal128(..) => 5,
        DataType::Float64 => 6,
        DataType::Float32 => 7,
        DataType::Boolean => 8,
        DataType::Date32 => 9,
        DataType::Time64(_) => 10,
        DataType::Timestamp(_, None) => 11,
        DataType::Timestamp(..) => 12,
        DataType::Utf8 => 14,
        _ => 13,
    }
}

/// Whether a number begins with a zero that says nothing: `007`.
fn has_needless_zero(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']).as_bytes();
    matches!(digits, [b'0', next, ..] if next.is_ascii_digit())
}
