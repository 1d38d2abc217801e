//! Where reading goes on after something that is not well-formed.

use memchr::memmem;

/// Where a malformed row ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowEnd {
    /// Here.
    At(usize),
    /// The text must go on for it to be known.
    Unknown,
}

/// What is known of a malformed row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Malformed<'t> {
    /// The row's name.
    pub(super) name: &'t str,
    /// The name of the element around it.
    pub(super) around: Option<&'t str>,
    /// Where the row begins.
    pub(super) start: usize,
    /// Where the fault is.
    pub(super) fault: usize,
    /// How many elements of the row's name are open in it.
    pub(super) nested: usize,
}

/// Finds the ends of the malformed rows of one text.
#[derive(Debug, Default)]
pub(super) struct Recovery {
    /// From this place on there are only so many end tags of rows. Without this, a text of many rows that
    /// are never closed would be searched to its end for each of them.
    scarce: Option<(usize, usize)>,
}

impl Recovery {
    /// The end of a malformed row: the next end tag of its name, or the one after as many as elements of
    /// that name are open in it.
    ///
    /// A row that is never closed ends before the next start tag of its name, or before the last end tag
    /// of the element around it, or with the text.
    pub(super) fn end_of_row(&mut self, text: &str, row: Malformed<'_>, is_last: bool) -> RowEnd {
        if let Some(end_tag) = self.end_tag(text, row) {
            return match memchr::memchr(b'>', &text.as_bytes()[end_tag..]) {
                Some(length) => RowEnd::At(end_tag + length + 1),
                None if is_last => RowEnd::At(text.len()),
                None => RowEnd::Unknown,
            };
        }
        if !is_last {
            return RowEnd::Unknown;
        }
        if let Some(next) = tags(text, "<", row.name, row.start + 1).next() {
            return RowEnd::At(next);
        }
        let from = row.fault.max(row.start);
        let closing = row
            .around
            .and_then(|around| tags(text, "</", around, from).last());
        RowEnd::At(closing.unwrap_or(text.len()))
    }

    fn end_tag(&mut self, text: &str, row: Malformed<'_>) -> Option<usize> {
        let from = row.fault.max(row.start);
        if self
            .scarce
            .is_some_and(|(place, count)| from >= place && row.nested >= count)
        {
            return None;
        }
        let mut passed = 0;
        for end_tag in tags(text, "</", row.name, from) {
            if passed == row.nested {
                return Some(end_tag);
            }
            passed += 1;
        }
        self.scarce = Some((from, passed));
        None
    }
}

/// Where tags of this name begin in the text from `from` on, by their looks alone.
fn tags<'t>(
    text: &'t str,
    opening: &str,
    name: &str,
    from: usize,
) -> impl Iterator<Item = usize> + 't {
    let needle = format!("{opening}{name}");
    let length = needle.len();
    let finder = memmem::Finder::new(needle.as_bytes()).into_owned();
    let mut at = from.min(text.len());
    std::iter::from_fn(move || {
        loop {
            let found = at + finder.find(&text.as_bytes()[at..])?;
            at = found + length;
            if ends_name(text.as_bytes().get(at).copied()) {
                return Some(found);
            }
        }
    })
}

/// Whether a name cannot go on with this byte.
pub(crate) fn ends_name(byte: Option<u8>) -> bool {
    matches!(
        byte,
        None | Some(b' ' | b'\t' | b'\r' | b'\n' | b'/' | b'>')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, fault: &str, nested: usize, expected: Option<&str>) {
        let row = Malformed {
            name: "r",
            around: Some("all"),
            start: text.find("<r").unwrap(),
            fault: text.find(fault).unwrap(),
            nested,
        };
        let end = Recovery::default().end_of_row(text, row, expected.is_some());
        let expected = match expected {
            Some(rest) => RowEnd::At(text.len() - rest.len()),
            None => RowEnd::Unknown,
        };
        assert_eq!(end, expected, "{text}");
    }

    #[test]
    fn a_malformed_row_ends_with_its_end_tag() {
        check("<r><a></r><r/>", "</r>", 0, Some("<r/>"));
        check("<r><a></rest></r ><r/>", "</rest>", 0, Some("<r/>"));
        check("<r><r><a></b></r></r><r/>", "</b>", 1, Some("<r/>"));
        check("<r>&<r/></r></all>", "&", 0, Some("</all>"));
        check("<r>& <r/></all>", "&", 0, Some("<r/></all>"));
        check("<r>& </all>", "&", 0, Some("</all>"));
        check("<r>& <x>", "&", 0, Some(""));
        check("<r>& ", "&", 0, None);
        check("<r>& </r", "&", 0, None);
    }
}
