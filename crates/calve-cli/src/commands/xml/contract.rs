//! The columns of a table as rows of XML have them.

use std::sync::Arc;

use calve::arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use calve::catalog::{Catalog, Table};
use calve::iceberg::arrow::schema_to_arrow_schema;
use calve::table::FieldMetadata;
use calve::xml::schema::choice::XML_NAME;

use crate::settings::{XmlConvertSettings, XmlTarget};

/// The key under which `iceberg` puts field ids into the metadata of Arrow's fields.
const FIELD_ID: &str = "PARQUET:field_id";

/// The columns of the table that the rows go into, where it is there already.
///
/// # Errors
/// When it cannot be read.
pub(super) async fn contract(
    catalog: &Arc<dyn Catalog>,
    settings: &XmlConvertSettings,
) -> anyhow::Result<Option<Schema>> {
    let XmlTarget::Table { table, .. } = &settings.target else {
        return Ok(None);
    };
    match catalog.load_table(table).await {
        Ok(table) => Ok(Some(columns(&table)?)),
        Err(
            calve::catalog::Error::TableNotFound { .. }
            | calve::catalog::Error::NamespaceNotFound { .. },
        ) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A table's columns, with the names of the elements that they are called otherwise than, and without field ids; instants are
/// in UTC.
fn columns(table: &Table) -> anyhow::Result<Schema> {
    let names = FieldMetadata::of_table(table.metadata(), XML_NAME)?;
    let schema = schema_to_arrow_schema(table.metadata().current_schema())?;
    Ok(Schema::new(plain_fields(schema.fields(), &names)))
}

fn plain_fields(fields: &Fields, names: &FieldMetadata) -> Fields {
    fields
        .iter()
        .map(|field| plain_field(field, names))
        .collect()
}

fn plain_field(field: &Field, names: &FieldMetadata) -> Field {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(plain_fields(fields, names)),
        DataType::List(element) => DataType::List(plain_field(element, names).into()),
        DataType::Map(entries, sorted) => {
            DataType::Map(plain_field(entries, names).into(), *sorted)
        }
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        other => other.clone(),
    };
    let mut plain = Field::new(field.name(), data_type, field.is_nullable());
    let id = field
        .metadata()
        .get(FIELD_ID)
        .and_then(|it| it.parse().ok());
    if let Some(name) = id.and_then(|id| names.get(id)) {
        let name = (XML_NAME.to_owned(), name.to_owned());
        plain.metadata_mut().extend([name]);
    }
    plain
}
