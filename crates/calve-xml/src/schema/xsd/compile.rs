//! From definitions to a model: names resolved, groups written out, types derived.

mod simple;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::document::{QName, XML, XSD};
use super::load::{Definition, Definitions};
use super::model::{Attribute, ComplexType, Content, Element, Model, Particle, Term, Type};
use crate::rows::steps;
use crate::{Error, Result};
use simple::{builtin, builtin_type};

/// How deep definitions may lead into one another, besides through elements with types of their own.
const MAXIMUM_DEPTH: usize = 128;

/// Resolves everything.
pub(super) fn compile(definitions: Definitions) -> Result<Model> {
    let mut compiler = Compiler {
        definitions,
        model: Model::default(),
        types: HashMap::new(),
        elements: HashMap::new(),
        pending: BTreeMap::new(),
        open: Vec::new(),
        depth: 0,
    };
    let roots = compiler.definitions.roots.clone();
    let others: Vec<QName> = compiler.definitions.elements.keys().cloned().collect();
    compiler.model.own_roots = roots.len();
    let others = others.into_iter().filter(|it| !roots.contains(it));
    for name in roots.iter().cloned().chain(others) {
        let definition = compiler.definitions.elements[&name].clone();
        let element = compiler.global_element(&name, &definition)?;
        compiler.model.roots.push(element);
    }
    let names: Vec<QName> = compiler.definitions.types.keys().cloned().collect();
    for name in names {
        let definition = compiler.definitions.types[&name].clone();
        let data_type = compiler.named_type(&name, &definition)?;
        compiler.model.types.insert(name.local, data_type);
    }
    while let Some(place) = compiler.pending.keys().next().copied() {
        compiler.ensure(place)?;
    }
    let Compiler { mut model, .. } = compiler;
    for complex in &mut model.complex {
        if let Content::Children(particle) = &complex.content {
            let mut elements = BTreeMap::new();
            complex.any_element = gather(particle, &mut elements);
            complex.elements = elements;
        }
    }
    Ok(model)
}

/// The elements of a particle, by name; gives whether there is a wildcard.
fn gather(particle: &Particle, elements: &mut BTreeMap<String, Element>) -> bool {
    match &particle.term {
        Term::Any => true,
        Term::Element(element) => {
            // XML Schema allows one type for a name in one content.
            elements.insert(element.name.clone(), element.clone());
            false
        }
        Term::Sequence(parts) | Term::Choice(parts) | Term::All(parts) => {
            let mut any = false;
            for part in parts {
                any |= gather(part, elements);
            }
            any
        }
    }
}

/// The element that a row tag names.
pub(super) fn find<'a>(model: &'a Model, row_tag: &str) -> Result<&'a Element> {
    // Elements are compared by their local names.
    fn local(name: &str) -> &str {
        name.rsplit([':', '}']).next().unwrap_or(name)
    }
    let mut names = steps(row_tag).map(local);
    let first = names.next().unwrap_or_default();
    let mut found: Vec<&Element> = model.roots.iter().filter(|it| it.name == first).collect();
    if found.is_empty() {
        let contents = model.complex.iter().flat_map(|it| it.elements.values());
        found = contents.filter(|it| local(&it.name) == first).collect();
    }
    for name in names {
        let children = found.iter().filter_map(|element| match &element.data_type {
            Type::Complex(place) => model.complex[*place].elements.get(name),
            _ => None,
        });
        found = children.collect();
    }
    let fail = |problem: &str| Error::RowTag {
        row_tag: row_tag.to_owned(),
        problem: problem.to_owned(),
    };
    match found.as_slice() {
        [] => Err(fail("the XML Schema has no such element")),
        [first, others @ ..] if others.iter().all(|it| it.data_type == first.data_type) => {
            Ok(first)
        }
        _ => Err(fail(
            "the XML Schema has elements of this name with different types: give the path to one",
        )),
    }
}

struct Compiler {
    definitions: Definitions,
    model: Model,
    /// Named types that are compiled, or being compiled.
    types: HashMap<QName, Type>,
    /// The types of top-level elements.
    elements: HashMap<QName, Type>,
    /// Complex types whose places are taken, but which are not compiled yet: types that contain each
    /// other never wait for each other.
    pending: BTreeMap<usize, Definition>,
    /// The complex types that are being compiled, each derived from the next.
    open: Vec<usize>,
    depth: usize,
}

impl Compiler {
    fn deeper(&mut self, at: &Definition) -> Result<()> {
        self.depth += 1;
        if self.depth > MAXIMUM_DEPTH {
            return Err(at.error("definitions lead into one another without end"));
        }
        Ok(())
    }

    fn global_element(&mut self, name: &QName, definition: &Definition) -> Result<Element> {
        let data_type = match self.elements.get(name).cloned() {
            Some(known) => known,
            None => self.element_type(definition)?,
        };
        self.elements.insert(name.clone(), data_type.clone());
        Ok(element(definition, &name.local, data_type))
    }

    /// The type of an element: named, within, that of its substitution group's head, or any.
    fn element_type(&mut self, definition: &Definition) -> Result<Type> {
        if let Some(name) = definition.node.get("type") {
            return self.type_named(definition, &definition.qname(name)?);
        }
        if let Some(node) = definition.node.child("complexType") {
            return Ok(Type::Complex(self.reserve(definition.at(node))));
        }
        if let Some(node) = definition.node.child("simpleType") {
            return Ok(Type::Simple(self.simple_type(&definition.at(node))?));
        }
        match definition.node.get("substitutionGroup") {
            None => Ok(Type::Any),
            Some(head) => {
                let head = definition.qname(head)?;
                let Some(head_definition) = self.definitions.elements.get(&head).cloned() else {
                    return self
                        .absent(definition, &head, "element")
                        .map(|()| Type::Any);
                };
                self.deeper(definition)?;
                let element = self.global_element(&head, &head_definition)?;
                self.depth -= 1;
                Ok(element.data_type)
            }
        }
    }

    fn reserve(&mut self, definition: Definition) -> usize {
        let place = self.model.complex.len();
        self.model.complex.push(ComplexType::default());
        self.pending.insert(place, definition);
        place
    }

    /// Compiles a complex type, unless it is done.
    fn ensure(&mut self, place: usize) -> Result<()> {
        if let Some(definition) = self.pending.remove(&place) {
            self.open.push(place);
            self.complex_type(place, &definition)?;
            self.open.pop();
        }
        Ok(())
    }

    /// Refuses a name that nothing defines, unless its namespace's document was not to be had.
    fn absent(&mut self, at: &Definition, name: &QName, kind: &str) -> Result<()> {
        if !self.definitions.absent.contains(&name.namespace) {
            return Err(at.error(format!("the {kind} `{name}` is not defined")));
        }
        let note = format!("the {kind} `{name}`, whose document was not read");
        self.unsupported(note);
        Ok(())
    }

    fn unsupported(&mut self, note: String) {
        if !self.model.unsupported.contains(&note) {
            self.model.unsupported.push(note);
        }
    }

    fn type_named(&mut self, at: &Definition, name: &QName) -> Result<Type> {
        if name.namespace == XSD {
            if name.local == "anyType" {
                return Ok(Type::Any);
            }
            let builtin = builtin(&name.local)
                .ok_or_else(|| at.error(format!("XML Schema has no type `{}`", name.local)))?;
            return Ok(Type::Simple(builtin_type(builtin)));
        }
        match self.definitions.types.get(name).cloned() {
            Some(definition) => self.named_type(name, &definition),
            None => self.absent(at, name, "type").map(|()| Type::Any),
        }
    }

    fn named_type(&mut self, name: &QName, definition: &Definition) -> Result<Type> {
        if let Some(known) = self.types.get(name) {
            return Ok(known.clone());
        }
        self.deeper(definition)?;
        let data_type = if definition.node.name == "complexType" {
            Type::Complex(self.reserve(definition.clone()))
        } else {
            Type::Simple(self.simple_type(definition)?)
        };
        self.types.insert(name.clone(), data_type.clone());
        self.depth -= 1;
        Ok(data_type)
    }

    fn complex_type(&mut self, place: usize, definition: &Definition) -> Result<()> {
        self.deeper(definition)?;
        let node = &definition.node;
        let mut complex = ComplexType {
            mixed: node.is_true("mixed"),
            ..ComplexType::default()
        };
        if let Some(simple) = node.child("simpleContent") {
            self.simple_content(&definition.at(simple), &mut complex)?;
        } else if let Some(content) = node.child("complexContent") {
            complex.mixed |= content.is_true("mixed");
            self.complex_content(&definition.at(content), &mut complex)?;
        } else {
            if let Some(particle) = self.content(definition)? {
                complex.content = Content::Children(particle);
            }
            self.attributes(definition, &mut complex)?;
        }
        self.model.complex[place] = complex;
        self.depth -= 1;
        Ok(())
    }

    /// The type that another derives from, compiled.
    fn base(&mut self, derivation: &Definition) -> Result<Type> {
        let base = derivation
            .node
            .get("base")
            .ok_or_else(|| derivation.error("the derivation lacks its base"))?;
        let name = derivation.qname(base)?;
        let base = self.type_named(derivation, &name)?;
        if let Type::Complex(place) = base {
            if self.open.contains(&place) {
                return Err(derivation.error(format!("`{name}` derives from itself")));
            }
            self.ensure(place)?;
        }
        Ok(base)
    }

    fn simple_content(&mut self, content: &Definition, complex: &mut ComplexType) -> Result<()> {
        let derivation = derivation(content)?;
        let mut simple = match self.base(&derivation)? {
            Type::Simple(simple) => simple,
            Type::Any => builtin_type("string"),
            Type::Complex(place) => {
                let base = &self.model.complex[place];
                complex.attributes.clone_from(&base.attributes);
                complex.any_attribute = base.any_attribute;
                match &base.content {
                    Content::Simple(simple) => Arc::clone(simple),
                    // Text restricted from mixed content.
                    _ => builtin_type("string"),
                }
            }
        };
        if derivation.node.name == "restriction" {
            if let Some(node) = derivation.node.child("simpleType") {
                simple = self.simple_type(&derivation.at(node))?;
            }
            simple = self.restricted(&simple, &derivation)?;
        }
        complex.content = Content::Simple(simple);
        self.attributes(&derivation, complex)
    }

    fn complex_content(&mut self, content: &Definition, complex: &mut ComplexType) -> Result<()> {
        let derivation = derivation(content)?;
        let own = self.content(&derivation)?;
        let mut inherited = Content::Empty;
        match self.base(&derivation)? {
            // A restriction of anything says all there is.
            Type::Any => {}
            Type::Simple(_) => {
                return Err(derivation.error("complex content derives from a type of text"));
            }
            Type::Complex(place) => {
                let base = &self.model.complex[place];
                inherited = base.content.clone();
                complex.attributes.clone_from(&base.attributes);
                complex.any_attribute = base.any_attribute;
                if derivation.node.name == "extension" {
                    complex.mixed |= base.mixed;
                }
            }
        }
        complex.content = match (derivation.node.name.as_str(), inherited, own) {
            ("extension", Content::Children(first), Some(second)) => {
                let parts = vec![first, second];
                Content::Children(once(Term::Sequence(parts)))
            }
            ("extension", inherited, None) => inherited,
            (_, _, Some(own)) => Content::Children(own),
            (_, _, None) => Content::Empty,
        };
        self.attributes(&derivation, complex)
    }

    /// The particle of a type or derivation; none when it has no children.
    fn content(&mut self, definition: &Definition) -> Result<Option<Particle>> {
        let is_particle = |name: &str| matches!(name, "sequence" | "choice" | "all" | "group");
        match definition.node.parts().find(|it| is_particle(&it.name)) {
            None => Ok(None),
            Some(node) => self.particle(&definition.at(node)).map(Some),
        }
    }

    fn particle(&mut self, definition: &Definition) -> Result<Particle> {
        self.deeper(definition)?;
        let (min, max) = occurrences(definition)?;
        let term = match definition.node.name.as_str() {
            "sequence" => Term::Sequence(self.parts(definition)?),
            "choice" => Term::Choice(self.parts(definition)?),
            "all" => Term::All(self.parts(definition)?),
            "any" => Term::Any,
            "element" => self.element(definition)?,
            "group" => {
                let name = definition
                    .node
                    .get("ref")
                    .ok_or_else(|| definition.error("`xs:group` lacks its `ref`"))?;
                let name = definition.qname(name)?;
                match self.definitions.groups.get(&name).cloned() {
                    None => self
                        .absent(definition, &name, "group")
                        .map(|()| Term::Any)?,
                    Some(group) => match self.content(&group)? {
                        None => Term::Sequence(Vec::new()),
                        Some(particle) => Term::Sequence(vec![particle]),
                    },
                }
            }
            other => return Err(definition.error(format!("`xs:{other}` cannot stand here"))),
        };
        self.depth -= 1;
        Ok(Particle { min, max, term })
    }

    fn parts(&mut self, definition: &Definition) -> Result<Vec<Particle>> {
        let nodes: Vec<_> = definition.node.parts().cloned().collect();
        nodes
            .iter()
            .map(|node| self.particle(&definition.at(node)))
            .collect()
    }

    fn element(&mut self, definition: &Definition) -> Result<Term> {
        let Some(name) = definition.node.get("ref") else {
            let name = definition
                .node
                .get("name")
                .ok_or_else(|| definition.error("`xs:element` lacks its name"))?;
            let data_type = self.element_type(definition)?;
            return Ok(Term::Element(element(definition, name, data_type)));
        };
        let name = definition.qname(name)?;
        let Some(global) = self.definitions.elements.get(&name).cloned() else {
            self.absent(definition, &name, "element")?;
            return Ok(Term::Element(element(definition, &name.local, Type::Any)));
        };
        let mut alternatives = Vec::new();
        if !global.node.is_true("abstract") {
            alternatives.push(self.global_element(&name, &global)?);
        }
        self.substitutes(&name, &mut alternatives)?;
        let mut parts = alternatives.into_iter().map(|it| once(Term::Element(it)));
        match (parts.next(), parts.len()) {
            (Some(single), 0) => Ok(single.term),
            (first, _) => Ok(Term::Choice(first.into_iter().chain(parts).collect())),
        }
    }

    /// The elements that may stand for one, and those that may stand for them.
    fn substitutes(&mut self, head: &QName, found: &mut Vec<Element>) -> Result<()> {
        for name in self
            .definitions
            .substitutes
            .get(head)
            .cloned()
            .unwrap_or_default()
        {
            let definition = self.definitions.elements[&name].clone();
            if found.iter().any(|it| it.name == name.local) {
                continue;
            }
            if !definition.node.is_true("abstract") {
                found.push(self.global_element(&name, &definition)?);
            }
            self.deeper(&definition)?;
            self.substitutes(&name, found)?;
            self.depth -= 1;
        }
        Ok(())
    }

    /// Adds the attributes of a type, derivation or group; they replace those of the base.
    fn attributes(&mut self, definition: &Definition, complex: &mut ComplexType) -> Result<()> {
        for node in definition.node.parts().cloned().collect::<Vec<_>>() {
            let part = definition.at(&node);
            match node.name.as_str() {
                "anyAttribute" => complex.any_attribute = true,
                "attributeGroup" => {
                    let name = node
                        .get("ref")
                        .ok_or_else(|| part.error("`xs:attributeGroup` lacks its `ref`"))?;
                    let name = part.qname(name)?;
                    match self.definitions.attribute_groups.get(&name).cloned() {
                        None => self.absent(&part, &name, "attribute group")?,
                        Some(group) => {
                            self.deeper(&part)?;
                            self.attributes(&group, complex)?;
                            self.depth -= 1;
                        }
                    }
                }
                "attribute" => self.attribute(&part, complex)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn attribute(&mut self, part: &Definition, complex: &mut ComplexType) -> Result<()> {
        let (name, global) = match (part.node.get("name"), part.node.get("ref")) {
            (Some(name), _) => (name.to_owned(), None),
            (None, Some(name)) => {
                let name = part.qname(name)?;
                let global = self.definitions.attributes.get(&name).cloned();
                if global.is_none() && name.namespace != XML {
                    self.absent(part, &name, "attribute")?;
                }
                let prefix = if name.namespace == XML { "xml:" } else { "" };
                (format!("{prefix}{}", name.local), global)
            }
            (None, None) => return Err(part.error("`xs:attribute` lacks its name")),
        };
        complex.attributes.retain(|it| it.name != name);
        let usage = part.node.get("use");
        if usage == Some("prohibited") {
            return Ok(());
        }
        let typed = global.as_ref().unwrap_or(part);
        let data_type = match (typed.node.get("type"), typed.node.child("simpleType")) {
            (Some(name), _) => self.simple_named(typed, name)?,
            (None, Some(node)) => self.simple_type(&typed.at(node))?,
            (None, None) => builtin_type("string"),
        };
        let fixed = part.node.get("fixed").or_else(|| typed.node.get("fixed"));
        complex.attributes.push(Attribute {
            name,
            required: usage == Some("required"),
            data_type,
            fixed: fixed.map(str::to_owned),
        });
        Ok(())
    }
}

fn element(definition: &Definition, name: &str, data_type: Type) -> Element {
    Element {
        name: name.to_owned(),
        data_type,
        nillable: definition.node.is_true("nillable"),
        fixed: definition.node.get("fixed").map(str::to_owned),
        has_default: ["default", "fixed"]
            .iter()
            .any(|it| definition.node.get(it).is_some()),
    }
}

fn once(term: Term) -> Particle {
    Particle {
        min: 1,
        max: Some(1),
        term,
    }
}

/// `xs:extension` or `xs:restriction`.
fn derivation(content: &Definition) -> Result<Definition> {
    let is_derivation = |name: &str| matches!(name, "extension" | "restriction");
    match content.node.parts().find(|it| is_derivation(&it.name)) {
        Some(node) => Ok(content.at(node)),
        None => Err(content.error("neither `xs:extension` nor `xs:restriction` stands here")),
    }
}

/// `minOccurs` and `maxOccurs`.
fn occurrences(definition: &Definition) -> Result<(u32, Option<u32>)> {
    let number = |key: &str| match definition.node.get(key) {
        None => Ok(1),
        Some(text) => text
            .trim()
            .parse::<u32>()
            .map_err(|_| definition.error(format!("`{key}` is no number"))),
    };
    let max = match definition.node.get("maxOccurs") {
        Some("unbounded") => None,
        _ => Some(number("maxOccurs")?),
    };
    Ok((number("minOccurs")?, max))
}
