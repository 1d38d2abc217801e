//! Casts of columns, with a count of the values that have no place in the new type.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringArray, StructArray, new_null_array};
use arrow::compute::kernels::cmp::distinct;
use arrow::compute::kernels::zip::zip;
use arrow::compute::{CastOptions, can_cast_types, cast_with_options, is_not_null, nullif};
use arrow::datatypes::{DataType, Field, Fields, TimeUnit, TimestampMicrosecondType};

use crate::json_text::json_strings;
use crate::schema::evolve::{find_by_name, name};
use crate::schema::types::UTC;
use crate::{Error, Result};

/// A column of another type.
pub(crate) struct Cast {
    pub(crate) array: ArrayRef,
    /// How many values became null because the type does not hold them.
    pub(crate) failed: u64,
}

fn arrow(source: arrow::error::ArrowError, column: &str) -> Error {
    Error::Arrow {
        column: column.to_owned(),
        source,
    }
}

fn refused(from: &DataType, to: &DataType, column: &str) -> Error {
    Error::Column {
        column: column.to_owned(),
        problem: format!("{} cannot be cast to {}", name(from), name(to)),
    }
}

/// What becomes of a number that another type holds only in part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It is rounded, or cut, as Spark does it.
    Rounds,
    /// It is null, and counted.
    Nulls,
}

/// Casts as Spark does: values that do not fit become null (and are counted), numbers with too many
/// decimal places are rounded to a decimal's and cut to an integer's, white space around text that is
/// to become something else is dropped, and empty text is null, an integer is a timestamp in seconds and the other way round, and what
/// has parts becomes a string as JSON. Other numbers are no dates and times, nor are these numbers.
pub(crate) fn cast(array: &ArrayRef, to: &DataType, column: &str, loss: Loss) -> Result<Cast> {
    let from = array.data_type();
    if from == to {
        return Ok(Cast {
            array: Arc::clone(array),
            failed: 0,
        });
    }
    match (from, to) {
        (DataType::Null, _) => Ok(Cast {
            array: new_null_array(to, array.len()),
            failed: 0,
        }),
        (DataType::Struct(_) | DataType::List(_) | DataType::Map(..), DataType::Utf8) => Ok(Cast {
            array: json_strings(array.as_ref()).map_err(|it| arrow(it, column))?,
            failed: 0,
        }),
        (DataType::Struct(_), DataType::Struct(fields)) => {
            cast_struct(array.as_struct(), fields, column, loss)
        }
        (DataType::List(_), DataType::List(element)) => {
            cast_list(array.as_list(), element, column, loss)
        }
        // A single value is a list of one.
        (_, DataType::List(element)) => {
            let inner = cast(array, element.data_type(), column, loss)?;
            let list = list_of_one(&inner.array, element);
            Ok(Cast {
                array: Arc::new(list),
                failed: inner.failed,
            })
        }
        _ if from.is_nested() || to.is_nested() => Err(refused(from, to, column)),
        (DataType::Timestamp(_, zone), DataType::Int64) => {
            let seconds = DataType::Timestamp(TimeUnit::Second, zone.clone());
            let seconds = scalar(array, &seconds, column)?;
            counted(array, scalar(&seconds, to, column)?)
        }
        (
            DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64,
            DataType::Timestamp(..),
        ) => {
            let seconds = scalar(array, &DataType::Int64, column)?;
            let seconds = scalar(
                &seconds,
                &DataType::Timestamp(TimeUnit::Second, None),
                column,
            )?;
            counted(array, scalar(&seconds, to, column)?)
        }
        _ if (is_number(from) && to.is_temporal()) || (from.is_temporal() && is_number(to)) => {
            Err(refused(from, to, column))
        }
        (DataType::Utf8, _) => {
            // Empty text is no value of another type, as where it is read as one.
            let trimmed: StringArray = array
                .as_string::<i32>()
                .iter()
                .map(|it| it.map(str::trim).filter(|text| !text.is_empty()))
                .collect();
            let trimmed: ArrayRef = Arc::new(trimmed);
            counted(&trimmed, scalar(&trimmed, to, column)?)
        }
        _ => {
            let cast = scalar(array, to, column)?;
            match loss {
                Loss::Rounds => counted(array, cast),
                Loss::Nulls => counted(array, whole(array, cast, column)?),
            }
        }
    }
}

/// The values of a cast without those that are others than before.
fn whole(before: &ArrayRef, after: ArrayRef, column: &str) -> Result<ArrayRef> {
    let is_text = *after.data_type() == DataType::Utf8;
    if is_text || !can_cast_types(after.data_type(), before.data_type()) {
        return Ok(after);
    }
    let back = scalar(&after, before.data_type(), column)?;
    let changed = distinct(&back, before).map_err(|it| arrow(it, column))?;
    nullif(&after, &changed).map_err(|it| arrow(it, column))
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric() || *data_type == DataType::Boolean
}

#[expect(clippy::unnecessary_wraps, reason = "it ends the arms that may fail")]
fn counted(before: &ArrayRef, array: ArrayRef) -> Result<Cast> {
    let failed = array.null_count().saturating_sub(before.null_count());
    Ok(Cast {
        array,
        failed: failed as u64,
    })
}

/// The array with its zone `UTC` written as an offset, or the other way round: Arrow computes with
/// names of zones only where it carries the zone database.
pub(crate) fn with_zone(array: &ArrayRef, from: &str, to: &str) -> ArrayRef {
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, Some(zone)) if zone.as_ref() == from => {
            let array = array.as_primitive::<TimestampMicrosecondType>().clone();
            Arc::new(array.with_timezone(to))
        }
        _ => Arc::clone(array),
    }
}

fn scalar(array: &ArrayRef, to: &DataType, column: &str) -> Result<ArrayRef> {
    const OFFSET: &str = "+00:00";
    if let DataType::Timestamp(unit, Some(zone)) = to
        && zone.as_ref() == UTC
    {
        let offset = DataType::Timestamp(*unit, Some(OFFSET.into()));
        return Ok(with_zone(&scalar(array, &offset, column)?, OFFSET, UTC));
    }
    let array = &with_zone(array, UTC, OFFSET);
    if !can_cast_types(array.data_type(), to) {
        return Err(refused(array.data_type(), to, column));
    }
    let options = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    cast_with_options(array.as_ref(), to, &options).map_err(|it| arrow(it, column))
}

fn cast_struct(array: &StructArray, fields: &Fields, column: &str, loss: Loss) -> Result<Cast> {
    let lost = array
        .fields()
        .iter()
        .find(|it| find_by_name(fields, it.name()).is_none());
    if let Some(lost) = lost {
        return Err(Error::Column {
            column: format!("{column}.{}", lost.name()),
            problem: "has no place in the type that the column is cast to".to_owned(),
        });
    }
    let mut failed = 0;
    let columns = fields
        .iter()
        .map(|field| match child_of(array, fields, field.name()) {
            None => Ok(new_null_array(field.data_type(), array.len())),
            Some(child) => {
                let name = format!("{column}.{}", field.name());
                let inner = cast(child, field.data_type(), &name, loss)?;
                failed += inner.failed;
                Ok(inner.array)
            }
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    let array = StructArray::try_new(fields.clone(), columns, array.nulls().cloned())
        .map_err(|it| arrow(it, column))?;
    Ok(Cast {
        array: Arc::new(array),
        failed,
    })
}

/// The child that becomes the field of a name: the one of the same name, or one whose name differs by case only
/// and which becomes no other.
fn child_of<'a>(array: &'a StructArray, fields: &Fields, name: &str) -> Option<&'a ArrayRef> {
    if let Some(child) = array.column_by_name(name) {
        return Some(child);
    }
    let becomes = |it: &Field| find_by_name(fields, it.name()).is_some_and(|to| to.name() == name);
    let at = array.fields().iter().position(|it| becomes(it))?;
    Some(array.column(at))
}

fn cast_list(array: &ListArray, element: &Arc<Field>, column: &str, loss: Loss) -> Result<Cast> {
    let inner = cast(array.values(), element.data_type(), column, loss)?;
    let list = ListArray::try_new(
        Arc::clone(element),
        array.offsets().clone(),
        inner.array,
        array.nulls().cloned(),
    )
    .map_err(|it| arrow(it, column))?;
    Ok(Cast {
        array: Arc::new(list),
        failed: inner.failed,
    })
}

fn list_of_one(values: &ArrayRef, element: &Arc<Field>) -> ListArray {
    let valid: Vec<bool> = (0..values.len()).map(|at| values.is_valid(at)).collect();
    let lengths = valid.iter().map(|it| usize::from(*it));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths(lengths);
    let kept = arrow::compute::filter(values, &valid.clone().into())
        .expect("the mask is as long as the values");
    ListArray::new(Arc::clone(element), offsets, kept, Some(valid.into()))
}

/// The columns of a struct as they are seen from outside: null where the struct is.
pub(crate) fn visible_columns(array: &StructArray, column: &str) -> Result<Vec<ArrayRef>> {
    let Some(nulls) = array.nulls().filter(|it| it.null_count() > 0) else {
        return Ok(array.columns().to_vec());
    };
    let hidden = arrow::array::BooleanArray::new(!nulls.inner(), None);
    array
        .columns()
        .iter()
        .map(|child| match child.data_type() {
            DataType::Null => Ok(Arc::clone(child)),
            _ => nullif(child.as_ref(), &hidden).map_err(|it| arrow(it, column)),
        })
        .collect()
}

/// The values of a choice in one type: of the alternatives, at most one of which is set in a row.
pub(crate) fn cast_choice(
    array: &StructArray,
    to: &DataType,
    column: &str,
    loss: Loss,
) -> Result<Cast> {
    let mut merged = new_null_array(to, array.len());
    let mut failed = 0;
    let mut refusal = None;
    let mut is_possible = false;
    for alternative in visible_columns(array, column)? {
        let inner = match cast(&alternative, to, column, loss) {
            Ok(inner) => inner,
            // One type that can be cast is enough; the values of the others are null.
            Err(error @ Error::Column { .. }) => {
                refusal = refusal.or(Some(error));
                failed += (alternative.len() - alternative.logical_null_count()) as u64;
                continue;
            }
            Err(error) => return Err(error),
        };
        is_possible = true;
        failed += inner.failed;
        let mask = is_not_null(inner.array.as_ref()).map_err(|it| arrow(it, column))?;
        merged = zip(&mask, &inner.array, &merged).map_err(|it| arrow(it, column))?;
    }
    match refusal {
        Some(error) if !is_possible => Err(error),
        _ => Ok(Cast {
            array: merged,
            failed,
        }),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array, TimestampMicrosecondArray};
    use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

    use super::*;
    use crate::schema::ddl::parse_type;

    #[test]
    fn numbers_are_timestamps_in_seconds_and_nothing_else_of_time() {
        let seconds: ArrayRef = Arc::new(Int64Array::from(vec![Some(90), None]));
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let timestamps = cast(&seconds, &micros, "a", Loss::Rounds).unwrap();
        let values = timestamps.array.as_primitive::<TimestampMicrosecondType>();
        assert_eq!((values.value(0), timestamps.failed), (90_000_000, 0));
        let back = cast(&timestamps.array, &DataType::Int64, "a", Loss::Rounds).unwrap();
        assert_eq!(back.array.as_primitive::<Int64Type>().value(0), 90);

        let instant: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0]));
        for (array, to) in [
            (&seconds, "date"),
            (&seconds, "time"),
            (&instant, "double"),
            (&instant, "decimal(20,6)"),
            (&instant, "boolean"),
        ] {
            let refused = cast(array, &parse_type(to).unwrap(), "a", Loss::Rounds);
            let error = refused.err().expect(to).to_string();
            assert!(error.contains("cannot be cast"), "{error}");
        }
    }
}
