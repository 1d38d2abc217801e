//! An XML Schema document as a tree of its elements.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::lexer::{Event, Lexer};
use crate::{Error, Result};

/// The namespace of XML Schema.
pub(super) const XSD: &str = "http://www.w3.org/2001/XMLSchema";
/// The namespace of `xml:lang` and its like, which needs no declaration.
pub(super) const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// The deepest nesting of elements in a schema document.
const MAXIMUM_DEPTH: usize = 128;

/// A name in a namespace; the namespace is empty where there is none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct QName {
    pub(super) namespace: String,
    pub(super) local: String,
}

impl std::fmt::Display for QName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            f.write_str(&self.local)
        } else {
            write!(f, "{{{}}}{}", self.namespace, self.local)
        }
    }
}

/// The namespaces by prefix that an element sees; the default namespace has the empty prefix.
pub(super) type Prefixes = Rc<BTreeMap<String, String>>;

/// An element of a schema document.
#[derive(Debug)]
pub(super) struct Node {
    /// The local name when it is XML Schema's, else empty.
    pub(super) name: String,
    pub(super) attributes: Vec<(String, String)>,
    pub(super) children: Vec<Rc<Self>>,
    pub(super) prefixes: Prefixes,
    pub(super) line: u64,
}

impl Node {
    /// The value of an attribute without prefix.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The children that describe something: all but annotations and elements of other namespaces.
    pub(super) fn parts(&self) -> impl Iterator<Item = &Rc<Self>> {
        self.children
            .iter()
            .filter(|it| !it.name.is_empty() && it.name != "annotation")
    }

    /// The first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Rc<Self>> {
        self.children.iter().find(|it| it.name == name)
    }

    /// Whether an attribute says yes.
    pub(super) fn is_true(&self, name: &str) -> bool {
        matches!(self.get(name), Some("true" | "1"))
    }
}

/// Reads a schema document; its root is `xs:schema`.
pub(super) fn parse(file: &str, text: &str) -> Result<Rc<Node>> {
    let mut lexer = Lexer::new(text.trim_start_matches('\u{feff}'));
    let mut lines = Lines { at: 0, line: 1 };
    let mut open: Vec<Node> = Vec::new();
    let fail = |line: u64, problem: String| Error::Xsd {
        file: file.to_owned(),
        line,
        problem,
    };
    loop {
        let event = lexer.next_event().map_err(|error| {
            let line = lines.clone().line(lexer.text(), error.offset);
            fail(line, error.reason.to_string())
        })?;
        match event {
            Event::Start(start) => {
                let line = lines.line(lexer.text(), start.start);
                if open.len() == MAXIMUM_DEPTH {
                    let problem = format!("elements nest deeper than {MAXIMUM_DEPTH}");
                    return Err(fail(line, problem));
                }
                let outer = open.last().map(|node| Rc::clone(&node.prefixes));
                let node = element(&lexer, start.name, outer.unwrap_or_default(), line);
                open.push(node);
            }
            Event::End(_) => {
                let node = open.pop().expect("the lexer matches tags");
                match open.last_mut() {
                    Some(parent) => parent.children.push(Rc::new(node)),
                    None if node.name == "schema" => return Ok(Rc::new(node)),
                    None => return Err(fail(node.line, "the root is no `xs:schema`".to_owned())),
                }
            }
            Event::Eof => return Err(fail(1, "has no root element".to_owned())),
            Event::Text(_) | Event::CData(_) => {}
        }
    }
}

fn element(lexer: &Lexer<'_>, name: &str, outer: Prefixes, line: u64) -> Node {
    let mut prefixes = outer;
    let mut attributes = Vec::new();
    for attribute in lexer.attributes() {
        let value = attribute.unescape(lexer.entities()).into_owned();
        let declared = match attribute.name.strip_prefix("xmlns") {
            Some("") => Some(""),
            Some(rest) => rest.strip_prefix(':'),
            None => None,
        };
        match declared {
            Some(prefix) => {
                Rc::make_mut(&mut prefixes).insert(prefix.to_owned(), value);
            }
            None => attributes.push((attribute.name.to_owned(), value)),
        }
    }
    let (prefix, local) = name.split_once(':').unwrap_or(("", name));
    let is_schema = prefixes.get(prefix).is_some_and(|it| it == XSD);
    Node {
        name: if is_schema {
            local.to_owned()
        } else {
            String::new()
        },
        attributes,
        children: Vec::new(),
        prefixes,
        line,
    }
}

/// Counts lines up to ascending offsets.
#[derive(Clone)]
struct Lines {
    at: usize,
    line: u64,
}

impl Lines {
    fn line(&mut self, text: &str, offset: usize) -> u64 {
        let end = offset.min(text.len()).max(self.at);
        let passed = &text.as_bytes()[self.at..end];
        self.line += memchr::memchr_iter(b'\n', passed).count() as u64;
        self.at = end;
        self.line
    }
}
