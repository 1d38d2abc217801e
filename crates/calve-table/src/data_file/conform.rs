//! Batches in the shape of a table: columns by name at every depth, in the table's types.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StructArray, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use arrow::util::display::FormatOptions;

use super::DataError;

/// Texts that are no number are errors, not nulls.
const STRICT: CastOptions<'static> = CastOptions {
    safe: false,
    format_options: FormatOptions::new(),
};

/// Brings a batch into the table's shape: columns are found by name, missing ones are null, and
/// values are cast where that loses nothing. Texts and binaries of the top level that are views stay views: they are
/// encoded alike.
///
/// # Errors
/// When the batch has a column that the table lacks, lacks one that the table requires, has a null in
/// a required one, or a value does not fit.
pub(super) fn conform(batch: &RecordBatch, target: &SchemaRef) -> Result<RecordBatch, DataError> {
    let schema = batch.schema();
    let columns = children(
        "",
        schema.fields(),
        batch.columns(),
        target.fields(),
        batch.num_rows(),
    )?;
    for (field, column) in target.fields().iter().zip(&columns) {
        check_nulls(field.name(), field, column)?;
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(with_types_of(&columns, target), columns, &options)
        .map_err(|source| DataError::Arrow { source })
}

/// The schema with the types that columns have.
pub(super) fn with_types_of(columns: &[ArrayRef], schema: &SchemaRef) -> SchemaRef {
    let mut fields = schema.fields().iter().zip(columns);
    if fields.all(|(field, column)| field.data_type() == column.data_type()) {
        return SchemaRef::clone(schema);
    }
    let fields = schema.fields().iter().zip(columns).map(|(field, column)| {
        let of = column.data_type().clone();
        field.as_ref().clone().with_data_type(of)
    });
    let fields: Vec<Field> = fields.collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The type whose values these are views of.
pub(super) fn viewed(view: &DataType) -> Option<DataType> {
    match view {
        DataType::Utf8View => Some(DataType::Utf8),
        DataType::BinaryView => Some(DataType::LargeBinary),
        _ => None,
    }
}

/// Finds the fields of the target among those that are there.
fn children(
    path: &str,
    fields: &Fields,
    columns: &[ArrayRef],
    target: &Fields,
    rows: usize,
) -> Result<Vec<ArrayRef>, DataError> {
    if let Some(extra) = fields
        .iter()
        .find(|field| target.iter().all(|wanted| wanted.name() != field.name()))
    {
        return Err(DataError::ExtraColumn {
            column: joined(path, extra.name()),
        });
    }
    let mut found = Vec::with_capacity(target.len());
    for wanted in target {
        let name = joined(path, wanted.name());
        let place = fields
            .iter()
            .position(|field| field.name() == wanted.name());
        let is_view = |place: usize| {
            path.is_empty()
                && viewed(columns[place].data_type()).as_ref() == Some(wanted.data_type())
        };
        found.push(match place {
            Some(place) if is_view(place) => ArrayRef::clone(&columns[place]),
            Some(place) => array(&name, &columns[place], wanted.data_type())?,
            None if wanted.is_nullable() => new_null_array(wanted.data_type(), rows),
            None => return Err(DataError::MissingColumn { column: name }),
        });
    }
    Ok(found)
}

/// Brings one column into its type.
fn array(path: &str, column: &ArrayRef, target: &DataType) -> Result<ArrayRef, DataError> {
    match (column.data_type(), target) {
        (from, to) if from == to => Ok(ArrayRef::clone(column)),
        (DataType::Struct(fields), DataType::Struct(wanted)) => {
            let of = column.as_struct();
            let columns = children(path, fields, of.columns(), wanted, of.len())?;
            for (field, child) in wanted.iter().zip(&columns) {
                check_nested_nulls(&joined(path, field.name()), field, child, of)?;
            }
            built(StructArray::try_new_with_length(
                wanted.clone(),
                columns,
                of.nulls().cloned(),
                of.len(),
            ))
        }
        (DataType::List(_), DataType::List(element)) => {
            let of = column.as_list::<i32>();
            list(path, of, element)
        }
        (DataType::LargeList(item) | DataType::ListView(item), DataType::List(element)) => {
            let narrow = DataType::List(FieldRef::clone(item));
            let cast = cast(path, column, &narrow)?;
            list(path, cast.as_list::<i32>(), element)
        }
        (DataType::Map(_, _), DataType::Map(entries, sorted)) => {
            map(path, column.as_map(), entries, *sorted)
        }
        _ => cast(path, column, target),
    }
}

fn list(path: &str, of: &ListArray, element: &FieldRef) -> Result<ArrayRef, DataError> {
    let path = joined(path, element.name());
    let values = array(&path, of.values(), element.data_type())?;
    check_nulls(&path, element, &values)?;
    built(ListArray::try_new(
        FieldRef::clone(element),
        of.offsets().clone(),
        values,
        of.nulls().cloned(),
    ))
}

fn map(path: &str, of: &MapArray, entries: &FieldRef, sorted: bool) -> Result<ArrayRef, DataError> {
    let DataType::Struct(wanted) = entries.data_type() else {
        return cast(
            path,
            &(Arc::new(of.clone()) as ArrayRef),
            entries.data_type(),
        );
    };
    // Keys and values go by position: their names differ from writer to writer.
    let columns = [of.keys(), of.values()]
        .into_iter()
        .zip(wanted)
        .map(|(column, field)| array(&joined(path, field.name()), column, field.data_type()))
        .collect::<Result<Vec<_>, _>>()?;
    let pairs = StructArray::try_new(wanted.clone(), columns, None)
        .map_err(|source| DataError::Arrow { source })?;
    built(MapArray::try_new(
        FieldRef::clone(entries),
        of.offsets().clone(),
        pairs,
        of.nulls().cloned(),
        sorted,
    ))
}

fn cast(path: &str, column: &ArrayRef, target: &DataType) -> Result<ArrayRef, DataError> {
    if narrows(column.data_type(), target) {
        return Err(DataError::Type {
            column: path.to_owned(),
            found: column.data_type().clone(),
            expected: target.clone(),
        });
    }
    cast_with_options(column, target, &STRICT).map_err(|source| DataError::Value {
        column: path.to_owned(),
        source,
    })
}

/// Whether a cast would lose something without a word: fractions, a zone, text that looks like numbers.
fn narrows(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    match (from, to) {
        (T::Null, _) => false,
        (_, T::Timestamp(_, zone)) => match from {
            T::Timestamp(_, from) => zone.is_some() != from.is_some(),
            _ => true,
        },
        (_, T::Utf8) => !matches!(from, T::LargeUtf8 | T::Utf8View | T::Dictionary(_, _)),
        (_, T::Binary | T::LargeBinary) => !matches!(
            from,
            T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_)
        ),
        (_, T::Date32) => !matches!(from, T::Date64),
        (_, T::Int32 | T::Int64) => !from.is_integer(),
        (_, T::Float32) => *from != T::Float16,
        (_, T::Float64) => !matches!(from, T::Float16 | T::Float32),
        (T::Decimal128(_, from), T::Decimal128(_, to)) => from > to,
        (_, T::Decimal128(_, _)) => !from.is_integer(),
        (_, T::Boolean) => true,
        _ => false,
    }
}

fn check_nulls(path: &str, field: &Field, column: &ArrayRef) -> Result<(), DataError> {
    if !field.is_nullable() && column.logical_null_count() > 0 {
        return Err(DataError::NullInRequired {
            column: path.to_owned(),
        });
    }
    Ok(())
}

/// A required field of a struct may be null where the struct itself is.
fn check_nested_nulls(
    path: &str,
    field: &Field,
    column: &ArrayRef,
    parent: &StructArray,
) -> Result<(), DataError> {
    if field.is_nullable() {
        return Ok(());
    }
    let Some(nulls) = column.logical_nulls() else {
        return Ok(());
    };
    let stray = (0..column.len()).any(|row| nulls.is_null(row) && parent.is_valid(row));
    if stray {
        return Err(DataError::NullInRequired {
            column: path.to_owned(),
        });
    }
    Ok(())
}

fn built<A: Array + 'static>(
    array: Result<A, arrow::error::ArrowError>,
) -> Result<ArrayRef, DataError> {
    match array {
        Ok(array) => Ok(Arc::new(array)),
        Err(source) => Err(DataError::Arrow { source }),
    }
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BinaryViewArray, Int32Array, Int64Array, ListArray, StringArray, StringViewArray,
    };
    use arrow::datatypes::Int32Type;

    use super::*;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn schema(fields: Vec<Field>) -> SchemaRef {
        Arc::new(Schema::new(fields))
    }

    #[track_caller]
    fn check(columns: Vec<(&str, ArrayRef)>, fields: Vec<Field>, expected: Result<usize, &str>) {
        let got = conform(&batch(columns), &schema(fields))
            .map(|batch| batch.num_columns())
            .map_err(|error| error.to_string());
        assert_eq!(got, expected.map_err(ToOwned::to_owned));
    }

    fn ints() -> ArrayRef {
        Arc::new(Int32Array::from(vec![Some(1), None]))
    }

    #[test]
    fn columns_are_found_by_name_and_widened() {
        let long = Field::new("a", DataType::Int64, true);
        let text = Field::new("b", DataType::Utf8, true);
        let result = conform(&batch(vec![("a", ints())]), &schema(vec![text, long])).unwrap();
        assert_eq!(result.column(0).null_count(), 2);
        let longs = Int64Array::from(vec![Some(1), None]);
        assert_eq!(result.column(1).as_ref(), &longs as &dyn Array);
    }

    #[test]
    fn views_stay_views_where_the_type_is_theirs() {
        let check = |view: ArrayRef, wanted: &DataType, expected: Option<&DataType>| {
            let field = Field::new("a", wanted.clone(), true);
            let found = conform(&batch(vec![("a", view)]), &schema(vec![field]));
            let found = found.ok().map(|found| found.column(0).data_type().clone());
            assert_eq!(found.as_ref(), expected, "{wanted}");
        };
        let text = || -> ArrayRef { Arc::new(StringViewArray::from(vec![Some("a"), None])) };
        let bytes: ArrayRef = Arc::new(BinaryViewArray::from(vec![Some(&b"a"[..]), None]));
        check(text(), &DataType::Utf8, Some(&DataType::Utf8View));
        check(bytes, &DataType::LargeBinary, Some(&DataType::BinaryView));
        check(text(), &DataType::Int32, None);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let int = || Field::new("a", DataType::Int32, true);
        check(
            vec![("a", ints()), ("b", ints())],
            vec![int()],
            Err("column `b`: the table has no such column"),
        );
        check(
            vec![("a", ints())],
            vec![int(), Field::new("b", DataType::Int32, false)],
            Err("column `b`: the table requires it, and it is missing"),
        );
        check(
            vec![("a", ints())],
            vec![Field::new("a", DataType::Int32, false)],
            Err("column `a`: the table requires it, and it is null in some rows"),
        );
        check(
            vec![("a", Arc::new(StringArray::from(vec!["1"])))],
            vec![int()],
            Err("column `a`: Utf8 cannot be written as Int32"),
        );
    }

    #[test]
    fn nested_columns_take_the_names_of_the_table() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
        ]);
        let element = Arc::new(Field::new("element", DataType::Int64, true));
        let wanted = Field::new("a", DataType::List(element), true);
        check(vec![("a", Arc::new(list))], vec![wanted], Ok(1));
    }
}
