//! A choice among the files of a lake, for operations that add a part of them, or add some anew.

use std::collections::HashMap;

use async_trait::async_trait;
use calve_base::Location;
use calve_catalog::Table;
use calve_lake::LakeFile;

use crate::Result;

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// It is added, unless the table has it already.
    Add,
    /// It is added, though the table has it: what the table knows of it is outdated.
    Replace,
    /// It is left alone.
    Leave,
}

/// What is committed beside the added files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Changes {
    /// Files that the table loses, among them those that are replaced.
    pub(crate) removed: Vec<Location>,
    /// Properties that the table gets.
    pub(crate) properties: HashMap<String, String>,
}

/// Chooses. It is asked about each file in the order of the listing, by several tasks.
#[async_trait]
pub(crate) trait Selection: std::fmt::Debug + Send + Sync {
    /// Decides about a file.
    fn choose(&self, file: &LakeFile) -> Choice;

    /// Learns that a file was not added.
    fn refused(&self, file: &Location);

    /// Says, when all files have been seen, what else is to be committed; `None` stands for a table
    /// that is created. Where `writes` is false, nothing may be written.
    ///
    /// # Errors
    /// When the table's files cannot be read, or what belongs to the change cannot be written.
    async fn changes(&self, table: Option<&Table>, writes: bool) -> Result<Changes>;
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.properties.is_empty()
    }
}
