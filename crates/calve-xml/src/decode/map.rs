//! A column of maps, by schema only: attributes and children are entries, their names the keys.

use std::sync::Arc;

use arrow::array::{ArrayRef, MapArray, StructArray};
use arrow::datatypes::{DataType, FieldRef, Fields};

use crate::content::{is_blank, literal};
use crate::lexer::Event;
use crate::row_reader::RowError;
use crate::{Error, Result};

use super::column::Column;
use super::leaf::Leaf;
use super::list::Slots;
use super::{Reading, Settings, join};

/// What stands behind a map's path in the paths of its values.
pub(super) const VALUE: &str = ".value";

/// A column of maps.
#[derive(Debug)]
pub(crate) struct Map {
    path: Box<str>,
    field: FieldRef,
    fields: Fields,
    keys: Leaf,
    values: Box<Column>,
    slots: Slots,
}

impl Map {
    pub(crate) fn new(field: &FieldRef, path: &str, settings: &Settings) -> Result<Self> {
        let unsupported = || Error::UnsupportedType {
            column: path.to_owned(),
            data_type: DataType::Map(Arc::clone(field), false),
        };
        let DataType::Struct(fields) = field.data_type() else {
            return Err(unsupported());
        };
        let [key, value] = &fields[..] else {
            return Err(unsupported());
        };
        let keys = Leaf::new(key.data_type(), path).filter(Leaf::is_text);
        Ok(Self {
            path: path.into(),
            field: Arc::clone(field),
            fields: fields.clone(),
            keys: keys.ok_or_else(unsupported)?,
            values: Box::new(Column::new(value, &format!("{path}{VALUE}"), settings)?),
            slots: Slots::new(),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn values_mut(&mut self) -> &mut Column {
        &mut self.values
    }

    pub(crate) fn truncate(&mut self, slots: usize) {
        self.slots.truncate(slots);
        self.truncate_entries();
    }

    fn truncate_entries(&mut self) {
        let items = self.slots.items();
        self.keys.truncate(items.min(self.keys.len()));
        self.values.truncate(items);
    }

    pub(crate) fn finish(&mut self, slots: usize) -> Result<ArrayRef> {
        self.slots.fill(slots);
        let items = self.slots.items();
        let entries = vec![self.keys.finish(items)?, self.values.finish(items)?];
        let (offsets, nulls) = self.slots.finish();
        let failed = |source| Error::Array {
            column: self.path.to_string(),
            source,
        };
        let entries = StructArray::try_new(self.fields.clone(), entries, None).map_err(failed)?;
        let map = MapArray::try_new(Arc::clone(&self.field), offsets, entries, nulls, false);
        Ok(Arc::new(map.map_err(failed)?))
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
                return Ok(false);
            }
            let raw = reading.lexer.skip_element()?;
            self.refuse_another(raw, start, reading);
            return Ok(false);
        }
        let faults = reading.faults.misfits.count();
        self.slots.open(slot);
        self.read_attributes(start, reading);
        loop {
            match reading.lexer.next_event()? {
                Event::Start(child) => {
                    let naming = &reading.settings.naming;
                    let key = naming.element(child.name, reading.lexer).into_owned();
                    self.read_entry(&key, child.start, reading)?;
                }
                Event::Text(raw) if !is_blank(raw) => {
                    let text = reading.lexer.unescape(raw);
                    self.store_text(&text, reading);
                }
                Event::CData(raw) if !is_blank(raw) => {
                    let text = literal(reading.lexer, raw);
                    self.store_text(&text, reading);
                }
                Event::End(_) | Event::Eof => break,
                _ => {}
            }
        }
        if reading.faults.misfits.count() > faults {
            // Half a map would pass for a whole one: as in Spark, it is null.
            self.truncate(slot);
            self.slots.fill(slot + 1);
        }
        Ok(true)
    }

    fn read_attributes(&mut self, offset: usize, reading: &mut Reading<'_, '_>) {
        let attributes = reading.lexer.attributes().to_vec();
        for attribute in attributes {
            let Some(key) = reading
                .settings
                .naming
                .attribute(attribute.name, reading.lexer)
            else {
                continue;
            };
            let value = attribute.unescape(reading.lexer.entities());
            self.store_entry(&key, &value, offset, reading);
        }
    }

    fn read_entry(
        &mut self,
        key: &str,
        start: usize,
        reading: &mut Reading<'_, '_>,
    ) -> Result<(), RowError> {
        if self.has_key(key) {
            if reading.rescues() {
                return reading.rescue_element(join(&self.path, key));
            }
            let raw = reading.lexer.skip_element()?;
            self.refuse_another(raw, start, reading);
            return Ok(());
        }
        let (item, rescued) = (self.slots.items(), reading.rescued());
        if self.values.read(item, start, reading)? {
            self.keys.store_raw(item, key, reading.settings);
            self.slots.add();
        }
        if reading.rescued() > rescued {
            reading.place_in_map(rescued, &self.path, key);
        }
        Ok(())
    }

    fn store_text(&mut self, text: &str, reading: &mut Reading<'_, '_>) {
        let offset = reading.lexer.event_start();
        let key = reading.settings.value_tag.clone();
        self.store_entry(&key, text, offset, reading);
    }

    fn store_entry(&mut self, key: &str, text: &str, offset: usize, reading: &mut Reading<'_, '_>) {
        if self.has_key(key) {
            if reading.rescues() {
                reading.rescue_text(&join(&self.path, key), text);
            } else {
                self.refuse_another(text, offset, reading);
            }
            return;
        }
        let (item, rescued) = (self.slots.items(), reading.rescued());
        if self.values.store(item, text, offset, reading) {
            self.keys.store_raw(item, key, reading.settings);
            self.slots.add();
        }
        if reading.rescued() > rescued {
            reading.place_in_map(rescued, &self.path, key);
        }
    }

    /// Whether the last slot has an entry of this key.
    fn has_key(&self, key: &str) -> bool {
        let mut items = self.slots.start_of_last()..self.slots.items();
        items.any(|item| self.keys.text(item) == Some(key.as_bytes()))
    }

    pub(crate) fn store(
        &mut self,
        slot: usize,
        text: &str,
        offset: usize,
        reading: &mut Reading<'_, '_>,
    ) -> bool {
        if is_blank(text) {
            return false;
        }
        self.slots.open(slot);
        let key = reading.settings.value_tag.clone();
        self.store_entry(&key, text, offset, reading);
        true
    }

    #[cold]
    fn refuse_another(&self, text: &str, offset: usize, reading: &mut Reading<'_, '_>) {
        reading.faults.add(
            offset,
            &self.path,
            text,
            "single entry: the map has the key already",
        );
    }
}
