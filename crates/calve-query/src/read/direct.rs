//! Small files that are at hand whole: decoded without a scan of DataFusion's for each.
//!
//! A thousand rows are decoded faster than a scan is set up. What a file's columns become is remembered for the next
//! file of the same schema.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use bytes::Bytes;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::{ProjectionExprs, Projector};
use datafusion::physical_expr::utils::{collect_columns, reassign_expr_columns};
use datafusion::physical_expr_adapter::PhysicalExprAdapterFactory;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::{ARROW_SCHEMA_META_KEY, ProjectionMask};
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::{FileMetaData, ParquetMetaData};
use parquet::schema::types::SchemaDescPtr;

use super::adapter::{Constants, FileAdapterFactory};
use super::columns::TableColumns;

/// Decodes whole files into the columns of one scan.
#[derive(Debug)]
pub(super) struct DirectReader {
    columns: Arc<TableColumns>,
    projection: ProjectionExprs,
    batch_size: usize,
    last: Mutex<Option<Arc<Known>>>,
}

/// How files of one schema become rows of the table.
#[derive(Debug)]
struct Known {
    /// The schema of the files, which readers of footers share.
    parquet: SchemaDescPtr,
    /// The schema in Arrow that they carry.
    hint: Option<String>,
    constants: Arc<Constants>,
    /// Their columns in Arrow.
    schema: SchemaRef,
    /// Those that are read.
    mask: ProjectionMask,
    projector: Projector,
}

impl DirectReader {
    /// Reads these columns of the table.
    pub(super) fn new(
        columns: Arc<TableColumns>,
        projection: ProjectionExprs,
        batch_size: usize,
    ) -> Self {
        Self {
            columns,
            projection,
            batch_size,
            last: Mutex::new(None),
        }
    }

    /// The rows of a file; `None` where it has types that only DataFusion's scan reads rightly.
    ///
    /// # Errors
    /// When the file's columns cannot become the table's.
    pub(super) fn rows(
        &self,
        bytes: &Bytes,
        footer: Arc<ParquetMetaData>,
        constants: &Arc<Constants>,
    ) -> Result<Option<impl Iterator<Item = Result<RecordBatch>> + Send + use<>>> {
        let of = footer.file_metadata();
        let mut leaves = of.schema_descr().columns().iter();
        if leaves.any(|leaf| leaf.physical_type() == PhysicalType::INT96) {
            return Ok(None);
        }
        let last = self
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let last = last.filter(|last| last.is_of(of, constants));
        let options = ArrowReaderOptions::new();
        let (known, metadata) = if let Some(known) = last {
            let options = options.with_schema(Arc::clone(&known.schema));
            (known, ArrowReaderMetadata::try_new(footer, options)?)
        } else {
            let metadata = ArrowReaderMetadata::try_new(footer, options)?;
            let known = Arc::new(self.known(&metadata, constants)?);
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            *last = Some(Arc::clone(&known));
            (known, metadata)
        };
        let rows = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes.clone(), metadata)
            .with_projection(known.mask.clone())
            .with_batch_size(self.batch_size)
            .build()?;
        Ok(Some(rows.map(move |batch| {
            let batch = batch.map_err(DataFusionError::from)?;
            known.projector.project_batch(&batch)
        })))
    }

    fn known(&self, metadata: &ArrowReaderMetadata, constants: &Arc<Constants>) -> Result<Known> {
        let of = metadata.metadata().file_metadata();
        let schema = Arc::clone(metadata.schema());
        let factory = FileAdapterFactory::new(Arc::clone(&self.columns), Arc::clone(constants));
        let adapter = factory.create(Arc::clone(self.columns.arrow()), Arc::clone(&schema))?;
        let mut read = Vec::new();
        let projection = self.projection.clone().try_map_exprs(|expr| {
            let expr = adapter.rewrite(expr)?;
            read.extend(collect_columns(&expr).iter().map(Column::index));
            Ok(expr)
        })?;
        read.sort_unstable();
        read.dedup();
        let fields = read
            .iter()
            .map(|index| Arc::clone(&schema.fields()[*index]));
        let decoded = Schema::new(fields.collect::<Vec<_>>());
        let projection = projection.try_map_exprs(|expr| reassign_expr_columns(expr, &decoded))?;
        Ok(Known {
            mask: ProjectionMask::roots(of.schema_descr(), read),
            projector: projection.make_projector(&decoded)?,
            parquet: of.schema_descr_ptr(),
            hint: hint(of).map(str::to_owned),
            constants: Arc::clone(constants),
            schema,
        })
    }
}

impl Known {
    fn is_of(&self, file: &FileMetaData, constants: &Arc<Constants>) -> bool {
        Arc::ptr_eq(&self.parquet, &file.schema_descr_ptr())
            && self.hint.as_deref() == hint(file)
            && (Arc::ptr_eq(&self.constants, constants) || self.constants == *constants)
    }
}

/// The schema in Arrow that a file's writer noted.
fn hint(file: &FileMetaData) -> Option<&str> {
    let mut noted = file.key_value_metadata()?.iter();
    let noted = noted.find(|noted| noted.key == ARROW_SCHEMA_META_KEY)?;
    noted.value.as_deref()
}
