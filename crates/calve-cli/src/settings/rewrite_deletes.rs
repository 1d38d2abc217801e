use calve::base::TableIdent;

use super::{Error, Settings, bytes};
use crate::flags::RewriteDeletesFlags;

/// What `calve rewrite-deletes` is told.
#[derive(Debug, Clone)]
pub(crate) struct RewriteDeletesSettings {
    pub(crate) table: TableIdent,
    /// Which partitions are looked at.
    pub(crate) condition: Option<String>,
    /// Options by Spark's names.
    pub(crate) options: Vec<(String, String)>,
}

impl RewriteDeletesSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When a name or a size means nothing.
    pub(crate) fn resolve(flags: RewriteDeletesFlags) -> Result<Self, Error> {
        let mut options = flags.option;
        if let Some(text) = &flags.target_file_size {
            let size = bytes("--target-file-size", text)?;
            options.push(("target-file-size-bytes".to_owned(), size.to_string()));
        }
        if let Some(files) = flags.min_input_files {
            options.push(("min-input-files".to_owned(), files.to_string()));
        }
        Ok(Self {
            table: Settings::table(&flags.table)?,
            condition: flags.condition,
            options,
        })
    }
}
