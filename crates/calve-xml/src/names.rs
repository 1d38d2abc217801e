//! From names in the document to names of columns, and fast finding of the latter.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::entities::Entities;
use crate::lexer::{Attributes, Lexer, TagName};
use crate::options::{Namespaces, XmlOptions};

/// The namespace that the prefix `xml` always means.
const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// How names become names of columns.
#[derive(Debug, Clone)]
pub(crate) struct Naming {
    namespaces: Namespaces,
    attribute_prefix: String,
    exclude_attributes: bool,
}

impl Naming {
    pub(crate) fn new(options: &XmlOptions) -> Self {
        Self {
            namespaces: options.namespaces,
            attribute_prefix: options.attribute_prefix.clone(),
            exclude_attributes: options.exclude_attributes,
        }
    }

    /// Whether a name as written always means the same column, wherever it stands.
    #[inline]
    pub(crate) fn is_stable(&self) -> bool {
        self.namespaces != Namespaces::Expand
    }

    /// The column of an element whose start tag was taken last.
    pub(crate) fn element<'a>(&self, raw: &'a str, lexer: &Lexer<'_>) -> Cow<'a, str> {
        match self.namespaces {
            Namespaces::Keep => Cow::Borrowed(raw),
            Namespaces::Strip => Cow::Borrowed(local(raw)),
            Namespaces::Expand => expand(raw, lexer, true),
        }
    }

    /// The column of an attribute of the start tag that was taken last; none where it has no column.
    pub(crate) fn attribute(&self, raw: &str, lexer: &Lexer<'_>) -> Option<String> {
        if self.exclude_attributes {
            return None;
        }
        let name = match self.namespaces {
            Namespaces::Keep => Cow::Borrowed(raw),
            Namespaces::Strip => Cow::Borrowed(local(raw)),
            // Declarations are not values once names carry what they declare.
            Namespaces::Expand if raw == "xmlns" || raw.starts_with("xmlns:") => return None,
            Namespaces::Expand => expand(raw, lexer, false),
        };
        Some(format!("{}{name}", self.attribute_prefix))
    }

    /// Whether attributes have columns at all.
    #[inline]
    pub(crate) fn has_attributes(&self) -> bool {
        !self.exclude_attributes
    }
}

fn local(raw: &str) -> &str {
    raw.split_once(':').map_or(raw, |(_, local)| local)
}

/// `{namespace}local`. Names of no namespace, and of prefixes that nobody declares, stay as they are.
fn expand<'a>(raw: &'a str, lexer: &Lexer<'_>, is_element: bool) -> Cow<'a, str> {
    let (prefix, name) = match raw.split_once(':') {
        Some((prefix, name)) => (Some(prefix), name),
        None if is_element => (None, raw),
        None => return Cow::Borrowed(raw),
    };
    let open = lexer.open_elements().rev().map(|(_, raw)| raw);
    match namespace_of(prefix, open, lexer.entities()) {
        Some(namespace) if !namespace.is_empty() => Cow::Owned(format!("{{{namespace}}}{name}")),
        _ => Cow::Borrowed(raw),
    }
}

/// The namespace that a prefix means, or names without one, by the raw attributes of the open elements, innermost
/// first; `None` where nobody declares it, empty where it is taken away again.
pub(crate) fn namespace_of<'a>(
    prefix: Option<&str>,
    open: impl Iterator<Item = &'a str>,
    entities: &Entities,
) -> Option<String> {
    if prefix == Some("xml") {
        return Some(XML_NAMESPACE.to_owned());
    }
    for attributes in open {
        for attribute in Attributes::new(attributes) {
            let declared = match attribute.name.strip_prefix("xmlns") {
                Some("") => None,
                Some(rest) if rest.starts_with(':') => Some(&rest[1..]),
                _ => continue,
            };
            if declared == prefix {
                return Some(attribute.unescape(entities).into_owned());
            }
        }
    }
    None
}

/// Up to how many names are compared one by one before a hash table is asked.
const FEW: usize = 6;

/// The most names that one table remembers, against documents that never use one twice.
const MOST: usize = 8 * 1024;

/// Names as written, and the number that each means.
///
/// Elements come in nearly the same order time after time: the table guesses that after a name comes
/// the one that came after it the last time, and looks names up only where the guess was wrong.
#[derive(Debug, Clone)]
pub(crate) struct NameTable {
    entries: Vec<Entry>,
    /// Built when there are more than a few entries.
    by_name: HashMap<Box<str>, u32>,
    last: u32,
}

#[derive(Debug, Clone)]
struct Entry {
    name: TagName,
    number: u32,
    /// The entry that is expected next.
    next: u32,
}

impl Default for NameTable {
    fn default() -> Self {
        // What stands before the first name is an entry as well; no name is empty.
        let start = Entry {
            name: TagName::new(""),
            number: 0,
            next: 0,
        };
        Self {
            entries: vec![start],
            by_name: HashMap::new(),
            last: 0,
        }
    }
}

impl NameTable {
    /// Begins an element: guesses start anew.
    #[inline]
    pub(crate) fn rewind(&mut self) {
        self.last = 0;
    }

    /// The name that is expected next, and its number; empty where it is not known.
    #[inline]
    pub(crate) fn expected(&self) -> (&TagName, u32) {
        let entry = &self.entries[self.entries[self.last as usize].next as usize];
        (&entry.name, entry.number)
    }

    /// Says that the name which was expected came.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.last = self.entries[self.last as usize].next;
    }

    /// The number of a name, if it is known.
    #[inline]
    pub(crate) fn find(&mut self, name: &str) -> Option<u32> {
        let last = self.last as usize;
        let guess = self.entries[last].next;
        let entry = &self.entries[guess as usize];
        if is_same(entry.name.as_str().as_bytes(), name.as_bytes()) {
            self.last = guess;
            return Some(entry.number);
        }
        self.search(name)
    }

    fn search(&mut self, name: &str) -> Option<u32> {
        let found = if self.entries.len() <= FEW + 1 {
            let at = self
                .entries
                .iter()
                .position(|entry| entry.name.as_str() == name)?;
            u32::try_from(at).ok()?
        } else {
            *self.by_name.get(name)?
        };
        let last = self.last as usize;
        self.entries[last].next = found;
        self.last = found;
        Some(self.entries[found as usize].number)
    }

    /// Remembers what a new name means, if there is room.
    pub(crate) fn insert(&mut self, name: &str, number: u32) {
        let Ok(at) = u32::try_from(self.entries.len()) else {
            return;
        };
        if self.entries.len() > MOST {
            return;
        }
        self.entries.push(Entry {
            name: TagName::new(name),
            number,
            next: 0,
        });
        if self.entries.len() > FEW + 1 {
            if self.by_name.is_empty() {
                for (entry, at) in self.entries.iter().zip(0..) {
                    self.by_name.insert(entry.name.as_str().into(), at);
                }
            }
            self.by_name.insert(name.into(), at);
        }
        let last = self.last as usize;
        self.entries[last].next = at;
        self.last = at;
    }

    /// Forgets all names that mean `number` or more.
    pub(crate) fn forget_from(&mut self, number: u32) {
        let kept: Vec<(Box<str>, u32)> = self.entries[1..]
            .iter()
            .filter(|entry| entry.number < number)
            .map(|entry| (entry.name.as_str().into(), entry.number))
            .collect();
        *self = Self::default();
        for (name, number) in kept {
            self.insert(&name, number);
        }
        self.rewind();
    }
}

/// Whether two names are the same. Names are short, and a call of `memcmp` costs more than comparing them.
#[inline]
fn is_same(left: &[u8], right: &[u8]) -> bool {
    fn ends<const N: usize>(bytes: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
        Some((bytes.first_chunk()?, bytes.last_chunk()?))
    }
    if left.len() != right.len() {
        return false;
    }
    match left.len() {
        8..=16 => ends::<8>(left) == ends::<8>(right),
        4..=7 => ends::<4>(left) == ends::<4>(right),
        2 | 3 => ends::<2>(left) == ends::<2>(right),
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_are_compared_as_they_are(left in "[ab]{0,20}", right in "[ab]{0,20}", at in 0_usize..20) {
            prop_assert_eq!(is_same(left.as_bytes(), right.as_bytes()), left == right);
            prop_assert!(is_same(left.as_bytes(), left.clone().as_bytes()));
            let mut other = left.clone().into_bytes();
            if let Some(byte) = other.get_mut(at) {
                *byte = b'c';
                prop_assert!(!is_same(left.as_bytes(), &other));
            }
        }

        #[test]
        fn every_name_is_found(names in proptest::collection::vec("[a-e]{1,3}", 0..60), cut in 0..20_u32) {
            let mut table = NameTable::default();
            let mut expected: HashMap<String, u32> = HashMap::new();
            for name in &names {
                if name.len() == 3 {
                    table.rewind();
                }
                let number = u32::try_from(expected.len()).unwrap();
                if let Some(found) = table.find(name) {
                    prop_assert_eq!(Some(&found), expected.get(name));
                } else {
                    prop_assert!(!expected.contains_key(name));
                    table.insert(name, number);
                    expected.insert(name.clone(), number);
                }
            }
            table.forget_from(cut);
            for (name, number) in expected {
                prop_assert_eq!(table.find(&name), (number < cut).then_some(number));
            }
        }
    }
}
