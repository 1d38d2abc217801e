//! The types of the rows that a query gives, as those that an Iceberg table holds.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, MapArray, StructArray, make_array,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{
    DataType, Field, FieldRef, Fields, Int64Type, Schema as ArrowSchema, TimeUnit,
};
use arrow::error::ArrowError;
use arrow::util::display::FormatOptions;
use calve_query::Nanoseconds;
use calve_table::schema_of_rows;
use iceberg::spec::{
    FormatVersion, ListType, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema,
    StructType, Type,
};

use crate::{Error, Result};

/// Casts fail on values that do not fit. A silent NULL would be a lost value.
const STRICT: CastOptions<'static> = CastOptions {
    safe: false,
    format_options: FormatOptions::new(),
};

/// The time zone of `timestamptz` columns in Arrow.
const UTC: &str = "+00:00";

/// The table's schema for rows of a query, and what happens to columns whose types no table holds.
///
/// `source` is the schema of what was queried: columns that come through unchanged keep what Arrow does not
/// say of them, that they are UUIDs, and their comments.
pub(super) fn table_schema(
    rows: &ArrowSchema,
    source: &Schema,
    version: FormatVersion,
) -> Result<(Schema, Vec<String>)> {
    let mut cures = Vec::new();
    let mut fields = Vec::with_capacity(rows.fields().len());
    for field in rows.fields() {
        let cured = cured_type(field.name(), field.data_type(), version)?;
        if is_told(field.data_type(), &cured) {
            let from = field.data_type();
            cures.push(format!("`{}` from {from} to {cured}", field.name()));
        }
        fields.push(Field::new(field.name(), cured, true));
    }
    let schema = schema_of_rows(&ArrowSchema::new(fields))?;
    let by_id = |field: &Field| {
        let id: i32 = field.metadata().get("PARQUET:field_id")?.parse().ok()?;
        let known = source.as_struct().fields().iter();
        known.into_iter().find(|known| known.id == id)
    };
    let overlaid = schema.as_struct().fields().iter().zip(rows.fields());
    let overlaid = overlaid.map(|(field, row)| match by_id(row) {
        Some(known) => overlay(field, known),
        None => Arc::clone(field),
    });
    let schema = Schema::builder()
        .with_fields(overlaid.collect::<Vec<_>>())
        .build()
        .map_err(calve_table::Error::from)?;
    Ok((schema, cures))
}

/// Whether a change of types is worth telling: not that of the same values in another layout.
fn is_told(from: &DataType, to: &DataType) -> bool {
    use DataType as T;
    from != to
        && !matches!(
            (from, to),
            (T::Utf8View | T::LargeUtf8 | T::Dictionary(_, _), T::Utf8)
                | (
                    T::Binary | T::BinaryView | T::Dictionary(_, _),
                    T::LargeBinary
                )
                | (T::Struct(_) | T::List(_) | T::Map(_, _), _)
        )
        && !matches!(
            (from, to),
            (T::Timestamp(left, Some(_)), T::Timestamp(right, Some(_))) if left == right
        )
}

/// What a field has that Arrow cannot say.
fn overlay(field: &NestedFieldRef, source: &NestedField) -> NestedFieldRef {
    let mut overlaid = field.as_ref().clone();
    if overlaid.doc.is_none() {
        overlaid.doc.clone_from(&source.doc);
    }
    let same_name = |fields: &'_ [NestedFieldRef], name: &str| {
        let mut fields = fields.iter();
        fields.find(|field| field.name == name).cloned()
    };
    let inside = |field: &NestedFieldRef, source: Option<NestedFieldRef>| match source {
        Some(source) => overlay(field, &source),
        None => Arc::clone(field),
    };
    let of = match (field.field_type.as_ref(), source.field_type.as_ref()) {
        (
            Type::Primitive(PrimitiveType::Fixed(16)),
            Type::Primitive(uuid @ PrimitiveType::Uuid),
        ) => Type::Primitive(uuid.clone()),
        (Type::Struct(fields), Type::Struct(known)) => {
            let fields = fields.fields().iter();
            let fields = fields.map(|it| inside(it, same_name(known.fields(), &it.name)));
            Type::Struct(StructType::new(fields.collect()))
        }
        (Type::List(list), Type::List(known)) => Type::List(ListType::new(overlay(
            &list.element_field,
            &known.element_field,
        ))),
        (Type::Map(map), Type::Map(known)) => Type::Map(MapType::new(
            overlay(&map.key_field, &known.key_field),
            overlay(&map.value_field, &known.value_field),
        )),
        (other, _) => other.clone(),
    };
    overlaid.field_type = Box::new(of);
    Arc::new(overlaid)
}

/// The type that a table has in the place of one that it may not hold.
///
/// # Errors
/// [`Error::NoType`] where there is none.
fn cured_type(column: &str, from: &DataType, version: FormatVersion) -> Result<DataType> {
    use DataType as T;
    let inside = |field: &FieldRef, nullable: bool| -> Result<FieldRef> {
        let path = format!("{column}.{}", field.name());
        let cured = cured_type(&path, field.data_type(), version)?;
        Ok(Arc::new(Field::new(field.name(), cured, nullable)))
    };
    Ok(match from {
        T::Null => T::Utf8,
        T::Int8 | T::Int16 | T::UInt8 | T::UInt16 => T::Int32,
        T::UInt32 => T::Int64,
        T::UInt64 => T::Decimal128(20, 0),
        T::Float16 => T::Float32,
        T::Decimal32(precision, scale)
        | T::Decimal64(precision, scale)
        | T::Decimal256(precision, scale)
        | T::Decimal128(precision, scale)
            if *scale >= 0 =>
        {
            T::Decimal128((*precision).min(38), *scale)
        }
        T::Date64 => T::Date32,
        T::Time32(_) | T::Time64(_) => T::Time64(TimeUnit::Microsecond),
        T::Timestamp(unit, zone) => {
            let unit = match unit {
                TimeUnit::Nanosecond if version >= FormatVersion::V3 => TimeUnit::Nanosecond,
                _ => TimeUnit::Microsecond,
            };
            T::Timestamp(unit, zone.as_ref().map(|_| Arc::from(UTC)))
        }
        T::Utf8 | T::LargeUtf8 | T::Utf8View => T::Utf8,
        T::Binary | T::LargeBinary | T::BinaryView => T::LargeBinary,
        T::Dictionary(_, values) => cured_type(column, values, version)?,
        T::Boolean
        | T::Int32
        | T::Int64
        | T::Float32
        | T::Float64
        | T::Date32
        | T::FixedSizeBinary(_) => from.clone(),
        T::Struct(fields) if !fields.is_empty() => {
            let fields = fields.iter().map(|field| inside(field, true));
            T::Struct(fields.collect::<Result<Fields>>()?)
        }
        T::List(element)
        | T::LargeList(element)
        | T::ListView(element)
        | T::LargeListView(element)
        | T::FixedSizeList(element, _) => {
            let element = inside(element, true)?;
            T::List(Arc::new(element.as_ref().clone().with_name("element")))
        }
        T::Map(entries, _) => match entries.data_type() {
            T::Struct(fields) if fields.len() == 2 => {
                let key = inside(&fields[0], false)?.as_ref().clone().with_name("key");
                let value = inside(&fields[1], true)?;
                let value = value.as_ref().clone().with_name("value");
                let entries = Field::new("key_value", T::Struct(vec![key, value].into()), false);
                T::Map(Arc::new(entries), false)
            }
            _ => return Err(no_type(column, from)),
        },
        _ => return Err(no_type(column, from)),
    })
}

fn no_type(column: &str, from: &DataType) -> Error {
    Error::NoType {
        column: column.to_owned(),
        found: from.clone(),
    }
}

/// Brings an array into the table's type.
///
/// # Errors
/// When a value does not fit, or a digit would be lost.
pub(super) fn convert(
    array: &ArrayRef,
    to: &DataType,
    nanoseconds: Nanoseconds,
) -> Result<ArrayRef, ArrowError> {
    use TimeUnit::{Microsecond, Nanosecond};
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    let of = |array: &ArrayRef, to: &FieldRef| convert(array, to.data_type(), nanoseconds);
    match (array.data_type(), to) {
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let array = array.as_struct();
            let columns = array.columns().iter().zip(fields);
            let columns = columns.map(|(column, field)| of(column, field));
            Ok(Arc::new(StructArray::try_new_with_length(
                fields.clone(),
                columns.collect::<Result<_, _>>()?,
                array.nulls().cloned(),
                array.len(),
            )?))
        }
        (DataType::List(_), DataType::List(element)) => {
            let list = array.as_list::<i32>();
            Ok(Arc::new(ListArray::try_new(
                Arc::clone(element),
                list.offsets().clone(),
                of(list.values(), element)?,
                list.nulls().cloned(),
            )?))
        }
        (
            DataType::LargeList(element)
            | DataType::FixedSizeList(element, _)
            | DataType::ListView(element)
            | DataType::LargeListView(element),
            DataType::List(_),
        ) => {
            let plain = DataType::List(Arc::clone(element));
            convert(&cast_with_options(array, &plain, &STRICT)?, to, nanoseconds)
        }
        (DataType::Map(_, _), DataType::Map(entries, _)) => {
            let map = array.as_map();
            let DataType::Struct(fields) = entries.data_type() else {
                return cast_with_options(array, to, &STRICT);
            };
            let columns = vec![of(map.keys(), &fields[0])?, of(map.values(), &fields[1])?];
            Ok(Arc::new(MapArray::try_new(
                Arc::clone(entries),
                map.offsets().clone(),
                StructArray::try_new(fields.clone(), columns, None)?,
                map.nulls().cloned(),
                false,
            )?))
        }
        (DataType::Timestamp(Nanosecond, _), DataType::Timestamp(Microsecond, _))
        | (DataType::Time64(Nanosecond), DataType::Time64(Microsecond)) => {
            coarser(array, to, nanoseconds)
        }
        // The zone is how an instant is shown; Arrow's cast would ask the calendar.
        (DataType::Timestamp(from, _), DataType::Timestamp(unit, _)) if from == unit => {
            let data = array.to_data().into_builder().data_type(to.clone());
            Ok(make_array(data.build()?))
        }
        _ => cast_with_options(array, to, &STRICT),
    }
}

fn coarser(
    array: &ArrayRef,
    to: &DataType,
    nanoseconds: Nanoseconds,
) -> Result<ArrayRef, ArrowError> {
    let numbers = cast_with_options(array, &DataType::Int64, &STRICT)?;
    let numbers = numbers.as_primitive::<Int64Type>();
    let micros: Int64Array = numbers.try_unary(|nanos| {
        if nanos.rem_euclid(1000) != 0 && nanoseconds == Nanoseconds::Check {
            return Err(ArrowError::CastError(format!(
                "{nanos} ns has digits beyond the microsecond"
            )));
        }
        Ok(nanos.div_euclid(1000))
    })?;
    let data = micros.to_data().into_builder().data_type(to.clone());
    Ok(make_array(data.build()?))
}

#[cfg(test)]
mod tests {
    use arrow::array::{TimestampNanosecondArray, UInt64Array};

    use super::*;

    #[track_caller]
    fn check(from: &DataType, version: FormatVersion, expected: Option<&str>) {
        let found = cured_type("c", from, version);
        let found = found.map(|found| found.to_string());
        assert_eq!(found.ok().as_deref(), expected, "{from}");
    }

    #[test]
    fn types_of_a_table() {
        use FormatVersion::{V2, V3};
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
        check(&nanos, V2, Some("Timestamp(µs)"));
        check(&nanos, V3, Some("Timestamp(ns)"));
        check(&DataType::UInt64, V2, Some("Decimal128(20, 0)"));
        check(&DataType::UInt32, V2, Some("Int64"));
        check(&DataType::Float16, V2, Some("Float32"));
        check(&DataType::Null, V2, Some("Utf8"));
        check(&DataType::Duration(TimeUnit::Second), V2, None);
        check(&DataType::Struct(Fields::empty()), V2, None);
        check(
            &DataType::new_large_list(DataType::UInt8, false),
            V2,
            Some("List(Int32, field: 'element')"),
        );
    }

    #[test]
    fn values_lose_nothing() {
        let check = Nanoseconds::Check;
        let numbers: ArrayRef = Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]));
        let decimal = convert(&numbers, &DataType::Decimal128(20, 0), check).unwrap();
        let decimal = decimal.as_primitive::<arrow::datatypes::Decimal128Type>();
        assert_eq!(decimal.value(0), i128::from(u64::MAX));
        let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_001]));
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        convert(&nanos, &micros, check).unwrap_err();
        convert(&nanos, &micros, Nanoseconds::Truncate).unwrap();
    }
}
