use calve_base::{Failure, Location, TableIdent};

/// What can go wrong between calve and a catalog.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The catalog has no such table.
    #[error("table {ident} not found in catalog {catalog}")]
    TableNotFound {
        /// The catalog's name.
        catalog: String,
        /// The table's name.
        ident: TableIdent,
    },
    /// The name is taken.
    #[error("table {ident} already exists in catalog {catalog}")]
    TableExists {
        /// The catalog's name.
        catalog: String,
        /// The table's name.
        ident: TableIdent,
    },
    /// The namespace is there already.
    #[error("namespace {namespace} already exists in catalog {catalog}")]
    NamespaceExists {
        /// The catalog's name.
        catalog: String,
        /// The namespace.
        namespace: String,
    },
    /// The namespace is not there.
    #[error("namespace {namespace} not found in catalog {catalog}")]
    NamespaceNotFound {
        /// The catalog's name.
        catalog: String,
        /// The namespace.
        namespace: String,
    },
    /// The entry is not an Iceberg table.
    #[error("{ident} in catalog {catalog} is not an Iceberg table, but {kind}")]
    NotIceberg {
        /// The catalog's name.
        catalog: String,
        /// The table's name.
        ident: TableIdent,
        /// What it is: "a view", "a Hive table of format …".
        kind: String,
    },
    /// Somebody else changed the table first.
    #[error("table {ident} was changed by another writer while this commit was prepared")]
    CommitConflict {
        /// The table's name.
        ident: TableIdent,
    },
    /// Nobody can say whether the commit took place.
    #[error("the outcome of the commit to {ident} ({metadata_location}) is unknown")]
    CommitStateUnknown {
        /// The table's name.
        ident: TableIdent,
        /// The metadata file that may or may not be current now.
        metadata_location: Location,
        /// What the catalog answered.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A property is missing or wrong.
    #[error("catalog {catalog}: property `{property}`: {problem}")]
    Property {
        /// The catalog's name.
        catalog: String,
        /// The property.
        property: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] calve_storage::Error),
}

/// What a catalog call returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Failure for Error {}
