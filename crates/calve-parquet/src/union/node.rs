//! The tree that a union grows.

use std::collections::HashSet;
use std::sync::Arc;

use iceberg::spec::{
    ListType, MapType, NestedField, NestedFieldRef, PrimitiveType, StructType, Type,
};

use crate::hive_type::{HiveField, HiveType};
use crate::name_mapping::{MappedField, children};
use crate::schema::{FileField, FileType};
use crate::types::{Certainty, Growing};

/// A field of the union.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// `None` until the first file is in.
    pub(super) id: Option<i32>,
    pub(super) name: String,
    /// Every name it goes by in files, its own first.
    pub(super) spellings: Vec<String>,
    pub(super) required: bool,
    pub(super) doc: Option<String>,
    /// Whether its values come from the paths of the files, and its type with them.
    pub(super) from_path: bool,
    /// Whether a file has had it, for those from paths.
    pub(super) in_files: bool,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Primitive(Growing),
    Struct(Vec<Node>),
    List(Box<Node>),
    Map(Box<Node>, Box<Node>),
}

impl Node {
    pub(super) fn new(name: &str, required: bool, kind: Kind) -> Self {
        Self {
            id: None,
            name: name.to_owned(),
            spellings: vec![name.to_owned()],
            required,
            doc: None,
            from_path: false,
            in_files: false,
            kind,
        }
    }

    /// The field of an existing table, with the names that a mapping gives it.
    pub(super) fn of_table(field: &NestedFieldRef, names: &[MappedField]) -> Self {
        let mapped = names
            .iter()
            .find(|mapped| mapped.field_id == Some(field.id));
        let inner_names = mapped.map_or(&[][..], |mapped| mapped.fields.as_slice());
        let inner = children(&field.field_type);
        let mut nodes = inner.iter().map(|inner| Self::of_table(inner, inner_names));
        let mut boxed = || {
            let missing = || Self::new("", false, Kind::Struct(Vec::new()));
            Box::new(nodes.next().unwrap_or_else(missing))
        };
        let kind = match field.field_type.as_ref() {
            Type::Primitive(primitive) => Kind::Primitive(Growing::firm(primitive.clone())),
            Type::List(_) => Kind::List(boxed()),
            Type::Map(_) => Kind::Map(boxed(), boxed()),
            Type::Struct(_) => Kind::Struct(nodes.collect()),
        };
        Self {
            id: Some(field.id),
            name: field.name.clone(),
            spellings: mapped
                .map_or_else(|| vec![field.name.clone()], |mapped| mapped.names.clone()),
            required: field.required && field.initial_default.is_none(),
            doc: field.doc.clone(),
            from_path: false,
            in_files: false,
            kind,
        }
    }

    fn of_hive(field: &HiveField) -> Self {
        let mut node = Self::new(&field.name, false, Kind::of_hive(&field.hive_type));
        node.doc.clone_from(&field.comment);
        node
    }

    /// A field that a file brings, its structs still empty. `late`: files before this one lack it.
    pub(super) fn of_file(field: &FileField, late: bool) -> Self {
        let inner = |field: &FileField| Box::new(Self::of_file(field, false));
        let kind = match &field.kind {
            FileType::Primitive {
                iceberg, physical, ..
            } => Kind::Primitive(Growing::of_file(iceberg, *physical)),
            FileType::Struct(_) => Kind::Struct(Vec::new()),
            FileType::List(element) => Kind::List(inner(element)),
            FileType::Map(key, value) => {
                let mut key = inner(key);
                key.required = true;
                Kind::Map(key, inner(value))
            }
        };
        Self::new(&field.name, field.required && !late, kind)
    }

    pub(super) fn to_field(&self) -> NestedFieldRef {
        let mut field = NestedField::new(
            self.id.unwrap_or_default(),
            &self.name,
            self.kind.to_type(),
            self.required,
        );
        field.doc.clone_from(&self.doc);
        Arc::new(field)
    }

    pub(super) fn to_mapped(&self) -> MappedField {
        MappedField {
            field_id: self.id,
            names: self.spellings.clone(),
            fields: self
                .kind
                .children()
                .into_iter()
                .map(Self::to_mapped)
                .collect(),
        }
    }
}

impl Kind {
    /// The type of a catalog's column. What the catalog leaves open, the files decide.
    pub(super) fn of_hive(hive_type: &HiveType) -> Self {
        let inner = |name: &str, required, hive_type: &HiveType| {
            Box::new(Node::new(name, required, Self::of_hive(hive_type)))
        };
        match hive_type {
            HiveType::List(element) => Self::List(inner("element", false, element)),
            HiveType::Map(key, value) => {
                Self::Map(inner("key", true, key), inner("value", false, value))
            }
            HiveType::Struct(fields) => Self::Struct(fields.iter().map(Node::of_hive).collect()),
            HiveType::Timestamp | HiveType::Binary => Self::Primitive(Growing {
                primitive: hive_type.as_primitive().unwrap_or(PrimitiveType::Binary),
                certainty: Certainty::Open,
            }),
            HiveType::Primitive(primitive) => Self::Primitive(Growing::firm(primitive.clone())),
            HiveType::PaddedText(_) => Self::Primitive(Growing::firm(PrimitiveType::String)),
        }
    }

    pub(super) fn to_type(&self) -> Type {
        match self {
            Self::Primitive(growing) => Type::Primitive(growing.primitive.clone()),
            Self::Struct(nodes) => {
                Type::Struct(StructType::new(nodes.iter().map(Node::to_field).collect()))
            }
            Self::List(element) => Type::List(ListType::new(element.to_field())),
            Self::Map(key, value) => Type::Map(MapType::new(key.to_field(), value.to_field())),
        }
    }

    pub(super) fn children(&self) -> Vec<&Node> {
        match self {
            Self::Primitive(_) => Vec::new(),
            Self::Struct(nodes) => nodes.iter().collect(),
            Self::List(element) => vec![element],
            Self::Map(key, value) => vec![key, value],
        }
    }

    fn children_mut(&mut self) -> Vec<&mut Node> {
        match self {
            Self::Primitive(_) => Vec::new(),
            Self::Struct(nodes) => nodes.iter_mut().collect(),
            Self::List(element) => vec![element],
            Self::Map(key, value) => vec![key, value],
        }
    }
}

/// Gives ids to the nodes that have none, in the order in which Iceberg itself numbers a new schema:
/// a level of fields first, then what is inside each. Returns the next free id.
pub(super) fn assign_ids(mut level: Vec<&mut Node>, next: i32) -> i32 {
    let mut next = next;
    for node in &mut level {
        if node.id.is_none() {
            node.id = Some(next);
            next += 1;
        }
    }
    for node in level {
        next = match &mut node.kind {
            // A map's key is numbered with all that is inside it before its value.
            Kind::Map(key, value) => {
                let next = assign_ids(vec![key], next);
                assign_ids(vec![value], next)
            }
            kind => assign_ids(kind.children_mut(), next),
        };
    }
    next
}

/// All ids of a tree.
pub(super) fn ids<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> HashSet<i32> {
    let mut found = HashSet::new();
    let mut open: Vec<&Node> = nodes.into_iter().collect();
    while let Some(node) = open.pop() {
        found.extend(node.id);
        open.extend(node.kind.children());
    }
    found
}
