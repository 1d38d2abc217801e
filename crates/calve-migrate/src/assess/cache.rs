//! What an earlier assessment counted, kept in a file that the user names.
//!
//! The file holds what was counted, and what the source's listing came to before it was: the number of
//! objects, and a sum over the hashes of each one's address, size, entity tag and time, as
//! [`Sync`](crate::Sync) keeps it in a table. Where the listing comes to the same, nothing else is read.

use bytes::Bytes;
use calve_base::{Failure, Location};
use calve_lake::{Lake, LakeEntry, LakeOptions, Source};
use calve_storage::Storage;
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::report::Census;
use crate::listing_sum::ListingSum;
use crate::{Error, Result};

/// The layout of the file.
const VERSION: u32 = 1;

/// What the file holds.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    version: u32,
    /// The release that counted: another one may judge otherwise.
    release: String,
    /// The source, and the options that decide what is counted.
    asked: String,
    /// What the listing came to.
    listing: String,
    census: Census,
}

/// The cache of one question.
#[derive(Debug)]
pub(super) struct Cache {
    storage: Storage,
    location: Location,
    asked: String,
    listing: String,
}

/// What the listing showed beside its sum: the lake, where it had to be opened for that.
pub(super) type Opened = Option<Lake>;

impl Cache {
    /// Lists the source. `asked` names it, with the options that decide what is counted.
    ///
    /// # Errors
    /// When the source cannot be listed, or the cache would lie in it.
    pub(super) async fn open(
        storage: &Storage,
        location: Location,
        asked: String,
        (source, options): (&Source, LakeOptions),
    ) -> Result<(Self, Opened)> {
        let mut sum = ListingSum::default();
        let opened = match source {
            Source::Location(root) => {
                let mut objects = storage.list(root);
                while let Some(object) = objects.try_next().await? {
                    let etag = object.etag.as_deref();
                    sum.add(&object.location, object.size, object.last_modified_ms, etag);
                    sum.add_text(object.storage_class.as_deref().unwrap_or_default());
                }
                check_outside(root, &location)?;
                None
            }
            Source::HiveTable { .. } => {
                let lake = Box::pin(Lake::open(storage, source.clone(), options)).await?;
                check_outside(lake.root(), &location)?;
                add_lake(&lake, &mut sum).await?;
                Some(lake)
            }
        };
        let cache = Self {
            storage: storage.clone(),
            location,
            asked,
            listing: sum.to_string(),
        };
        Ok((cache, opened))
    }

    /// What was counted when the source listed as it does now; or a note why that is not known, where a file
    /// is there that should say it.
    pub(super) async fn recall(&self) -> Result<Option<Census>, String> {
        let bytes = match self.storage.read(&self.location).await {
            Ok(bytes) => bytes,
            Err(calve_storage::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(format!("the cache cannot be read: {error}")),
        };
        match serde_json::from_slice::<Document>(&bytes) {
            Ok(document) => Ok(self.answers(&document).then_some(document.census)),
            Err(error) => Err(format!(
                "{}: no cache of an assessment, or a damaged one: {error}",
                self.location
            )),
        }
    }

    fn answers(&self, document: &Document) -> bool {
        document.version == VERSION
            && document.release == env!("CARGO_PKG_VERSION")
            && document.asked == self.asked
            && document.listing == self.listing
    }

    /// Keeps what was counted. A failure is a note: the assessment is no worse for it.
    pub(super) async fn remember(&self, census: &Census) -> Option<String> {
        let document = Document {
            version: VERSION,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            asked: self.asked.clone(),
            listing: self.listing.clone(),
            census: census.clone(),
        };
        let written = match serde_json::to_vec(&document) {
            Ok(bytes) => self.storage.write(&self.location, Bytes::from(bytes)).await,
            Err(error) => return Some(format!("the cache cannot be written: {error}")),
        };
        let error = written.err()?;
        let hint = error
            .hint()
            .map_or_else(String::new, |hint| format!("; {hint}"));
        Some(format!("the cache cannot be written: {error}{hint}"))
    }
}

/// Adds what an entry says, and what lies in its partitions.
async fn add_lake(lake: &Lake, sum: &mut ListingSum) -> Result<()> {
    sum.add_text(&format!(
        "{:?} {:?}",
        lake.partition_keys(),
        lake.hive_columns()
    ));
    let mut entries = lake.files();
    while let Some(entry) = entries.try_next().await? {
        match entry {
            LakeEntry::File(file) => {
                let etag = file.etag.as_deref();
                sum.add(&file.location, file.size, file.last_modified_ms, etag);
                let class = file.storage_class.as_deref().unwrap_or_default();
                sum.add_text(&format!("{} {:?} {class}", file.location, file.partition));
            }
            LakeEntry::Skipped(skipped) => {
                sum.add_text(&format!("{} {}", skipped.location, skipped.reason));
            }
        }
    }
    Ok(())
}

/// A file that comes and goes in the source would change its listing.
fn check_outside(root: &Location, cache: &Location) -> Result<()> {
    if !root.contains(cache) {
        return Ok(());
    }
    Err(Error::CacheInSource {
        cache: cache.clone(),
        source_location: root.clone(),
    })
}
