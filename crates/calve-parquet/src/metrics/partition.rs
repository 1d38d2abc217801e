//! Partition values that a footer's statistics prove.

use std::fmt;

use iceberg::spec::{Datum, PrimitiveType, Transform};
use iceberg::transform::create_transform_function;
use parquet::file::metadata::ParquetMetaData;

use super::bounds::{Bounds, Length};
use super::column::Column;
use super::writer::Writer;
use crate::resolve::LeafMapping;
use crate::{Error, Result};

/// What the statistics of a column say of a file's partition value.
#[derive(Debug, Clone, PartialEq)]
pub enum PartitionValue {
    /// Every row has this value (after the transform).
    Constant(Datum),
    /// Every row is null.
    Null,
    /// The file has no rows, so that any value would do.
    NoRows,
    /// The file has rows of several partitions: its least and greatest values (after the transform) differ.
    Several {
        /// The least.
        lower: Datum,
        /// The greatest.
        upper: Datum,
    },
    /// The file has both nulls and values.
    SomeNulls,
    /// The statistics do not tell.
    Unknown(PartitionUnknown),
}

/// Why statistics do not tell a partition value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PartitionUnknown {
    /// Some row group has no usable least and greatest value, or its bounds are not exact.
    NoBounds,
    /// Some row group does not count its nulls.
    NoNullCount,
    /// The column holds floating-point numbers: statistics pass over NaN.
    Floats,
    /// The transform does not keep the order of the values (bucket), and there are several values.
    NotOrdered,
}

impl fmt::Display for PartitionUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoBounds => "its statistics have no usable least and greatest value",
            Self::NoNullCount => "its statistics do not count nulls",
            Self::Floats => "statistics of floating-point columns pass over NaN",
            Self::NotOrdered => "the transform does not keep the order of the values",
        })
    }
}

/// The one value that every row of a file has in a column, if the statistics prove it.
///
/// # Errors
/// When the footer contradicts itself.
pub fn constant_value(
    footer: &ParquetMetaData,
    leaf: usize,
    mapping: &LeafMapping,
) -> Result<Option<Datum>> {
    Ok(
        match partition_value(footer, leaf, mapping, Transform::Identity)? {
            PartitionValue::Constant(value) => Some(value),
            _ => None,
        },
    )
}

/// Derives a file's partition value from the statistics of its source column (the leaf column of
/// that index): where the transform keeps order, and the least and the greatest value are in one
/// partition, all values are.
///
/// # Errors
/// When the footer contradicts itself, has no such column, or the transform does not fit the type.
pub fn partition_value(
    footer: &ParquetMetaData,
    leaf: usize,
    mapping: &LeafMapping,
    transform: Transform,
) -> Result<PartitionValue> {
    let schema = footer.file_metadata().schema_descr();
    if leaf >= schema.num_columns() {
        return Err(Error::Footer {
            problem: format!("it has no leaf column {leaf}"),
        });
    }
    if super::record_count(footer)? == 0 {
        return Ok(PartitionValue::NoRows);
    }
    if transform == Transform::Void {
        return Ok(PartitionValue::Null);
    }
    let column = Column::new(footer, leaf, mapping, Writer::of(footer));
    let counts = column.counts()?;
    let (Some(values), Some(nulls)) = (counts.values, counts.nulls) else {
        return Ok(PartitionValue::Unknown(PartitionUnknown::NoNullCount));
    };
    if nulls == values {
        return Ok(PartitionValue::Null);
    }
    if matches!(
        mapping.table_type,
        PrimitiveType::Float | PrimitiveType::Double
    ) {
        return Ok(PartitionValue::Unknown(PartitionUnknown::Floats));
    }
    let Bounds {
        lower: Some(lower),
        upper: Some(upper),
    } = column.bounds(Length::Whole)
    else {
        return Ok(PartitionValue::Unknown(PartitionUnknown::NoBounds));
    };
    if nulls > 0 {
        return Ok(PartitionValue::SomeNulls);
    }
    if lower != upper && !transform.preserves_order() {
        return Ok(PartitionValue::Unknown(PartitionUnknown::NotOrdered));
    }
    let name = || schema.column(leaf).path().string();
    let lower = transformed(transform, &lower, name)?;
    let upper = transformed(transform, &upper, name)?;
    Ok(if lower == upper {
        PartitionValue::Constant(lower)
    } else {
        PartitionValue::Several { lower, upper }
    })
}

fn transformed(transform: Transform, value: &Datum, column: impl Fn() -> String) -> Result<Datum> {
    let problem = match create_transform_function(&transform)
        .and_then(|function| function.transform_literal(value))
    {
        Ok(Some(value)) => return Ok(value),
        Ok(None) => format!("transform {transform} gives nothing for {value}"),
        Err(error) => format!("transform {transform} of {value}: {error}"),
    };
    Err(Error::Column {
        column: column(),
        problem,
    })
}
