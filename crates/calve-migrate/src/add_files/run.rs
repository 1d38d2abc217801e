//! One run: the target and the lake are opened and matched, the lake is surveyed, the rest is committed.

use std::collections::HashSet;
use std::sync::Arc;

use calve_catalog::Table;
use calve_lake::{Lake, LakeOptions};
use calve_parquet::{
    HiveColumn, NAME_MAPPING_PROPERTY, NameMapping, SchemaCache, SchemaUnion, TypePolicy, type_text,
};
use calve_table::{
    Append, DEFAULT_MANIFEST_CONCURRENCY, FileSet, ReplaceFiles, WrittenManifests, new_snapshot_id,
};
use iceberg::spec::{FormatVersion, PrimitiveType, TableMetadata, Type};
use uuid::Uuid;

use super::blueprint::Blueprint;
use super::judge::{Judge, Rules};
use super::partition::PartitionRules;
use super::report::{Plan, Report};
use super::survey::{Sink, Survey};
use super::target::{PartitionSource, Target, choose_spec};
use super::{AddFiles, Changes, DuplicateFiles, OnRefused, Options};
use crate::{Error, Result};

/// One run of the operation.
#[derive(Debug)]
pub(super) struct Run<'a> {
    operation: &'a AddFiles,
    lake: Lake,
    blueprint: Blueprint,
    survey: Survey,
    notes: Vec<String>,
}

/// What the files are judged by, besides the options.
struct Footing {
    union: SchemaUnion,
    policy: TypePolicy,
    spec_id: i32,
    partition: PartitionRules,
    declared: HashSet<String>,
    notes: Vec<String>,
}

impl<'a> Run<'a> {
    /// Opens the table and the lake and matches their partitioning.
    pub(super) async fn prepare(operation: &'a AddFiles) -> Result<Self> {
        let (options, catalog) = (&operation.options, &operation.catalog);
        let target = Target::load(
            catalog.as_ref(),
            &operation.table,
            options.create,
            options.location.as_ref(),
        )
        .await?;
        target.check_options(&operation.table, options)?;
        target.check_not_copied(operation).await?;
        let lake_options = LakeOptions {
            partition_types: options.partition_types.clone(),
            column_types: target.partition_types(),
            partition_filter: options.partition_filter.clone(),
            recursive: options.recursive,
            concurrency: options.concurrency,
            clock: Arc::clone(&operation.clock),
            progress: Arc::clone(&operation.progress),
            ..LakeOptions::default()
        };
        let lake = Lake::open(catalog.storage(), operation.source.clone(), lake_options).await?;
        let blueprint = Blueprint {
            ident: operation.table.clone(),
            target,
            keys: lake.partition_keys().to_vec(),
            properties: options.properties.clone(),
            format_version: format_version(options),
            garbage_collection: options.garbage_collection,
            uuid: Uuid::new_v4(),
            created_ms: operation.clock.now_ms(),
        };
        let footing = match &blueprint.target {
            Target::Existing(table) => footing_of_table(operation, table, &lake)?,
            Target::New(_) => footing_of_new_table(operation, &lake)?,
        };
        let local_times = TypePolicy {
            int96_is_instant: false,
            ..footing.policy.clone()
        };
        let rules = Rules {
            instants: SchemaCache::new(TypePolicy {
                int96_is_instant: true,
                ..footing.policy
            }),
            local_times: SchemaCache::new(local_times),
            int96: options.int96,
            on_unsafe: options.on_unsafe,
            properties: blueprint.properties(),
            spec_id: footing.spec_id,
            partition: footing.partition,
            declared: footing.declared,
        };
        let mut notes: Vec<String> = lake.warnings().iter().map(ToString::to_string).collect();
        notes.extend(footing.notes);
        let survey = Survey::new(
            Judge::new(footing.union, rules),
            options.on_refused,
            operation.selection.clone(),
            operation.observer.clone(),
        );
        Ok(Self {
            operation,
            lake,
            blueprint,
            survey,
            notes,
        })
    }

    /// The lake that is worked through.
    pub(super) fn lake(&self) -> &Lake {
        &self.lake
    }

    /// Reads the footers and decides, without writing.
    pub(super) async fn plan(mut self) -> Result<Plan> {
        self.read(&mut Sink::Discard).await?;
        self.changes(false).await?;
        self.into_plan()
    }

    /// Reads the footers, writes manifests on the way, and commits them.
    pub(super) async fn execute(mut self) -> Result<Report> {
        let storage = self.operation.catalog.storage().clone();
        let snapshot_id = new_snapshot_id();
        let mut sink = Sink::Pending {
            storage,
            blueprint: Box::new(self.blueprint.clone()),
            snapshot_id,
        };
        let read = self.read(&mut sink).await;
        let refused =
            self.survey.refused.count > 0 && self.operation.options.on_refused == OnRefused::Fail;
        match read {
            Ok(files) if !refused => self.commit(sink, files).await,
            Ok(_) => {
                sink.discard().await;
                self.notes
                    .push("nothing was committed, because files were refused".to_owned());
                self.unchanged()
            }
            Err(error) => {
                sink.discard().await;
                Err(error)
            }
        }
    }

    /// The one pass over the lake. Returns the files that were seen.
    async fn read(&mut self, sink: &mut Sink) -> Result<FileSet> {
        let options = &self.operation.options;
        let existing = match &self.blueprint.target {
            Target::Existing(table) if options.duplicates != DuplicateFiles::Allow => {
                FileSet::of_table(table, DEFAULT_MANIFEST_CONCURRENCY).await?
            }
            _ => FileSet::new(),
        };
        let progress = self.operation.progress.as_ref();
        let outcome = self
            .survey
            .run(
                &self.lake,
                existing,
                options.duplicates,
                options.concurrency,
                progress,
                sink,
            )
            .await?;
        if outcome.duplicates.count > 0 {
            return Err(Error::Duplicates {
                table: self.operation.table.clone(),
                count: outcome.duplicates.count,
                examples: outcome.duplicates.first.into_iter().take(10).collect(),
            });
        }
        Ok(outcome.seen)
    }

    /// What is committed beside the added files.
    async fn changes(&self, writes: bool) -> Result<Changes> {
        let table = match &self.blueprint.target {
            Target::Existing(table) => Some(table),
            Target::New(_) => None,
        };
        match &self.operation.selection {
            Some(selection) => selection.changes(table, writes).await,
            None => Ok(Changes::default()),
        }
    }

    async fn commit(mut self, sink: Sink, files: FileSet) -> Result<Report> {
        let changes = match self.changes(true).await {
            Ok(changes) => changes,
            Err(error) => {
                sink.discard().await;
                return Err(error);
            }
        };
        let written = sink.finish().await?;
        let is_new = matches!(self.blueprint.target, Target::New(_));
        if written.is_none() && !is_new && changes.is_empty() {
            return self.unchanged();
        }
        if written.is_some() || is_new {
            self.check_has_columns()?;
        }
        let union = self.survey.judge.union();
        let mut transaction = self
            .blueprint
            .transaction(Arc::clone(&self.operation.catalog), union)?
            .with_clock(Arc::clone(&self.operation.clock));
        if !changes.properties.is_empty() {
            transaction = transaction.with_properties(changes.properties);
        }
        let adds = written.is_some();
        if adds || !changes.removed.is_empty() {
            let (snapshot_id, written) =
                written.unwrap_or_else(|| (new_snapshot_id(), WrittenManifests::default()));
            transaction = if changes.removed.is_empty() {
                transaction.with_snapshot(Append::new(snapshot_id, written))
            } else {
                let replace = ReplaceFiles::new(snapshot_id, changes.removed, written);
                transaction.with_snapshot(replace)
            };
            transaction = transaction
                .with_summary("engine-name", "calve")
                .with_summary("engine-version", env!("CARGO_PKG_VERSION"));
        }
        if adds && self.operation.options.duplicates != DuplicateFiles::Allow {
            transaction = transaction.with_new_files(Arc::new(files));
        }
        let committed = transaction.await?;
        self.notes.push(self.blueprint.ownership_note());
        Ok(Report {
            snapshot_id: committed.snapshot_id,
            metadata_location: Some(committed.table.metadata_location().clone()),
            plan: self.into_plan()?,
        })
    }

    /// The report of a run that left the table as it was.
    fn unchanged(self) -> Result<Report> {
        let metadata_location = match &self.blueprint.target {
            Target::Existing(table) => Some(table.metadata_location().clone()),
            Target::New(_) => None,
        };
        Ok(Report {
            snapshot_id: None,
            metadata_location,
            plan: self.into_plan()?,
        })
    }

    /// A table needs columns, and they come from files or from a metastore.
    fn check_has_columns(&self) -> Result<()> {
        let has_data_columns = self.survey.has_schema() || self.lake.hive_columns().is_some();
        if has_data_columns {
            return Ok(());
        }
        Err(Error::NoSchema {
            source_name: self.lake.root().to_string(),
            table: self.operation.table.clone(),
        })
    }

    fn into_plan(self) -> Result<Plan> {
        let table_location = self.blueprint.location()?;
        let metadata = match &self.blueprint.target {
            Target::New(_) if !self.survey.has_schema() => None,
            _ => Some(self.blueprint.metadata(self.survey.judge.union())?),
        };
        let schema = metadata.as_ref().map(TableMetadata::current_schema);
        let describe = |name: &str, of: &Type| format!("{name}: {}", type_text(of));
        let columns = schema.map(|schema| {
            let fields = schema.as_struct().fields().iter();
            fields
                .map(|field| describe(&field.name, &field.field_type))
                .collect()
        });
        let partition_by = self
            .blueprint
            .keys
            .iter()
            .map(|key| format!("{}: {}", key.name, key.primitive_type))
            .collect();
        let survey = self.survey;
        Ok(Plan {
            table: self.operation.table.clone(),
            creates_table: matches!(self.blueprint.target, Target::New(_)),
            table_location,
            added_files_count: survey.files_count,
            added_records_count: survey.records_count,
            added_files_size_bytes: survey.size_bytes,
            changed_partition_count: survey.partitions_count(),
            partition_by,
            columns: columns.unwrap_or_default(),
            skipped_count: survey.skipped.count,
            skipped: survey.skipped.first,
            refused_count: survey.refused.count,
            refused: survey.refused.first,
            findings: survey.findings.into_values().collect(),
            drifted_count: survey.drifted.count,
            drifted: survey.drifted.first,
            notes: self.notes,
        })
    }
}

/// The format version of a table that is created.
fn format_version(options: &Options) -> FormatVersion {
    options.format_version.unwrap_or(FormatVersion::V2)
}

/// An existing table: its schema is fixed, and one of its specs must fit.
fn footing_of_table(operation: &AddFiles, table: &Table, lake: &Lake) -> Result<Footing> {
    let wrong = |source| Error::Schema {
        table: table.ident().clone(),
        source,
    };
    let metadata = table.metadata();
    let schema = metadata.current_schema();
    let (spec, sources) = choose_spec(table, lake.partition_keys())?;
    let mapping = metadata
        .properties()
        .get(NAME_MAPPING_PROPERTY)
        .map(|json| NameMapping::parse(json))
        .transpose()
        .map_err(wrong)?;
    let from_paths: Vec<String> = spec
        .fields()
        .iter()
        .zip(&sources)
        .filter(|(_, source)| matches!(source, PartitionSource::Key(_)))
        .filter_map(|(field, _)| schema.name_by_field_id(field.source_id))
        .map(ToOwned::to_owned)
        .collect();
    Ok(Footing {
        union: SchemaUnion::for_table(schema, mapping, operation.options.allow_extra_columns)
            .with_path_columns(&from_paths),
        policy: TypePolicy::for_table(schema, metadata.format_version()),
        spec_id: spec.spec_id(),
        partition: PartitionRules::of_spec(&spec, schema, sources),
        declared: lower_case(schema.as_struct().fields().iter().map(|field| &field.name)),
        notes: Vec::new(),
    })
}

/// A new table: its columns are a metastore's and the files', its partition columns the lake's keys.
fn footing_of_new_table(operation: &AddFiles, lake: &Lake) -> Result<Footing> {
    let wrong = |source| Error::Schema {
        table: operation.table.clone(),
        source,
    };
    let keys: Vec<(String, PrimitiveType)> = lake
        .partition_keys()
        .iter()
        .map(|key| (key.name.clone(), key.primitive_type.clone()))
        .collect();
    let mut union = SchemaUnion::for_new_table(&keys);
    let mut policy = TypePolicy {
        format_version: format_version(&operation.options),
        ..TypePolicy::default()
    };
    let mut notes = Vec::new();
    let mut declared = lower_case(keys.iter().map(|(name, _)| name));
    if let Some(columns) = lake.hive_columns() {
        let columns: Vec<HiveColumn> = columns
            .iter()
            .map(|column| HiveColumn {
                name: column.name.clone(),
                hive_type: column.hive_type.clone(),
                comment: column.comment.clone(),
            })
            .collect();
        declared.extend(lower_case(columns.iter().map(|column| &column.name)));
        let findings = union.seed(&columns).map_err(wrong)?;
        notes.extend(
            findings
                .into_iter()
                .map(|f| format!("column `{}`: {}", f.column, f.message)),
        );
        policy.text_columns = union.text_columns().map_err(wrong)?;
    }
    let partition = PartitionRules::of_keys(lake.partition_keys());
    Ok(Footing {
        union,
        policy,
        spec_id: 0,
        partition,
        declared,
        notes,
    })
}

fn lower_case<'a>(names: impl Iterator<Item = &'a String>) -> HashSet<String> {
    names.map(|name| name.to_lowercase()).collect()
}
