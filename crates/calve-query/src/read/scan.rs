//! Files of a table, as a plan that DataFusion runs.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use datafusion::catalog::Session;
use datafusion::common::Statistics;
use datafusion::common::stats::Precision;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::path::Path;

use super::ahead::ReadAhead;
use super::source::{ScanFile, ScanTable, TableSource};

/// What a query wants of a table.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted<'a> {
    /// The columns, by their indices; all when `None`.
    pub(crate) projection: Option<&'a Vec<usize>>,
    /// How many rows at most.
    pub(crate) limit: Option<usize>,
    /// How small files are read ahead; not at all when `None`.
    pub(crate) ahead: Option<ReadAhead>,
}

/// Plans the reading of files. `rows` is their number of rows, where that is known for sure.
pub(crate) fn plan(
    session: &dyn Session,
    table: Arc<ScanTable>,
    files: Vec<ScanFile>,
    rows: Precision<usize>,
    wanted: Wanted<'_>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = Arc::clone(table.columns.arrow());
    if files.is_empty() {
        let schema = match wanted.projection {
            Some(projection) => Arc::new(schema.project(projection)?),
            None => schema,
        };
        return Ok(Arc::new(EmptyExec::new(schema)));
    }
    let mut statistics = Statistics::new_unknown(&schema);
    statistics.num_rows = rows;
    let bytes: u64 = files.iter().map(|file| file.size).sum();
    statistics.total_byte_size = Precision::Inexact(usize::try_from(bytes).unwrap_or(usize::MAX));

    let options = session.table_options().parquet.clone();
    let pool = Arc::clone(&session.runtime_env().memory_pool);
    let groups = group(files, session.config().target_partitions());
    let mut source = TableSource::new(table, options, pool);
    if let Some(bounds) = wanted.ahead {
        // Streams that share their files take them in this order, too.
        let files = groups.iter().flat_map(FileGroup::iter);
        let files = files.filter_map(|file| file.extension::<Arc<ScanFile>>());
        source =
            source.with_read_ahead(bounds, files.map(|file| (file.location.clone(), file.size)));
    }
    let source = Arc::new(source);
    // The readers know their stores; this one is only asked for, never read from.
    let config = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), source)
        .with_file_groups(groups)
        .with_statistics(statistics)
        .with_limit(wanted.limit)
        .with_projection_indices(wanted.projection.cloned())?
        .build();
    Ok(DataSourceExec::from_data_source(config))
}

/// Divides files into at most `count` groups of about the same size, each in the files' order.
fn group(files: Vec<ScanFile>, count: usize) -> Vec<FileGroup> {
    let count = count.clamp(1, files.len().max(1));
    let mut by_size: Vec<usize> = (0..files.len()).collect();
    by_size.sort_by_key(|&index| Reverse(files[index].size));
    let mut lightest: BinaryHeap<Reverse<(u64, usize)>> =
        (0..count).map(|group| Reverse((0, group))).collect();
    let mut group_of = vec![0; files.len()];
    for index in by_size {
        if let Some(mut top) = lightest.peek_mut() {
            group_of[index] = top.0.1;
            // Small files cost their opening, too.
            top.0.0 += files[index].size.max(64 * 1024);
        }
    }
    let mut groups = vec![Vec::new(); count];
    for (file, group) in files.into_iter().zip(group_of) {
        groups[group].push(partitioned(file));
    }
    groups
        .into_iter()
        .filter(|group| !group.is_empty())
        .map(FileGroup::new)
        .collect()
}

fn partitioned(file: ScanFile) -> PartitionedFile {
    // For display only: a `Path` cannot hold every key byte for byte.
    let name = Path::from(file.location.key());
    let size = file.size;
    let mut partitioned = PartitionedFile::new(String::new(), size);
    partitioned.object_meta.location = name;
    partitioned.with_extension(Arc::new(file))
}
