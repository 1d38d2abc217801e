//! Hears what a plan finds of each file, for operations that tell more of it than a plan does.

use calve_base::Location;
use calve_lake::{Lake, LakeFile};
use calve_parquet::Finding;
use parquet::file::metadata::ParquetMetaData;

use super::judge::{Prepared, Verdict};
use crate::Result;

/// Hears what becomes of each file.
pub(crate) trait Observer: std::fmt::Debug + Send + Sync {
    /// The lake is open; its footers come next.
    ///
    /// # Errors
    /// When the lake's columns cannot be understood.
    fn opened(&self, lake: &Lake) -> Result<()>;

    /// An object was passed over. It is told while the listing goes on, ahead of footers.
    fn skipped(&self, file: &Location, reason: &str);

    /// A file was judged; files come in the order of the listing.
    fn judged(&self, judged: Judged<'_>);
}

/// A file, and what was found of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Judged<'a> {
    pub(crate) file: &'a LakeFile,
    /// Its footer and its schema; nothing where the footer cannot be read.
    pub(crate) read: Option<(&'a ParquetMetaData, &'a Prepared)>,
    /// What is to be said of the file beyond its schema.
    pub(crate) own: &'a [Finding],
    pub(crate) verdict: &'a Verdict,
}
