//! Which types can be read as which, and which type holds two.

use std::cmp::Ordering;
use std::fmt::Write;

use iceberg::spec::{FormatVersion, PrimitiveType, Type};

use crate::schema::Physical;

/// Whether values that a file stores as one type can be read as another: the promotions of the Iceberg
/// specification, and the encodings that do not say which type they are.
pub(crate) fn reads_as(
    file: &PrimitiveType,
    physical: Physical,
    table: &PrimitiveType,
    version: FormatVersion,
) -> bool {
    use PrimitiveType as P;
    if is_unreadable(file, physical) {
        return false;
    }
    match physical {
        Physical::Nanos => return file == table,
        Physical::Int96 => return matches!(table, P::Timestamp | P::Timestamptz),
        Physical::Unannotated => return matches!(table, P::String | P::Binary),
        _ => {}
    }
    file == table || promotes(file, table, version) || same_bytes(file, table)
}

/// Whether no type of a table can hold what a file stores.
pub(crate) fn is_unreadable(file: &PrimitiveType, physical: Physical) -> bool {
    match physical {
        Physical::Unreadable | Physical::Unsigned(64) => true,
        Physical::Nanos => !matches!(
            file,
            PrimitiveType::TimestampNs | PrimitiveType::TimestamptzNs
        ),
        _ => false,
    }
}

/// The promotions that the specification allows.
pub(crate) fn promotes(from: &PrimitiveType, to: &PrimitiveType, version: FormatVersion) -> bool {
    use PrimitiveType as P;
    match (from, to) {
        (P::Int, P::Long) | (P::Float, P::Double) => true,
        (
            P::Decimal {
                precision: narrow,
                scale: left,
            },
            P::Decimal {
                precision: wide,
                scale: right,
            },
        ) => left == right && narrow < wide,
        (P::Date, P::Timestamp | P::TimestampNs) => version >= FormatVersion::V3,
        _ => false,
    }
}

fn same_bytes(left: &PrimitiveType, right: &PrimitiveType) -> bool {
    matches!(
        (left, right),
        (PrimitiveType::Uuid, PrimitiveType::Fixed(16))
            | (PrimitiveType::Fixed(16), PrimitiveType::Uuid)
    )
}

/// How sure it is which of two types a column has: a timestamp with or without a zone, binary or text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Certainty {
    /// A catalog says that it may be either.
    Open,
    /// Files store it without saying which (INT96, byte arrays without an annotation).
    Loose,
    /// A file or a table says which.
    Firm,
}

/// A type that grows with the files.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Growing {
    pub(crate) primitive: PrimitiveType,
    pub(crate) certainty: Certainty,
}

impl Growing {
    pub(crate) fn firm(primitive: PrimitiveType) -> Self {
        Self {
            primitive,
            certainty: Certainty::Firm,
        }
    }

    /// The type of a leaf of a file.
    pub(crate) fn of_file(primitive: &PrimitiveType, physical: Physical) -> Self {
        let loose = matches!(physical, Physical::Int96 | Physical::Unannotated);
        Self {
            primitive: primitive.clone(),
            certainty: if loose {
                Certainty::Loose
            } else {
                Certainty::Firm
            },
        }
    }

    /// The narrowest type that holds both, if there is one.
    pub(crate) fn unite(&self, file: &Self, version: FormatVersion) -> Option<Self> {
        let (left, right) = (&self.primitive, &file.primitive);
        if self.certainty.min(file.certainty) < Certainty::Firm && are_alike(left, right) {
            let primitive = match self.certainty.cmp(&file.certainty) {
                Ordering::Less => right,
                Ordering::Greater => left,
                // Both leave it open: the order of the files must not matter.
                Ordering::Equal if is_wider(right) => right,
                Ordering::Equal => left,
            };
            return Some(Self {
                primitive: primitive.clone(),
                certainty: self.certainty.max(file.certainty),
            });
        }
        let held = if left == right || promotes(right, left, version) {
            left.clone()
        } else if promotes(left, right, version) {
            right.clone()
        } else if same_bytes(left, right) {
            PrimitiveType::Uuid
        } else {
            return None;
        };
        Some(Self::firm(held))
    }
}

/// Whether two types are the two that a column may turn out to have.
fn are_alike(left: &PrimitiveType, right: &PrimitiveType) -> bool {
    use PrimitiveType as P;
    let text = |primitive: &P| matches!(primitive, P::String | P::Binary);
    let timestamp = |primitive: &P| matches!(primitive, P::Timestamp | P::Timestamptz);
    (text(left) && text(right)) || (timestamp(left) && timestamp(right))
}

/// Of two types that are alike, whether it is the one that says more.
fn is_wider(primitive: &PrimitiveType) -> bool {
    matches!(
        primitive,
        PrimitiveType::String | PrimitiveType::Timestamptz
    )
}

/// Writes a type for people: `struct<at:timestamptz,tags:array<string>>`.
pub fn type_text(table: &Type) -> String {
    match table {
        Type::Primitive(primitive) => primitive.to_string(),
        Type::Struct(inner) => {
            let mut text = String::from("struct<");
            for (index, field) in inner.fields().iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(
                    text,
                    "{comma}{}:{}",
                    field.name,
                    type_text(&field.field_type)
                );
            }
            text.push('>');
            text
        }
        Type::List(list) => format!("array<{}>", type_text(&list.element_field.field_type)),
        Type::Map(map) => format!(
            "map<{},{}>",
            type_text(&map.key_field.field_type),
            type_text(&map.value_field.field_type)
        ),
    }
}
