//! Which types can be read as which, and which type holds two.

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

/// A type that grows with the files. `loose`: so far nothing says which of two types it is
/// (INT96: with or without a zone; byte arrays without an annotation: binary or text).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Growing {
    pub(crate) primitive: PrimitiveType,
    pub(crate) loose: bool,
}

impl Growing {
    /// The type of a leaf of a file.
    pub(crate) fn of_file(primitive: &PrimitiveType, physical: Physical) -> Self {
        Self {
            primitive: primitive.clone(),
            loose: matches!(physical, Physical::Int96 | Physical::Unannotated),
        }
    }

    /// The narrowest type that holds both, if there is one.
    pub(crate) fn unite(&self, file: &Self, version: FormatVersion) -> Option<Self> {
        use PrimitiveType as P;
        let (left, right) = (&self.primitive, &file.primitive);
        let firm = |primitive: &P| {
            Some(Self {
                primitive: primitive.clone(),
                loose: false,
            })
        };
        match (self.loose, file.loose) {
            (true, true) if is_text_or_bytes(left) && is_text_or_bytes(right) => Some(Self {
                primitive: if *left == P::String {
                    P::String
                } else {
                    right.clone()
                },
                loose: true,
            }),
            (true, true) if is_zoned_or_not(left) && is_zoned_or_not(right) => Some(file.clone()),
            (true, false) if may_become(left, right) => firm(right),
            (false, true) if may_become(right, left) => firm(left),
            _ if left == right => firm(left),
            _ if promotes(left, right, version) => firm(right),
            _ if promotes(right, left, version) => firm(left),
            _ if same_bytes(left, right) => firm(&P::Uuid),
            _ => None,
        }
    }
}

/// Whether a loose type may turn out to be another.
fn may_become(loose: &PrimitiveType, firm: &PrimitiveType) -> bool {
    (is_text_or_bytes(loose) && is_text_or_bytes(firm))
        || (is_zoned_or_not(loose) && is_zoned_or_not(firm))
}

fn is_text_or_bytes(primitive: &PrimitiveType) -> bool {
    matches!(primitive, PrimitiveType::String | PrimitiveType::Binary)
}

fn is_zoned_or_not(primitive: &PrimitiveType) -> bool {
    matches!(
        primitive,
        PrimitiveType::Timestamp | PrimitiveType::Timestamptz
    )
}

/// Writes a type as [`crate::FileType`] is written.
pub(crate) fn type_text(table: &Type) -> String {
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
