use std::sync::{Arc, LazyLock};

use crate::entities::Entities;

use super::Lexer;

/// Which part of a document a place is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Part {
    /// Before the root element.
    #[default]
    Prolog,
    /// In the root element.
    Content,
    /// After the root element.
    Epilog,
}

/// An element that is open at some place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenElement {
    /// Its name as written, with its prefix.
    pub name: String,
    /// Those of its raw attributes that matter to what is in it: `xmlns`, `xmlns:…` and `xml:…`.
    pub attributes: String,
}

/// What a place in a document, between two events, inherits from the text before it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Context {
    /// The open elements, outermost first.
    pub open: Vec<OpenElement>,
    /// Which part of the document it is.
    pub part: Part,
    /// Whether anything stands before it: an XML declaration is at the very start of a document, or misplaced.
    pub is_begun: bool,
    /// The entities that the document declares; none is as good as an empty set.
    pub(crate) entities: Option<Arc<Entities>>,
}

/// What the start of every document inherits.
static START: LazyLock<Context> = LazyLock::new(Context::default);

/// The entities of documents that declare none.
static NO_ENTITIES: LazyLock<Arc<Entities>> = LazyLock::new(Arc::default);

impl Context {
    /// The start of a document.
    pub fn start() -> &'static Self {
        &START
    }

    /// The entities of the document.
    pub(super) fn entities(&self) -> Arc<Entities> {
        Arc::clone(self.entities.as_ref().unwrap_or(&NO_ENTITIES))
    }
}

impl Lexer<'_> {
    /// What the place where the lexer is inherits.
    pub fn context(&self) -> Context {
        let open = self.open_elements().map(|(name, attributes)| OpenElement {
            name: name.to_owned(),
            attributes: inherited(attributes),
        });
        Context {
            open: open.collect(),
            part: self.part,
            is_begun: self.document_start != Some(self.at),
            entities: (!self.entities.is_empty()).then(|| Arc::clone(&self.entities)),
        }
    }
}

/// Those raw attributes that matter to what is in an element.
fn inherited(attributes: &str) -> String {
    let mut kept = String::new();
    for attribute in super::Attributes::new(attributes) {
        let name = attribute.name;
        if name == "xmlns" || name.starts_with("xmlns:") || name.starts_with("xml:") {
            let quote = if attribute.value.contains('"') {
                '\''
            } else {
                '"'
            };
            kept.push(' ');
            kept.push_str(name);
            kept.push('=');
            kept.push(quote);
            kept.push_str(attribute.value);
            kept.push(quote);
        }
    }
    kept
}
