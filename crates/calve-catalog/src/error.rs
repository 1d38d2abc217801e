use calve_base::{Failure, Location, LocationError, TableIdent};

/// Another library's error, kept as the cause.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

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
        source: Cause,
    },
    /// The catalog holds Iceberg tables only.
    #[error("the catalog has no entries but those of Iceberg tables")]
    NoMetastore,
    /// The catalog cannot give two tables new names in one transaction.
    #[error("the catalog cannot give two tables new names in one step")]
    NoExchange,
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
    /// The catalog cannot hold such a name.
    #[error("catalog {catalog} cannot hold the name `{name}`: {problem}")]
    Name {
        /// The catalog's name.
        catalog: String,
        /// The name.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A metadata file cannot be understood, or the metadata cannot be written as a file.
    #[error("{location}: not usable as Iceberg table metadata")]
    Metadata {
        /// The metadata file.
        location: Location,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
    /// A table's entry or metadata names a place that is none.
    #[error("table {ident}: {source}")]
    Location {
        /// The table's name.
        ident: TableIdent,
        /// What is wrong with the address.
        source: LocationError,
    },
    /// The catalog's service refused access.
    #[error("catalog {catalog}: access denied: {action}")]
    AccessDenied {
        /// The catalog's name.
        catalog: String,
        /// What was asked for: "`glue:GetTable` of db.t".
        action: String,
        /// The service's own words.
        #[source]
        source: Cause,
    },
    /// No credentials were found to sign a request with.
    #[error("catalog {catalog}: no AWS credentials were found")]
    NoCredentials {
        /// The catalog's name.
        catalog: String,
        /// What each source of credentials said.
        #[source]
        source: Cause,
    },
    /// The catalog's service asked for fewer requests, or was busy.
    #[error("catalog {catalog} is busy: {action}")]
    Busy {
        /// The catalog's name.
        catalog: String,
        /// What was asked for.
        action: String,
        /// The service's own words.
        #[source]
        source: Cause,
    },
    /// The catalog's service could not be reached, or failed on its side.
    #[error("catalog {catalog} did not answer: {action}")]
    Unavailable {
        /// The catalog's name.
        catalog: String,
        /// What was asked for.
        action: String,
        /// What happened.
        #[source]
        source: Cause,
    },
    /// The catalog's service refused the request for any other reason.
    #[error("catalog {catalog} refused: {action}")]
    Refused {
        /// The catalog's name.
        catalog: String,
        /// What was asked for.
        action: String,
        /// The service's own words.
        #[source]
        source: Cause,
    },
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] calve_storage::Error),
}

/// What a catalog call returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Failure for Error {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Busy { .. } | Self::Unavailable { .. } => true,
            Self::Storage(error) => error.is_retryable(),
            _ => false,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::TableNotFound { .. } => "list the catalog's tables to see what it holds",
            Self::TableExists { .. } => "choose another name, or drop the table first",
            Self::NamespaceNotFound { .. } => "create the namespace, or check its spelling",
            Self::NotIceberg { .. } => "migrate it first, or name it as a source",
            Self::CommitConflict { .. } => "run the command again: it starts from the new state",
            Self::CommitStateUnknown { .. } => {
                "look at the table's current snapshot before you run the command again, and delete \
                 nothing until then"
            }
            Self::Property { .. } => "correct the catalog's configuration",
            Self::Name { .. } => "choose a name that the catalog can hold",
            Self::Metadata { .. } => "check that this is the metadata file of an Iceberg table",
            Self::AccessDenied { .. } => {
                "check the IAM policy of these credentials and, where AWS Lake Formation governs \
                 the database, its grants on the table and the data location"
            }
            Self::NoCredentials { .. } => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with AWS_PROFILE, \
                 or set glue.access-key-id and glue.secret-access-key"
            }
            Self::Busy { .. } => "try again in a moment, or with a lower concurrency",
            Self::Unavailable { .. } => "check the address and the network, then try again",
            Self::Storage(error) => return error.hint(),
            Self::NoMetastore => "choose a catalog of type glue",
            Self::NoExchange => "choose a catalog of type sql or glue",
            Self::NamespaceExists { .. } | Self::Location { .. } | Self::Refused { .. } => {
                return None;
            }
        };
        Some(hint.to_owned())
    }
}
