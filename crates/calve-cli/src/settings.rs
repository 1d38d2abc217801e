//! From flags, environment and configuration file to settings.
//!
//! This is the only place of the workspace that reads the environment. A flag wins over a variable,
//! a variable over the file, the file over the default.

mod add_files;
mod assess;
mod catalog;
mod compact;
mod crawl;
mod ctas;
mod environment;
mod error;
mod file;
mod migrate;
mod reader;
mod rewrite_deletes;
mod source;
mod sync;
mod upkeep;
mod verify;
mod xml;

use std::path::PathBuf;

use calve::base::{Location, TableIdent, units};
use calve::migrate::journal::FailPoint;

pub(crate) use add_files::AddFilesSettings;
pub(crate) use assess::AssessSettings;
pub(crate) use catalog::CatalogSettings;
pub(crate) use compact::CompactSettings;
pub(crate) use crawl::{CrawlFormat, CrawlSettings};
pub(crate) use ctas::CtasSettings;
pub(crate) use environment::Environment;
pub(crate) use error::Error;
pub(crate) use migrate::{
    FinalizeSettings, MigrateSettings, ReportSettings, RollbackSettings, SnapshotSettings,
    SwapSettings,
};
pub(crate) use reader::ReaderSettings;
pub(crate) use rewrite_deletes::RewriteDeletesSettings;
pub(crate) use source::SourceSettings;
pub(crate) use sync::SyncSettings;
pub(crate) use upkeep::{ExpireSnapshotsSettings, RemoveOrphansSettings};
pub(crate) use verify::VerifySettings;
pub(crate) use xml::{IfExists, SchemaSettings, XmlConvertSettings, XmlSettings, XmlTarget};

use crate::flags::{ColorChoice, GlobalFlags, OutputFormat};
use file::ConfigFile;

/// What holds for every command.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The catalog that the command works on.
    pub(crate) catalog: CatalogSettings,
    /// How results are printed.
    pub(crate) output: OutputFormat,
    /// Whether only the plan is printed.
    pub(crate) dry_run: bool,
    /// How many requests or files are in flight at once, where the user said so.
    pub(crate) concurrency: Option<usize>,
    /// How much memory queries may take, where the user said so.
    pub(crate) memory_bytes: Option<u64>,
    /// Where queries spill to, where the user said so.
    pub(crate) spill_dir: Option<PathBuf>,
    /// At which step the process ends on purpose.
    pub(crate) fail_point: FailPoint,
    /// What appears on stderr.
    pub(crate) messages: MessageSettings,
    /// Whether stdout is a terminal.
    pub(crate) stdout_is_terminal: bool,
    /// Which log lines are written, in the language of `RUST_LOG`.
    pub(crate) log_filter: String,
    /// The directory that relative paths start from.
    working_directory: String,
    /// The configuration, for catalogs other than the chosen one.
    configuration: catalog::Configuration,
}

/// What appears on stderr.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MessageSettings {
    /// Whether notes are left out.
    pub(crate) quiet: bool,
    /// Whether progress bars are drawn.
    pub(crate) draws_progress: bool,
    /// Whether messages are coloured.
    pub(crate) colors: bool,
}

impl Settings {
    /// Decides what holds.
    ///
    /// # Errors
    /// When the configuration file cannot be read, or a value means nothing.
    pub(crate) fn resolve(flags: GlobalFlags, environment: &Environment) -> Result<Self, Error> {
        let path = flags
            .config
            .or_else(|| environment.variable("CALVE_CONFIG").map(PathBuf::from));
        let file = ConfigFile::load(path, environment)?;
        let chosen = flags
            .catalog
            .or_else(|| {
                environment
                    .variable("CALVE_DEFAULT_CATALOG")
                    .map(ToOwned::to_owned)
            })
            .or_else(|| file.default_catalog.clone())
            .unwrap_or_else(|| catalog::DEFAULT_NAME.to_owned());
        let concurrency = match (flags.concurrency, environment.variable("CALVE_CONCURRENCY")) {
            (Some(number), _) => Some(number),
            (None, Some(text)) => Some(count("CALVE_CONCURRENCY", text)?),
            (None, None) => file.concurrency,
        };
        let memory_bytes = flags
            .memory
            .as_deref()
            .map(|text| ("--memory", text))
            .or_else(|| {
                environment
                    .variable("CALVE_MEMORY")
                    .map(|text| ("CALVE_MEMORY", text))
            })
            .or_else(|| file.memory.as_deref().map(|text| ("memory", text)))
            .map(|(place, text)| bytes(place, text))
            .transpose()?;
        let spill_dir = flags
            .spill_dir
            .or_else(|| environment.variable("CALVE_SPILL_DIR").map(PathBuf::from))
            .or(file.spill_dir);
        let configuration =
            catalog::Configuration::new(file.catalogs, environment, &environment.working_directory);
        Ok(Self {
            catalog: configuration.resolve(&chosen, flags.set)?,
            output: flags.output_format.unwrap_or_default(),
            dry_run: flags.dry_run,
            concurrency,
            memory_bytes,
            spill_dir,
            fail_point: fail_point(flags.fail_point.as_deref(), environment),
            messages: MessageSettings {
                quiet: flags.quiet,
                draws_progress: environment.stderr_is_terminal
                    && !flags.quiet
                    && !flags.no_progress,
                colors: colors(flags.color.unwrap_or_default(), environment),
            },
            stdout_is_terminal: environment.stdout_is_terminal,
            log_filter: log_filter(flags.verbose, environment),
            working_directory: environment.working_directory.clone(),
            configuration,
        })
    }

    /// The directory that relative paths start from.
    pub(crate) fn working_directory(&self) -> &str {
        &self.working_directory
    }

    /// Reads a location as the user typed it: relative paths start from the working directory.
    ///
    /// # Errors
    /// When the text is no location.
    pub(crate) fn location(&self, text: &str) -> Result<Location, Error> {
        Ok(Location::from_user(text, &self.working_directory)?)
    }

    /// Reads the name of a table.
    ///
    /// # Errors
    /// When the text is no table name.
    pub(crate) fn table(text: &str) -> Result<TableIdent, Error> {
        Ok(text.parse()?)
    }

    /// The catalog of that name, as the file and the environment describe it.
    ///
    /// # Errors
    /// When neither does.
    pub(crate) fn other_catalog(&self, name: &str) -> Result<CatalogSettings, Error> {
        self.configuration.resolve(name, Vec::new())
    }
}

/// At which step the process ends on purpose: never in a release, unless the hidden flag says so.
fn fail_point(flag: Option<&str>, environment: &Environment) -> FailPoint {
    let variable = || {
        cfg!(debug_assertions)
            .then(|| environment.variable("CALVE_FAIL_POINT"))
            .flatten()
    };
    flag.or_else(variable)
        .map(FailPoint::at)
        .unwrap_or_default()
}

/// Reads a whole number above zero.
fn count(place: &str, text: &str) -> Result<usize, Error> {
    match text.trim().parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(Error::Value {
            place: place.to_owned(),
            text: text.to_owned(),
            expected: "a whole number above 0",
        }),
    }
}

/// Reads a size that is above zero.
fn bytes(place: &str, text: &str) -> Result<u64, Error> {
    match units::parse_bytes(text) {
        Ok(size) if size > 0 => Ok(size),
        _ => Err(Error::Value {
            place: place.to_owned(),
            text: text.to_owned(),
            expected: "a size above 0, such as 4GB",
        }),
    }
}

/// Whether messages are coloured: as told, or on a terminal unless `NO_COLOR` is set.
fn colors(choice: ColorChoice, environment: &Environment) -> bool {
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => {
            environment.stderr_is_terminal && environment.variable("NO_COLOR").is_none()
        }
    }
}

/// Which log lines are written: `RUST_LOG`, or more for each `-v`.
fn log_filter(verbose: u8, environment: &Environment) -> String {
    match (environment.variable("RUST_LOG"), verbose) {
        (Some(filter), _) => filter.to_owned(),
        (None, 0) => "error".to_owned(),
        (None, 1) => crates_at("info"),
        (None, 2) => crates_at("debug"),
        (None, _) => crates_at("trace"),
    }
}

/// A filter that shows calve's own crates from `level` on, and only warnings of others.
fn crates_at(level: &str) -> String {
    const CRATES: [&str; 11] = [
        "calve",
        "calve_catalog",
        "calve_cli",
        "calve_compact",
        "calve_lake",
        "calve_migrate",
        "calve_query",
        "calve_storage",
        "calve_table",
        "calve_verify",
        "calve_xml",
    ];
    CRATES.iter().fold("warn".to_owned(), |filter, name| {
        format!("{filter},{name}={level}")
    })
}

#[cfg(test)]
mod tests;
