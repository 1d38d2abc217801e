//! One number for a whole listing, so that two listings can be compared without holding either.

use std::fmt;

use calve_base::Location;
use calve_storage::Storage;
use futures::TryStreamExt;
use xxhash_rust::xxh3::Xxh3;

use crate::{Error, Result};

/// Adds up what a source lists: each object's address, size, entity tag and time. The order of the
/// objects does not count. Memory does not grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ListingSum {
    count: u64,
    sum: u128,
}

impl ListingSum {
    /// Adds an object.
    pub(crate) fn add(
        &mut self,
        location: &Location,
        size: u64,
        last_modified_ms: i64,
        etag: Option<&str>,
    ) {
        let mut hash = Xxh3::new();
        hash.update(location.canonical().as_bytes());
        hash.update(&size.to_le_bytes());
        hash.update(&last_modified_ms.to_le_bytes());
        hash.update(etag.unwrap_or_default().as_bytes());
        self.count += 1;
        self.sum = self.sum.wrapping_add(hash.digest128());
    }

    /// Lists a folder and adds up what there is, as a text.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub(crate) async fn of(storage: &Storage, root: &Location) -> Result<String> {
        let mut sum = Self::default();
        let mut objects = storage.list(root);
        while let Some(object) = objects
            .try_next()
            .await
            .map_err(|error| Error::Lake(error.into()))?
        {
            let etag = object.etag.as_deref();
            sum.add(&object.location, object.size, object.last_modified_ms, etag);
        }
        Ok(sum.to_string())
    }

    /// Adds anything else that is part of what is compared.
    pub(crate) fn add_text(&mut self, text: &str) {
        let mut hash = Xxh3::new();
        hash.update(text.as_bytes());
        self.sum = self.sum.wrapping_add(hash.digest128());
    }
}

impl fmt::Display for ListingSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:032x}", self.count, self.sum)
    }
}
