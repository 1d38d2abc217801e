//! Which column of a file is which column of the table, at any depth, and how its values become the table's.

use std::sync::Arc;

use arrow::datatypes::{
    DataType, Field, FieldRef, Fields, Schema as ArrowSchema, SchemaRef, TimeUnit,
};
use calve_parquet::{MappedField, NameMapping};
use datafusion::scalar::ScalarValue;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::spec::{NestedField, NestedFieldRef, Schema, Type};

use super::remap::{Child, Conversion};
use super::scalar;
use crate::lake::{Cures, Int96Zone, Nanoseconds};
use crate::{Error, Result};

/// The key under which Arrow fields carry Iceberg's field ids.
const FIELD_ID: &str = "PARQUET:field_id";

/// A table's columns, as files are read by them.
#[derive(Debug, Clone)]
pub(crate) struct TableColumns {
    schema: Arc<Schema>,
    arrow: SchemaRef,
    mapping: Option<NameMapping>,
    /// How types are read that no table holds; not at all when `None`.
    cures: Option<Cures>,
    has_views: bool,
}

/// Where a column of the table comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Origin {
    /// The file lacks it; every row has this value.
    Constant(ScalarValue),
    /// The file's top-level column of that index.
    Column(usize, Conversion),
}

impl TableColumns {
    /// Reads files by a table's schema. Files without field ids go by the mapping, and where there is
    /// none by the schema's own names.
    pub(crate) fn new(
        schema: Arc<Schema>,
        mapping: Option<NameMapping>,
    ) -> Result<Self, iceberg::Error> {
        let arrow = Arc::new(schema_to_arrow_schema(&schema)?);
        Ok(Self {
            schema,
            arrow,
            mapping,
            cures: None,
            has_views: false,
        })
    }

    /// Also reads types that no table holds, as those it holds.
    pub(crate) fn with_cures(mut self, cures: Option<Cures>) -> Self {
        self.cures = cures;
        self
    }

    /// Has texts and binaries of the top level as views.
    pub(crate) fn with_views(mut self) -> Self {
        let fields = self.arrow.fields().iter().map(|field| {
            let of = match field.data_type() {
                DataType::Utf8 => DataType::Utf8View,
                DataType::LargeBinary => DataType::BinaryView,
                other => other.clone(),
            };
            field.as_ref().clone().with_data_type(of)
        });
        let fields: Vec<Field> = fields.collect();
        let metadata = self.arrow.metadata().clone();
        self.arrow = Arc::new(ArrowSchema::new_with_metadata(fields, metadata));
        self.has_views = true;
        self
    }

    /// Whether texts and binaries of the top level are views.
    pub(crate) fn has_views(&self) -> bool {
        self.has_views
    }

    /// The table's schema in Arrow, with field ids.
    pub(crate) fn arrow(&self) -> &SchemaRef {
        &self.arrow
    }

    /// The table's schema.
    pub(crate) fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The names of top-level columns by their field ids.
    pub(crate) fn top_level_names(&self, ids: &[i32]) -> Result<Vec<String>> {
        let fields = self.schema.as_struct().fields();
        ids.iter()
            .map(|id| {
                let field = fields
                    .iter()
                    .find(|field| field.id == *id && field.field_type.is_primitive());
                field
                    .map(|field| field.name.clone())
                    .ok_or_else(|| Error::Column {
                        column: format!("field id {id}"),
                        problem:
                            "an equality delete compares it, but it is no column of the table's \
                              top level that can be compared"
                                .to_owned(),
                    })
            })
            .collect()
    }

    /// Finds the table's column `name` in a file.
    pub(crate) fn resolve(
        &self,
        name: &str,
        file: &ArrowSchema,
        file_has_ids: bool,
    ) -> Result<Origin> {
        let index = self.arrow.index_of(name).map_err(|_| Error::Column {
            column: name.to_owned(),
            problem: "the table has no such column".to_owned(),
        })?;
        let file_has_ids = match self.cures {
            Some(_) => file_has_ids && all_have_ids(file.fields()),
            None => file_has_ids,
        };
        let names = if file_has_ids {
            Names::ById
        } else {
            self.mapping
                .as_ref()
                .map_or(Names::Own, |mapping| Names::Mapped(&mapping.fields))
        };
        let fields = self.schema.as_struct().fields();
        let mut path = Path {
            names: Vec::new(),
            cures: self.cures.as_ref(),
        };
        let child = child(
            &fields[index],
            &self.arrow.fields()[index],
            file.fields(),
            names,
            &mut path,
        )?;
        Ok(match child {
            Child::Constant(value) => Origin::Constant(value),
            Child::Column(index, conversion) => Origin::Column(index, conversion),
        })
    }
}

/// Whether any column of a file, at any depth, has a field id (Java's `ParquetSchemaUtil.hasIds`).
pub(crate) fn has_field_ids(fields: &Fields) -> bool {
    fields.iter().any(|field| {
        field.metadata().contains_key(FIELD_ID)
            || match field.data_type() {
                DataType::Struct(fields) => has_field_ids(fields),
                DataType::Map(entries, _) => {
                    has_field_ids(&Fields::from(vec![Arc::clone(entries)]))
                }
                other => list_element(other)
                    .is_some_and(|element| has_field_ids(&Fields::from(vec![Arc::clone(element)]))),
            }
    })
}

/// Whether all columns of a file, at any depth, have field ids.
fn all_have_ids(fields: &Fields) -> bool {
    fields.iter().all(|field| {
        let inside = match field.data_type() {
            DataType::Struct(fields) => all_have_ids(fields),
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) => all_have_ids(fields),
                _ => true,
            },
            other => list_element(other)
                .is_none_or(|element| all_have_ids(&Fields::from(vec![Arc::clone(element)]))),
        };
        inside && field.metadata().contains_key(FIELD_ID)
    })
}

/// By what the fields of one level are found.
#[derive(Clone, Copy)]
enum Names<'a> {
    ById,
    Mapped(&'a [MappedField]),
    Own,
}

impl Names<'_> {
    /// By what the fields inside `field` are found. A mapping that ends above a nested field is
    /// continued by the table's own names: NULLs for a whole struct would be silent losses.
    fn inside(self, field: &NestedField) -> Self {
        match self {
            Self::Mapped(siblings) => match entry(siblings, field) {
                Some(entry) if !entry.fields.is_empty() => Self::Mapped(&entry.fields),
                _ => Self::Own,
            },
            other => other,
        }
    }

    fn find(self, target: &NestedField, file: &Fields, path: &Path<'_>) -> Result<Option<usize>> {
        let mut found = None;
        for (index, candidate) in file.iter().enumerate() {
            let is_it = match self {
                Self::ById => field_id(candidate) == Some(target.id),
                Self::Own => *candidate.name() == target.name,
                Self::Mapped(siblings) => entry(siblings, target)
                    .is_some_and(|entry| entry.names.contains(candidate.name())),
            };
            if !is_it {
                continue;
            }
            if let Some(first) = found.replace(index) {
                return Err(path.error(format!(
                    "the file has it twice, as `{}` and as `{}`",
                    file[first].name(),
                    candidate.name()
                )));
            }
        }
        Ok(found)
    }
}

fn entry<'a>(siblings: &'a [MappedField], field: &NestedField) -> Option<&'a MappedField> {
    siblings
        .iter()
        .find(|entry| entry.field_id == Some(field.id))
}

/// The field id that a column of a file has.
pub(crate) fn field_id(field: &Field) -> Option<i32> {
    field.metadata().get(FIELD_ID)?.parse().ok()
}

/// The names from the top of the schema down to a field, for errors, and how its leaves are read.
struct Path<'a> {
    names: Vec<String>,
    cures: Option<&'a Cures>,
}

impl Path<'_> {
    fn error(&self, problem: impl Into<String>) -> Error {
        Error::Column {
            column: self.names.join("."),
            problem: problem.into(),
        }
    }
}

fn child(
    target: &NestedFieldRef,
    arrow: &FieldRef,
    file: &Fields,
    names: Names<'_>,
    path: &mut Path<'_>,
) -> Result<Child> {
    path.names.push(target.name.clone());
    let child = match names.find(target, file, path)? {
        Some(index) => Child::Column(index, conversion(target, arrow, &file[index], names, path)?),
        None => Child::Constant(default_value(target, arrow, path)?),
    };
    path.names.pop();
    Ok(child)
}

fn default_value(target: &NestedField, arrow: &Field, path: &Path<'_>) -> Result<ScalarValue> {
    match (&target.initial_default, &*target.field_type) {
        (Some(value), Type::Primitive(primitive)) => scalar::literal(Some(value), primitive)
            .ok_or_else(|| path.error("its default value is not of its type")),
        (Some(_), _) => Err(path.error("default values of nested columns are not supported")),
        (None, _) if target.required => Err(path.error("it is required, but the file lacks it")),
        (None, _) => {
            ScalarValue::try_from(arrow.data_type()).map_err(|error| path.error(error.to_string()))
        }
    }
}

fn conversion(
    target: &NestedField,
    arrow: &FieldRef,
    file: &FieldRef,
    names: Names<'_>,
    path: &mut Path<'_>,
) -> Result<Conversion> {
    let inside = names.inside(target);
    let mismatch = |path: &Path<'_>| {
        path.error(format!(
            "the file's type {} cannot be read as {}",
            file.data_type(),
            target.field_type
        ))
    };
    match (&*target.field_type, arrow.data_type(), file.data_type()) {
        (Type::Struct(_), _, DataType::Struct(file_fields)) if file_fields.is_empty() => {
            Err(path.error("the file's group has no columns, so that its NULLs cannot be told"))
        }
        (Type::Struct(structure), DataType::Struct(fields), DataType::Struct(file_fields)) => {
            let mut children = Vec::with_capacity(fields.len());
            for (target, arrow) in structure.fields().iter().zip(fields) {
                children.push(child(target, arrow, file_fields, inside, path)?);
            }
            let same = arrow.data_type() == file.data_type()
                && children.iter().enumerate().all(|(index, child)| {
                    matches!(child, Child::Column(from, Conversion::Same) if *from == index)
                });
            Ok(if same {
                Conversion::Same
            } else {
                Conversion::Struct(fields.clone(), children)
            })
        }
        (Type::List(list), DataType::List(element), file_type) => {
            let file_element = list_element(file_type).ok_or_else(|| mismatch(path))?;
            let inner = level(&list.element_field, element, file_element, inside, path)?;
            Ok(
                if inner == Conversion::Same && arrow.data_type() == file_type {
                    Conversion::Same
                } else {
                    Conversion::List(
                        Arc::clone(file_element),
                        Arc::clone(element),
                        Box::new(inner),
                    )
                },
            )
        }
        (Type::Map(map), DataType::Map(entries, _), DataType::Map(file_entries, _)) => {
            let (Some((key, value)), Some((file_key, file_value))) =
                (key_value(entries), key_value(file_entries))
            else {
                return Err(mismatch(path));
            };
            let key = level(&map.key_field, key, file_key, inside, path)?;
            let value = level(&map.value_field, value, file_value, inside, path)?;
            let same = key == Conversion::Same && value == Conversion::Same;
            Ok(if same && arrow.data_type() == file.data_type() {
                Conversion::Same
            } else {
                Conversion::Map(Arc::clone(entries), Box::new((key, value)))
            })
        }
        (Type::Primitive(_), table_type, file_type) => {
            let cured = path
                .cures
                .and_then(|cures| cured(file_type, table_type, cures));
            cured
                .or_else(|| leaf(file_type, table_type))
                .ok_or_else(|| mismatch(path))
        }
        _ => Err(mismatch(path)),
    }
}

/// The one field inside a list, or one of a map's two: found by its place, not by its name.
fn level(
    target: &NestedFieldRef,
    arrow: &FieldRef,
    file: &FieldRef,
    names: Names<'_>,
    path: &mut Path<'_>,
) -> Result<Conversion> {
    path.names.push(target.name.clone());
    let conversion = conversion(target, arrow, file, names, path)?;
    path.names.pop();
    Ok(conversion)
}

fn list_element(data_type: &DataType) -> Option<&FieldRef> {
    match data_type {
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::FixedSizeList(element, _)
        | DataType::ListView(element)
        | DataType::LargeListView(element) => Some(element),
        _ => None,
    }
}

fn key_value(entries: &Field) -> Option<(&FieldRef, &FieldRef)> {
    match entries.data_type() {
        DataType::Struct(fields) if fields.len() == 2 => Some((&fields[0], &fields[1])),
        _ => None,
    }
}

/// How a leaf type that no table holds becomes one that it holds; `None` for all others.
fn cured(file: &DataType, table: &DataType, cures: &Cures) -> Option<Conversion> {
    use DataType as T;
    use TimeUnit::{Microsecond, Nanosecond};
    match (file, table) {
        (T::Timestamp(Nanosecond, _), T::Timestamp(Microsecond, _))
        | (T::Time64(Nanosecond), T::Time64(Microsecond)) => Some(Conversion::Coarser(
            table.clone(),
            cures.nanoseconds == Nanoseconds::Truncate,
        )),
        // Only INT96 comes without a zone into a column of instants: the union refuses all else.
        (T::Timestamp(Microsecond, None), T::Timestamp(Microsecond, Some(_))) => {
            match cures.int96 {
                Int96Zone::Zone(zone) if zone != chrono_tz::UTC => {
                    Some(Conversion::Zoned(table.clone(), zone))
                }
                _ => None,
            }
        }
        (T::Decimal256(_, from), T::Decimal128(_, to)) if from == to => {
            Some(Conversion::Cast(table.clone()))
        }
        (T::Interval(_), T::Utf8 | T::Utf8View) => Some(Conversion::Cast(table.clone())),
        _ => None,
    }
}

/// How a file's leaf type becomes the table's; `None` where that would lose or invent something.
fn leaf(file: &DataType, table: &DataType) -> Option<Conversion> {
    use DataType as T;
    if file == table {
        return Some(Conversion::Same);
    }
    if let T::Dictionary(_, values) = file {
        leaf(values, table)?;
        return Some(Conversion::Cast(table.clone()));
    }
    let fits = match (file, table) {
        (T::Null, _) => true,
        (T::Int8 | T::Int16 | T::UInt8 | T::UInt16, T::Int32 | T::Int64) => true,
        (T::Int32 | T::UInt32 | T::UInt64, T::Int64) => true,
        // Values past the table's range are errors when they are met.
        (T::UInt32, T::Int32) => true,
        (T::UInt64, T::Decimal128(_, 0)) => true,
        (T::Float16, T::Float32 | T::Float64) | (T::Float32, T::Float64) => true,
        (
            T::Decimal32(precision, scale)
            | T::Decimal64(precision, scale)
            | T::Decimal128(precision, scale)
            | T::Decimal256(precision, scale),
            T::Decimal128(wider, table_scale),
        ) => scale == table_scale && precision <= wider,
        (
            T::Utf8
            | T::LargeUtf8
            | T::Utf8View
            | T::Binary
            | T::LargeBinary
            | T::BinaryView
            | T::FixedSizeBinary(_),
            T::Utf8 | T::Utf8View | T::LargeBinary | T::BinaryView,
        ) => true,
        (T::Date64, T::Date32) => true,
        (T::Date32, T::Timestamp(_, None)) => true,
        (T::Time32(_), T::Time64(TimeUnit::Microsecond)) => true,
        (T::Timestamp(from, _), T::Timestamp(to, _)) if from == to || finer(*from, *to) => {
            return Some(Conversion::Instant(table.clone()));
        }
        _ => false,
    };
    fits.then(|| Conversion::Cast(table.clone()))
}

/// Whether `to` is a finer unit than `from`, so that nothing is lost.
fn finer(from: TimeUnit, to: TimeUnit) -> bool {
    let rank = |unit| match unit {
        TimeUnit::Second => 0,
        TimeUnit::Millisecond => 1,
        TimeUnit::Microsecond => 2,
        TimeUnit::Nanosecond => 3,
    };
    rank(from) < rank(to)
}
