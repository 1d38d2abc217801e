//! A batch's rows by partition.

use std::collections::HashMap;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, take_record_batch};
use arrow::row::{OwnedRow, RowConverter, SortField};
use iceberg::arrow::{PartitionValueCalculator, arrow_struct_to_literal};
use iceberg::spec::{Literal, PartitionSpec, Schema, Struct, StructType};

use super::DataError;
use super::conform::{viewed, with_types_of};

/// Splits batches by the values of a partition spec.
#[derive(Debug)]
pub(super) struct Splitter {
    calculator: PartitionValueCalculator,
    partition_type: StructType,
    /// The places of the columns of the top level that partitions are made of.
    sources: Vec<usize>,
    converter: RowConverter,
    /// The partitions seen, by their values in comparable form. One entry a partition.
    partitions: HashMap<OwnedRow, Struct>,
}

impl Splitter {
    /// Prepares the transforms of a spec that has fields.
    pub(super) fn new(spec: &PartitionSpec, schema: &Schema) -> iceberg::Result<Self> {
        let calculator = PartitionValueCalculator::try_new(spec, schema)?;
        let partition_type = calculator.partition_type().clone();
        let fields = match calculator.partition_arrow_type() {
            arrow::datatypes::DataType::Struct(fields) => fields
                .iter()
                .map(|field| SortField::new(field.data_type().clone()))
                .collect(),
            _ => Vec::new(),
        };
        Ok(Self {
            converter: RowConverter::new(fields).map_err(|error| {
                iceberg::Error::new(iceberg::ErrorKind::DataInvalid, error.to_string())
            })?,
            calculator,
            partition_type,
            sources: sources(spec, schema),
            partitions: HashMap::new(),
        })
    }

    /// Gives the rows of each partition in the batch, in their order; the partitions in the order in
    /// which they come.
    pub(super) fn split(
        &mut self,
        batch: &RecordBatch,
    ) -> Result<Vec<(Struct, RecordBatch)>, DataError> {
        let values = self
            .calculator
            .calculate(&self.without_views(batch)?)
            .map_err(|source| DataError::Partition { source })?;
        let rows = self
            .converter
            .convert_columns(values.as_struct().columns())
            .map_err(|source| DataError::Arrow { source })?;
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        let mut last: Option<(&[u8], usize)> = None;
        for (number, row) in rows.iter().enumerate() {
            let bytes = row.data();
            // Rows of one partition mostly come together.
            let place = match last {
                Some((known, place)) if known == bytes => place,
                _ => *places.entry(bytes).or_insert_with(|| {
                    groups.push(Vec::new());
                    groups.len() - 1
                }),
            };
            last = Some((bytes, place));
            groups[place].push(u32::try_from(number).expect("a batch has fewer than 2^32 rows"));
        }
        let mut parts = Vec::with_capacity(groups.len());
        for group in groups {
            let first = group[0] as usize;
            let partition = self.partition(rows.row(first).owned(), &values, first)?;
            let part = if group.len() == batch.num_rows() {
                batch.clone()
            } else {
                take_record_batch(batch, &UInt32Array::from(group))
                    .map_err(|source| DataError::Arrow { source })?
            };
            parts.push((partition, part));
        }
        Ok(parts)
    }

    /// The rows with what partitions are made of in the types that transforms know.
    fn without_views(&self, batch: &RecordBatch) -> Result<RecordBatch, DataError> {
        let wrong = |source| DataError::Arrow { source };
        let mut columns = batch.columns().to_vec();
        for place in &self.sources {
            if let Some(plain) = viewed(columns[*place].data_type()) {
                columns[*place] = cast(&columns[*place], &plain).map_err(wrong)?;
            }
        }
        let schema = with_types_of(&columns, &batch.schema());
        RecordBatch::try_new(schema, columns).map_err(wrong)
    }

    /// The partition of one row as Iceberg's value.
    fn partition(
        &mut self,
        key: OwnedRow,
        values: &ArrayRef,
        row: usize,
    ) -> Result<Struct, DataError> {
        if let Some(partition) = self.partitions.get(&key) {
            return Ok(partition.clone());
        }
        let one = values.slice(row, 1);
        let literals = arrow_struct_to_literal(&one, &self.partition_type)
            .map_err(|source| DataError::Partition { source })?;
        let partition = if let Some(Some(Literal::Struct(partition))) = literals.into_iter().next()
        {
            partition
        } else {
            let fields = self.partition_type.fields().len();
            std::iter::repeat_n(None, fields).collect()
        };
        self.partitions.insert(key, partition.clone());
        Ok(partition)
    }
}

/// The places of the columns of the top level that a spec has transforms of.
fn sources(spec: &PartitionSpec, schema: &Schema) -> Vec<usize> {
    let fields = schema.as_struct().fields().iter().enumerate();
    let is_source = |id| spec.fields().iter().any(|field| field.source_id == id);
    let sources = fields.filter(|(_, field)| is_source(field.id));
    sources.map(|(place, _)| place).collect()
}
