//! Rows against a schema.

mod content;

use std::borrow::Cow;
use std::sync::Arc;

use super::compile::find;
use super::model::{Attribute, ComplexType, Content, Element, Model, SimpleType, Type};
use super::values;
use crate::lexer::{Event, Lexer, StartTag, names};
use crate::row_reader::{RowError, RowErrorReason};
use crate::{Error, Result};

/// Validates rows against an element of a schema.
///
/// Elements and attributes are compared by their local names: a row that is cut out of its document
/// does not carry the declarations of its namespaces.
#[derive(Debug, Clone)]
pub struct RowValidator {
    model: Arc<Model>,
    element: Element,
}

impl RowValidator {
    pub(super) fn new(model: Arc<Model>, row_tag: &str) -> Result<Self> {
        let element = find(&model, row_tag)?.clone();
        if model.unsupported.is_empty() {
            Ok(Self { model, element })
        } else {
            Err(Error::NotValidatable {
                constructs: model.unsupported.clone(),
            })
        }
    }

    /// Validates the row whose start tag was just taken from the lexer, through its end tag. To read the
    /// row as well, give a clone of the lexer.
    ///
    /// # Errors
    /// When the row is malformed, or not as the schema says; the first such place is named.
    pub fn validate_row<'a>(
        &self,
        lexer: &mut Lexer<'a>,
        start: StartTag<'a>,
    ) -> Result<(), RowError> {
        let mut rows = Validation {
            model: &self.model,
            open: Vec::with_capacity(8),
        };
        rows.start(lexer, &start, &self.element)?;
        while let Some(top) = rows.open.last_mut() {
            match lexer.next_event()? {
                Event::Start(start) => {
                    let name = local(start.name);
                    top.children.push(name);
                    match top.child(name) {
                        Child::Known(element) => rows.start(lexer, &start, element)?,
                        Child::Anything => {
                            lexer.skip_element()?;
                        }
                        Child::Unknown => {
                            let problem = format!("`{name}` may not stand here");
                            return Err(rows.error(start.start, problem));
                        }
                    }
                }
                Event::End(_) => {
                    rows.end(lexer.event_start())?;
                }
                Event::Text(text) => {
                    let text = lexer.unescape(text);
                    top.add_text(text);
                }
                Event::CData(text) => top.add_text(crate::text::normalize_line_ends(text)),
                Event::Eof => {
                    return Err(rows.error(lexer.offset(), "the row does not end".to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Validates a row that stands alone.
    ///
    /// # Errors
    /// When it is malformed, or not as the schema says.
    pub fn validate(&self, row: &str) -> Result<(), RowError> {
        let mut lexer = Lexer::new(row);
        loop {
            if let Event::Start(start) = lexer.next_event()? {
                return self.validate_row(&mut lexer, start);
            }
        }
    }
}

fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

/// What the schema says of a child.
enum Child<'m> {
    Known(&'m Element),
    Anything,
    Unknown,
}

/// An element that is open.
struct Open<'m, 'a> {
    name: &'m str,
    data_type: Typed<'m>,
    fixed: Option<&'m str>,
    has_default: bool,
    is_nil: bool,
    children: Vec<&'a str>,
    text: Cow<'a, str>,
}

/// The type of an open element.
#[derive(Clone, Copy)]
enum Typed<'m> {
    Any,
    Simple(&'m SimpleType),
    Complex(&'m ComplexType),
}

impl<'m, 'a> Open<'m, 'a> {
    fn child(&self, name: &str) -> Child<'m> {
        let found = match self.data_type {
            Typed::Any => return Child::Anything,
            Typed::Simple(_) => None,
            Typed::Complex(complex) => match complex.elements.get(name) {
                None if complex.any_element => return Child::Anything,
                found => found,
            },
        };
        found.map_or(Child::Unknown, Child::Known)
    }

    fn add_text(&mut self, text: Cow<'a, str>) {
        if self.text.is_empty() {
            self.text = text;
        } else {
            self.text.to_mut().push_str(&text);
        }
    }
}

struct Validation<'m, 'a> {
    model: &'m Model,
    open: Vec<Open<'m, 'a>>,
}

impl<'m, 'a> Validation<'m, 'a> {
    /// An error in the innermost open element.
    fn error(&self, offset: usize, problem: String) -> RowError {
        let path: Vec<&str> = self.open.iter().map(|it| it.name).collect();
        RowError {
            offset,
            reason: RowErrorReason::Invalid {
                path: path.join("/"),
                problem,
            },
        }
    }

    fn typed(&self, data_type: &'m Type) -> Typed<'m> {
        match data_type {
            Type::Any => Typed::Any,
            Type::Simple(simple) => Typed::Simple(simple),
            Type::Complex(place) => Typed::Complex(&self.model.complex[*place]),
        }
    }

    fn start(
        &mut self,
        lexer: &Lexer<'a>,
        start: &StartTag<'a>,
        element: &'m Element,
    ) -> Result<(), RowError> {
        let mut data_type = self.typed(&element.data_type);
        let mut is_nil = false;
        for attribute in lexer.attributes() {
            match attribute.name.split_once(':') {
                Some((_, "nil")) => {
                    is_nil = element.nillable && matches!(attribute.value.trim(), "true" | "1");
                }
                Some((_, "type")) => {
                    let named = self.model.types.get(local(attribute.value.trim()));
                    data_type = named.map_or(data_type, |it| self.typed(it));
                }
                _ => {}
            }
        }
        self.open.push(Open {
            name: &element.name,
            data_type,
            fixed: element.fixed.as_deref(),
            has_default: element.has_default,
            is_nil,
            children: Vec::new(),
            text: Cow::Borrowed(""),
        });
        self.attributes(lexer, start.start)
    }

    /// Checks the attributes of the element that was just opened.
    fn attributes(&self, lexer: &Lexer<'_>, offset: usize) -> Result<(), RowError> {
        let (allowed, any) = match self.open.last().map(|it| it.data_type) {
            Some(Typed::Complex(complex)) => (complex.attributes.as_slice(), complex.any_attribute),
            Some(Typed::Simple(_)) => (<&[Attribute]>::default(), false),
            _ => return Ok(()),
        };
        let declares =
            |name: &str| name == "xmlns" || name.starts_with("xmlns:") || is_instance(name);
        let same = |known: &Attribute, name: &str| {
            known.name == name || (!name.starts_with("xml:") && known.name == local(name))
        };
        for attribute in lexer.attributes().iter().filter(|it| !declares(it.name)) {
            let Some(known) = allowed.iter().find(|it| same(it, attribute.name)) else {
                if any {
                    continue;
                }
                let problem = format!("the attribute `{}` may not stand here", attribute.name);
                return Err(self.error(offset, problem));
            };
            let value = attribute.unescape(lexer.entities());
            let check = values::check(&known.data_type, &value)
                .and_then(|()| check_fixed(known.fixed.as_deref(), &known.data_type, &value));
            check.map_err(|problem| {
                self.error(offset, format!("attribute `{}`: {problem}", attribute.name))
            })?;
        }
        for known in allowed.iter().filter(|it| it.required) {
            if !lexer.attributes().iter().any(|it| same(known, it.name)) {
                let problem = format!("the attribute `{}` is missing", known.name);
                return Err(self.error(offset, problem));
            }
        }
        Ok(())
    }

    /// Checks the element that ends.
    fn end(&mut self, offset: usize) -> Result<(), RowError> {
        let problem = self.open.last().and_then(|top| check_content(top).err());
        if let Some(problem) = problem {
            return Err(self.error(offset, problem));
        }
        self.open.pop();
        Ok(())
    }
}

/// Whether an attribute speaks about the document and not of its data: `xsi:type` and its like.
fn is_instance(name: &str) -> bool {
    let known = ["type", "nil", "schemaLocation", "noNamespaceSchemaLocation"];
    name.split_once(':')
        .is_some_and(|(prefix, local)| prefix != "xml" && known.contains(&local))
}

/// Checks a value that is known to be of the type.
fn check_fixed(fixed: Option<&str>, data_type: &SimpleType, text: &str) -> Result<(), String> {
    match fixed {
        Some(fixed) if !values::same(data_type, fixed, text) => {
            Err(format!("`{}` is not `{fixed}`", values::shortened(text)))
        }
        _ => Ok(()),
    }
}

fn check_content(element: &Open<'_, '_>) -> Result<(), String> {
    let has_text = !names::is_white_space(&element.text);
    if element.is_nil {
        let is_empty = element.children.is_empty() && !has_text;
        return if is_empty {
            Ok(())
        } else {
            Err("is nil, but not empty".to_owned())
        };
    }
    if element.has_default && element.text.is_empty() && element.children.is_empty() {
        return Ok(());
    }
    match element.data_type {
        Typed::Any => Ok(()),
        Typed::Simple(simple) => {
            values::check(simple, &element.text)?;
            check_fixed(element.fixed, simple, &element.text)
        }
        Typed::Complex(complex) => {
            if let Content::Simple(simple) = &complex.content {
                values::check(simple, &element.text)?;
                return check_fixed(element.fixed, simple, &element.text);
            }
            if has_text && !complex.mixed {
                let text = values::shortened(element.text.trim());
                return Err(format!("the text `{text}` may not stand here"));
            }
            match &complex.content {
                Content::Children(particle) => content::check(particle, &element.children),
                _ => Ok(()),
            }
        }
    }
}
