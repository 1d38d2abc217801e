//! Rows that differ, in a file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt64Array};
use parquet::arrow::ArrowWriter;

use super::{DifferenceSink, RowDifference};

/// How many differences make a batch of a Parquet file.
const BATCH_ROWS: usize = 1_024;

/// A file of rows that differ: Parquet where its name ends so, lines of JSON otherwise. Parquet has
/// the columns `kind`, `partition`, `columns`, `source_count`, `table_count`, `source` and `table`;
/// those with structure hold JSON.
#[derive(Debug)]
pub struct DifferenceFile {
    path: PathBuf,
    state: Mutex<Option<Format>>,
}

#[derive(Debug)]
enum Format {
    Lines(BufWriter<File>),
    Parquet {
        file: File,
        writer: Option<Box<ArrowWriter<File>>>,
        waiting: Vec<RowDifference>,
    },
}

impl DifferenceFile {
    /// Makes the file; one that is there is replaced.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: impl Into<PathBuf>) -> io::Result<Self> {
        let path = path.into();
        let file = fs_err::File::create(&path)?.into_parts().0;
        let is_parquet = path
            .extension()
            .is_some_and(|it| it.eq_ignore_ascii_case("parquet"));
        let format = if is_parquet {
            Format::Parquet {
                file,
                writer: None,
                waiting: Vec::new(),
            }
        } else {
            Format::Lines(BufWriter::new(file))
        };
        Ok(Self {
            path,
            state: Mutex::new(Some(format)),
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what is still to be written. Nothing can be added then.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.take() {
            None => Ok(()),
            Some(Format::Lines(mut lines)) => lines.flush(),
            Some(mut parquet) => {
                // A file without rows has its columns all the same.
                parquet.write_waiting()?;
                match parquet {
                    Format::Parquet {
                        writer: Some(writer),
                        ..
                    } => writer.close().map(drop).map_err(io::Error::other),
                    _ => Ok(()),
                }
            }
        }
    }
}

impl DifferenceSink for DifferenceFile {
    fn write(&self, difference: &RowDifference) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.as_mut() {
            None => Err(io::Error::other("the file is finished")),
            Some(Format::Lines(lines)) => {
                serde_json::to_writer(&mut *lines, difference)?;
                lines.write_all(b"\n")
            }
            Some(parquet) => {
                let Format::Parquet { waiting, .. } = parquet else {
                    return Ok(());
                };
                waiting.push(difference.clone());
                if waiting.len() < BATCH_ROWS {
                    return Ok(());
                }
                parquet.write_waiting()
            }
        }
    }
}

impl Format {
    fn write_waiting(&mut self) -> io::Result<()> {
        let Self::Parquet {
            file,
            writer,
            waiting,
        } = self
        else {
            return Ok(());
        };
        let batch = batch(&std::mem::take(waiting)).map_err(io::Error::other)?;
        let writer = if let Some(writer) = writer {
            writer
        } else {
            let made = ArrowWriter::try_new(file.try_clone()?, batch.schema(), None);
            writer.insert(Box::new(made.map_err(io::Error::other)?))
        };
        writer.write(&batch).map_err(io::Error::other)
    }
}

fn batch(rows: &[RowDifference]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let texts = |text: &dyn Fn(&RowDifference) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(text).collect::<StringArray>())
    };
    let counts = |count: fn(&RowDifference) -> u64| -> ArrayRef {
        Arc::new(rows.iter().map(count).collect::<UInt64Array>())
    };
    let row = |row: &Option<serde_json::Map<String, serde_json::Value>>| {
        row.as_ref().and_then(|row| serde_json::to_string(row).ok())
    };
    RecordBatch::try_from_iter_with_nullable([
        ("kind", texts(&|it| Some(it.kind.to_string())), false),
        (
            "partition",
            texts(&|it| serde_json::to_string(&it.partition).ok()),
            false,
        ),
        (
            "columns",
            texts(&|it| serde_json::to_string(&it.columns).ok()),
            false,
        ),
        ("source_count", counts(|it| it.source_count), false),
        ("table_count", counts(|it| it.table_count), false),
        ("source", texts(&|it| row(&it.source)), true),
        ("table", texts(&|it| row(&it.table)), true),
    ])
}
