//! Types of text: restrictions, lists and unions.

use std::sync::Arc;

use super::Compiler;
use crate::Result;
use crate::schema::xsd::facets::Facets;
use crate::schema::xsd::load::Definition;
use crate::schema::xsd::model::{Kind, SimpleType, Type};

impl Compiler {
    /// The type of text that a name stands for; a complex type with such content stands for its text.
    pub(super) fn simple_named(&mut self, at: &Definition, name: &str) -> Result<Arc<SimpleType>> {
        let name = at.qname(name)?;
        match self.type_named(at, &name)? {
            Type::Simple(simple) => Ok(simple),
            Type::Any => Ok(builtin_type("string")),
            Type::Complex(_) => Err(at.error(format!("`{name}` is no type of text"))),
        }
    }

    pub(super) fn simple_type(&mut self, definition: &Definition) -> Result<Arc<SimpleType>> {
        self.deeper(definition)?;
        let simple = self.simple_derivation(definition);
        self.depth -= 1;
        simple
    }

    fn simple_derivation(&mut self, definition: &Definition) -> Result<Arc<SimpleType>> {
        let Some(node) = definition.node.parts().next() else {
            return Err(definition.error("`xs:simpleType` is empty"));
        };
        let derivation = definition.at(node);
        match derivation.node.name.as_str() {
            "restriction" => {
                let base = match (
                    derivation.node.get("base"),
                    derivation.node.child("simpleType"),
                ) {
                    (Some(base), _) => self.simple_named(&derivation, base)?,
                    (None, Some(node)) => self.simple_type(&derivation.at(node))?,
                    (None, None) => return Err(derivation.error("`xs:restriction` lacks its base")),
                };
                self.restricted(&base, &derivation)
            }
            "list" => {
                let item = match (
                    derivation.node.get("itemType"),
                    derivation.node.child("simpleType"),
                ) {
                    (Some(item), _) => self.simple_named(&derivation, item)?,
                    (None, Some(node)) => self.simple_type(&derivation.at(node))?,
                    (None, None) => return Err(derivation.error("`xs:list` lacks its item type")),
                };
                Ok(unrestricted(Kind::List(item)))
            }
            "union" => {
                let named = derivation.node.get("memberTypes").unwrap_or_default();
                let mut members = named
                    .split_whitespace()
                    .map(|name| self.simple_named(&derivation, name))
                    .collect::<Result<Vec<_>>>()?;
                for node in derivation.node.parts().filter(|it| it.name == "simpleType") {
                    members.push(self.simple_type(&derivation.at(node))?);
                }
                Ok(unrestricted(Kind::Union(members)))
            }
            other => Err(derivation.error(format!("`xs:{other}` cannot stand here"))),
        }
    }

    /// A type of text with the facets of one more restriction.
    pub(super) fn restricted(
        &mut self,
        base: &SimpleType,
        at: &Definition,
    ) -> Result<Arc<SimpleType>> {
        let (facets, unsupported) = Facets::read(at, &base.kind)?;
        for note in unsupported {
            self.unsupported(note);
        }
        let kind = match &base.kind {
            Kind::Builtin(name) => Kind::Builtin(name),
            Kind::List(item) => Kind::List(Arc::clone(item)),
            Kind::Union(members) => Kind::Union(members.clone()),
        };
        let mut restrictions = base.restrictions.clone();
        restrictions.push(facets);
        Ok(Arc::new(SimpleType { kind, restrictions }))
    }
}

fn unrestricted(kind: Kind) -> Arc<SimpleType> {
    Arc::new(SimpleType {
        kind,
        restrictions: Vec::new(),
    })
}

/// One of XML Schema's own types.
pub(super) fn builtin_type(name: &'static str) -> Arc<SimpleType> {
    unrestricted(Kind::Builtin(name))
}

/// XML Schema's own types of text.
pub(super) fn builtin(name: &str) -> Option<&'static str> {
    const NAMES: [&str; 46] = [
        "anySimpleType",
        "anyAtomicType",
        "anyURI",
        "base64Binary",
        "boolean",
        "byte",
        "date",
        "dateTime",
        "dateTimeStamp",
        "decimal",
        "double",
        "duration",
        "dayTimeDuration",
        "yearMonthDuration",
        "ENTITIES",
        "ENTITY",
        "float",
        "gDay",
        "gMonth",
        "gMonthDay",
        "gYear",
        "gYearMonth",
        "hexBinary",
        "ID",
        "IDREF",
        "IDREFS",
        "int",
        "integer",
        "language",
        "long",
        "Name",
        "NCName",
        "negativeInteger",
        "NMTOKEN",
        "NMTOKENS",
        "nonNegativeInteger",
        "nonPositiveInteger",
        "normalizedString",
        "NOTATION",
        "positiveInteger",
        "QName",
        "short",
        "string",
        "time",
        "token",
        "unsignedByte",
    ];
    const UNSIGNED: [&str; 3] = ["unsignedInt", "unsignedLong", "unsignedShort"];
    NAMES
        .iter()
        .chain(&UNSIGNED)
        .find(|it| **it == name)
        .copied()
}
