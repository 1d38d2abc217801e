//! Schema documents and those they include and import.

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use super::document::{Node, QName, XML, XSD, parse};
use super::{Loader, SchemaRequest};
use crate::{Error, Result};

/// What a definition needs to know of the document it stands in.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) file: String,
    /// The namespace of what the document defines; that of the includer where it names none.
    pub(super) namespace: String,
    /// Whether the namespace is the includer's: names without prefix are then in it.
    is_chameleon: bool,
}

/// A definition on the top level of a document.
#[derive(Debug, Clone)]
pub(super) struct Definition {
    pub(super) node: Rc<Node>,
    pub(super) source: Rc<Source>,
}

impl Definition {
    /// A node below this one, in the same document.
    pub(super) fn at(&self, node: &Rc<Node>) -> Self {
        Self {
            node: Rc::clone(node),
            source: Rc::clone(&self.source),
        }
    }

    /// An error at this node.
    pub(super) fn error(&self, problem: impl Into<String>) -> Error {
        Error::Xsd {
            file: self.source.file.clone(),
            line: self.node.line,
            problem: problem.into(),
        }
    }

    /// The name that a value such as `xs:string` stands for.
    pub(super) fn qname(&self, text: &str) -> Result<QName> {
        let (prefix, local) = text.trim().split_once(':').unwrap_or(("", text.trim()));
        let namespace = match self.node.prefixes.get(prefix) {
            Some(namespace) => namespace.clone(),
            None if prefix == "xml" => XML.to_owned(),
            None if !prefix.is_empty() => {
                return Err(self.error(format!("the prefix `{prefix}` is not declared")));
            }
            None if self.source.is_chameleon => self.source.namespace.clone(),
            None => String::new(),
        };
        Ok(QName {
            namespace,
            local: local.to_owned(),
        })
    }
}

/// All that the documents define, by kind and name.
#[derive(Debug, Default)]
pub(super) struct Definitions {
    pub(super) elements: BTreeMap<QName, Definition>,
    pub(super) attributes: BTreeMap<QName, Definition>,
    pub(super) types: BTreeMap<QName, Definition>,
    pub(super) groups: BTreeMap<QName, Definition>,
    pub(super) attribute_groups: BTreeMap<QName, Definition>,
    /// The elements that can stand for another one, by that one.
    pub(super) substitutes: BTreeMap<QName, Vec<QName>>,
    /// The top-level elements of the first document and what it includes, in their order.
    pub(super) roots: Vec<QName>,
    /// Namespaces that are imported but whose documents were not to be had.
    pub(super) absent: HashSet<String>,
}

/// Reads the first document and all that it needs.
pub(super) fn load(file: &str, text: &str, loader: &mut Loader<'_>) -> Result<Definitions> {
    let mut loading = Loading {
        definitions: Definitions::default(),
        seen: HashSet::new(),
        loader,
    };
    loading.document((file.to_owned(), text), None, true)?;
    Ok(loading.definitions)
}

struct Loading<'a, 'l> {
    definitions: Definitions,
    seen: HashSet<(String, String)>,
    loader: &'a mut Loader<'l>,
}

impl Loading<'_, '_> {
    /// Reads one document. `includer` is the namespace of the one that includes it.
    fn document(
        &mut self,
        (file, text): (String, &str),
        includer: Option<&str>,
        has_roots: bool,
    ) -> Result<()> {
        let root = parse(&file, text)?;
        let own = root.get("targetNamespace").map(str::to_owned);
        let is_chameleon = own.is_none() && includer.is_some_and(|it| !it.is_empty());
        let namespace = own.or(includer.map(str::to_owned)).unwrap_or_default();
        // The same document may be included by two namespaces, and includes may go in circles.
        if !self.seen.insert((file.clone(), namespace.clone())) {
            return Ok(());
        }
        let schema = Definition {
            node: Rc::clone(&root),
            source: Rc::new(Source {
                file,
                namespace,
                is_chameleon,
            }),
        };
        for node in root.parts() {
            self.part(&schema.at(node), has_roots)?;
        }
        Ok(())
    }

    fn part(&mut self, part: &Definition, has_roots: bool) -> Result<()> {
        match part.node.name.as_str() {
            "include" => self.include(part, has_roots),
            "import" => self.import(part),
            "redefine" | "override" => Err(part.error(format!(
                "`xs:{}` is not supported: write the definitions as they are to be",
                part.node.name
            ))),
            "element" => {
                let name = top_level_name(part)?;
                if let Some(head) = part.node.get("substitutionGroup") {
                    let head = part.qname(head)?;
                    let substitutes = self.definitions.substitutes.entry(head).or_default();
                    substitutes.push(name.clone());
                }
                if has_roots && !self.definitions.roots.contains(&name) {
                    self.definitions.roots.push(name.clone());
                }
                self.definitions.elements.insert(name, part.clone());
                Ok(())
            }
            "attribute" => {
                let name = top_level_name(part)?;
                self.definitions.attributes.insert(name, part.clone());
                Ok(())
            }
            "simpleType" | "complexType" => {
                let name = top_level_name(part)?;
                self.definitions.types.insert(name, part.clone());
                Ok(())
            }
            "group" => {
                let name = top_level_name(part)?;
                self.definitions.groups.insert(name, part.clone());
                Ok(())
            }
            "attributeGroup" => {
                let name = top_level_name(part)?;
                self.definitions.attribute_groups.insert(name, part.clone());
                Ok(())
            }
            "notation" | "defaultOpenContent" => Ok(()),
            other => Err(part.error(format!("`xs:{other}` cannot stand here"))),
        }
    }

    fn include(&mut self, part: &Definition, has_roots: bool) -> Result<()> {
        let location = part
            .node
            .get("schemaLocation")
            .ok_or_else(|| part.error("`xs:include` lacks its `schemaLocation`"))?;
        match self.request(part, Some(location), None)? {
            Some((file, text)) => {
                let namespace = part.source.namespace.clone();
                self.document((file, &text), Some(&namespace), has_roots)
            }
            None => Err(part.error(format!("`{location}` is not there to include"))),
        }
    }

    fn import(&mut self, part: &Definition) -> Result<()> {
        let namespace = part.node.get("namespace").unwrap_or_default();
        if namespace == XML || namespace == XSD {
            return Ok(());
        }
        let location = part.node.get("schemaLocation");
        if let Some((file, text)) = self.request(part, location, Some(namespace))? {
            return self.document((file, &text), None, false);
        }
        self.definitions.absent.insert(namespace.to_owned());
        Ok(())
    }

    fn request(
        &mut self,
        part: &Definition,
        location: Option<&str>,
        namespace: Option<&str>,
    ) -> Result<Option<(String, String)>> {
        let request = SchemaRequest {
            location,
            namespace,
            base: &part.source.file,
        };
        (self.loader)(&request).map_err(|source| Error::XsdLoad {
            file: part.source.file.clone(),
            location: location.or(namespace).unwrap_or_default().to_owned(),
            source,
        })
    }
}

fn top_level_name(part: &Definition) -> Result<QName> {
    let local = part
        .node
        .get("name")
        .ok_or_else(|| part.error(format!("`xs:{}` lacks its name", part.node.name)))?;
    Ok(QName {
        namespace: part.source.namespace.clone(),
        local: local.to_owned(),
    })
}
