//! The Parquet schema of data files.

use std::sync::Arc;

use iceberg::spec::{PrimitiveType, Schema, Type as IcebergType};
use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::LogicalType;
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::schema::types::{SchemaDescriptor, Type, TypePtr};

/// What `parquet` makes of the schema in Arrow, and the annotation of UUIDs, which Arrow does not have (spec,
/// "Parquet", data type mappings).
pub(super) fn parquet_schema(
    arrow: &arrow::datatypes::Schema,
    schema: &Schema,
    properties: &WriterProperties,
) -> Result<SchemaDescriptor> {
    let converter = ArrowSchemaConverter::new().with_coerce_types(properties.coerce_types());
    let columns = converter.convert(arrow)?;
    let is_uuid = |id: i32| {
        let field = schema.field_by_id(id);
        field.is_some_and(|field| *field.field_type == IcebergType::Primitive(PrimitiveType::Uuid))
    };
    let root = annotated(&columns.root_schema_ptr(), &is_uuid)?;
    Ok(SchemaDescriptor::new(root))
}

fn annotated(column: &TypePtr, is_uuid: &impl Fn(i32) -> bool) -> Result<TypePtr> {
    let info = column.get_basic_info();
    let id = info.has_id().then(|| info.id());
    let rebuilt = match column.as_ref() {
        Type::GroupType { fields, .. } => {
            let fields = fields.iter().map(|field| annotated(field, is_uuid));
            let group = Type::group_type_builder(info.name())
                .with_fields(fields.collect::<Result<_>>()?)
                .with_converted_type(info.converted_type())
                .with_logical_type(info.logical_type_ref().cloned())
                .with_id(id);
            if info.has_repetition() {
                group.with_repetition(info.repetition()).build()?
            } else {
                group.build()?
            }
        }
        Type::PrimitiveType {
            physical_type,
            type_length,
            ..
        } if id.is_some_and(is_uuid) => Type::primitive_type_builder(info.name(), *physical_type)
            .with_length(*type_length)
            .with_repetition(info.repetition())
            .with_logical_type(Some(LogicalType::Uuid))
            .with_id(id)
            .build()?,
        Type::PrimitiveType { .. } => return Ok(Arc::clone(column)),
    };
    Ok(Arc::new(rebuilt))
}
