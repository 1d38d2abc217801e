//! What a schema says, with all names resolved.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::facets::Facets;

/// The type of an element.
#[derive(Debug, Clone)]
pub(super) enum Type {
    /// Anything: `xs:anyType`.
    Any,
    /// Text.
    Simple(Arc<SimpleType>),
    /// A complex type, by its place in [`Model::complex`]; types may contain themselves.
    Complex(usize),
}

impl PartialEq for Type {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, Self::Any) => true,
            (Self::Simple(a), Self::Simple(b)) => Arc::ptr_eq(a, b) || a.same_builtin(b),
            (Self::Complex(a), Self::Complex(b)) => a == b,
            _ => false,
        }
    }
}

/// A type of text.
#[derive(Debug)]
pub(super) struct SimpleType {
    pub(super) kind: Kind,
    /// The facets of each restriction, the innermost first.
    pub(super) restrictions: Vec<Facets>,
}

impl SimpleType {
    fn same_builtin(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Builtin(a), Kind::Builtin(b)) => {
                a == b && self.restrictions.is_empty() && other.restrictions.is_empty()
            }
            _ => false,
        }
    }
}

/// What a type of text is made of.
#[derive(Debug)]
pub(super) enum Kind {
    /// One of XML Schema's own types, by its local name.
    Builtin(&'static str),
    /// Items between white space.
    List(Arc<SimpleType>),
    /// Any of these.
    Union(Vec<Arc<SimpleType>>),
}

/// A type with attributes or children.
#[derive(Debug, Default)]
pub(super) struct ComplexType {
    pub(super) content: Content,
    pub(super) attributes: Vec<Attribute>,
    /// Whether any other attribute may stand.
    pub(super) any_attribute: bool,
    /// Whether text may stand between the children.
    pub(super) mixed: bool,
    /// The elements of the content, by name.
    pub(super) elements: BTreeMap<String, Element>,
    /// Whether the content has a wildcard.
    pub(super) any_element: bool,
}

/// What stands between the tags.
#[derive(Debug, Default, Clone)]
pub(super) enum Content {
    /// Nothing.
    #[default]
    Empty,
    /// Text.
    Simple(Arc<SimpleType>),
    /// Children.
    Children(Particle),
}

/// Something that may stand several times.
#[derive(Debug, Clone)]
pub(super) struct Particle {
    pub(super) min: u32,
    /// None where there is no bound.
    pub(super) max: Option<u32>,
    pub(super) term: Term,
}

/// What a particle repeats.
#[derive(Debug, Clone)]
pub(super) enum Term {
    /// An element.
    Element(Element),
    /// Any element.
    Any,
    /// One after the other.
    Sequence(Vec<Particle>),
    /// One of them.
    Choice(Vec<Particle>),
    /// Each of them, in any order.
    All(Vec<Particle>),
}

/// An element where it may stand. Names are local: a row that is cut out of its document does not carry
/// the declarations of its namespaces.
#[derive(Debug, Clone)]
pub(super) struct Element {
    pub(super) name: String,
    pub(super) data_type: Type,
    pub(super) nillable: bool,
    pub(super) fixed: Option<String>,
    /// Whether an empty element stands for a value that the schema gives.
    pub(super) has_default: bool,
}

/// An attribute.
#[derive(Debug, Clone)]
pub(super) struct Attribute {
    /// The local name, or `xml:` and the local name.
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) data_type: Arc<SimpleType>,
    pub(super) fixed: Option<String>,
}

/// A whole schema.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) complex: Vec<ComplexType>,
    /// The elements of the top level, in the order of the first document, then those of imports.
    pub(super) roots: Vec<Element>,
    /// How many of the roots are the first document's own.
    pub(super) own_roots: usize,
    /// Types by local name, for `xsi:type`.
    pub(super) types: BTreeMap<String, Type>,
    /// What rows cannot be validated against, though columns can be made of it.
    pub(super) unsupported: Vec<String>,
}
