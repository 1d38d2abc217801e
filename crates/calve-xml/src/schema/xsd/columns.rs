//! From a schema to columns.

use std::collections::HashMap;

use arrow::datatypes::{DataType, Field, Fields, Schema};

use super::ColumnOptions;
use super::model::{ComplexType, Content, Element, Kind, Model, Particle, SimpleType, Term, Type};
use crate::schema::types::{Typed, timestamp};
use crate::{Error, Result};

/// The most columns of one schema, all levels together. Types that contain one another in many ways
/// make more than anyone has data for.
const MAXIMUM_COLUMNS: usize = 100_000;

/// A column for each element of the top level.
pub(super) fn roots(model: &Model, options: &ColumnOptions) -> Result<Schema> {
    let mut walk = Walk::new(model, options);
    let fields: Vec<Field> = model.roots[..model.own_roots]
        .iter()
        .map(|it| Field::new(&it.name, walk.data_type(&it.data_type), it.nillable))
        .collect();
    walk.finish(Schema::new(fields))
}

/// The columns of one element.
pub(super) fn row(model: &Model, element: &Element, options: &ColumnOptions) -> Result<Schema> {
    let mut walk = Walk::new(model, options);
    let schema = match walk.data_type(&element.data_type) {
        DataType::Struct(fields) => Schema::new(fields),
        other => Schema::new(vec![Field::new(&options.value_tag, other, true)]),
    };
    walk.finish(schema)
}

/// A child that is becoming a column.
struct Child {
    name: String,
    data_type: DataType,
    min: u32,
    max: Option<u32>,
    nillable: bool,
}

struct Walk<'a> {
    model: &'a Model,
    options: &'a ColumnOptions,
    /// The complex types that are being walked through.
    open: Vec<usize>,
    /// How many columns were made.
    columns: usize,
}

impl<'a> Walk<'a> {
    fn new(model: &'a Model, options: &'a ColumnOptions) -> Self {
        Self {
            model,
            options,
            open: Vec::new(),
            columns: 0,
        }
    }

    fn finish(self, schema: Schema) -> Result<Schema> {
        if self.columns > MAXIMUM_COLUMNS {
            return Err(Error::TooManyColumns {
                limit: MAXIMUM_COLUMNS,
            });
        }
        Ok(schema)
    }

    fn data_type(&mut self, data_type: &Type) -> DataType {
        match data_type {
            Type::Any => DataType::Utf8,
            Type::Simple(simple) => self.simple(simple),
            Type::Complex(place) if self.open.contains(place) => DataType::Utf8,
            // There will be an error; until then, no work is done that nobody sees.
            Type::Complex(_) if self.columns > MAXIMUM_COLUMNS => DataType::Utf8,
            Type::Complex(place) => {
                self.open.push(*place);
                let data_type = self.complex(&self.model.complex[*place]);
                self.open.pop();
                data_type
            }
        }
    }

    fn complex(&mut self, complex: &ComplexType) -> DataType {
        let mut fields: Vec<Field> = Vec::new();
        let value_tag = &self.options.value_tag;
        match &complex.content {
            Content::Simple(simple) => {
                fields.push(Field::new(value_tag, self.simple(simple), true));
            }
            Content::Empty if complex.mixed => {
                fields.push(Field::new(value_tag, DataType::Utf8, true));
            }
            Content::Empty => {}
            Content::Children(particle) => {
                if complex.mixed {
                    fields.push(Field::new(value_tag, DataType::Utf8, true));
                }
                let mut children = Vec::new();
                self.children(particle, (1, Some(1)), &mut children);
                fields.extend(children.into_iter().map(Child::into_field));
            }
        }
        if !self.options.exclude_attributes {
            for attribute in &complex.attributes {
                let name = format!("{}{}", self.options.attribute_prefix, attribute.name);
                let data_type = self.simple(&attribute.data_type);
                if fields.iter().all(|it| *it.name() != name) {
                    fields.push(Field::new(name, data_type, !attribute.required));
                }
            }
        }
        self.columns += fields.len();
        match fields.as_slice() {
            // Parquet has no structs without fields; what there may be is kept as text.
            [] => DataType::Utf8,
            // Text and nothing beside it.
            [only] if only.name() == value_tag => only.data_type().clone(),
            _ => DataType::Struct(Fields::from(fields)),
        }
    }

    /// Gathers the elements of a particle, and how often each may stand.
    fn children(
        &mut self,
        particle: &Particle,
        (min, max): (u32, Option<u32>),
        children: &mut Vec<Child>,
    ) {
        let min = min.saturating_mul(particle.min);
        let max = max.zip(particle.max).map(|(a, b)| a.saturating_mul(b));
        // Without bound, unless it never stands.
        let never = particle.max == Some(0) || max == Some(0);
        if never {
            return;
        }
        let (name, data_type, nillable) = match &particle.term {
            Term::Element(element) => {
                let data_type = self.data_type(&element.data_type);
                (element.name.clone(), data_type, element.nillable)
            }
            Term::Any => (self.options.wildcard_column.clone(), DataType::Utf8, false),
            Term::Sequence(parts) | Term::All(parts) => {
                for part in parts {
                    self.children(part, (min, max), children);
                }
                return;
            }
            Term::Choice(parts) => {
                for part in parts {
                    self.children(part, (0, max), children);
                }
                return;
            }
        };
        let child = Child {
            name,
            data_type,
            min,
            max,
            nillable,
        };
        match children.iter_mut().find(|it| it.name == child.name) {
            Some(known) => known.merge(&child),
            None => children.push(child),
        }
    }

    fn simple(&self, simple: &SimpleType) -> DataType {
        match &simple.kind {
            Kind::Builtin(name) => self.builtin(name, simple),
            Kind::List(_) => DataType::Utf8,
            Kind::Union(members) => {
                let mut types = members.iter().map(|it| self.simple(it));
                let first = types.next().unwrap_or(DataType::Utf8);
                if types.all(|it| it == first) {
                    first
                } else {
                    DataType::Utf8
                }
            }
        }
    }

    fn builtin(&self, name: &str, simple: &SimpleType) -> DataType {
        match name {
            "boolean" => DataType::Boolean,
            "decimal" => self.decimal(simple),
            "integer" | "negativeInteger" | "nonNegativeInteger" | "nonPositiveInteger"
            | "positiveInteger" | "unsignedLong" => DataType::Decimal128(38, 0),
            "double" => DataType::Float64,
            "float" => DataType::Float32,
            "byte" => DataType::Int8,
            "short" | "unsignedByte" => DataType::Int16,
            "int" | "unsignedShort" => DataType::Int32,
            "long" | "unsignedInt" => DataType::Int64,
            "date" => DataType::Date32,
            "dateTime" | "dateTimeStamp" => timestamp(),
            // Times may carry zones, durations and parts of dates have no type: they stay text.
            _ => DataType::Utf8,
        }
    }

    fn decimal(&self, simple: &SimpleType) -> DataType {
        // Restrictions only ever tighten: the last one counts.
        let facets = simple.restrictions.iter().rev();
        let total = facets
            .clone()
            .find_map(|it| it.total_digits)
            .unwrap_or(38)
            .clamp(1, 38);
        let fraction = facets
            .clone()
            .find_map(|it| it.fraction_digits)
            .unwrap_or(18)
            .min(total);
        let total = if self.options.extend_decimal_precision {
            (total + fraction).min(38)
        } else {
            total
        };
        let fits = "at most 38";
        DataType::Decimal128(
            u8::try_from(total).expect(fits),
            i8::try_from(fraction).expect(fits),
        )
    }
}

impl Child {
    /// The same element in another place: one column for both.
    fn merge(&mut self, other: &Self) {
        self.min = self.min.saturating_add(other.min);
        self.max = self.max.zip(other.max).map(|(a, b)| a.saturating_add(b));
        self.nillable |= other.nillable;
        if self.data_type != other.data_type {
            self.data_type = DataType::Utf8;
        }
    }

    fn into_field(self) -> Field {
        let nullable = self.min == 0 || self.nillable;
        let data_type = if self.max.is_none_or(|max| max > 1) {
            Typed {
                data_type: self.data_type,
                metadata: HashMap::new(),
            }
            .into_list(true)
        } else {
            self.data_type
        };
        Field::new(self.name, data_type, nullable)
    }
}
