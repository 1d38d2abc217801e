use calve_base::{Location, TableIdent};
use calve_storage::Storage;
use iceberg::spec::{TableMetadata, TableMetadataRef};

/// A table as it was when it was loaded.
#[derive(Debug, Clone)]
pub struct Table {
    ident: TableIdent,
    metadata: TableMetadataRef,
    metadata_location: Location,
    storage: Storage,
}

impl Table {
    /// Puts a table together from what a catalog knows and what its metadata file says.
    pub fn new(
        ident: TableIdent,
        metadata: impl Into<TableMetadataRef>,
        metadata_location: Location,
        storage: Storage,
    ) -> Self {
        Self {
            ident,
            metadata: metadata.into(),
            metadata_location,
            storage,
        }
    }

    /// Its name.
    pub fn ident(&self) -> &TableIdent {
        &self.ident
    }

    /// Its metadata.
    pub fn metadata(&self) -> &TableMetadata {
        &self.metadata
    }

    /// Its metadata, shared.
    pub fn metadata_ref(&self) -> TableMetadataRef {
        TableMetadataRef::clone(&self.metadata)
    }

    /// The metadata file this was read from: what a commit compares with.
    pub fn metadata_location(&self) -> &Location {
        &self.metadata_location
    }

    /// The storage its files lie in.
    pub fn storage(&self) -> &Storage {
        &self.storage
    }
}
