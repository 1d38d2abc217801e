use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;

use super::{AvroError, Result};

/// The type of a value in a file.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    pub(crate) kind: Kind,
    pub(crate) logical: Option<Logical>,
}

/// How a value is encoded.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed(usize),
    Enum,
    Array(Arc<Schema>),
    Map(Arc<Schema>),
    Union(Arc<[Schema]>),
    Record(Arc<Record>),
}

/// What a value means beyond its encoding, where that decides how it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logical {
    Decimal,
    Uuid,
}

/// A record's fields, in the order in which they are encoded.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) fields: Vec<Field>,
}

/// A field of a record.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// The Iceberg field id.
    pub(crate) id: Option<i32>,
    pub(crate) schema: Schema,
}

impl Schema {
    /// Reads a schema from its JSON.
    pub(crate) fn parse(json: &[u8]) -> Result<Self> {
        let value: Value =
            serde_json::from_slice(json).map_err(|source| AvroError::SchemaJson { source })?;
        Parser::default().schema(&value)
    }

    /// The record this is, or holds beside null.
    pub(crate) fn as_record(&self) -> Option<&Arc<Record>> {
        match &self.kind {
            Kind::Record(record) => Some(record),
            Kind::Union(branches) => branches.iter().find_map(Self::as_record),
            _ => None,
        }
    }
}

/// Reads schemas and remembers named types, which are defined once and then referred to.
#[derive(Default)]
struct Parser {
    named: HashMap<String, Schema>,
}

impl Parser {
    fn schema(&mut self, value: &Value) -> Result<Schema> {
        match value {
            Value::String(name) => self.by_name(name),
            Value::Array(branches) => {
                let branches: Result<Vec<Schema>> =
                    branches.iter().map(|branch| self.schema(branch)).collect();
                Ok(plain(Kind::Union(branches?.into())))
            }
            Value::Object(object) => {
                let name = &object.get("type").ok_or(AvroError::Schema {
                    problem: "a type without a name",
                })?;
                let Value::String(name) = name else {
                    return self.schema(name);
                };
                let mut schema = self.complex(name, value)?;
                schema.logical = match value["logicalType"].as_str() {
                    Some("decimal") => Some(Logical::Decimal),
                    Some("uuid") => Some(Logical::Uuid),
                    _ => None,
                };
                if let Some(name) = value["name"].as_str() {
                    self.named.insert(name.to_owned(), schema.clone());
                }
                Ok(schema)
            }
            _ => Err(AvroError::Schema {
                problem: "a type that is neither a name, a list nor an object",
            }),
        }
    }

    fn complex(&mut self, name: &str, value: &Value) -> Result<Schema> {
        Ok(plain(match name {
            "record" => Kind::Record(Arc::new(self.record(value)?)),
            "array" => Kind::Array(Arc::new(self.schema(&value["items"])?)),
            "map" => Kind::Map(Arc::new(self.schema(&value["values"])?)),
            "enum" => Kind::Enum,
            "fixed" => {
                let size = value["size"].as_u64();
                let size = size.and_then(|size| usize::try_from(size).ok());
                Kind::Fixed(size.ok_or(AvroError::Schema {
                    problem: "a fixed type without a size",
                })?)
            }
            name => return self.by_name(name),
        }))
    }

    fn record(&mut self, value: &Value) -> Result<Record> {
        let fields = value["fields"].as_array().ok_or(AvroError::Schema {
            problem: "a record without fields",
        })?;
        let fields: Result<Vec<Field>> = fields
            .iter()
            .map(|field| {
                Ok(Field {
                    name: field["name"].as_str().unwrap_or_default().to_owned(),
                    id: field["field-id"]
                        .as_i64()
                        .and_then(|id| i32::try_from(id).ok()),
                    schema: self.schema(&field["type"])?,
                })
            })
            .collect();
        Ok(Record { fields: fields? })
    }

    fn by_name(&self, name: &str) -> Result<Schema> {
        Ok(plain(match name {
            "null" => Kind::Null,
            "boolean" => Kind::Boolean,
            "int" => Kind::Int,
            "long" => Kind::Long,
            "float" => Kind::Float,
            "double" => Kind::Double,
            "bytes" => Kind::Bytes,
            "string" => Kind::String,
            name => {
                // A record that holds itself is not complete yet when its name is met: an error too.
                return self.named.get(name).cloned().ok_or(AvroError::Schema {
                    problem: "a reference to a type that is not defined before it",
                });
            }
        }))
    }
}

fn plain(kind: Kind) -> Schema {
    Schema {
        kind,
        logical: None,
    }
}
