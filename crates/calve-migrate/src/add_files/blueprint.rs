//! What the table will look like: the metadata that manifests are written for, and the changes that are
//! committed with them.

use std::collections::HashMap;
use std::sync::Arc;

use calve_base::{Location, Properties, TableIdent};
use calve_catalog::Table;
use calve_lake::PartitionKey;
use calve_parquet::{MappedField, NAME_MAPPING_PROPERTY, NameMapping, SchemaUnion};
use calve_table::{MetadataChange, NewTable, Revalidation, Transaction};
use futures::FutureExt;
use iceberg::spec::{
    FormatVersion, PartitionSpec, Schema, SortOrder, TableMetadata, Transform, Type,
};
use uuid::Uuid;

use super::GarbageCollection;
use super::target::Target;
use crate::{Error, Result};

/// The table property that keeps maintenance from deleting data files.
pub(super) const GC_ENABLED: &str = "gc.enabled";
/// The table property that names the codec of files written later; engines differ in the default.
const PARQUET_CODEC: &str = "write.parquet.compression-codec";
const DEFAULT_PARQUET_CODEC: &str = "zstd";

/// What the table will look like.
#[derive(Debug, Clone)]
pub(super) struct Blueprint {
    pub(super) ident: TableIdent,
    pub(super) target: Target,
    /// The lake's partition keys.
    pub(super) keys: Vec<PartitionKey>,
    /// Properties that the user wants a new table to have.
    pub(super) properties: Properties,
    pub(super) format_version: FormatVersion,
    pub(super) garbage_collection: Option<GarbageCollection>,
    /// The id of a new table.
    pub(super) uuid: Uuid,
    pub(super) created_ms: i64,
}

impl Blueprint {
    /// Where the table's metadata is, or will be.
    pub(super) fn location(&self) -> Result<Location> {
        match &self.target {
            Target::New(location) => Ok(location.clone()),
            Target::Existing(table) => {
                Ok(Location::parse(table.metadata().location())
                    .map_err(calve_table::Error::from)?)
            }
        }
    }

    /// The properties that the table has while the files are surveyed.
    pub(super) fn properties(&self) -> HashMap<String, String> {
        match &self.target {
            Target::New(_) => self.new_properties().into_iter().collect(),
            Target::Existing(table) => table.metadata().properties().clone(),
        }
    }

    /// The metadata that manifests are written for: the table's, or a new one's with the schema so far.
    pub(super) fn metadata(&self, union: &SchemaUnion) -> Result<TableMetadata> {
        match &self.target {
            Target::New(location) => Ok(self.new_table(location, union)?.into_metadata()?),
            Target::Existing(table) => Ok(table.metadata().clone()),
        }
    }

    /// The commit's start: the creation of the table, or the changes that an existing one needs.
    pub(super) fn transaction(
        &self,
        catalog: Arc<dyn calve_catalog::Catalog>,
        union: &SchemaUnion,
    ) -> Result<Transaction> {
        match &self.target {
            Target::New(location) => {
                let mut table = self.new_table(location, union)?;
                let mapping = union.name_mapping().to_json();
                table
                    .properties
                    .insert(NAME_MAPPING_PROPERTY.to_owned(), mapping);
                Ok(Transaction::create(catalog, self.ident.clone(), table))
            }
            Target::Existing(table) => Ok(Transaction::new(catalog, table.clone())
                .with_metadata_change(merge_names(union.name_mapping()))
                .with_metadata_change(protect(self.garbage_collection))
                .with_revalidation(revalidation())),
        }
    }

    /// What the user should know about who may delete the files.
    pub(super) fn ownership_note(&self) -> String {
        let properties = self.properties();
        match (
            properties.get(GC_ENABLED).map(String::as_str),
            self.garbage_collection,
        ) {
            (Some("false"), _) | (None, None) | (_, Some(GarbageCollection::Protect)) => format!(
                "{GC_ENABLED}=false: the files still belong to the lake, so expiring snapshots will not delete them; \
                 set {GC_ENABLED}=true when the table alone owns them"
            ),
            _ => format!(
                "{GC_ENABLED} is not false: the table owns the files now, and expiring snapshots may delete them"
            ),
        }
    }

    fn new_table(&self, location: &Location, union: &SchemaUnion) -> Result<NewTable> {
        let wrong = |source| Error::Schema {
            table: self.ident.clone(),
            source,
        };
        let schema = union.schema().map_err(wrong)?;
        Ok(NewTable {
            uuid: self.uuid,
            location: location.clone(),
            partition_spec: self.identity_spec(&schema)?,
            schema,
            sort_order: SortOrder::unsorted_order(),
            properties: self.new_properties(),
            format_version: self.format_version,
            created_ms: self.created_ms,
        })
    }

    /// One identity field for each of the lake's keys, in the lake's order.
    fn identity_spec(&self, schema: &Schema) -> Result<PartitionSpec> {
        let wrong = |source| Error::Iceberg {
            table: self.ident.clone(),
            source,
        };
        let mut builder = PartitionSpec::builder(schema.clone());
        for key in &self.keys {
            let column = schema
                .field_by_name_case_insensitive(&key.name)
                .map_or(key.name.as_str(), |field| field.name.as_str());
            builder = builder
                .add_partition_field(column, column, Transform::Identity)
                .map_err(wrong)?;
        }
        builder.build().map_err(wrong)
    }

    fn new_properties(&self) -> Properties {
        let mut properties = self.properties.clone();
        let codec = DEFAULT_PARQUET_CODEC.to_owned();
        properties.entry(PARQUET_CODEC.to_owned()).or_insert(codec);
        if self.garbage_collection != Some(GarbageCollection::Own) {
            properties
                .entry(GC_ENABLED.to_owned())
                .or_insert_with(|| "false".to_owned());
        }
        properties
    }
}

/// Adds to the table's name mapping what the files spell otherwise, and what it lacks of the schema.
fn merge_names(seen: NameMapping) -> MetadataChange {
    Arc::new(move |base: &TableMetadata, builder| {
        let before = base.properties().get(NAME_MAPPING_PROPERTY);
        let mut mapping = match before {
            Some(json) => NameMapping::parse(json).map_err(calve_table::Error::rejected)?,
            None => NameMapping::default(),
        };
        mapping.merge_schema(base.current_schema());
        add_names(&mut mapping, &seen.fields);
        let json = mapping.to_json();
        if before == Some(&json) {
            return Ok(builder);
        }
        let property = HashMap::from([(NAME_MAPPING_PROPERTY.to_owned(), json)]);
        Ok(builder.set_properties(property)?)
    })
}

fn add_names(mapping: &mut NameMapping, seen: &[MappedField]) {
    for field in seen {
        if let Some(id) = field.field_id {
            for name in &field.names {
                mapping.add_name(id, name);
            }
        }
        add_names(mapping, &field.fields);
    }
}

/// Sets `gc.enabled=false`: where the table says nothing of its own, or always if told so.
fn protect(garbage_collection: Option<GarbageCollection>) -> MetadataChange {
    Arc::new(move |base: &TableMetadata, builder| {
        let before = base.properties().get(GC_ENABLED);
        let sets = match garbage_collection {
            None => before.is_none(),
            Some(GarbageCollection::Protect) => before.is_none_or(|value| value != "false"),
            Some(GarbageCollection::Own) => false,
        };
        if !sets {
            return Ok(builder);
        }
        let property = HashMap::from([(GC_ENABLED.to_owned(), "false".to_owned())]);
        Ok(builder.set_properties(property)?)
    })
}

/// The files were checked against the table's schema as it was: what it then had must still be there.
fn revalidation() -> Revalidation {
    Arc::new(|before: Table, now: Table| {
        async move { still_fits(&before, &now).map_err(calve_table::Error::rejected) }.boxed()
    })
}

fn still_fits(before: &Table, now: &Table) -> Result<()> {
    let changed = |problem| {
        Err(Error::TargetChanged {
            table: now.ident().clone(),
            problem,
        })
    };
    if before.metadata().uuid() != now.metadata().uuid() {
        return changed("it was dropped and made again".to_owned());
    }
    let (old, new) = (
        before.metadata().current_schema(),
        now.metadata().current_schema(),
    );
    if old.schema_id() == new.schema_id() {
        return Ok(());
    }
    for id in old.field_id_to_name_map().keys() {
        let (Some(was), Some(is)) = (old.field_by_id(*id), new.field_by_id(*id)) else {
            return changed(format!(
                "column `{}` is gone",
                old.name_by_field_id(*id).unwrap_or_default()
            ));
        };
        let same = match (was.field_type.as_ref(), is.field_type.as_ref()) {
            (Type::Primitive(was), Type::Primitive(is)) => was == is,
            _ => true,
        };
        if !same || (is.required && !was.required) {
            return changed(format!("column `{}` is another now", was.name));
        }
    }
    let added = new.field_id_to_name_map();
    let required = added.keys().find(|id| {
        old.field_by_id(**id).is_none() && new.field_by_id(**id).is_some_and(|f| f.required)
    });
    match required {
        Some(id) => changed(format!("required column `{}` is new", added[id])),
        None => Ok(()),
    }
}
