//! The columns of an ORC file: their types in the file, as the decoder hands them over, and as a table has them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, Field, FieldRef, Fields, TimeUnit};
use orc_rust::proto::Type;
use orc_rust::proto::r#type::Kind;

use super::timestamps::SCALE;
use super::{OrcTimestamps, Problem};

/// How deep columns may be nested.
const MOST_DEPTH: usize = 64;
/// The columns of the files of a transactional table of Hive.
const ACID: [&str; 6] = [
    "operation",
    "originalTransaction",
    "bucket",
    "rowId",
    "currentTransaction",
    "row",
];

/// A column, or a part of one.
#[derive(Debug, Clone)]
pub(super) struct Column {
    /// Its place in the file's list of types, which streams and statistics go by.
    pub(super) index: usize,
    pub(super) shape: Shape,
}

/// What a column holds.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// Values that are taken as they are decoded.
    Plain { kind: Kind, of: DataType },
    /// Decimal numbers.
    Decimal { precision: u8, scale: i8 },
    /// Days.
    Date,
    /// Points in time: what a clock showed, or instants.
    Timestamp { is_instant: bool },
    /// Fields, with their names.
    Struct(Vec<(String, Column)>),
    /// A list of values.
    List(Box<Column>),
    /// Keys and values.
    Map(Box<[Column; 2]>),
}

/// The columns of a file, from the types in its footer.
///
/// # Errors
/// When the list of types is damaged, a column has a type that no table holds, or the file is one of a transactional
/// table.
pub(super) fn columns(types: &[Type]) -> Result<Vec<(String, Column)>, Problem> {
    let root = types.first().ok_or(DAMAGED)?;
    if kind(root) != Some(Kind::Struct) {
        return Err(Problem::Unread("of rows that are no structs"));
    }
    if root.field_names.iter().map(String::as_str).eq(ACID) {
        return Err(Problem::Transactional);
    }
    let mut walk = Walk { types, next: 1 };
    let columns = walk.fields(root, "", MOST_DEPTH)?;
    if walk.next == types.len() {
        Ok(columns)
    } else {
        Err(DAMAGED)
    }
}

const DAMAGED: Problem = Problem::Damaged("its list of types makes no sense");

/// The kind of a type; `None` when it is not known. What the generated getter does instead would make it a boolean.
fn kind(of: &Type) -> Option<Kind> {
    Kind::try_from(of.kind?).ok()
}

struct Walk<'a> {
    types: &'a [Type],
    /// Types are listed in pre-order: the index of the one that is due.
    next: usize,
}

impl Walk<'_> {
    fn fields(
        &mut self,
        of: &Type,
        path: &str,
        depth: usize,
    ) -> Result<Vec<(String, Column)>, Problem> {
        if of.field_names.len() != of.subtypes.len() {
            return Err(DAMAGED);
        }
        let mut names = HashSet::new();
        let fields = of.field_names.iter().zip(&of.subtypes);
        let fields = fields.map(|(name, index)| {
            let path = joined(path, name);
            if !names.insert(name) {
                return Err(refused(&path, "its name is there twice".to_owned()));
            }
            Ok((name.clone(), self.column(*index, &path, depth)?))
        });
        fields.collect()
    }

    fn column(&mut self, index: u32, path: &str, depth: usize) -> Result<Column, Problem> {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let of = self.types.get(index).ok_or(DAMAGED)?;
        if index != self.next {
            return Err(DAMAGED);
        }
        self.next += 1;
        let Some(depth) = depth.checked_sub(1) else {
            let problem = format!("it is nested deeper than {MOST_DEPTH} levels");
            return Err(refused(path, problem));
        };
        let Some(kind) = kind(of) else {
            let problem = "it is of a type that is not known".to_owned();
            return Err(refused(path, problem));
        };
        let shape = match (kind, of.subtypes.as_slice()) {
            (Kind::Struct, []) => {
                return Err(refused(path, "it is a struct without fields".to_owned()));
            }
            (Kind::Struct, _) => Shape::Struct(self.fields(of, path, depth)?),
            (Kind::List, [element]) => {
                let path = joined(path, "element");
                Shape::List(Box::new(self.column(*element, &path, depth)?))
            }
            (Kind::Map, [key, value]) => Shape::Map(Box::new([
                self.column(*key, &joined(path, "key"), depth)?,
                self.column(*value, &joined(path, "value"), depth)?,
            ])),
            (Kind::Union, _) => {
                let problem = "it is a union, and tables have no unions".to_owned();
                return Err(refused(path, problem));
            }
            (_, []) => leaf(kind, of, path)?,
            _ => return Err(DAMAGED),
        };
        Ok(Column { index, shape })
    }
}

fn leaf(kind: Kind, of: &Type, path: &str) -> Result<Shape, Problem> {
    let plain = |of| Shape::Plain { kind, of };
    Ok(match kind {
        Kind::Boolean => plain(DataType::Boolean),
        Kind::Byte => plain(DataType::Int8),
        Kind::Short => plain(DataType::Int16),
        Kind::Int => plain(DataType::Int32),
        Kind::Long => plain(DataType::Int64),
        Kind::Float => plain(DataType::Float32),
        Kind::Double => plain(DataType::Float64),
        Kind::String | Kind::Varchar | Kind::Char => plain(DataType::Utf8),
        Kind::Binary => plain(DataType::Binary),
        Kind::Date => Shape::Date,
        Kind::Timestamp | Kind::TimestampInstant => Shape::Timestamp {
            is_instant: kind == Kind::TimestampInstant,
        },
        Kind::Decimal => {
            let (precision, scale) = (of.precision(), of.scale());
            let most = u32::from(DECIMAL128_MAX_PRECISION);
            match (u8::try_from(precision), i8::try_from(scale)) {
                (Ok(precision), Ok(scale))
                    if (1..=most).contains(&of.precision()) && of.scale() <= of.precision() =>
                {
                    Shape::Decimal { precision, scale }
                }
                _ => {
                    let problem = format!("no table holds decimal({precision}, {scale})");
                    return Err(refused(path, problem));
                }
            }
        }
        Kind::List | Kind::Map | Kind::Struct | Kind::Union => return Err(DAMAGED),
    })
}

fn joined(path: &str, name: &str) -> String {
    match path {
        "" => name.to_owned(),
        _ => format!("{path}.{name}"),
    }
}

fn refused(column: &str, problem: String) -> Problem {
    Problem::Column {
        column: column.to_owned(),
        problem,
    }
}

impl Column {
    /// As the decoder hands it over: timestamps as decimal numbers of seconds, which hold all that files hold.
    pub(super) fn decoded_type(&self) -> DataType {
        let seconds = DataType::Decimal128(DECIMAL128_MAX_PRECISION, SCALE.cast_signed());
        self.data_type(&|_| seconds.clone())
    }

    /// As the table has it.
    pub(super) fn table_type(&self, timestamps: OrcTimestamps) -> DataType {
        let unit = match timestamps {
            OrcTimestamps::Microseconds(_) => TimeUnit::Microsecond,
            OrcTimestamps::Nanoseconds => TimeUnit::Nanosecond,
        };
        let zone = |is_instant: bool| is_instant.then(|| Arc::from("UTC"));
        self.data_type(&|is_instant| DataType::Timestamp(unit, zone(is_instant)))
    }

    fn data_type(&self, timestamp: &dyn Fn(bool) -> DataType) -> DataType {
        match &self.shape {
            Shape::Plain { of, .. } => of.clone(),
            Shape::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            Shape::Date => DataType::Date32,
            Shape::Timestamp { is_instant } => timestamp(*is_instant),
            Shape::Struct(fields) => {
                let fields = fields
                    .iter()
                    .map(|(name, column)| Field::new(name, column.data_type(timestamp), true));
                DataType::Struct(fields.collect())
            }
            Shape::List(element) => DataType::new_list(element.data_type(timestamp), true),
            Shape::Map(entries) => {
                let [key, value] = entries.as_ref();
                let key = Field::new("keys", key.data_type(timestamp), false);
                let value = Field::new("values", value.data_type(timestamp), true);
                let entries = DataType::Struct(Fields::from(vec![key, value]));
                DataType::Map(Arc::new(Field::new("entries", entries, false)), false)
            }
        }
    }

    /// Its parts.
    pub(super) fn parts(&self) -> Vec<&Self> {
        match &self.shape {
            Shape::Struct(fields) => fields.iter().map(|(_, column)| column).collect(),
            Shape::List(element) => vec![element],
            Shape::Map(entries) => entries.iter().collect(),
            Shape::Plain { .. } | Shape::Decimal { .. } | Shape::Date | Shape::Timestamp { .. } => {
                Vec::new()
            }
        }
    }

    /// Calls something for it and all its parts.
    pub(super) fn each<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        for part in self.parts() {
            part.each(visit);
        }
    }
}

/// Columns as the fields of a schema.
pub(super) fn fields(
    columns: &[(String, Column)],
    of: impl Fn(&Column) -> DataType,
) -> Vec<FieldRef> {
    let fields = columns
        .iter()
        .map(|(name, column)| Arc::new(Field::new(name, of(column), true)));
    fields.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind, subtypes: &[u32], names: &[&str]) -> Type {
        Type {
            kind: Some(kind.into()),
            subtypes: subtypes.to_vec(),
            field_names: names.iter().map(|name| (*name).to_owned()).collect(),
            ..Type::default()
        }
    }

    #[track_caller]
    fn check(types: &[Type], expected: &str) {
        let found = match columns(types) {
            Ok(columns) => columns
                .iter()
                .map(|(name, column)| format!("{name}: {}", column.decoded_type()))
                .collect::<Vec<_>>()
                .join(", "),
            Err(problem) => problem.to_string(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn types() {
        let decimal = |precision, scale| Type {
            precision: Some(precision),
            scale: Some(scale),
            ..of(Kind::Decimal, &[], &[])
        };
        let root = |names: &[&str]| {
            let indices: Vec<u32> = (1..).take(names.len()).collect();
            of(Kind::Struct, &indices, names)
        };
        let one = |column: Type| vec![root(&["c"]), column];
        check(&one(of(Kind::Varchar, &[], &[])), "c: Utf8");
        check(&one(of(Kind::Date, &[], &[])), "c: Date32");
        check(&one(of(Kind::Timestamp, &[], &[])), "c: Decimal128(38, 9)");
        check(&one(decimal(10, 2)), "c: Decimal128(10, 2)");
        check(
            &one(decimal(0, 0)),
            "column `c`: no table holds decimal(0, 0)",
        );
        check(
            &one(decimal(39, 2)),
            "column `c`: no table holds decimal(39, 2)",
        );
        check(
            &[
                root(&["c"]),
                of(Kind::List, &[2], &[]),
                of(Kind::Union, &[3], &[]),
                of(Kind::Int, &[], &[]),
            ],
            "column `c.element`: it is a union, and tables have no unions",
        );
        check(
            &[
                root(&["a", "a"]),
                of(Kind::Int, &[], &[]),
                of(Kind::Int, &[], &[]),
            ],
            "column `a`: its name is there twice",
        );
        let unknown = Type {
            kind: Some(19),
            ..Type::default()
        };
        check(
            &one(unknown),
            "column `c`: it is of a type that is not known",
        );
        check(
            &one(of(Kind::Struct, &[], &[])),
            "column `c`: it is a struct without fields",
        );
        check(
            &[of(Kind::Long, &[], &[])],
            "it is of rows that are no structs, which is not read",
        );
    }

    #[test]
    fn damaged_lists_of_types() {
        let damaged = DAMAGED.to_string();
        check(&[], &damaged);
        check(&[of(Kind::Struct, &[1], &["a"])], &damaged);
        check(&[of(Kind::Struct, &[0], &["a"])], &damaged);
        check(&[of(Kind::Struct, &[], &["a"])], &damaged);
        // A list that holds itself.
        let list = of(Kind::List, &[1], &[]);
        check(&[of(Kind::Struct, &[1], &["a"]), list], &damaged);
        let spare = of(Kind::Int, &[], &[]);
        check(&[of(Kind::Struct, &[], &[]), spare], &damaged);
    }

    #[test]
    fn nested_too_deep() {
        let mut types = vec![of(Kind::Struct, &[1], &["a"])];
        for next in 2..100 {
            types.push(of(Kind::List, &[next], &[]));
        }
        types.push(of(Kind::Int, &[], &[]));
        let problem = columns(&types).unwrap_err().to_string();
        assert!(problem.ends_with("deeper than 64 levels"), "{problem}");
    }

    #[test]
    fn transactional_tables() {
        let mut types = vec![of(Kind::Struct, &[1, 2, 3, 4, 5, 6], &ACID)];
        types.extend((0..5).map(|_| of(Kind::Long, &[], &[])));
        types.push(of(Kind::Struct, &[], &[]));
        let problem = columns(&types).unwrap_err();
        assert!(matches!(problem, Problem::Transactional), "{problem}");
    }
}
