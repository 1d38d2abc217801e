//! Many objects deleted at once.

use std::collections::{HashMap, HashSet};

use calve_base::{Location, Scheme};
use futures::{StreamExt, stream};
use object_store::ObjectStore;
use object_store::path::Path;

use crate::error::Result;
use crate::{Storage, keys};

/// How many objects S3 deletes by one request.
pub const DELETE_BATCH: usize = 1_000;

impl Storage {
    /// Deletes objects, and tells of each what became of it, in their order: in S3 up to [`DELETE_BATCH`] by one
    /// request, elsewhere `concurrency` at a time. Deleting what is not there is no error.
    pub async fn delete_all(&self, locations: &[Location], concurrency: usize) -> Vec<Result<()>> {
        let gone = self.delete_batches(locations).await;
        // Also those that a batch did not delete: asked for alone, the store says why.
        let left = locations.iter().map(|location| {
            let is_gone = gone.contains(location.as_str());
            async move {
                if is_gone {
                    Ok(())
                } else {
                    self.delete(location).await
                }
            }
        });
        let left: Vec<_> = left.map(futures::FutureExt::boxed).collect();
        stream::iter(left)
            .buffered(concurrency.max(1))
            .collect()
            .await
    }

    /// Deletes those objects of S3 that can be named in a batch, and gives those that are gone.
    async fn delete_batches(&self, locations: &[Location]) -> HashSet<String> {
        let mut buckets: HashMap<&str, Vec<(&Location, Path)>> = HashMap::new();
        for location in locations.iter().filter(|it| it.scheme() == Scheme::S3) {
            let path = keys::to_path(location.key());
            // Other keys are not the paths that stand for them.
            if path.as_ref() == location.key() {
                let bucket = buckets.entry(location.bucket()).or_default();
                bucket.push((location, path));
            }
        }
        let mut gone = HashSet::new();
        for objects in buckets.into_values().filter(|objects| objects.len() > 1) {
            let Ok(bucket) = self.bucket(objects[0].0).await else {
                continue;
            };
            for batch in objects.chunks(DELETE_BATCH) {
                let paths: Vec<_> = batch.iter().map(|(_, path)| Ok(path.clone())).collect();
                let deleted = bucket.store.delete_stream(stream::iter(paths).boxed());
                let deleted: Vec<_> = deleted.collect().await;
                if let Some(error) = deleted.iter().find_map(|it| it.as_ref().err()) {
                    tracing::info!(%error, "objects that a batch did not delete are deleted one by one");
                }
                let deleted: HashSet<Path> = deleted.into_iter().flatten().collect();
                let objects = batch.iter().filter(|(_, path)| deleted.contains(path));
                gone.extend(objects.map(|(location, _)| location.as_str().to_owned()));
            }
        }
        gone
    }
}
