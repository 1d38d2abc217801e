//! Elements whose names are expected: these are compared, not scanned and looked up.

use crate::row_reader::RowError;

use super::{Lexer, Open, TagName, scan};

impl<'a> Lexer<'a> {
    /// Takes `<name>` or `<name …>`, where that is next; where it is not, nothing is taken.
    ///
    /// # Errors
    /// When the attributes are not well-formed.
    #[inline]
    pub(crate) fn take_start(&mut self, name: &TagName) -> Result<bool, RowError> {
        let start = self.at;
        let name_start = start + 1;
        let name_end = name_start + name.as_str().len();
        if !self.may_open() {
            return Ok(false);
        }
        let (attributes_end, end) = if name.is_whole_tag(self.bytes, name_start) {
            self.attributes.clear();
            (name_end, name_end + 1)
        } else if name.is_before_attributes(self.bytes, name_start) {
            self.attributes.clear();
            let (is_empty, attributes_end, end) = self.read_attributes(name_end)?;
            self.end_is_due = is_empty;
            (attributes_end, end)
        } else {
            return Ok(false);
        };
        self.open.push(Open {
            name: &self.text[name_start..name_end],
            attributes: &self.text[name_end..attributes_end],
            name_start,
        });
        self.event_start = start;
        self.at = end;
        Ok(true)
    }

    /// Takes `<name>text</name>`, where just that is next, and gives the text. Where it is anything else, or not
    /// well-formed, nothing is taken.
    #[inline]
    pub(crate) fn take_value(&mut self, name: &TagName) -> Option<&'a str> {
        if !self.may_open() || !name.is_whole_tag(self.bytes, self.at + 1) {
            return None;
        }
        let length = name.as_str().len();
        let start = self.at + length + 2;
        let scanned = scan::text(self.bytes, start);
        let close = scanned.end + 2;
        if self.bytes.get(scanned.end + 1) != Some(&b'/') || !name.is_whole_tag(self.bytes, close) {
            return None;
        }
        let text = &self.text[start..scanned.end];
        self.is_plain = true;
        if scanned.special && self.check_text(text, start).is_err() {
            return None;
        }
        self.event_start = scanned.end;
        self.at = close + length + 1;
        Some(text)
    }

    /// Whether there is markup next, in another element, and an element may be opened.
    #[inline]
    fn may_open(&self) -> bool {
        let is_inside = !self.open.is_empty() && self.open.len() < self.limits.depth;
        is_inside && !self.end_is_due && self.bytes.get(self.at) == Some(&b'<')
    }
}
