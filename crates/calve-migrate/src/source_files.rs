//! Which files a source has, to tell later what became of them.

use calve_lake::{Lake, LakeEntry, LakeOptions, Source};
use calve_storage::Storage;
use futures::TryStreamExt;

use crate::Result;
use crate::sync::fingerprint::{Entry, Fingerprint};

/// The files of a source at some moment: sixteen bytes each.
#[derive(Debug)]
pub(crate) struct SourceFiles(Fingerprint);

impl SourceFiles {
    /// Lists the source.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub(crate) async fn list(
        storage: &Storage,
        source: Source,
        options: LakeOptions,
    ) -> Result<Self> {
        let lake = Lake::open(storage, source, options).await?;
        let mut files = lake.files();
        let mut entries = Vec::new();
        while let Some(entry) = files.try_next().await? {
            if let LakeEntry::File(file) = entry {
                entries.push(Entry::of(&file));
            }
        }
        Ok(Self(Fingerprint::new(entries)))
    }

    /// Lists the source again, and tells how it differs; `None` where it does not.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub(crate) async fn change(
        &self,
        storage: &Storage,
        source: Source,
        options: LakeOptions,
    ) -> Result<Option<String>> {
        let lake = Lake::open(storage, source, options).await?;
        let mut files = lake.files();
        let mut seen = 0;
        while let Some(entry) = files.try_next().await? {
            let LakeEntry::File(file) = entry else {
                continue;
            };
            let now = Entry::of(&file);
            match self.0.find(now) {
                None => return Ok(Some(format!("{} appeared", file.location))),
                Some(place) if self.0.entries()[place] != now => {
                    return Ok(Some(format!("{} was written anew", file.location)));
                }
                Some(_) => seen += 1,
            }
        }
        let gone = self.0.entries().len().saturating_sub(seen);
        Ok((gone > 0).then(|| format!("{gone} of its files vanished")))
    }
}
