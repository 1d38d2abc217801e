use calve::base::TableIdent;
use calve::compact::Strategy;

use super::{Error, Settings, bytes};
use crate::flags::{CompactFlags, StrategyFlag};

/// What `calve compact` is told.
#[derive(Debug, Clone)]
pub(crate) struct CompactSettings {
    pub(crate) table: TableIdent,
    pub(crate) condition: Option<String>,
    pub(crate) strategy: Strategy,
    pub(crate) branch: Option<String>,
    /// Entries of the snapshots' summaries.
    pub(crate) summary: Vec<(String, String)>,
    /// Options by Spark's names.
    pub(crate) options: Vec<(String, String)>,
}

impl CompactSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When a name or a size means nothing.
    pub(crate) fn resolve(flags: CompactFlags) -> Result<Self, Error> {
        let strategy = strategy(&flags)?;
        let mut options = flags.option;
        if let Some(text) = &flags.target_file_size {
            let size = bytes("--target-file-size", text)?;
            options.push(("target-file-size-bytes".to_owned(), size.to_string()));
        }
        if let Some(files) = flags.min_input_files {
            options.push(("min-input-files".to_owned(), files.to_string()));
        }
        if flags.partial_progress {
            options.push(("partial-progress.enabled".to_owned(), "true".to_owned()));
        }
        Ok(Self {
            table: Settings::table(&flags.table)?,
            condition: flags.condition,
            strategy,
            branch: flags.branch,
            summary: flags.snapshot_property,
            options,
        })
    }
}

/// What three flags say of the order of rows.
fn strategy(flags: &CompactFlags) -> Result<Strategy, Error> {
    let given = match (&flags.sort_by, &flags.z_order) {
        (Some(fields), _) => Some(Strategy::parse(fields)?),
        (None, Some(columns)) => Some(Strategy::z_order(columns).map_err(Error::ZOrder)?),
        (None, None) => None,
    };
    let useless = |flag, reason| Err(Error::Useless { flag, reason });
    match (flags.strategy, given) {
        (Some(StrategyFlag::Binpack), Some(Strategy::ZOrder(_))) if flags.z_order.is_some() => {
            useless("--z-order", "the strategy is binpack")
        }
        (Some(StrategyFlag::Binpack), Some(_)) => useless("--sort-by", "the strategy is binpack"),
        (Some(StrategyFlag::Sort), Some(Strategy::ZOrder(_))) if flags.z_order.is_some() => {
            useless("--z-order", "the strategy is sort")
        }
        (Some(StrategyFlag::ZOrder), Some(Strategy::Sort(_))) => {
            useless("--sort-by", "the strategy is z-order")
        }
        (_, Some(given)) => Ok(given),
        (None | Some(StrategyFlag::Binpack), None) => Ok(Strategy::BinPack),
        (Some(StrategyFlag::Sort), None) => Ok(Strategy::Sort(None)),
        (Some(StrategyFlag::ZOrder), None) => Err(Error::NoZOrder),
    }
}
