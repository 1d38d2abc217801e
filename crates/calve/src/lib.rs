//! Turns data lakes into Apache Iceberg tables, without a cluster.
//!
//! This crate is the way in for Rust programs. It holds no code: it re-exports the operations, and the
//! exact versions of [`iceberg`], [`arrow`], [`parquet`], [`datafusion`] and [`object_store`] that they are
//! built on, so that a program needs no second copy of them.
//!
//! Every operation looks the same: `new` takes what it cannot do without, `with_…` the rest, `plan()`
//! tells what would be done without writing, and `.await` does it and gives a report that serializes to
//! the JSON that `calve --output-format json` prints.
//!
//! ```
//! use std::sync::Arc;
//!
//! use calve::base::{Location, Properties, TableIdent};
//! use calve::lake::Source;
//! use calve::query::SessionOptions;
//! use calve::verify::VerifySource;
//! use calve::{AddFiles, Session, Verify};
//!
//! # async fn run(lake: &str, folder: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let properties = Properties::from([
//!     ("type".to_owned(), "sql".to_owned()),
//!     ("uri".to_owned(), format!("sqlite:///{folder}/calve.db")),
//!     ("warehouse".to_owned(), format!("{folder}/warehouse")),
//! ]);
//! let catalog = calve::catalog::open("default", properties).await?;
//! let source = Source::Location(Location::parse(lake)?);
//! let table = TableIdent::new("noaa", "ghcn");
//!
//! let report = AddFiles::new(Arc::clone(&catalog), source.clone(), table.clone()).await?;
//! println!("{} files added", report.plan.added_files_count);
//!
//! let lake = VerifySource::Lake { source, options: Box::default(), format: Default::default() };
//! let proof = Verify::new(Arc::clone(&catalog), lake, table).await?;
//! assert!(proof.equal);
//!
//! let session = Session::new(catalog, SessionOptions::default())?;
//! session.sql("SELECT count(*) FROM noaa.ghcn").await?.show().await?;
//! # Ok(())
//! # }
//! # let lake = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/ghcn");
//! # let folder = tempfile::tempdir().unwrap();
//! # let runtime = tokio::runtime::Runtime::new().unwrap();
//! # runtime.block_on(run(lake, folder.path().to_str().unwrap())).unwrap();
//! ```
//!
//! | module | what is there |
//! |---|---|
//! | [`base`] | [`Location`](base::Location), [`TableIdent`](base::TableIdent), [`Progress`](base::Progress), [`Failure`](base::Failure) |
//! | [`storage`] | [`Storage`](storage::Storage): one object store for everything |
//! | [`catalog`] | [`Catalog`](catalog::Catalog), [`open`](catalog::open) |
//! | [`lake`] | [`Lake`](lake::Lake), [`Source`](lake::Source) |
//! | [`footer`] | what a Parquet footer means to Iceberg |
//! | [`table`] | the write path: manifests, snapshots, [`DropTable`], [`RegisterTable`] |
//! | [`query`] | [`Session`] |
//! | [`migrate`] | [`Assess`], [`AddFiles`], [`Sync`], [`Ctas`], [`Snapshot`], [`Migrate`], [`Swap`], [`Rollback`], [`Finalize`], [`DescribeMigration`], [`Ingest`], [`Crawl`], [`RegisterHive`] |
//! | [`compact`] | [`Compact`], [`ExpireSnapshots`], [`RemoveOrphans`], [`RewriteManifests`] |
//! | [`verify`] | [`Verify`] |
//! | [`engines`] | work that runs elsewhere: [`Athena`](engines::Athena) |
//! | [`xml`] | nested XML: [`InferSchema`](xml::InferSchema), [`Convert`](xml::Convert) |

pub use calve_base as base;
pub use calve_catalog as catalog;
pub use calve_compact as compact;
pub use calve_engines as engines;
pub use calve_lake as lake;
pub use calve_migrate as migrate;
pub use calve_parquet as footer;
pub use calve_query as query;
pub use calve_storage as storage;
pub use calve_table as table;
pub use calve_verify as verify;
pub use calve_xml as xml;

pub use calve_compact::{Compact, ExpireSnapshots, RemoveOrphans, RewriteManifests};
pub use calve_migrate::{
    AddFiles, Assess, Crawl, Ctas, DescribeMigration, Finalize, Ingest, Migrate, RegisterHive,
    Rollback, Snapshot, Swap, Sync,
};
pub use calve_query::Session;
pub use calve_table::{DropTable, RegisterTable};
pub use calve_verify::Verify;

pub use arrow;
pub use datafusion;
pub use iceberg;
pub use object_store;
pub use parquet;
