//! Schemas that many files share, decoded once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use parquet::file::metadata::{ParquetMetaDataOptions, ParquetStatisticsPolicy};
use parquet::schema::types::SchemaDescPtr;

/// How many schemas are kept. A lake has a few; one that has more is read without.
const MAX_SCHEMAS: usize = 256;

/// How footers are decoded: without what metrics do not need, and with the schema if it is known.
#[derive(Debug)]
pub(super) struct Schemas {
    unknown: Arc<ParquetMetaDataOptions>,
    known: Mutex<HashMap<Box<[u8]>, Arc<ParquetMetaDataOptions>>>,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let options = ParquetMetaDataOptions::new()
            .with_encoding_stats_policy(ParquetStatisticsPolicy::SkipAll)
            .with_size_stats_policy(ParquetStatisticsPolicy::SkipAll);
        Self {
            unknown: Arc::new(options),
            known: Mutex::default(),
        }
    }

    /// How to decode a footer with these schema bytes.
    pub(super) fn options(&self, schema: &[u8]) -> Arc<ParquetMetaDataOptions> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.get(schema).unwrap_or(&self.unknown))
    }

    /// Keeps what these schema bytes were decoded to.
    pub(super) fn keep(&self, schema: &[u8], descriptor: SchemaDescPtr) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MAX_SCHEMAS && !known.contains_key(schema) {
            let options = self.unknown.as_ref().clone().with_schema(descriptor);
            known.insert(schema.into(), Arc::new(options));
        }
    }
}
