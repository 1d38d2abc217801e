//! Which files of a snapshot a query reads.

use std::collections::HashMap;
use std::sync::Arc;

use calve_base::Location;
use calve_catalog::Table;
use calve_table::{
    ContentFile, DeleteFile as TableDelete, FileFilter, Scan, ScanFile as TableFile,
};
use datafusion::common::stats::Precision;
use futures::StreamExt;
use iceberg::spec::{
    DataFileFormat, ManifestFile, NestedFieldRef, PartitionSpec, PrimitiveType, Schema,
    SnapshotRef, Struct, Transform, Type,
};

use crate::read::{
    Constants, DeleteFile, FileContainer, Filters, ManifestContainer, ScanFile, scalar,
};
use crate::{Error, Result};

/// How many files are looked at together.
const BLOCK_FILES: usize = 1024;

/// The top-level columns of primitive types: their field ids and types, by name.
#[derive(Debug)]
pub(crate) struct PrimitiveColumns(HashMap<String, (i32, PrimitiveType)>);

impl PrimitiveColumns {
    pub(crate) fn new(schema: &Schema) -> Self {
        let fields = schema.as_struct().fields().iter();
        let primitives = fields.filter_map(|field| {
            let primitive = field.field_type.as_primitive_type()?;
            Some((field.name.clone(), (field.id, primitive.clone())))
        });
        Self(primitives.collect())
    }

    /// The field id and type of a column.
    pub(crate) fn get(&self, name: &str) -> Option<(i32, &PrimitiveType)> {
        self.0.get(name).map(|(id, primitive)| (*id, primitive))
    }
}

/// Finds the files of a snapshot that may hold what a query asks for.
pub(crate) struct Planner<'a> {
    pub(crate) table: &'a Table,
    pub(crate) schema: &'a Arc<Schema>,
    pub(crate) primitives: &'a Arc<PrimitiveColumns>,
    pub(crate) filters: &'a Arc<Filters>,
}

impl Planner<'_> {
    /// The files to read, and how many rows they have, where that is known for sure.
    pub(crate) async fn files(
        &self,
        snapshot: Option<&SnapshotRef>,
    ) -> Result<(Vec<ScanFile>, Precision<usize>)> {
        let Some(snapshot) = snapshot else {
            return Ok((Vec::new(), Precision::Exact(0)));
        };
        let (filters, primitives) = (Arc::clone(self.filters), Arc::clone(self.primitives));
        let may_match = move |manifest: &ManifestFile, spec: &PartitionSpec| {
            let container = ManifestContainer {
                manifest,
                spec,
                primitives: &primitives,
            };
            filters.keep_by_range(&[container])[0]
        };
        let files = Scan::new(self.table.clone())
            .with_snapshot(SnapshotRef::clone(snapshot))
            .with_manifest_filter(Arc::new(may_match))
            .plan()
            .await?;
        let mut blocks = files.chunks(BLOCK_FILES);
        let mut kept = Kept::default();
        while let Some(block) = blocks.next().await {
            let block = block.into_iter().collect::<Result<Vec<_>, _>>()?;
            self.block(&block, &mut kept)?;
        }
        let rows = usize::try_from(kept.rows).map_or(Precision::Absent, Precision::Exact);
        let any_deleted = kept.files.iter().any(|file| !file.deletes.is_empty());
        Ok((
            kept.files,
            if any_deleted { rows.to_inexact() } else { rows },
        ))
    }

    /// Files that were listed elsewhere, in their order.
    pub(crate) fn listed(&self, files: &[TableFile]) -> Result<Vec<ScanFile>> {
        let mut kept = Kept::default();
        for block in files.chunks(BLOCK_FILES) {
            self.block(block, &mut kept)?;
        }
        Ok(kept.files)
    }

    fn block(&self, block: &[TableFile], kept: &mut Kept) -> Result<()> {
        let mut containers = Vec::with_capacity(block.len());
        for file in block {
            let spec = self.spec(file.spec_id)?;
            containers.push(FileContainer {
                file: &file.file,
                constants: kept.constants_of(self, spec, &file.file.partition)?,
                spec,
                primitives: self.primitives,
            });
        }
        let keep = self.filters.keep(&containers)?;
        for ((file, container), _) in block
            .iter()
            .zip(containers)
            .zip(keep)
            .filter(|(_, keep)| *keep)
        {
            let content = &file.file;
            if content.format != DataFileFormat::Parquet {
                return Err(self.wrong(format!(
                    "{} is {}, and only Parquet is read",
                    content.path, content.format
                )));
            }
            kept.rows += content.record_count;
            let deletes = file.deletes.iter().map(|delete| kept.delete(delete));
            let deletes = deletes
                .collect::<Result<_, _>>()
                .map_err(|problem| self.wrong(problem))?;
            kept.files.push(ScanFile {
                location: Location::parse(content.path.as_str())?,
                size: content.size_bytes,
                rows: content.record_count,
                first_row_id: content.first_row_id,
                sequence_number: file.sequence_number,
                constants: container.constants,
                deletes,
            });
        }
        Ok(())
    }

    fn spec(&self, id: i32) -> Result<&PartitionSpec> {
        let spec = self.table.metadata().partition_spec_by_id(id);
        spec.map(AsRef::as_ref).ok_or_else(|| {
            self.wrong(format!(
                "a manifest is of partition spec {id}, which the table lacks"
            ))
        })
    }

    fn wrong(&self, problem: impl Into<String>) -> Error {
        Error::Table {
            ident: self.table.ident().clone(),
            problem: problem.into(),
        }
    }
}

/// What is read so far. Files of one partition share its values, and data files their delete files.
#[derive(Debug, Default)]
struct Kept {
    files: Vec<ScanFile>,
    rows: u64,
    constants: HashMap<(i32, Struct), Arc<Constants>>,
    deletes: HashMap<String, Arc<DeleteFile>>,
}

impl Kept {
    fn constants_of(
        &mut self,
        planner: &Planner<'_>,
        spec: &PartitionSpec,
        partition: &Struct,
    ) -> Result<Arc<Constants>> {
        let key = (spec.spec_id(), partition.clone());
        if let Some(known) = self.constants.get(&key) {
            return Ok(Arc::clone(known));
        }
        let constants = constants(planner.schema, spec, partition).map_err(|field| {
            planner.wrong(format!(
                "the value of partition field `{field}` is not of its type"
            ))
        })?;
        let constants = Arc::new(constants);
        self.constants.insert(key, Arc::clone(&constants));
        Ok(constants)
    }

    fn delete(&mut self, delete: &TableDelete) -> Result<Arc<DeleteFile>, String> {
        // Several deletion vectors may share a file.
        let key = match delete.file.content_offset {
            Some(offset) => format!("{}@{offset}", delete.file.path),
            None => delete.file.path.clone(),
        };
        if let Some(known) = self.deletes.get(&key) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(DeleteFile::new(&delete.file)?);
        self.deletes.insert(key, Arc::clone(&made));
        Ok(made)
    }
}

/// Says of a file whether it may hold what filters ask for. What cannot be judged may.
pub(crate) fn file_filter(
    schema: Arc<Schema>,
    primitives: Arc<PrimitiveColumns>,
    filters: Filters,
) -> FileFilter {
    Arc::new(move |file: &ContentFile, spec: &PartitionSpec| {
        let Ok(constants) = constants(&schema, spec, &file.partition) else {
            return true;
        };
        let container = FileContainer {
            file,
            constants: Arc::new(constants),
            spec,
            primitives: &primitives,
        };
        filters.keep(&[container]).map_or(true, |keep| keep[0])
    })
}

/// The values that all rows of a partition have. The error is the field whose value makes no sense.
fn constants(
    schema: &Schema,
    spec: &PartitionSpec,
    partition: &Struct,
) -> Result<Constants, String> {
    let mut constants = Constants::new();
    for (field, value) in spec.fields().iter().zip(partition.fields()) {
        if field.transform != Transform::Identity {
            continue;
        }
        // A column inside a struct stays with the file: only whole columns are replaced.
        let Some(column) = top_level(schema, field.source_id) else {
            continue;
        };
        let Type::Primitive(primitive) = &*column.field_type else {
            continue;
        };
        let value = scalar::literal(value.as_ref(), primitive).ok_or_else(|| field.name.clone())?;
        constants.insert(column.name.clone(), value);
    }
    Ok(constants)
}

/// The column of that field id, if it is none inside another.
pub(crate) fn top_level(schema: &Schema, id: i32) -> Option<&NestedFieldRef> {
    schema
        .as_struct()
        .fields()
        .iter()
        .find(|field| field.id == id)
}
