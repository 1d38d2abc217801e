//! Rows into Parquet files, nested or as flat tables.

use std::sync::Arc;

use calve::arrow::array::RecordBatch;
use calve::arrow::datatypes::SchemaRef;
use calve::base::Location;
use calve::storage::BlockingWriters;
use calve::xml::relationalize::{Relationalize, Relationalizer};
use calve::xml::write::{Codec, ParquetSink};
use serde::Serialize;

/// What the name of a single output file ends in.
const PARQUET: &str = ".parquet";

/// How files are laid out.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) out: Location,
    pub(super) relationalize: Option<String>,
    pub(super) codec: Codec,
    pub(super) row_group_bytes: Option<u64>,
    pub(super) file_bytes: Option<u64>,
}

/// A file that was written.
#[derive(Debug, Clone, Serialize)]
pub(super) struct OutputFile {
    /// The flat table it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) table: Option<String>,
    pub(super) location: Location,
    pub(super) rows: u64,
    pub(super) bytes: u64,
}

/// Writes rows into files, which appear when [`BlockingWriters::finish`] says so.
pub(super) struct Sinks {
    relationalizer: Option<Relationalizer>,
    tables: Vec<TableSink>,
}

struct TableSink {
    table: Option<String>,
    files: ParquetSink,
    layout: Layout,
}

impl Sinks {
    /// Opens no file before there are rows for it.
    pub(super) fn new(
        layout: &Layout,
        schema: &SchemaRef,
        writers: &BlockingWriters,
        pool: &Arc<rayon::ThreadPool>,
    ) -> anyhow::Result<Self> {
        let sink = |schema: &SchemaRef, layout: &Layout| {
            let (folder, writers) = (layout.clone(), writers.clone());
            let mut sink = ParquetSink::new(Arc::clone(schema), move |number| {
                Ok(Box::new(writers.begin(folder.file(number))))
            })
            .with_codec(layout.codec)
            .with_pool(Arc::clone(pool));
            if let Some(bytes) = layout.row_group_bytes {
                sink = sink.with_row_group_bytes(usize::try_from(bytes).unwrap_or(usize::MAX));
            }
            if let Some(bytes) = layout.file_bytes {
                sink = sink.with_file_bytes(bytes);
            }
            sink
        };
        let Some(root) = &layout.relationalize else {
            return Ok(Self {
                relationalizer: None,
                tables: vec![TableSink {
                    table: None,
                    files: sink(schema, layout),
                    layout: layout.clone(),
                }],
            });
        };
        let relationalizer = Relationalize::new(root).start(Arc::clone(schema))?;
        let tables = relationalizer.tables().iter().map(|table| {
            let layout = Layout {
                out: layout.out.join(&table.name),
                ..layout.clone()
            };
            TableSink {
                table: Some(table.name.clone()),
                files: sink(&table.schema, &layout),
                layout,
            }
        });
        Ok(Self {
            tables: tables.collect(),
            relationalizer: Some(relationalizer),
        })
    }

    /// Writes the rows of a batch.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> calve::xml::Result<()> {
        match &mut self.relationalizer {
            None => self.tables[0].files.write(batch),
            Some(relationalizer) => {
                let batches = relationalizer.push(0, batch)?;
                for (table, batch) in self.tables.iter_mut().zip(&batches) {
                    table.files.write(batch)?;
                }
                Ok(())
            }
        }
    }

    /// Ends all files.
    pub(super) fn finish(self) -> calve::xml::Result<Vec<OutputFile>> {
        let mut files = Vec::new();
        for TableSink {
            table,
            files: sink,
            layout,
        } in self.tables
        {
            let written = sink.finish()?;
            files.extend(written.into_iter().map(|file| OutputFile {
                table: table.clone(),
                location: layout.file(file.number),
                rows: file.rows,
                bytes: file.bytes,
            }));
        }
        Ok(files)
    }
}

impl Layout {
    /// Whether all rows go into the one file that the user named.
    fn is_one_file(&self) -> bool {
        self.relationalize.is_none() && self.out.as_str().ends_with(PARQUET)
    }

    fn file(&self, number: usize) -> Location {
        match (self.is_one_file(), number) {
            (true, 0) => self.out.clone(),
            (true, _) => {
                let stem = self.out.as_str().trim_end_matches(PARQUET);
                let name = format!("{stem}-{number:05}{PARQUET}");
                Location::parse(&name).unwrap_or_else(|_| self.out.clone())
            }
            (false, _) => self.out.join(&format!("part-{number:05}{PARQUET}")),
        }
    }
}
