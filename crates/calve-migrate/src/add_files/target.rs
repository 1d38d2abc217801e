//! The table that files are added to: as it is, or as it will be.

use calve_base::{Location, TableIdent};
use calve_catalog::{Catalog, Table};
use calve_lake::PartitionKey;
use iceberg::spec::{
    FormatVersion, PartitionSpec, PartitionSpecRef, PrimitiveType, Schema, TableMetadata, Transform,
};

use super::blueprint::GC_ENABLED;
use super::{AddFiles, GarbageCollection, Options};
use crate::copied::{Part, check_not_copied};
use crate::{Error, Result};

/// The table that files are added to.
#[derive(Debug, Clone)]
pub(super) enum Target {
    /// It is there.
    Existing(Table),
    /// It will be created, with its metadata in this folder.
    New(Location),
}

/// Where a partition field's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PartitionSource {
    /// The lake's partition key of that index.
    Key(usize),
    /// The statistics of a column: the transform of its bounds, where both agree.
    Statistics {
        /// The column's field id.
        source_id: i32,
        /// The partition field's transform.
        transform: Transform,
    },
}

impl Target {
    /// Looks whether the table is there.
    pub(super) async fn load(
        catalog: &dyn Catalog,
        ident: &TableIdent,
        create: bool,
        location: Option<&Location>,
    ) -> Result<Self> {
        match catalog.load_table(ident).await {
            Ok(table) => Ok(Self::Existing(table)),
            Err(
                calve_catalog::Error::TableNotFound { .. }
                | calve_catalog::Error::NamespaceNotFound { .. },
            ) => {
                if !create {
                    return Err(Error::TargetMissing {
                        table: ident.clone(),
                    });
                }
                let location = match location {
                    Some(location) => location.clone(),
                    None => catalog.default_location(ident).await?,
                };
                Ok(Self::New(location))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Checks that a lake's rows are not in the table already, as copies. Chosen partitions may be newer than those.
    pub(super) async fn check_not_copied(&self, operation: &AddFiles) -> Result<()> {
        match self {
            Self::Existing(table) if operation.options.partition_filter.is_empty() => {
                check_not_copied(table, &operation.source, Part::All).await
            }
            _ => Ok(()),
        }
    }

    /// Checks that options which shape a new table are true of one that is there: nothing that the
    /// user asks for is passed over.
    pub(super) fn check_options(&self, ident: &TableIdent, options: &Options) -> Result<()> {
        let Self::Existing(table) = self else {
            return Ok(());
        };
        let metadata = table.metadata();
        let check = |what: String, given: &str, actual: Option<&str>| match actual {
            Some(actual) if actual == given => Ok(()),
            _ => Err(Error::TargetDiffers {
                table: ident.clone(),
                what,
                given: given.to_owned(),
                actual: actual.unwrap_or("not set").to_owned(),
            }),
        };
        if let Some(version) = options.format_version {
            let number = |version: FormatVersion| (version as u8).to_string();
            let actual = number(metadata.format_version());
            check("format version".to_owned(), &number(version), Some(&actual))?;
        }
        if let Some(location) = &options.location {
            let actual = Location::parse(metadata.location()).map_err(calve_table::Error::from)?;
            let (given, actual) = (location.canonical(), actual.canonical());
            let trim = |text: &str| text.trim_end_matches('/').to_owned();
            check("location".to_owned(), &trim(&given), Some(&trim(&actual)))?;
        }
        let owns = options.garbage_collection == Some(GarbageCollection::Own);
        let owning = (GC_ENABLED.to_owned(), "true".to_owned());
        let disowned = metadata.properties().get(GC_ENABLED).map(String::as_str) == Some("false");
        let properties = options.properties.iter();
        for (key, value) in properties.chain((owns && disowned).then_some((&owning.0, &owning.1))) {
            let actual = metadata.properties().get(key).map(String::as_str);
            check(format!("property `{key}`"), value, actual)?;
        }
        let types = self.partition_types();
        for (key, given) in &options.partition_types {
            let of_key = types
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(key));
            if let Some((_, actual)) = of_key {
                let what = format!("type of partition key `{key}`");
                check(what, &given.to_string(), Some(&actual.to_string()))?;
            }
        }
        Ok(())
    }

    /// The types that the table gives to partition keys, by name: those of all its identity fields.
    pub(super) fn partition_types(&self) -> Vec<(String, PrimitiveType)> {
        let Self::Existing(table) = self else {
            return Vec::new();
        };
        let metadata = table.metadata();
        let schema = metadata.current_schema();
        let mut types: Vec<(String, PrimitiveType)> = Vec::new();
        // The default spec first: where specs disagree on a name, it decides.
        for spec in specs_by_preference(metadata) {
            for field in spec
                .fields()
                .iter()
                .filter(|field| field.transform == Transform::Identity)
            {
                let Some(source) = schema.field_by_id(field.source_id) else {
                    continue;
                };
                let known = types
                    .iter()
                    .any(|(name, _)| name.eq_ignore_ascii_case(&source.name));
                if let (false, Some(primitive)) = (known, source.field_type.as_primitive_type()) {
                    types.push((source.name.clone(), primitive.clone()));
                }
            }
        }
        types
    }
}

/// The first partition spec, the default one before older ones, that files with these partition keys
/// fit into, and where each of its fields gets its value. As Spark, any spec of the table will do.
///
/// # Errors
/// [`Error::SpecMismatch`] that says why the default spec does not fit.
pub(super) fn choose_spec(
    table: &Table,
    keys: &[PartitionKey],
) -> Result<(PartitionSpecRef, Vec<PartitionSource>)> {
    let metadata = table.metadata();
    let schema = metadata.current_schema();
    let mut first_problem = None;
    for spec in specs_by_preference(metadata) {
        match partition_sources(spec, schema, keys) {
            Ok(sources) => return Ok((PartitionSpecRef::clone(spec), sources)),
            Err(problem) => first_problem = first_problem.or(Some(problem)),
        }
    }
    let describe = |spec: &PartitionSpecRef| {
        let fields: Vec<String> = spec
            .fields()
            .iter()
            .map(|field| format!("{}: {}", field.name, field.transform))
            .collect();
        format!("spec {} ({})", spec.spec_id(), fields.join(", "))
    };
    Err(Error::SpecMismatch {
        table: table.ident().clone(),
        keys: keys
            .iter()
            .map(|key| key.name.as_str())
            .collect::<Vec<_>>()
            .join(", "),
        problem: first_problem.unwrap_or_default(),
        specs: specs_by_preference(metadata)
            .map(describe)
            .collect::<Vec<_>>()
            .join(", "),
    })
}

/// All specs: the default one, then the others from the newest to the oldest.
fn specs_by_preference(metadata: &TableMetadata) -> impl Iterator<Item = &PartitionSpecRef> {
    let default = metadata.default_partition_spec_id();
    let mut others: Vec<&PartitionSpecRef> = metadata
        .partition_specs_iter()
        .filter(|spec| spec.spec_id() != default)
        .collect();
    others.sort_by_key(|spec| std::cmp::Reverse(spec.spec_id()));
    std::iter::once(metadata.default_partition_spec()).chain(others)
}

/// Where each field of the spec gets its value from: an identity field from the lake's key of the same
/// name (whatever its case and position), another field from the statistics of its column.
fn partition_sources(
    spec: &PartitionSpec,
    schema: &Schema,
    keys: &[PartitionKey],
) -> std::result::Result<Vec<PartitionSource>, String> {
    let mut used = vec![false; keys.len()];
    let mut sources = Vec::with_capacity(spec.fields().len());
    for field in spec.fields() {
        let source = schema
            .field_by_id(field.source_id)
            .ok_or_else(|| format!("partition field {} has lost its column", field.name))?;
        let key = keys
            .iter()
            .position(|key| key.name.eq_ignore_ascii_case(&source.name));
        sources.push(match (&field.transform, key) {
            (Transform::Identity, Some(index)) => {
                used[index] = true;
                PartitionSource::Key(index)
            }
            (
                Transform::Identity
                | Transform::Truncate(_)
                | Transform::Year
                | Transform::Month
                | Transform::Day
                | Transform::Hour,
                _,
            ) => PartitionSource::Statistics {
                source_id: field.source_id,
                transform: field.transform,
            },
            (transform, _) => {
                return Err(format!(
                    "partition field {} is {transform}({}), which neither a path nor statistics can tell",
                    field.name, source.name
                ));
            }
        });
    }
    match used.iter().position(|used| !used) {
        None => Ok(sources),
        Some(_) if spec.is_unpartitioned() => Err("the table is not partitioned".to_owned()),
        Some(index) => Err(format!(
            "no identity partition field is named {}",
            keys[index].name
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use iceberg::spec::{NestedField, Type};

    use super::*;

    fn schema() -> Schema {
        let field = |id, name: &str, primitive| {
            Arc::new(NestedField::optional(id, name, Type::Primitive(primitive)))
        };
        Schema::builder()
            .with_fields([
                field(1, "ts", PrimitiveType::Timestamp),
                field(2, "Year", PrimitiveType::Int),
                field(3, "element", PrimitiveType::String),
            ])
            .build()
            .unwrap()
    }

    #[track_caller]
    fn check(
        spec_fields: &[(&str, Transform)],
        keys: &[&str],
        expected: std::result::Result<&[PartitionSource], &str>,
    ) {
        let mut builder = PartitionSpec::builder(schema());
        for (index, (column, transform)) in spec_fields.iter().enumerate() {
            let name = if *transform == Transform::Identity {
                (*column).to_owned()
            } else {
                format!("{column}_{index}")
            };
            builder = builder
                .add_partition_field(column, name, *transform)
                .unwrap();
        }
        let keys: Vec<PartitionKey> = keys
            .iter()
            .map(|name| PartitionKey {
                name: (*name).to_owned(),
                primitive_type: PrimitiveType::String,
            })
            .collect();
        let sources = partition_sources(&builder.build().unwrap(), &schema(), &keys);
        assert_eq!(
            sources.as_deref().map_err(String::as_str),
            expected,
            "{spec_fields:?} for {keys:?}"
        );
    }

    #[test]
    fn specs_and_keys() {
        use PartitionSource::{Key, Statistics};
        let identity = Transform::Identity;
        check(&[], &[], Ok(&[]));
        check(
            &[("Year", identity), ("element", identity)],
            &["ELEMENT", "year"],
            Ok(&[Key(1), Key(0)]),
        );
        check(&[], &["year"], Err("the table is not partitioned"));
        check(
            &[("Year", identity)],
            &["year", "x"],
            Err("no identity partition field is named x"),
        );
        let month = Statistics {
            source_id: 1,
            transform: Transform::Month,
        };
        check(
            &[("Year", identity), ("ts", Transform::Month)],
            &["year"],
            Ok(&[Key(0), month]),
        );
        check(
            &[("element", identity)],
            &[],
            Ok(&[Statistics {
                source_id: 3,
                transform: identity,
            }]),
        );
        check(
            &[("element", Transform::Bucket(4))],
            &[],
            Err(
                "partition field element_0 is bucket[4](element), which neither a path nor statistics can tell",
            ),
        );
        check(
            &[("Year", Transform::Void)],
            &["year"],
            Err(
                "partition field Year_0 is void(Year), which neither a path nor statistics can tell",
            ),
        );
    }
}
