//! The commands, one a file: each calls one operation and prints its report.

mod add_files;
mod assess;
mod compact;
mod completions;
mod crawl;
mod ctas;
mod drop;
mod expire_snapshots;
mod finalize;
mod man;
mod migrate;
mod register;
mod remove_orphans;
mod report;
mod rewrite_deletes;
mod rewrite_manifests;
mod rollback;
mod show;
mod snapshot;
mod sql;
mod swap;
mod sync;
mod tables;
mod upkeep;
mod verify;
mod xml;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use calve::catalog::Catalog;
use calve::lake::Source;
use calve::query::SessionOptions;
use serde::Serialize;
use tracing_subscriber::EnvFilter;

use crate::failure;
use crate::flags::{Cli, Command, GlobalFlags, XmlCommand};
use crate::interrupt::CommitWatch;
use crate::printer::{Printer, Render};
use crate::progress::Bars;
use crate::settings::{Settings, SourceSettings};
use crate::status::ExitStatus;

/// How long the end of a command waits for what it began and nobody needs any more.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// The catalog that has the Hive-style tables, where the chosen one has none.
const METASTORE_NAME: &str = "glue";

/// What every command works with.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) printer: Printer,
    pub(crate) bars: Bars,
    watch: CommitWatch,
}

/// A plan, marked as one.
#[derive(Serialize)]
struct DryRun<'a, T> {
    dry_run: bool,
    #[serde(flatten)]
    plan: &'a T,
}

impl<T: Render> Render for DryRun<'_, T> {
    fn render(&self, text: &mut String) {
        self.plan.render(text);
    }
}

/// Parts the command from the global flags, which may stand on both sides of it.
pub(crate) fn split(cli: Cli) -> (Command, GlobalFlags) {
    let Cli {
        globals,
        mut command,
    } = cli;
    let after = match &mut command {
        Command::Assess(command) => std::mem::take(&mut command.globals),
        Command::AddFiles(command) => std::mem::take(&mut command.globals),
        Command::Snapshot(command) => std::mem::take(&mut command.globals),
        Command::Migrate(command) => std::mem::take(&mut command.globals),
        Command::Swap(command) => std::mem::take(&mut command.globals),
        Command::Rollback(command) => std::mem::take(&mut command.globals),
        Command::Finalize(command) => std::mem::take(&mut command.globals),
        Command::Report(command) => std::mem::take(&mut command.globals),
        Command::Ctas(command) => std::mem::take(&mut command.globals),
        Command::Compact(command) => std::mem::take(&mut command.globals),
        Command::ExpireSnapshots(command) => std::mem::take(&mut command.globals),
        Command::RemoveOrphans(command) => std::mem::take(&mut command.globals),
        Command::RewriteDeletes(command) => std::mem::take(&mut command.globals),
        Command::RewriteManifests(command) => std::mem::take(&mut command.globals),
        Command::Verify(command) => std::mem::take(&mut command.globals),
        Command::Sync(command) => std::mem::take(&mut command.globals),
        Command::Crawl(command) => std::mem::take(&mut command.globals),
        Command::Sql(command) => std::mem::take(&mut command.globals),
        Command::Tables(command) => std::mem::take(&mut command.globals),
        Command::Show(command) => std::mem::take(&mut command.globals),
        Command::Register(command) => std::mem::take(&mut command.globals),
        Command::Drop(command) => std::mem::take(&mut command.globals),
        Command::Xml(XmlCommand::Infer(command)) => std::mem::take(&mut command.globals),
        Command::Xml(XmlCommand::Convert(command)) => std::mem::take(&mut command.globals),
        Command::Completions(_) | Command::Man => GlobalFlags::default(),
    };
    (command, globals.merge(after))
}

impl Context {
    /// Sets up printing, progress bars and logging.
    ///
    /// # Errors
    /// When the log filter means nothing.
    pub(crate) fn new(settings: Settings) -> anyhow::Result<Self> {
        let bars = Bars::new(settings.messages.draws_progress);
        let filter = EnvFilter::try_new(&settings.log_filter)
            .with_context(|| format!("RUST_LOG: `{}` is no log filter", settings.log_filter))?;
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(settings.messages.colors)
            .with_writer(bars.clone())
            .init();
        Ok(Self {
            printer: Printer::new(&settings, bars.clone()),
            settings,
            bars,
            watch: CommitWatch::default(),
        })
    }

    /// Runs a command to its end, and tells what went wrong.
    pub(crate) fn run(&self, command: Command) -> ExitStatus {
        let interrupted = match command {
            Command::Ctas(_) => {
                "interrupted; the same command goes on after the last batch that was committed"
            }
            Command::ExpireSnapshots(_) => {
                "interrupted; files of snapshots that expired already are left to `calve remove-orphans`"
            }
            Command::RemoveOrphans(_) => "interrupted; the same command deletes the rest",
            _ => "interrupted; nothing was committed",
        };
        let result = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .context("the runtime cannot be started")
            .and_then(|runtime| {
                let result =
                    runtime.block_on(self.watch.run(self.dispatch(command), &self.printer));
                // Requests that nobody waits for any more do not hold up the end for long. Not at once, either: threads
                // that end by themselves while they are let go can crash the process (glibc's bug 19951).
                runtime.shutdown_timeout(SHUTDOWN);
                result.unwrap_or(Ok(ExitStatus::Interrupted))
            });
        self.bars.clear();
        match result {
            Ok(ExitStatus::Interrupted) => {
                self.printer.warning(interrupted);
                ExitStatus::Interrupted
            }
            Ok(status) => status,
            Err(error) => {
                self.printer.error(&error);
                failure::status(&error)
            }
        }
    }

    /// Opens the catalog that the user chose.
    ///
    /// # Errors
    /// When the properties are wrong or the catalog cannot be reached.
    pub(crate) async fn open_catalog(&self) -> anyhow::Result<Arc<dyn Catalog>> {
        let catalog = self.settings.catalog.open().await?;
        Ok(self.watch.guard(catalog))
    }

    /// Opens a catalog with Hive-style tables: the chosen one where it has such, otherwise the one that is
    /// named `glue`.
    ///
    /// # Errors
    /// When there is none, or it cannot be reached.
    pub(crate) async fn open_metastore(&self) -> anyhow::Result<Arc<dyn Catalog>> {
        let catalog = self.open_catalog().await?;
        if catalog.metastore().is_some() {
            return Ok(catalog);
        }
        let other = self.settings.other_catalog(METASTORE_NAME)?;
        Ok(self.watch.guard(other.open().await?))
    }

    /// The bounds of queries, as the settings say.
    pub(crate) fn session_options(&self) -> SessionOptions {
        SessionOptions {
            memory_bytes: self.settings.memory_bytes,
            spill_dir: self.settings.spill_dir.clone(),
            concurrency: self.settings.concurrency,
            working_directory: Some(self.settings.working_directory().to_owned()),
        }
    }

    /// Opens what files come from. A table of a metastore is looked for in the chosen catalog where
    /// that has one, and otherwise in the catalog that is named `glue`.
    ///
    /// # Errors
    /// When there is no catalog with a metastore, or it cannot be reached.
    pub(crate) async fn open_source(
        &self,
        source: SourceSettings,
        catalog: &Arc<dyn Catalog>,
    ) -> anyhow::Result<Source> {
        let ident = match source {
            SourceSettings::Location(location) => return Ok(Source::Location(location)),
            SourceSettings::HiveTable(ident) => ident,
            SourceSettings::IcebergTable(ident) => {
                anyhow::bail!("{ident} is an Iceberg table, and no lake")
            }
        };
        let metastore = if catalog.metastore().is_some() {
            Arc::clone(catalog)
        } else {
            self.settings.other_catalog(METASTORE_NAME)?.open().await?
        };
        Ok(Source::HiveTable { metastore, ident })
    }

    /// Prints what a command would do.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn print_plan(&self, plan: &impl Render) -> anyhow::Result<ExitStatus> {
        self.printer.print(&DryRun {
            dry_run: true,
            plan,
        })?;
        self.printer.note("this was a dry run: nothing was written");
        Ok(ExitStatus::Done)
    }

    async fn dispatch(&self, command: Command) -> anyhow::Result<ExitStatus> {
        match command {
            Command::Assess(command) => Box::pin(assess::assess(self, command.flags)).await,
            Command::AddFiles(command) => Box::pin(add_files::add_files(self, command.flags)).await,
            Command::Verify(command) => Box::pin(verify::verify(self, command.flags)).await,
            Command::Sync(command) => Box::pin(sync::sync(self, command.flags)).await,
            Command::Snapshot(command) => Box::pin(snapshot::snapshot(self, command.flags)).await,
            Command::Migrate(command) => Box::pin(migrate::migrate(self, command.flags)).await,
            Command::Swap(command) => Box::pin(swap::swap(self, command.flags)).await,
            Command::Rollback(command) => Box::pin(rollback::rollback(self, command.flags)).await,
            Command::Finalize(command) => Box::pin(finalize::finalize(self, command.flags)).await,
            Command::Report(command) => Box::pin(report::report(self, command.flags)).await,
            Command::Crawl(command) => Box::pin(crawl::crawl(self, *command.flags)).await,
            Command::Ctas(command) => Box::pin(ctas::ctas(self, *command.flags)).await,
            Command::Compact(command) => Box::pin(compact::compact(self, command.flags)).await,
            Command::ExpireSnapshots(command) => {
                Box::pin(expire_snapshots::expire_snapshots(self, command.flags)).await
            }
            Command::RewriteManifests(command) => {
                Box::pin(rewrite_manifests::rewrite_manifests(self, command.flags)).await
            }
            Command::RemoveOrphans(command) => {
                Box::pin(remove_orphans::remove_orphans(self, *command.flags)).await
            }
            Command::RewriteDeletes(command) => {
                Box::pin(rewrite_deletes::rewrite_deletes(self, command.flags)).await
            }
            Command::Sql(command) => sql::sql(self, command.flags).await,
            Command::Tables(command) => tables::tables(self, command.flags).await,
            Command::Show(command) => show::show(self, command.flags).await,
            Command::Register(command) => register::register(self, command.flags).await,
            Command::Drop(command) => drop::drop(self, command.flags).await,
            Command::Xml(XmlCommand::Infer(command)) => {
                Box::pin(xml::infer(self, *command.flags)).await
            }
            Command::Xml(XmlCommand::Convert(command)) => {
                Box::pin(xml::convert(self, *command.flags)).await
            }
            Command::Completions(flags) => completions::completions(self, &flags),
            Command::Man => man::man(self),
        }
    }
}
