//! A column of any kind.

use std::collections::BTreeMap;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field};

use crate::row_reader::RowError;
use crate::schema::choice::alternatives;
use crate::{Error, Result};

use super::choice::Choice;
use super::leaf::Leaf;
use super::list::List;
use super::map::Map;
use super::structs::Struct;
use super::{Reading, Settings};

/// A column that is being filled.
///
/// Slots have numbers. Writing to a slot fills the ones before it with nulls; a slot with a number at
/// or beyond [`Column::len`] is free.
#[derive(Debug)]
pub(crate) enum Column {
    Leaf(Leaf),
    Struct(Struct),
    List(List),
    Map(Map),
    Choice(Choice),
}

impl Column {
    /// Compiles a field. `path` is its dotted name.
    pub(crate) fn new(field: &Field, path: &str, settings: &Settings) -> Result<Self> {
        if let Some(alternatives) = alternatives(field) {
            return Ok(Self::Choice(Choice::new(alternatives, path, settings)?));
        }
        Ok(match field.data_type() {
            DataType::Struct(fields) => Self::Struct(Struct::new(fields, path, settings)?),
            DataType::List(item) => Self::List(List::new(item, path, settings)?),
            DataType::Map(entries, _) => Self::Map(Map::new(entries, path, settings)?),
            data_type => {
                Self::Leaf(
                    Leaf::new(data_type, path).ok_or_else(|| Error::UnsupportedType {
                        column: path.to_owned(),
                        data_type: data_type.clone(),
                    })?,
                )
            }
        })
    }

    /// Whether it is of values, or of lists of them: to read an element that has only text is to store that.
    #[inline]
    pub(crate) fn is_of_values(&self) -> bool {
        match self {
            Self::Leaf(_) => true,
            Self::List(list) => matches!(list.item(), Self::Leaf(_)),
            Self::Struct(_) | Self::Map(_) | Self::Choice(_) => false,
        }
    }

    /// How many slots are written.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Leaf(leaf) => leaf.len(),
            Self::Struct(column) => column.len(),
            Self::List(list) => list.len(),
            Self::Map(map) => map.len(),
            Self::Choice(choice) => choice.len(),
        }
    }

    /// Forgets the slots from `slots` on.
    pub(crate) fn truncate(&mut self, slots: usize) {
        if slots >= self.len() {
            return;
        }
        match self {
            Self::Leaf(leaf) => leaf.truncate(slots),
            Self::Struct(column) => column.truncate(slots),
            Self::List(list) => list.truncate(slots),
            Self::Map(map) => map.truncate(slots),
            Self::Choice(choice) => choice.truncate(slots),
        }
    }

    /// The array of the first `slots` slots; what is left is empty.
    pub(crate) fn finish(&mut self, slots: usize) -> Result<ArrayRef> {
        match self {
            Self::Leaf(leaf) => leaf.finish(slots),
            Self::Struct(column) => column.finish(slots),
            Self::List(list) => list.finish(slots),
            Self::Map(map) => map.finish(slots),
            Self::Choice(choice) => choice.finish(slots),
        }
    }

    /// Reads an element, whose start tag was just taken, into a slot. Gives whether the slot is taken;
    /// it is not where the value did not fit.
    ///
    /// # Errors
    /// When the element is not well-formed.
    #[inline]
    pub(crate) fn read(
        &mut self,
        slot: usize,
        start: usize,
        reading: &mut Reading<'_, '_>,
    ) -> Result<bool, RowError> {
        match self {
            Self::Leaf(leaf) => leaf.read(slot, start, reading),
            Self::Struct(column) => column.read(slot, start, reading),
            Self::List(list) => list.read(slot, start, reading),
            Self::Map(map) => map.read(slot, start, reading),
            Self::Choice(choice) => choice.read(slot, start, reading),
        }
    }

    /// Stores the text of an attribute, or between children, in a slot; gives whether it fitted.
    #[inline]
    pub(crate) fn store(
        &mut self,
        slot: usize,
        text: &str,
        offset: usize,
        reading: &mut Reading<'_, '_>,
    ) -> bool {
        match self {
            Self::Leaf(leaf) => leaf.store(slot, text, offset, reading),
            Self::Struct(column) => column.store(slot, text, offset, reading),
            Self::List(list) => list.store(slot, text, offset, reading),
            Self::Map(map) => map.store(slot, text, offset, reading),
            Self::Choice(choice) => choice.store(slot, text, offset, reading),
        }
    }

    /// Moves the counts of what no column takes.
    pub(crate) fn take_unknown(&mut self, settings: &Settings, into: &mut BTreeMap<String, u64>) {
        match self {
            Self::Leaf(leaf) => leaf.take_unknown(into),
            Self::Struct(column) => column.take_unknown(settings, into),
            Self::List(list) => list.item_mut().take_unknown(settings, into),
            Self::Map(map) => map.values_mut().take_unknown(settings, into),
            Self::Choice(choice) => choice.take_unknown(settings, into),
        }
    }
}
