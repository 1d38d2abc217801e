//! Glue's types as records, and back.

use std::collections::HashMap;

use aws_sdk_glue::error::BuildError;
use aws_sdk_glue::types::{
    Column, Order, Partition, PartitionInput, SchemaId, SchemaReference, SerDeInfo, SkewedInfo,
    StorageDescriptor, Table, TableInput,
};
use aws_smithy_types::DateTime;

use crate::record::{
    ColumnRecord, EntryRecord, Parameters, PartitionRecord, SchemaReferenceRecord, SerdeRecord,
    SkewRecord, SortRecord, StorageRecord, TableRecord,
};

pub(super) fn entry_record(table: &Table) -> EntryRecord {
    EntryRecord {
        version_id: table.version_id.clone(),
        table_input: TableRecord {
            name: table.name.clone(),
            description: table.description.clone(),
            owner: table.owner.clone(),
            last_access_time: seconds(table.last_access_time),
            last_analyzed_time: seconds(table.last_analyzed_time),
            retention: table.retention,
            storage_descriptor: table.storage_descriptor.as_ref().map(storage_record),
            partition_keys: columns_record(table.partition_keys.as_ref()),
            view_original_text: table.view_original_text.clone(),
            view_expanded_text: table.view_expanded_text.clone(),
            table_type: table.table_type.clone(),
            parameters: parameters_record(table.parameters.as_ref()),
        },
    }
}

pub(super) fn table_input(record: &TableRecord) -> Result<TableInput, BuildError> {
    let storage = record.storage_descriptor.as_ref();
    TableInput::builder()
        .name(&record.name)
        .set_description(record.description.clone())
        .set_owner(record.owner.clone())
        .set_last_access_time(record.last_access_time.map(DateTime::from_secs_f64))
        .set_last_analyzed_time(record.last_analyzed_time.map(DateTime::from_secs_f64))
        .retention(record.retention)
        .set_storage_descriptor(storage.map(storage_descriptor).transpose()?)
        .set_partition_keys(columns(record.partition_keys.as_ref())?)
        .set_view_original_text(record.view_original_text.clone())
        .set_view_expanded_text(record.view_expanded_text.clone())
        .set_table_type(record.table_type.clone())
        .set_parameters(parameters(record.parameters.as_ref()))
        .build()
}

pub(super) fn partition_record(partition: &Partition) -> PartitionRecord {
    PartitionRecord {
        values: partition.values.clone().unwrap_or_default(),
        last_access_time: seconds(partition.last_access_time),
        last_analyzed_time: seconds(partition.last_analyzed_time),
        storage_descriptor: partition.storage_descriptor.as_ref().map(storage_record),
        parameters: parameters_record(partition.parameters.as_ref()),
    }
}

pub(super) fn partition_input(record: &PartitionRecord) -> Result<PartitionInput, BuildError> {
    let storage = record.storage_descriptor.as_ref();
    Ok(PartitionInput::builder()
        .set_values(Some(record.values.clone()))
        .set_last_access_time(record.last_access_time.map(DateTime::from_secs_f64))
        .set_last_analyzed_time(record.last_analyzed_time.map(DateTime::from_secs_f64))
        .set_storage_descriptor(storage.map(storage_descriptor).transpose()?)
        .set_parameters(parameters(record.parameters.as_ref()))
        .build())
}

fn storage_record(storage: &StorageDescriptor) -> StorageRecord {
    StorageRecord {
        columns: columns_record(storage.columns.as_ref()),
        location: storage.location.clone(),
        additional_locations: storage.additional_locations.clone(),
        input_format: storage.input_format.clone(),
        output_format: storage.output_format.clone(),
        compressed: storage.compressed,
        number_of_buckets: storage.number_of_buckets,
        serde_info: storage.serde_info.as_ref().map(|serde| SerdeRecord {
            name: serde.name.clone(),
            serialization_library: serde.serialization_library.clone(),
            parameters: parameters_record(serde.parameters.as_ref()),
        }),
        bucket_columns: storage.bucket_columns.clone(),
        sort_columns: storage.sort_columns.as_ref().map(|columns| {
            let record = |order: &Order| SortRecord {
                column: order.column.clone(),
                sort_order: order.sort_order,
            };
            columns.iter().map(record).collect()
        }),
        parameters: parameters_record(storage.parameters.as_ref()),
        skewed_info: storage.skewed_info.as_ref().map(|skew| SkewRecord {
            skewed_column_names: skew.skewed_column_names.clone(),
            skewed_column_values: skew.skewed_column_values.clone(),
            skewed_column_value_location_maps: parameters_record(
                skew.skewed_column_value_location_maps.as_ref(),
            ),
        }),
        stored_as_sub_directories: storage.stored_as_sub_directories,
        schema_reference: storage.schema_reference.as_ref().map(schema_record),
    }
}

fn storage_descriptor(record: &StorageRecord) -> Result<StorageDescriptor, BuildError> {
    let serde = record.serde_info.as_ref().map(|serde| {
        SerDeInfo::builder()
            .set_name(serde.name.clone())
            .set_serialization_library(serde.serialization_library.clone())
            .set_parameters(parameters(serde.parameters.as_ref()))
            .build()
    });
    let order = |record: &SortRecord| {
        Order::builder()
            .column(&record.column)
            .sort_order(record.sort_order)
            .build()
    };
    let orders = record.sort_columns.as_ref();
    let skew = record.skewed_info.as_ref().map(|skew| {
        let locations = skew.skewed_column_value_location_maps.as_ref();
        SkewedInfo::builder()
            .set_skewed_column_names(skew.skewed_column_names.clone())
            .set_skewed_column_values(skew.skewed_column_values.clone())
            .set_skewed_column_value_location_maps(parameters(locations))
            .build()
    });
    Ok(StorageDescriptor::builder()
        .set_columns(columns(record.columns.as_ref())?)
        .set_location(record.location.clone())
        .set_additional_locations(record.additional_locations.clone())
        .set_input_format(record.input_format.clone())
        .set_output_format(record.output_format.clone())
        .compressed(record.compressed)
        .number_of_buckets(record.number_of_buckets)
        .set_serde_info(serde)
        .set_bucket_columns(record.bucket_columns.clone())
        .set_sort_columns(
            orders
                .map(|orders| orders.iter().map(order).collect())
                .transpose()?,
        )
        .set_parameters(parameters(record.parameters.as_ref()))
        .set_skewed_info(skew)
        .stored_as_sub_directories(record.stored_as_sub_directories)
        .set_schema_reference(record.schema_reference.as_ref().map(schema_reference))
        .build())
}

fn schema_record(schema: &SchemaReference) -> SchemaReferenceRecord {
    let id = schema.schema_id.as_ref();
    SchemaReferenceRecord {
        schema_arn: id.and_then(|id| id.schema_arn.clone()),
        schema_name: id.and_then(|id| id.schema_name.clone()),
        registry_name: id.and_then(|id| id.registry_name.clone()),
        schema_version_id: schema.schema_version_id.clone(),
        schema_version_number: schema.schema_version_number,
    }
}

fn schema_reference(record: &SchemaReferenceRecord) -> SchemaReference {
    let has_id = record.schema_arn.is_some() || record.schema_name.is_some();
    let id = has_id.then(|| {
        SchemaId::builder()
            .set_schema_arn(record.schema_arn.clone())
            .set_schema_name(record.schema_name.clone())
            .set_registry_name(record.registry_name.clone())
            .build()
    });
    SchemaReference::builder()
        .set_schema_id(id)
        .set_schema_version_id(record.schema_version_id.clone())
        .set_schema_version_number(record.schema_version_number)
        .build()
}

fn columns_record(columns: Option<&Vec<Column>>) -> Option<Vec<ColumnRecord>> {
    let record = |column: &Column| ColumnRecord {
        name: column.name.clone(),
        type_text: column.r#type.clone(),
        comment: column.comment.clone(),
        parameters: parameters_record(column.parameters.as_ref()),
    };
    columns.map(|columns| columns.iter().map(record).collect())
}

fn columns(records: Option<&Vec<ColumnRecord>>) -> Result<Option<Vec<Column>>, BuildError> {
    let column = |record: &ColumnRecord| {
        Column::builder()
            .name(&record.name)
            .set_type(record.type_text.clone())
            .set_comment(record.comment.clone())
            .set_parameters(parameters(record.parameters.as_ref()))
            .build()
    };
    records
        .map(|records| records.iter().map(column).collect())
        .transpose()
}

fn parameters_record(parameters: Option<&HashMap<String, String>>) -> Option<Parameters> {
    let pair = |(key, value): (&String, &String)| (key.clone(), value.clone());
    parameters.map(|parameters| parameters.iter().map(pair).collect())
}

fn parameters(record: Option<&Parameters>) -> Option<HashMap<String, String>> {
    let pair = |(key, value): (&String, &String)| (key.clone(), value.clone());
    record.map(|record| record.iter().map(pair).collect())
}

fn seconds(time: Option<DateTime>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}
