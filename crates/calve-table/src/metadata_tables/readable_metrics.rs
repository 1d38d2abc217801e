//! `readable_metrics`: what a manifest knows of each column, with bounds in the column's type.

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field, Fields};
use iceberg::spec::{Datum, PrimitiveLiteral, PrimitiveType, TableMetadata};

use super::arrays::{array, data_type, structs, values};
use super::files::Row;
use crate::Result;
use crate::manifest::{Bounds, ContentFile, Counts};

/// The primitive columns of a table, nested ones by their full names, in the order of their names.
#[derive(Debug)]
pub(super) struct ReadableMetrics {
    columns: Vec<MetricColumn>,
}

#[derive(Debug)]
struct MetricColumn {
    id: i32,
    name: String,
    primitive: PrimitiveType,
}

/// Counts of one column, by what is counted.
type CountOf = fn(&ContentFile) -> Option<&Counts>;

const COUNTS: [(&str, CountOf); 4] = [
    ("column_size", |file| file.column_sizes.as_ref()),
    ("value_count", |file| file.value_counts.as_ref()),
    ("null_value_count", |file| file.null_value_counts.as_ref()),
    ("nan_value_count", |file| file.nan_value_counts.as_ref()),
];

impl ReadableMetrics {
    pub(super) fn of(metadata: &TableMetadata) -> Self {
        let schema = metadata.current_schema();
        let ids = schema.field_id_to_name_map();
        let mut columns: Vec<MetricColumn> = ids
            .iter()
            .filter_map(|(id, name)| {
                let primitive = schema.field_by_id(*id)?.field_type.as_primitive_type()?;
                Some(MetricColumn {
                    id: *id,
                    name: name.clone(),
                    primitive: primitive.clone(),
                })
            })
            .collect();
        columns.sort_by(|left, right| left.name.cmp(&right.name));
        Self { columns }
    }

    pub(super) fn field(&self) -> Field {
        Field::new("readable_metrics", DataType::Struct(self.fields()), true)
    }

    fn fields(&self) -> Fields {
        let columns = self.columns.iter();
        columns
            .map(|column| {
                let metrics = DataType::Struct(column.fields());
                Field::new(column.name.clone(), metrics, true)
            })
            .collect()
    }

    pub(super) fn array(&self, rows: &[Row<'_>]) -> Result<ArrayRef> {
        let columns = self.columns.iter().map(|column| column.array(rows));
        structs(self.fields(), columns.collect::<Result<_>>()?, rows.len())
    }
}

impl MetricColumn {
    fn fields(&self) -> Fields {
        let counts = COUNTS
            .iter()
            .map(|(name, _)| Field::new(*name, DataType::Int64, true));
        let bounds = ["lower_bound", "upper_bound"]
            .map(|name| Field::new(name, data_type(&self.primitive), true));
        counts.chain(bounds).collect()
    }

    fn array(&self, rows: &[Row<'_>]) -> Result<ArrayRef> {
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(COUNTS.len() + 2);
        for (_, counts) in COUNTS {
            let counts = rows.iter().map(|row| {
                let counts = counts(row.file)?.iter();
                let (_, count) = counts.into_iter().find(|(id, _)| *id == self.id)?;
                Some(*count)
            });
            columns.push(array::<Int64Array, _>(counts));
        }
        let lower: Vec<_> = rows
            .iter()
            .map(|row| self.bound(row.file.lower_bounds.as_ref()))
            .collect();
        columns.push(values(&self.primitive, &lower)?);
        let upper: Vec<_> = rows
            .iter()
            .map(|row| self.bound(row.file.upper_bounds.as_ref()))
            .collect();
        columns.push(values(&self.primitive, &upper)?);
        structs(self.fields(), columns, rows.len())
    }

    /// A bound in the column's type; none where it cannot be read as that.
    fn bound(&self, bounds: Option<&Bounds>) -> Option<PrimitiveLiteral> {
        let (_, bytes) = bounds?.iter().find(|(id, _)| *id == self.id)?;
        let bound = Datum::try_from_bytes(bytes, self.primitive.clone()).ok()?;
        Some(bound.literal().clone())
    }
}
