//! Avro object container files.

use std::io::BufReader;

use arrow_avro::reader::ReaderBuilder;
use calve_storage::BlockingReader;
use datafusion::common::DataFusionError;
use datafusion::error::Result as DataFusionResult;

use super::avro_frames::Framed;
use super::{BATCH_ROWS, OpenFile, SourceFile};

/// Reads the header of a file. How many rows there are is known at its end only.
pub(super) fn open(source: SourceFile) -> DataFusionResult<OpenFile> {
    let reader = BlockingReader::new(&source.storage, source.object, source.handle);
    let reader = ReaderBuilder::new()
        .with_batch_size(BATCH_ROWS)
        .build(BufReader::new(Framed::new(reader)))?;
    Ok(OpenFile {
        schema: reader.schema().as_ref().clone(),
        rows: None,
        batches: Box::new(reader.map(|batch| batch.map_err(DataFusionError::from))),
    })
}
