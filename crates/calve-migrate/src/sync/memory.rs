//! What a table remembers of its source: a fingerprint beside its metadata, and a property that says
//! where it is.

use std::collections::HashMap;

use calve_base::Location;
use calve_catalog::Table;
use calve_lake::Source;
use calve_storage::Storage;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use super::fingerprint::Fingerprint;
use crate::Result;
use crate::listing_sum::ListingSum;

/// What a table remembers of one source.
#[derive(Debug, Clone)]
pub(super) struct SourceMemory {
    storage: Storage,
    /// The property that says where the fingerprint is.
    files_property: String,
    /// The property that says what the whole listing came to, when the table was last in step.
    listing_property: String,
    /// Where fingerprints of a table that is created go.
    table_location: Option<Location>,
    /// What the whole listing comes to now.
    listing: Option<String>,
}

impl SourceMemory {
    pub(super) fn new(storage: &Storage, source: &Source) -> Self {
        let name = match source {
            Source::Location(location) => location.canonical(),
            Source::HiveTable { .. } => source.to_string(),
        };
        // A table may be kept in step with several sources.
        let name = format!("{:016x}", xxh3_64(name.as_bytes()));
        Self {
            storage: storage.clone(),
            files_property: format!("calve.sync.{name}.files"),
            listing_property: format!("calve.sync.{name}.listing"),
            table_location: None,
            listing: None,
        }
    }

    pub(super) fn with_table_location(mut self, location: Option<Location>) -> Self {
        self.table_location = location;
        self
    }

    /// Lists the source once and adds up what there is: each object's address, size, entity tag and
    /// time. Memory does not grow.
    ///
    /// # Errors
    /// When the source cannot be listed.
    pub(super) async fn list(&mut self, source: &Source) -> Result<()> {
        let Source::Location(root) = source else {
            return Ok(());
        };
        self.listing = Some(ListingSum::of(&self.storage, root).await?);
        Ok(())
    }

    /// Whether the source lists as it did when the table was last in step with it.
    pub(super) fn is_in_step(&self, table: &Table) -> bool {
        let then = table.metadata().properties().get(&self.listing_property);
        self.listing.is_some() && self.listing.as_ref() == then
    }

    /// What the source looked like; nothing where that is not known, or cannot be read any more.
    pub(super) async fn recall(&self, table: &Table) -> Option<Fingerprint> {
        let path = table.metadata().properties().get(&self.files_property)?;
        let location = Location::parse(path).ok()?;
        match self.storage.read(&location).await {
            Ok(bytes) => {
                let fingerprint = Fingerprint::from_bytes(&bytes);
                if fingerprint.is_none() {
                    tracing::warn!(path, "the fingerprint of the source is damaged");
                }
                fingerprint
            }
            Err(error) => {
                tracing::warn!(path, %error, "the fingerprint of the source cannot be read");
                None
            }
        }
    }

    /// Writes down what the source looks like, where that is new. Returns the properties to set, and
    /// the file that was written.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) async fn remember(
        &self,
        table: Option<&Table>,
        before: Option<&Fingerprint>,
        now: &Fingerprint,
        is_in_step: bool,
    ) -> Result<(HashMap<String, String>, Option<Location>)> {
        let mut properties = HashMap::new();
        let listing = match &self.listing {
            Some(listing) if is_in_step => listing.clone(),
            // Nothing lists as this.
            _ => "none".to_owned(),
        };
        let then = table.and_then(|it| it.metadata().properties().get(&self.listing_property));
        if then.is_some() || is_in_step {
            properties.insert(self.listing_property.clone(), listing);
        }
        if let Some(then) = then
            && properties.get(&self.listing_property) == Some(then)
        {
            properties.clear();
        }
        if before == Some(now) {
            return Ok((properties, None));
        }
        let folder = match table {
            Some(table) => Some(
                Location::parse(table.metadata().location()).map_err(calve_table::Error::from)?,
            ),
            None => self.table_location.clone(),
        };
        let Some(folder) = folder else {
            return Ok((properties, None));
        };
        let file = folder.join(&format!(
            "metadata/calve/sync-{}.fingerprint",
            Uuid::new_v4()
        ));
        let written = self.storage.write(&file, now.to_bytes()).await;
        written.map_err(calve_table::Error::from)?;
        properties.insert(self.files_property.clone(), file.as_str().to_owned());
        Ok((properties, Some(file)))
    }

    /// Deletes a fingerprint that no table refers to any more; that it stays does no harm.
    pub(super) async fn forget(&self, fingerprint: &Location) {
        if let Err(error) = self.storage.delete(fingerprint).await {
            tracing::warn!(%fingerprint, %error, "an unused fingerprint could not be deleted");
        }
    }

    /// The fingerprint that a table refers to.
    pub(super) fn fingerprint_of(&self, table: &Table) -> Option<Location> {
        let path = table.metadata().properties().get(&self.files_property)?;
        Location::parse(path).ok()
    }
}
