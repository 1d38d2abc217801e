//! Rows into Parquet files, nested or as flat tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use calve::arrow::array::RecordBatch;
use calve::arrow::datatypes::SchemaRef;
use calve::base::Location;
use calve::lake::hive_path::{NULL_PARTITION, escape};
use calve::storage::BlockingWriters;
use calve::table::new_snapshot_id;
use calve::xml::relationalize::{Relationalize, Relationalizer};
use calve::xml::write::partitioned::{PartitionFile, PartitionedSink};
use calve::xml::write::{Codec, ParquetSink, WrittenFile};
use serde::Serialize;

use crate::settings::{IfExists, XmlTarget};

/// What the name of a single output file ends in.
pub(super) const PARQUET: &str = ".parquet";

/// How files are laid out.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) out: Location,
    pub(super) relationalize: Option<String>,
    pub(super) codec: Codec,
    pub(super) row_group_bytes: Option<u64>,
    pub(super) file_bytes: Option<u64>,
    /// The columns whose values are folders.
    pub(super) partition_by: Vec<String>,
    pub(super) open_files: Option<usize>,
    pub(super) if_exists: IfExists,
    /// What tells this run's files from those of others.
    pub(super) run: Option<String>,
}

/// A file that was written.
#[derive(Debug, Clone, Serialize)]
pub(super) struct OutputFile {
    /// The flat table it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) table: Option<String>,
    /// The values of the partition columns; null for what is null.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) partition: BTreeMap<String, Option<String>>,
    pub(super) location: Location,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Writes rows into files, which appear when [`BlockingWriters::finish`] says so.
#[expect(clippy::large_enum_variant, reason = "there is one of it")]
pub(super) enum Sinks {
    Plain(ParquetSink, Layout),
    /// In a folder for each value of the partition columns.
    Partitioned(Box<PartitionedSink>, Layout),
    /// As flat tables.
    Flat(Relationalizer, Vec<(String, ParquetSink, Layout)>),
}

/// What was written.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) files: Vec<OutputFile>,
    /// Rows with an empty string in a partition column, which is null in the names of folders.
    pub(super) empty_values: u64,
}

impl Sinks {
    /// Opens no file before there are rows for it.
    pub(super) fn new(
        layout: &Layout,
        schema: &SchemaRef,
        writers: &BlockingWriters,
        pool: Option<&Arc<rayon::ThreadPool>>,
    ) -> anyhow::Result<Self> {
        if !layout.partition_by.is_empty() {
            let sink = layout.partitioned(schema, writers, pool)?;
            return Ok(Self::Partitioned(Box::new(sink), layout.clone()));
        }
        let Some(root) = &layout.relationalize else {
            let sink = layout.sink(schema, writers, pool);
            return Ok(Self::Plain(sink, layout.clone()));
        };
        let relationalizer = Relationalize::new(root).start(Arc::clone(schema))?;
        let tables = relationalizer.tables().iter().map(|table| {
            let layout = Layout {
                out: layout.out.join(&table.name),
                ..layout.clone()
            };
            let sink = layout.sink(&table.schema, writers, pool);
            (table.name.clone(), sink, layout)
        });
        let tables = tables.collect();
        Ok(Self::Flat(relationalizer, tables))
    }

    /// Writes the rows of a batch, which are of the document of that number.
    pub(super) fn write(&mut self, document: usize, batch: RecordBatch) -> calve::xml::Result<()> {
        match self {
            Self::Plain(sink, _) => sink.write(batch),
            Self::Partitioned(sink, _) => sink.write(&batch),
            Self::Flat(relationalizer, tables) => {
                // Keys are made of the document's number and the row's: a document more at the end changes none.
                let ordinal = u32::try_from(document).unwrap_or(u32::MAX);
                let batches = relationalizer.push(ordinal, &batch)?;
                for ((_, sink, _), batch) in tables.iter_mut().zip(batches) {
                    sink.write(batch)?;
                }
                Ok(())
            }
        }
    }

    /// Ends all files.
    pub(super) fn finish(self) -> calve::xml::Result<Written> {
        let mut all = Written::default();
        match self {
            Self::Plain(sink, layout) => all.files = layout.files(None, &sink.finish()?),
            Self::Partitioned(sink, layout) => {
                let written = sink.finish()?;
                all.empty_values = written.empty_values;
                let files = written.files.into_iter();
                all.files = files.map(|file| layout.partition_file(file)).collect();
            }
            Self::Flat(_, tables) => {
                for (table, sink, layout) in tables {
                    let files = sink.finish()?;
                    all.files.extend(layout.files(Some(&table), &files));
                }
            }
        }
        Ok(all)
    }
}

impl Layout {
    /// None where the rows go into a table.
    pub(super) fn of(target: &XmlTarget) -> Option<Self> {
        let XmlTarget::Files {
            out,
            relationalize,
            codec,
            row_group_bytes,
            file_bytes,
            partition_by,
            open_files,
            if_exists,
        } = target.clone()
        else {
            return None;
        };
        // No file of an earlier run is written over before all rows are there.
        let run = (if_exists != IfExists::Fail)
            .then(|| format!("{:08x}", new_snapshot_id() & 0xffff_ffff));
        Some(Self {
            out,
            relationalize,
            codec,
            row_group_bytes,
            file_bytes,
            partition_by,
            open_files,
            if_exists,
            run,
        })
    }

    fn sink(
        &self,
        schema: &SchemaRef,
        writers: &BlockingWriters,
        pool: Option<&Arc<rayon::ThreadPool>>,
    ) -> ParquetSink {
        let (layout, writers) = (self.clone(), writers.clone());
        let mut sink = ParquetSink::new(Arc::clone(schema), move |number| {
            Ok(Box::new(writers.begin(layout.file(number))))
        })
        .with_codec(self.codec)
        .with_pool(pool.cloned());
        if let Some(bytes) = self.row_group_bytes {
            sink = sink.with_row_group_bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        if let Some(bytes) = self.file_bytes {
            sink = sink.with_file_bytes(bytes);
        }
        sink
    }

    fn partitioned(
        &self,
        schema: &SchemaRef,
        writers: &BlockingWriters,
        pool: Option<&Arc<rayon::ThreadPool>>,
    ) -> anyhow::Result<PartitionedSink> {
        if self.is_one_file() {
            anyhow::bail!(
                "--partition-by writes into folders, and {} is one file",
                self.out
            );
        }
        let (layout, writers) = (self.clone(), writers.clone());
        let open = move |values: &[Option<String>], number: usize| {
            let file = layout.folder(values).join(&layout.name(number));
            Ok(Box::new(writers.begin(file)) as Box<dyn std::io::Write + Send>)
        };
        let mut sink = PartitionedSink::new(schema, &self.partition_by, open)?
            .with_codec(self.codec)
            .with_pool(pool.cloned());
        if let Some(bytes) = self.row_group_bytes {
            sink = sink.with_row_group_bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        if let Some(bytes) = self.file_bytes {
            sink = sink.with_file_bytes(bytes);
        }
        if let Some(files) = self.open_files {
            sink = sink.with_open_files(files);
        }
        Ok(sink)
    }

    /// The folder of a partition, as Hive names it.
    fn folder(&self, values: &[Option<String>]) -> Location {
        let pairs = self.partition_by.iter().zip(values);
        pairs.fold(self.out.clone(), |folder, (key, value)| {
            let value = value.as_deref().map_or(NULL_PARTITION.to_owned(), escape);
            folder.join(&format!("{}={value}", escape(key)))
        })
    }

    fn partition_file(&self, file: PartitionFile) -> OutputFile {
        let location = self.folder(&file.values).join(&self.name(file.file.number));
        OutputFile {
            table: None,
            partition: self.partition_by.iter().cloned().zip(file.values).collect(),
            location,
            rows: file.file.rows,
            bytes: file.file.bytes,
        }
    }

    fn files(&self, table: Option<&String>, files: &[WrittenFile]) -> Vec<OutputFile> {
        let file = |file: &WrittenFile| OutputFile {
            table: table.cloned(),
            partition: BTreeMap::new(),
            location: self.file(file.number),
            rows: file.rows,
            bytes: file.bytes,
        };
        files.iter().map(file).collect()
    }

    /// Whether all rows go into the one file that the user named.
    pub(super) fn is_one_file(&self) -> bool {
        self.relationalize.is_none() && self.out.as_str().ends_with(PARQUET)
    }

    /// Whether a file is the one that all rows go into, or one that it goes on in.
    pub(super) fn is_part(&self, file: &Location) -> bool {
        if *file == self.out {
            return true;
        }
        let stem = self.out.as_str().trim_end_matches(PARQUET);
        let number = file.as_str().strip_prefix(stem);
        let number = number.and_then(|rest| rest.strip_prefix('-')?.strip_suffix(PARQUET));
        number.is_some_and(|it| it.len() == 5 && it.bytes().all(|byte| byte.is_ascii_digit()))
    }

    fn name(&self, number: usize) -> String {
        match &self.run {
            Some(run) => format!("part-{number:05}-{run}{PARQUET}"),
            None => format!("part-{number:05}{PARQUET}"),
        }
    }

    fn file(&self, number: usize) -> Location {
        match (self.is_one_file(), number) {
            (true, 0) => self.out.clone(),
            (true, _) => {
                let stem = self.out.as_str().trim_end_matches(PARQUET);
                let name = format!("{stem}-{number:05}{PARQUET}");
                Location::parse(&name).unwrap_or_else(|_| self.out.clone())
            }
            (false, _) => self.out.join(&self.name(number)),
        }
    }
}
