//! What inference has seen of a document: the tree of its columns with the kinds of their values.

use crate::names::NameTable;

use super::scalar::Scalar;

/// The most columns, of all levels together, that inference keeps apart.
pub(crate) const MOST_COLUMNS: usize = 20_000;

/// A tree of columns, its root the row. Nodes are numbered; children come after their parents.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    nodes: Vec<Node>,
    /// What the row that is being read has changed, for the case that it is malformed.
    undo: Vec<Undo>,
}

/// All elements of one path.
#[derive(Debug, Clone, Default)]
pub(crate) struct Node {
    /// The values of those elements that have neither attributes nor children.
    pub(crate) text: Scalar,
    /// Attributes, children and the value tag.
    pub(crate) fields: Vec<Field>,
    /// Whether any of them has attributes.
    pub(crate) has_attributes: bool,
    pub(crate) elements: NameTable,
    pub(crate) attributes: NameTable,
}

/// A column of a node.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// Its name before clashes are resolved.
    pub(crate) name: Box<str>,
    pub(crate) node: usize,
    /// Whether any parent has more than one.
    pub(crate) is_repeated: bool,
    pub(crate) origin: Origin,
    /// What it is called in the document, where it was seen first.
    raw: Box<str>,
    /// The parent that had one last.
    last_parent: u64,
}

/// What in a document the values of a column are: a set of attributes, elements, text of the parent, and
/// whether several names became the column's one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Origin(u8);

impl Origin {
    pub(crate) const ATTRIBUTE: Self = Self(1);
    pub(crate) const ELEMENT: Self = Self(1 << 1);
    pub(crate) const TEXT: Self = Self(1 << 2);
    pub(crate) const SEVERAL_NAMES: Self = Self(1 << 3);

    pub(crate) fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// What came together in the column, in words; none where it is one thing.
    pub(crate) fn told(self) -> Option<&'static str> {
        let parts = [Self::ATTRIBUTE, Self::ELEMENT, Self::TEXT].map(|it| self.has(it));
        match parts {
            [true, true, true] => Some("an attribute, elements and text"),
            [true, true, false] => Some("an attribute and elements"),
            [true, false, true] => Some("an attribute and text"),
            [false, true, true] => Some("elements and text"),
            _ if self.has(Self::SEVERAL_NAMES) => Some("names of several prefixes"),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Undo {
    Text(usize, Scalar),
    Field(usize),
    Repeated(usize, usize),
    Attributes(usize),
    Origin(usize, usize, Origin),
}

impl Field {
    fn add_origin(&mut self, origin: Origin, raw: &str) {
        if self.origin == Origin::default() {
            self.raw = raw.into();
        } else if *self.raw != *raw {
            self.origin = self.origin.union(Origin::SEVERAL_NAMES);
        }
        self.origin = self.origin.union(origin);
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            undo: Vec::new(),
        }
    }
}

impl Shape {
    /// The number of the row's node.
    pub(crate) const ROOT: usize = 0;

    pub(crate) fn node(&self, node: usize) -> &Node {
        &self.nodes[node]
    }

    pub(crate) fn node_mut(&mut self, node: usize) -> &mut Node {
        &mut self.nodes[node]
    }

    /// How many columns there are.
    pub(crate) fn columns(&self) -> usize {
        self.nodes.len() - 1
    }

    /// Keeps what has been seen so far.
    pub(crate) fn commit(&mut self) {
        self.undo.clear();
    }

    /// Forgets what has been seen since the last [`Shape::commit`].
    pub(crate) fn roll_back(&mut self) {
        let mut shrunk = Vec::new();
        while let Some(undo) = self.undo.pop() {
            match undo {
                Undo::Text(node, before) => self.nodes[node].text = before,
                Undo::Repeated(node, field) => self.nodes[node].fields[field].is_repeated = false,
                Undo::Attributes(node) => self.nodes[node].has_attributes = false,
                Undo::Origin(node, field, before) => {
                    let node = &mut self.nodes[node];
                    node.fields[field].origin = before;
                    // Whoever comes again under the name has to be told of again.
                    node.elements = NameTable::default();
                    node.attributes = NameTable::default();
                }
                Undo::Field(node) => {
                    self.nodes[node].fields.pop();
                    self.nodes.pop();
                    if shrunk.last() != Some(&node) {
                        shrunk.push(node);
                    }
                }
            }
        }
        for node in shrunk {
            // A parent that was new itself is gone.
            if let Some(parent) = self.nodes.get_mut(node) {
                let left = u32::try_from(parent.fields.len()).unwrap_or(u32::MAX);
                parent.elements.forget_from(left);
                parent.attributes.forget_from(left);
            }
        }
    }

    /// Notes a value of a node.
    #[inline]
    pub(crate) fn add_text(&mut self, node: usize, kind: Scalar) {
        let before = self.nodes[node].text;
        let after = before.union(kind);
        if after != before {
            self.undo.push(Undo::Text(node, before));
            self.nodes[node].text = after;
        }
    }

    /// Notes that elements of a node have attributes.
    #[inline]
    pub(crate) fn add_attributes(&mut self, node: usize) {
        if !self.nodes[node].has_attributes {
            self.undo.push(Undo::Attributes(node));
            self.nodes[node].has_attributes = true;
        }
    }

    /// Notes that `parent`, an element of `node`, has one more of a field. Gives the field's node.
    #[inline]
    pub(crate) fn touch(&mut self, node: usize, field: usize, parent: u64) -> usize {
        let entry = &mut self.nodes[node].fields[field];
        if entry.last_parent == parent && !entry.is_repeated {
            entry.is_repeated = true;
            self.undo.push(Undo::Repeated(node, field));
        }
        entry.last_parent = parent;
        entry.node
    }

    /// The number of a field by its name, made where there is none.
    pub(crate) fn field(&mut self, node: usize, name: &str) -> usize {
        let fields = &self.nodes[node].fields;
        if let Some(at) = fields.iter().position(|field| *field.name == *name) {
            return at;
        }
        let (at, child) = (fields.len(), self.nodes.len());
        self.nodes.push(Node::default());
        self.nodes[node].fields.push(Field {
            name: name.into(),
            node: child,
            is_repeated: false,
            origin: Origin::default(),
            raw: Box::default(),
            last_parent: 0,
        });
        self.undo.push(Undo::Field(node));
        at
    }

    /// Notes what a field is in the document, and what it is called there.
    pub(crate) fn add_origin(&mut self, node: usize, field: usize, origin: Origin, raw: &str) {
        let entry = &mut self.nodes[node].fields[field];
        let before = entry.origin;
        entry.add_origin(origin, raw);
        if entry.origin != before {
            self.undo.push(Undo::Origin(node, field, before));
        }
    }

    /// Adds all that another shape has seen.
    pub(crate) fn merge(&mut self, other: &Self) {
        let mut pairs = vec![(Self::ROOT, Self::ROOT)];
        while let Some((node, from)) = pairs.pop() {
            let from = &other.nodes[from];
            self.nodes[node].text = self.nodes[node].text.union(from.text);
            self.nodes[node].has_attributes |= from.has_attributes;
            // Large levels are indexed once rather than searched once a field.
            let known: std::collections::HashMap<Box<str>, usize> = if from.fields.len() > 16 {
                let fields = self.nodes[node].fields.iter().zip(0..);
                fields.map(|(field, at)| (field.name.clone(), at)).collect()
            } else {
                std::collections::HashMap::new()
            };
            for field in &from.fields {
                let at = match known.get(&field.name) {
                    Some(at) => *at,
                    None => self.field(node, &field.name),
                };
                let mine = &mut self.nodes[node].fields[at];
                mine.is_repeated |= field.is_repeated;
                mine.add_origin(field.origin, &field.raw);
                pairs.push((mine.node, field.node));
            }
        }
        self.commit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::classify::Kind;

    /// The paths of all fields, `*` after those that are repeated.
    fn paths(shape: &Shape) -> Vec<String> {
        fn visit(shape: &Shape, node: usize, prefix: &str, paths: &mut Vec<String>) {
            for field in &shape.node(node).fields {
                let star = if field.is_repeated { "*" } else { "" };
                let path = format!("{prefix}{}{star}", field.name);
                visit(shape, field.node, &format!("{path}/"), paths);
                paths.push(path);
            }
        }
        let mut paths = Vec::new();
        visit(shape, Shape::ROOT, "", &mut paths);
        paths.sort();
        paths
    }

    fn add(shape: &mut Shape, node: usize, name: &str, parent: u64) -> usize {
        let field = shape.field(node, name);
        shape.touch(node, field, parent)
    }

    #[test]
    fn a_row_that_is_rolled_back_leaves_nothing() {
        let mut shape = Shape::default();
        let a = add(&mut shape, Shape::ROOT, "a", 1);
        shape.add_text(a, Scalar::of(Kind::Long));
        shape.commit();
        let before = paths(&shape);
        let again = add(&mut shape, Shape::ROOT, "a", 2);
        add(&mut shape, Shape::ROOT, "a", 2);
        shape.add_text(again, Scalar::of(Kind::String));
        let b = add(&mut shape, again, "b", 3);
        add(&mut shape, b, "c", 4);
        shape.add_attributes(b);
        assert_eq!(paths(&shape), ["a*", "a*/b", "a*/b/c"]);
        shape.roll_back();
        assert_eq!(paths(&shape), before);
        assert_eq!(shape.node(a).text, Scalar::of(Kind::Long));
        assert_eq!(shape.columns(), 1);
    }

    #[test]
    fn merging_keeps_what_either_has_seen() {
        let mut one = Shape::default();
        let a = add(&mut one, Shape::ROOT, "a", 1);
        add(&mut one, a, "b", 2);
        let mut other = Shape::default();
        add(&mut other, Shape::ROOT, "c", 1);
        let a = add(&mut other, Shape::ROOT, "a", 1);
        add(&mut other, Shape::ROOT, "a", 1);
        add(&mut other, a, "d", 2);
        let mut forward = one.clone();
        forward.merge(&other);
        let mut backward = other.clone();
        backward.merge(&one);
        assert_eq!(paths(&forward), ["a*", "a*/b", "a*/d", "c"]);
        assert_eq!(paths(&forward), paths(&backward));
    }
}
