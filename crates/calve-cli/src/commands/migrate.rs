use std::sync::Arc;

use calve::catalog::Catalog;
use calve::lake::{LakeOptions, Source};
use calve::migrate::migrate::{Plan, Proof, Report};
use calve::query::LakeFormat;
use calve::verify::{Level, VerifySource};
use calve::{Migrate, Verify};
use futures::FutureExt;

use super::{Context, add_files};
use crate::flags::MigrateFlags;
use crate::printer::Render;
use crate::settings::MigrateSettings;
use crate::status::ExitStatus;
use crate::text_table::pairs;

impl Render for Plan {
    fn render(&self, text: &mut String) {
        let backup = self.backup.as_ref();
        let lines = [
            (
                "backup",
                backup.map_or("none".to_owned(), ToString::to_string),
            ),
            ("partition entries", self.partitions_count.to_string()),
        ];
        pairs(&lines, text);
        self.files.render(text);
    }
}

impl Render for Report {
    fn render(&self, text: &mut String) {
        let Some(id) = &self.migration_id else {
            pairs(
                &[("migration", "none: nothing was changed".to_owned())],
                text,
            );
            if let Some(plan) = &self.plan {
                plan.files.render(text);
            }
            return;
        };
        let backup = self.plan.as_ref().and_then(|plan| plan.backup.as_ref());
        let mut lines = vec![
            ("migration", id.to_string()),
            ("files", self.migrated_files_count.to_string()),
            ("rows", self.migrated_records_count.to_string()),
        ];
        lines.extend(backup.map(|name| ("backup", name.to_string())));
        let metadata = self.metadata_location.as_ref();
        lines.extend(metadata.map(|location| ("metadata", location.to_string())));
        lines.extend(
            self.undo
                .as_ref()
                .map(|folder| ("undo record", folder.to_string())),
        );
        pairs(&lines, text);
    }
}

/// Makes an Iceberg table of an entry of Glue.
pub(crate) async fn migrate(context: &Context, flags: MigrateFlags) -> anyhow::Result<ExitStatus> {
    let settings = MigrateSettings::resolve(flags, &context.settings)?;
    let catalog = context.open_metastore().await?;
    let mut operation = Migrate::new(Arc::clone(&catalog), settings.table)
        .with_properties(settings.properties)
        .with_backup(settings.keep_backup)
        .with_on_unsafe(settings.on_unsafe)
        .with_int96(settings.int96)
        .with_fail_point(context.settings.fail_point.clone())
        .with_progress(Arc::new(context.bars.clone()));
    if let Some(location) = settings.location {
        operation = operation.with_location(location);
    }
    if let Some(backup) = settings.backup {
        operation = operation.with_backup_name(backup);
    }
    if let Some(concurrency) = context.settings.concurrency {
        operation = operation.with_concurrency(concurrency);
    }
    if let Some(level) = settings.verify {
        operation = operation.with_proof(proof(context, catalog, level));
    }
    if context.settings.dry_run {
        let plan = operation.plan().await?;
        add_files::tell(context, &plan.files);
        return context.print_plan(&plan);
    }
    let report = operation.await?;
    context.printer.print(&report)?;
    if let Some(plan) = &report.plan {
        add_files::tell(context, &plan.files);
    }
    Ok(match report.migration_id {
        Some(_) => ExitStatus::Done,
        None => ExitStatus::Problem,
    })
}

/// Compares the source, as the metastore has it, with the table that is about to take its place.
fn proof(context: &Context, metastore: Arc<dyn Catalog>, level: Level) -> Proof {
    let session = context.session_options();
    let progress = context.bars.clone();
    Arc::new(move |staging, ident| {
        let source = VerifySource::Lake {
            source: Source::HiveTable {
                metastore: Arc::clone(&metastore),
                ident: ident.clone(),
            },
            options: Box::new(LakeOptions::default()),
            format: LakeFormat::Parquet,
        };
        let verify = Verify::new(staging, source, ident)
            .with_level(level)
            .with_session_options(session.clone())
            .with_progress(Arc::new(progress.clone()));
        async move {
            let report = verify.await?;
            if report.equal {
                return Ok(());
            }
            let (found, checks) = (report.differences_count, report.checks_count);
            Err(format!("{found} differences in {checks} checks").into())
        }
        .boxed()
    })
}
