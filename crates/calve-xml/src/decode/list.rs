//! A column of repeated elements.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, NullBufferBuilder};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::FieldRef;

use crate::row_reader::RowError;
use crate::{Error, Result};

use super::column::Column;
use super::{Reading, Settings};

/// Where the items of each slot are among all items: shared by lists and maps.
#[derive(Debug)]
pub(crate) struct Slots {
    /// One more than there are slots.
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
    /// How many slots are written.
    len: usize,
}

impl Slots {
    pub(crate) fn new() -> Self {
        Self {
            offsets: vec![0],
            nulls: NullBufferBuilder::new(0),
            len: 0,
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many items there are in all slots.
    #[inline]
    pub(crate) fn items(&self) -> usize {
        let last = self.offsets.last().copied().unwrap_or(0);
        usize::try_from(last).unwrap_or(0)
    }

    /// Makes `slot` the last one, if it is not yet.
    #[inline]
    pub(crate) fn open(&mut self, slot: usize) {
        if slot >= self.len() {
            self.fill(slot);
            let items = self.offsets.last().copied().unwrap_or(0);
            self.offsets.push(items);
            self.nulls.append_non_null();
            self.len = slot + 1;
        }
    }

    /// Adds an item to the last slot.
    #[inline]
    pub(crate) fn add(&mut self) {
        if let Some(last) = self.offsets.last_mut() {
            *last = last.saturating_add(1);
        }
    }

    /// Fills up with nulls.
    pub(crate) fn fill(&mut self, slots: usize) {
        if slots > self.len {
            let items = self.offsets.last().copied().unwrap_or(0);
            self.offsets.resize(slots + 1, items);
            self.nulls.append_n_nulls(slots - self.len);
            self.len = slots;
        }
    }

    pub(crate) fn truncate(&mut self, slots: usize) {
        self.offsets.truncate(slots + 1);
        self.nulls.truncate(slots);
        self.len = self.len.min(slots);
    }

    /// Where the items of the last slot begin.
    pub(crate) fn start_of_last(&self) -> usize {
        let at = self.offsets.len().saturating_sub(2);
        usize::try_from(self.offsets[at]).unwrap_or(0)
    }

    pub(crate) fn finish(&mut self) -> (OffsetBuffer<i32>, Option<arrow::buffer::NullBuffer>) {
        let mut next = Vec::with_capacity(self.offsets.len());
        next.push(0);
        let offsets = std::mem::replace(&mut self.offsets, next);
        self.len = 0;
        (
            OffsetBuffer::new(ScalarBuffer::from(offsets)),
            self.nulls.finish(),
        )
    }
}

/// A column of lists.
#[derive(Debug)]
pub(crate) struct List {
    path: Box<str>,
    field: FieldRef,
    item: Box<Column>,
    slots: Slots,
}

impl List {
    pub(crate) fn new(field: &FieldRef, path: &str, settings: &Settings) -> Result<Self> {
        Ok(Self {
            path: path.into(),
            field: Arc::clone(field),
            item: Box::new(Column::new(field, path, settings)?),
            slots: Slots::new(),
        })
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    #[inline]
    pub(crate) fn item(&self) -> &Column {
        &self.item
    }

    pub(crate) fn item_mut(&mut self) -> &mut Column {
        &mut self.item
    }

    pub(crate) fn truncate(&mut self, slots: usize) {
        self.slots.truncate(slots);
        self.item.truncate(self.slots.items());
    }

    pub(crate) fn finish(&mut self, slots: usize) -> Result<ArrayRef> {
        self.slots.fill(slots);
        let items = self.item.finish(self.slots.items())?;
        let (offsets, nulls) = self.slots.finish();
        let list = ListArray::try_new(Arc::clone(&self.field), offsets, items, nulls);
        Ok(Arc::new(list.map_err(|source| Error::Array {
            column: self.path.to_string(),
            source,
        })?))
    }

    #[inline]
    pub(crate) fn read(
        &mut self,
        slot: usize,
        start: usize,
        reading: &mut Reading<'_, '_>,
    ) -> Result<bool, RowError> {
        self.slots.open(slot);
        let (item, rescued) = (self.slots.items(), reading.rescued());
        // Where positions are told, what did not fit leaves a null in its place.
        if self.item.read(item, start, reading)? || reading.rescues() {
            self.slots.add();
        }
        if reading.rescued() > rescued {
            reading.place_in_list(rescued, &self.path, item - self.slots.start_of_last());
        }
        Ok(true)
    }

    #[inline]
    pub(crate) fn store(
        &mut self,
        slot: usize,
        text: &str,
        offset: usize,
        reading: &mut Reading<'_, '_>,
    ) -> bool {
        self.slots.open(slot);
        let (item, rescued) = (self.slots.items(), reading.rescued());
        if self.item.store(item, text, offset, reading) || reading.rescues() {
            self.slots.add();
        }
        if reading.rescued() > rescued {
            reading.place_in_list(rescued, &self.path, item - self.slots.start_of_last());
        }
        true
    }
}
