//! One conversion per schema, not per file.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use parquet::file::metadata::ParquetMetaData;

use super::FileSchema;
use crate::policy::TypePolicy;

/// How many schemas a cache holds at most. A lake has a few; one that has more gains nothing from a cache.
const MAX_SCHEMAS: usize = 4_096;

/// Converts each distinct schema once: the files of a lake share a few.
#[derive(Debug)]
pub struct SchemaCache {
    policy: TypePolicy,
    schemas: Mutex<HashMap<u128, Arc<FileSchema>>>,
}

impl SchemaCache {
    /// Starts empty, for files judged by one policy.
    pub fn new(policy: TypePolicy) -> Self {
        Self {
            policy,
            schemas: Mutex::default(),
        }
    }

    /// The policy that the files are judged by.
    pub fn policy(&self) -> &TypePolicy {
        &self.policy
    }

    /// The schema of a footer, shared with every file that has the same.
    pub fn get(&self, footer: &ParquetMetaData) -> Arc<FileSchema> {
        let fingerprint = FileSchema::fingerprint(footer, &self.policy);
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if schemas.len() >= MAX_SCHEMAS && !schemas.contains_key(&fingerprint) {
            schemas.clear();
        }
        let schema = schemas
            .entry(fingerprint)
            .or_insert_with(|| Arc::new(FileSchema::from_footer(footer, &self.policy)));
        Arc::clone(schema)
    }

    /// Number of distinct schemas held.
    pub fn len(&self) -> usize {
        self.schemas
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }

    /// Whether no schema is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
