//! A column of elements with attributes and children; the row is one as well.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, NullBufferBuilder, StructArray};
use arrow::datatypes::Fields;

use crate::content::{self, is_blank, literal, preserves_space, trim};
use crate::lexer::Event;
use crate::names::NameTable;
use crate::row_reader::RowError;
use crate::schema::choice::XML_NAME;
use crate::{Error, Result};

use super::column::Column;
use super::{Reading, Settings, join};

/// How many names that no column takes are told apart at one level.
const MOST_UNKNOWN: usize = 1024;

/// A column of structs.
#[derive(Debug)]
pub(crate) struct Struct {
    path: Box<str>,
    fields: Fields,
    children: Vec<Column>,
    nulls: NullBufferBuilder,
    /// How many slots are written.
    len: usize,
    /// Raw names of elements: numbers of children, or beyond them, of unknown names.
    elements: NameTable,
    /// The same for attributes.
    attributes: NameTable,
    by_name: HashMap<String, u32>,
    /// By names in lower case; none where two fall together.
    by_folded_name: HashMap<String, Option<u32>>,
    /// The child that takes the text between children.
    value: Option<usize>,
    /// Whether that child takes all the text as one.
    joins_text: bool,
    /// The child that takes elements which no other child takes.
    wildcard: Option<u32>,
    /// What no child takes, with how often it was met.
    unknown: Vec<(String, u64)>,
    /// How often there was text that no child takes.
    unknown_text: u64,
}

impl Struct {
    /// Compiles fields. `path` is the dotted name of the column, empty for the row.
    pub(crate) fn new(fields: &Fields, path: &str, settings: &Settings) -> Result<Self> {
        let mut column = Self {
            path: path.into(),
            fields: fields.clone(),
            children: Vec::with_capacity(fields.len()),
            nulls: NullBufferBuilder::new(0),
            len: 0,
            elements: NameTable::default(),
            attributes: NameTable::default(),
            by_name: HashMap::new(),
            by_folded_name: HashMap::new(),
            value: None,
            joins_text: false,
            wildcard: None,
            unknown: Vec::new(),
            unknown_text: 0,
        };
        for (field, number) in fields.iter().zip(0_u32..) {
            let path = join(path, field.name());
            let child = Column::new(field, &path, settings)?;
            let name = field.metadata().get(XML_NAME).unwrap_or(field.name());
            if *name == settings.value_tag {
                column.value = Some(number as usize);
                column.joins_text = matches!(&child, Column::Leaf(leaf) if leaf.is_text());
            }
            if *name == settings.wildcard {
                column.wildcard = Some(number);
            }
            column.children.push(child);
            // Nothing in a document is a column that the reader itself fills.
            let is_own = *field.name() == settings.corrupt
                || settings.rescued.as_ref() == Some(field.name());
            if column.path.is_empty() && is_own {
                continue;
            }
            column.by_name.insert(name.clone(), number);
            let folded = column.by_folded_name.entry(name.to_lowercase());
            folded
                .and_modify(|known| *known = None)
                .or_insert(Some(number));
        }
        Ok(column)
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn truncate(&mut self, slots: usize) {
        self.nulls.truncate(slots);
        self.len = self.len.min(slots);
        for child in &mut self.children {
            child.truncate(slots);
        }
    }

    /// Makes a slot that is not null, of nothing but nulls so far.
    #[inline]
    pub(crate) fn open(&mut self, slot: usize) {
        if slot > self.len {
            self.nulls.append_n_nulls(slot - self.len);
        }
        self.nulls.append_non_null();
        self.len = slot + 1;
    }

    /// The child that is called so.
    pub(crate) fn child_mut(&mut self, name: &str) -> Option<&mut Column> {
        let at = self.fields.iter().position(|field| field.name() == name)?;
        self.children.get_mut(at)
    }

    pub(crate) fn finish(&mut self, slots: usize) -> Result<ArrayRef> {
        let missing = slots.saturating_sub(self.len());
        if missing > 0 {
            self.nulls.append_n_nulls(missing);
        }
        let children = self.finish_children(slots)?;
        let nulls = self.nulls.finish();
        self.len = 0;
        if children.is_empty() {
            return Ok(Arc::new(StructArray::new_empty_fields(slots, nulls)));
        }
        let array = StructArray::try_new(self.fields.clone(), children, nulls);
        Ok(Arc::new(array.map_err(|source| Error::Array {
            column: self.path.to_string(),
            source,
        })?))
    }

    /// The arrays of the children; what is left is empty.
    pub(crate) fn finish_children(&mut self, slots: usize) -> Result<Vec<Arc<dyn Array>>> {
        self.children
            .iter_mut()
            .map(|child| child.finish(slots))
            .collect()
    }

    /// Forgets that slots were opened.
    pub(crate) fn reset(&mut self) {
        self.nulls = NullBufferBuilder::new(0);
        self.len = 0;
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
            let expected = "single element: the column is no list, and has one already";
            reading.faults.add(start, &self.path, raw, expected);
            return Ok(false);
        }
        self.open(slot);
        let outer = reading.keeps_spaces;
        if !reading.lexer.attributes().is_empty() {
            if let Some(preserves) = preserves_space(reading.lexer) {
                reading.keeps_spaces = preserves || !reading.settings.ignore_spaces;
            }
            self.read_attributes(slot, start, reading);
        }
        let read = self.read_children(slot, reading);
        reading.keeps_spaces = outer;
        read.map(|()| true)
    }

    #[inline]
    fn read_children<'a>(
        &mut self,
        slot: usize,
        reading: &mut Reading<'a, '_>,
    ) -> Result<(), RowError> {
        let mut text: Option<Cow<'a, str>> = None;
        let drops_text = self.value.is_none() && !reading.rescues();
        self.elements.rewind();
        loop {
            if drops_text {
                reading.lexer.skip_blank();
                if self.read_expected(slot, reading)? {
                    continue;
                }
            }
            // An event is long, and is not to be moved before it is known what is wanted of it.
            match reading.lexer.next_event() {
                Ok(Event::Start(child)) => {
                    if text.is_some() && !self.joins_text {
                        self.end_text(slot, &mut text, reading);
                    }
                    let is_stable = reading.settings.naming.is_stable();
                    let known = is_stable.then(|| self.elements.find(child.name)).flatten();
                    let number = match known {
                        Some(number) => number as usize,
                        None => self.resolve_element(child.name, reading),
                    };
                    if let Some(column) = self.children.get_mut(number) {
                        column.read(slot, child.start, reading)?;
                    } else if reading.rescues() {
                        let name = reading.settings.naming.element(child.name, reading.lexer);
                        reading.rescue_element(join(&self.path, &name))?;
                    } else {
                        self.count_unknown(number);
                        reading.lexer.skip_element()?;
                    }
                }
                Ok(Event::End(_) | Event::Eof) => {
                    if text.is_some() {
                        self.end_text(slot, &mut text, reading);
                    }
                    return Ok(());
                }
                Ok(Event::Text(raw)) if drops_text => {
                    if !is_blank(raw) {
                        self.unknown_text += 1;
                    }
                }
                Ok(Event::CData(_)) if drops_text => self.unknown_text += 1,
                Ok(event) => match (&mut text, event) {
                    (Some(text), _) => content::push(reading.lexer, event, text.to_mut()),
                    (none, Event::Text(raw)) => *none = Some(reading.lexer.unescape(raw)),
                    (none, Event::CData(raw)) => *none = Some(literal(reading.lexer, raw)),
                    _ => {}
                },
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads the next child, if it is the one that is expected. Its name is then only compared, not looked for.
    #[inline]
    fn read_expected(
        &mut self,
        slot: usize,
        reading: &mut Reading<'_, '_>,
    ) -> Result<bool, RowError> {
        let (name, number) = self.elements.expected();
        let Some(column) = self.children.get_mut(number as usize) else {
            return Ok(false);
        };
        let start = reading.lexer.offset();
        if column.is_of_values() {
            let Some(raw) = reading.lexer.take_value(name) else {
                return Ok(false);
            };
            self.elements.advance();
            let text = reading.lexer.unescape(raw);
            column.store(slot, &text, start, reading);
        } else {
            if !reading.lexer.take_start(name)? {
                return Ok(false);
            }
            self.elements.advance();
            column.read(slot, start, reading)?;
        }
        Ok(true)
    }

    /// Stores the text since the last tag, or all of it, under the value tag.
    #[inline]
    fn end_text(
        &mut self,
        slot: usize,
        text: &mut Option<Cow<'_, str>>,
        reading: &mut Reading<'_, '_>,
    ) {
        let Some(text) = text.take().filter(|text| !is_blank(text)) else {
            return;
        };
        if let Some(value) = self.value {
            let offset = reading.lexer.event_start();
            self.children[value].store(slot, &text, offset, reading);
        } else {
            let text = if reading.keeps_spaces {
                &text
            } else {
                trim(&text)
            };
            reading.rescue_text(&join(&self.path, &reading.settings.value_tag), text);
        }
    }

    fn read_attributes(&mut self, slot: usize, offset: usize, reading: &mut Reading<'_, '_>) {
        if !reading.settings.naming.has_attributes() {
            return;
        }
        self.attributes.rewind();
        for at in 0..reading.lexer.attributes().len() {
            let attribute = reading.lexer.attributes()[at];
            let is_stable = reading.settings.naming.is_stable();
            let known = is_stable
                .then(|| self.attributes.find(attribute.name))
                .flatten();
            let number = match known {
                Some(number) => number as usize,
                None => match self.resolve_attribute(attribute.name, reading) {
                    Some(number) => number,
                    None => continue,
                },
            };
            match self.children.get_mut(number) {
                Some(column) => {
                    let value = attribute.unescape(reading.lexer.entities());
                    column.store(slot, &value, offset, reading);
                }
                None if reading.rescues() => {
                    let name = reading
                        .settings
                        .naming
                        .attribute(attribute.name, reading.lexer);
                    let value = attribute.unescape(reading.lexer.entities());
                    reading.rescue_text(&join(&self.path, &name.unwrap_or_default()), &value);
                }
                None => self.count_unknown(number),
            }
        }
    }

    /// The number of an element's name that is met for the first time.
    #[cold]
    fn resolve_element(&mut self, raw: &str, reading: &Reading<'_, '_>) -> usize {
        let naming = &reading.settings.naming;
        let name = naming.element(raw, reading.lexer);
        let number = self
            .lookup(&name, reading.settings)
            .or(self.wildcard)
            .unwrap_or_else(|| self.add_unknown(&name));
        if naming.is_stable() {
            self.elements.insert(raw, number);
        }
        number as usize
    }

    /// The same for an attribute; none where attributes have no columns.
    #[cold]
    fn resolve_attribute(&mut self, raw: &str, reading: &Reading<'_, '_>) -> Option<usize> {
        let naming = &reading.settings.naming;
        let name = naming.attribute(raw, reading.lexer)?;
        let number = self
            .lookup(&name, reading.settings)
            .unwrap_or_else(|| self.add_unknown(&name));
        if naming.is_stable() {
            self.attributes.insert(raw, number);
        }
        Some(number as usize)
    }

    /// The column of a name: the one that is called so, or else the only one that differs by case.
    fn lookup(&self, name: &str, settings: &Settings) -> Option<u32> {
        if let Some(number) = self.by_name.get(name) {
            return Some(*number);
        }
        if settings.case_sensitive {
            return None;
        }
        self.by_folded_name
            .get(&name.to_lowercase())
            .copied()
            .flatten()
    }

    fn add_unknown(&mut self, name: &str) -> u32 {
        let known = self.unknown.iter().position(|(known, _)| known == name);
        let at = known.unwrap_or_else(|| {
            if self.unknown.len() < MOST_UNKNOWN {
                self.unknown.push((name.to_owned(), 0));
            }
            self.unknown.len() - 1
        });
        u32::try_from(self.children.len() + at).unwrap_or(u32::MAX)
    }

    #[inline]
    fn count_unknown(&mut self, number: usize) {
        if let Some((_, count)) = self.unknown.get_mut(number - self.children.len()) {
            *count += 1;
        }
    }

    /// Moves the counts of what no column takes, by dotted path, of this level and those below.
    pub(crate) fn take_unknown(&mut self, settings: &Settings, into: &mut BTreeMap<String, u64>) {
        for (name, count) in &mut self.unknown {
            if *count > 0 {
                *into.entry(join(&self.path, name)).or_default() += std::mem::take(count);
            }
        }
        if self.unknown_text > 0 {
            let path = join(&self.path, &settings.value_tag);
            *into.entry(path).or_default() += std::mem::take(&mut self.unknown_text);
        }
        for child in &mut self.children {
            child.take_unknown(settings, into);
        }
    }

    pub(crate) fn store(
        &mut self,
        slot: usize,
        text: &str,
        offset: usize,
        reading: &mut Reading<'_, '_>,
    ) -> bool {
        let Some(value) = self.value else {
            reading
                .faults
                .add(offset, &self.path, text, "element with children");
            return false;
        };
        if slot >= self.len() {
            self.open(slot);
        }
        self.children[value].store(slot, text, offset, reading)
    }
}
