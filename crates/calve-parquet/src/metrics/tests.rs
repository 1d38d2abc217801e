use std::sync::Arc;

use bytes::Bytes;
use iceberg::spec::PrimitiveType;
use parquet::basic::{ColumnOrder, SortOrder};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray,
    FixedLenByteArrayType, FloatType, Int32Type, Int64Type, Int96, Int96Type,
};
use parquet::file::metadata::{FileMetaData, ParquetMetaDataBuilder, ParquetMetaDataReader};
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;

use super::*;
use crate::schema::Physical;

mod corpus;
mod oracle;
mod partitions;
mod properties;
mod statistics;
mod types;

/// The values of one column chunk; `None` is null.
#[derive(Debug, Clone)]
pub(super) enum Values {
    Boolean(Vec<Option<bool>>),
    Int32(Vec<Option<i32>>),
    Int64(Vec<Option<i64>>),
    Int96(Vec<Option<Int96>>),
    Float(Vec<Option<f32>>),
    Double(Vec<Option<f64>>),
    Bytes(Vec<Option<Vec<u8>>>),
    Fixed(Vec<Option<Vec<u8>>>),
}

impl Values {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Boolean(values) => values.len(),
            Self::Int32(values) => values.len(),
            Self::Int64(values) => values.len(),
            Self::Int96(values) => values.len(),
            Self::Float(values) => values.len(),
            Self::Double(values) => values.len(),
            Self::Bytes(values) | Self::Fixed(values) => values.len(),
        }
    }

    fn write(&self, writer: &mut SerializedColumnWriter<'_>, optional: bool) {
        fn put<T: DataType>(
            writer: &mut SerializedColumnWriter<'_>,
            values: &[Option<T::T>],
            optional: bool,
        ) {
            let levels: Vec<i16> = values.iter().map(|value| value.is_some().into()).collect();
            let values: Vec<T::T> = values.iter().flatten().cloned().collect();
            let levels = optional.then_some(levels.as_slice());
            writer
                .typed::<T>()
                .write_batch(&values, levels, None)
                .unwrap();
        }
        match self {
            Self::Boolean(values) => put::<BoolType>(writer, values, optional),
            Self::Int32(values) => put::<Int32Type>(writer, values, optional),
            Self::Int64(values) => put::<Int64Type>(writer, values, optional),
            Self::Int96(values) => put::<Int96Type>(writer, values, optional),
            Self::Float(values) => put::<FloatType>(writer, values, optional),
            Self::Double(values) => put::<DoubleType>(writer, values, optional),
            Self::Bytes(values) => {
                let values: Vec<_> = values
                    .iter()
                    .map(|value| value.clone().map(ByteArray::from))
                    .collect();
                put::<ByteArrayType>(writer, &values, optional);
            }
            Self::Fixed(values) => {
                let values: Vec<_> = values
                    .iter()
                    .map(|value| value.clone().map(FixedLenByteArray::from))
                    .collect();
                put::<FixedLenByteArrayType>(writer, &values, optional);
            }
        }
    }
}

/// Text as the bytes of a column.
pub(super) fn text(values: &[&str]) -> Values {
    Values::Bytes(
        values
            .iter()
            .map(|text| Some(text.as_bytes().to_vec()))
            .collect(),
    )
}

/// Writes a file of one column (`optional int32 c (DATE)`), a chunk per row group, and reads its footer.
pub(super) fn footer(column: &str, groups: &[Values]) -> ParquetMetaData {
    let properties = WriterProperties::builder()
        .set_statistics_truncate_length(None)
        .build();
    footer_with(column, groups, properties)
}

pub(super) fn footer_with(
    column: &str,
    groups: &[Values],
    properties: WriterProperties,
) -> ParquetMetaData {
    let schema = Arc::new(parse_message_type(&format!("message m {{ {column}; }}")).unwrap());
    let mut buffer = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut buffer, schema, Arc::new(properties)).unwrap();
    for values in groups {
        let mut group = writer.next_row_group().unwrap();
        let mut chunk = group.next_column().unwrap().unwrap();
        values.write(&mut chunk, column.starts_with("optional"));
        chunk.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
    ParquetMetaDataReader::new()
        .parse_and_finish(&Bytes::from(buffer))
        .unwrap()
}

/// The only column of a file, as field 1.
pub(super) fn leaf(
    table_type: PrimitiveType,
    file_type: PrimitiveType,
    physical: Physical,
) -> LeafMapping {
    LeafMapping {
        field_id: 1,
        table_type,
        file_type,
        physical,
        repeated: false,
    }
}

/// A column whose type is the same in the file and the table, stored as the specification says.
pub(super) fn plain(kind: PrimitiveType) -> LeafMapping {
    leaf(kind.clone(), kind, Physical::Plain)
}

pub(super) fn metrics(
    footer: &ParquetMetaData,
    mapping: &LeafMapping,
    mode: MetricsMode,
) -> FileMetrics {
    let mapping = ColumnMapping {
        leaves: vec![Some(mapping.clone())],
        ..ColumnMapping::default()
    };
    file_metrics(footer, &mapping, &MetricsConfig::uniform(mode)).unwrap()
}

/// Checks both bounds, with whole lengths.
#[track_caller]
#[expect(
    clippy::needless_pass_by_value,
    reason = "most callers make them in place"
)]
pub(super) fn check_bounds(
    footer: &ParquetMetaData,
    mapping: &LeafMapping,
    bounds: Option<(Datum, Datum)>,
) {
    let metrics = metrics(footer, mapping, MetricsMode::Full);
    let found = metrics
        .lower_bounds
        .get(&1)
        .cloned()
        .zip(metrics.upper_bounds.get(&1).cloned());
    assert_eq!(found, bounds);
    if found.is_none() {
        assert_eq!(metrics.lower_bounds, HashMap::new());
        assert_eq!(metrics.upper_bounds, HashMap::new());
    }
}

/// The same footer with other statistics, one for each row group.
pub(super) fn with_statistics(
    footer: &ParquetMetaData,
    statistics: Vec<Option<Statistics>>,
) -> ParquetMetaData {
    let groups = footer
        .row_groups()
        .iter()
        .zip(statistics)
        .map(|(group, statistics)| {
            let chunk = group.column(0).clone().into_builder();
            let chunk = match statistics {
                Some(statistics) => chunk.set_statistics(statistics),
                None => chunk.clear_statistics(),
            };
            group
                .clone()
                .into_builder()
                .set_column_metadata(vec![chunk.build().unwrap()])
                .build()
                .unwrap()
        })
        .collect();
    ParquetMetaDataBuilder::new(footer.file_metadata().clone())
        .set_row_groups(groups)
        .build()
}

/// The same footer from another writer, with other column orders.
pub(super) fn with_writer(
    footer: &ParquetMetaData,
    created_by: Option<&str>,
    order: Option<ColumnOrder>,
) -> ParquetMetaData {
    let file = footer.file_metadata();
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        created_by.map(str::to_owned),
        None,
        file.schema_descr_ptr(),
        order.map(|order| vec![order]),
    );
    ParquetMetaDataBuilder::new(file)
        .set_row_groups(footer.row_groups().to_vec())
        .build()
}

/// As Java writes: byte arrays in unsigned order, everything else signed.
pub(super) const UNSIGNED: Option<ColumnOrder> =
    Some(ColumnOrder::TYPE_DEFINED_ORDER(SortOrder::UNSIGNED));
pub(super) const SIGNED: Option<ColumnOrder> =
    Some(ColumnOrder::TYPE_DEFINED_ORDER(SortOrder::SIGNED));
pub(super) const JAVA: Option<&str> = Some("parquet-mr version 1.13.1 (build abc)");
