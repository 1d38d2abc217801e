use std::sync::Arc;

use anyhow::Context as _;
use calve::DescribeMigration;
use calve::base::units::format_bytes;
use calve::catalog::Catalog;
use calve::lake::LakeOptions;
use calve::migrate::CtasSource;
use calve::migrate::describe::{Checked, Description, Files, Found};
use calve::migrate::journal::Operation;
use calve::query::LakeFormat;
use calve::verify::{Difference, Report as Proof};

use super::{Context, verify};
use crate::flags::{OutputFormat, ReportFlags};
use crate::printer::Render;
use crate::settings::{ReportSettings, SourceSettings, VerifySettings};
use crate::status::ExitStatus;
use crate::text_table::{TextTable, counted, pairs, push_line, visible};

/// How many differences of a check the report names.
const NAMED_DIFFERENCES: usize = 3;

/// Tells what a migration did.
pub(crate) async fn report(context: &Context, flags: ReportFlags) -> anyhow::Result<ExitStatus> {
    let settings = ReportSettings::resolve(flags)?;
    let catalog = context.open_catalog().await?;
    let mut operation = DescribeMigration::new(Arc::clone(&catalog), settings.id.clone())
        .with_prices(settings.prices);
    let found = operation.find().await?;
    let compared = compared_with(&found, &catalog, settings.id.operation()).await;
    let source = compared.map(|text| SourceSettings::parse(&text, &context.settings));
    let source = source.transpose()?;
    if let Some(source) = source.clone() {
        let source = open(context, source, &catalog, found.format()).await?;
        operation = operation.with_source(source);
    }
    let mut description = operation.await?;
    let proof = settings.level.filter(|_| found.keeps_rows()).zip(source);
    let is_proved = match proof {
        None => true,
        Some((level, source)) => {
            let settings = VerifySettings {
                format: found.format(),
                ..VerifySettings::whole(source, description.table.clone(), level)
            };
            prove(context, catalog, settings, &mut description).await
        }
    };
    let page = description.to_html();
    match &settings.out {
        // The error of `fs_err` names the file.
        Some(path) => fs_err::write(path, page).context("the page cannot be written")?,
        None if context.settings.output == OutputFormat::Table => {
            context.printer.data(page.as_bytes())?;
            return Ok(status(&description, is_proved));
        }
        None => {}
    }
    context.printer.print(&description)?;
    for note in &description.notes {
        context.printer.note(note);
    }
    Ok(status(&description, is_proved))
}

fn status(description: &Description, is_proved: bool) -> ExitStatus {
    if description.equal() && is_proved {
        ExitStatus::Done
    } else {
        ExitStatus::Problem
    }
}

/// What the table is to be compared with: its source; where a name or an entry was taken, what had it before.
async fn compared_with(
    found: &Found,
    catalog: &Arc<dyn Catalog>,
    operation: Operation,
) -> Option<String> {
    match operation {
        Operation::Migrate => found.backup().map(|backup| format!("glue:{backup}")),
        Operation::Swap => {
            let backup = found.backup()?;
            let is_table = catalog.load_table(&backup).await.is_ok();
            let kind = if is_table { "iceberg" } else { "glue" };
            Some(format!("{kind}:{backup}"))
        }
        _ => Some(found.source().to_owned()),
    }
}

async fn open(
    context: &Context,
    source: SourceSettings,
    catalog: &Arc<dyn Catalog>,
    format: LakeFormat,
) -> anyhow::Result<CtasSource> {
    Ok(match source {
        SourceSettings::IcebergTable(ident) => CtasSource::Table {
            catalog: Arc::clone(catalog),
            ident,
            snapshot_id: None,
        },
        source => CtasSource::Lake {
            source: context.open_source(source, catalog).await?,
            options: Box::new(LakeOptions::default()),
            format,
        },
    })
}

/// Compares the rows now. Where that is not possible any more, the description says so.
async fn prove(
    context: &Context,
    catalog: Arc<dyn Catalog>,
    settings: VerifySettings,
    description: &mut Description,
) -> bool {
    match Box::pin(verify::prove(context, catalog, settings)).await {
        Ok(proof) => {
            description.checks.extend(checks(&proof));
            true
        }
        Err(error) => {
            let note = format!("source and table could not be compared: {error:#}");
            description.notes.push(note);
            false
        }
    }
}

/// The checks of a proof, with the first differences that each found.
fn checks(proof: &Proof) -> Vec<Checked> {
    let checks = proof.checks.iter();
    checks
        .map(|check| {
            let what = match &check.column {
                Some(column) => format!("{} of {column}", check.name),
                None => check.name.to_owned(),
            };
            let of_check = |it: &&Difference| it.check == check.name && it.column == check.column;
            let found = proof.differences.iter().filter(of_check);
            let found: Vec<String> = found
                .take(NAMED_DIFFERENCES)
                .map(|it| format!("{} source {} table {}", it.partition, it.source, it.table))
                .collect();
            let found = match check.name {
                "row_count" => format!("source {} table {}", proof.rows_source, proof.rows_table),
                _ => found.join("; "),
            };
            Checked {
                what,
                compared: check.compared,
                equal: check.equal,
                found: (!check.equal).then_some(found),
            }
        })
        .collect()
}

impl Render for Description {
    fn render(&self, text: &mut String) {
        let different = self.checks.iter().filter(|check| !check.equal).count();
        let verdict = match (self.checks.len(), different) {
            (0, _) => "nothing was compared".to_owned(),
            (all, 0) => format!("equal in {}", counted(all as u64, "check")),
            (all, some) => format!("DIFFERENT in {some} of {}", counted(all as u64, "check")),
        };
        let mut lines = vec![
            ("migration", self.migration_id.to_string()),
            ("state", self.state.as_str().to_owned()),
            ("source", visible(&self.source)),
            ("table", self.table.to_string()),
            ("verdict", verdict),
        ];
        let cost = self.cost.map(|cost| format!("{:.2} $", cost.dollars));
        lines.extend(cost.map(|cost| ("cost", cost)));
        pairs(&lines, text);
        let names = ["", "files", "size", "rows", "delete files", "partitions"];
        let columns = names.iter().enumerate();
        let mut table = TextTable::new(columns.map(|(at, name)| ((*name).to_owned(), at > 0)));
        let before = self.before.iter().map(|files| row("before", files));
        let rows: Vec<Vec<String>> = before.chain([row("after", &self.after)]).collect();
        table.settle(&rows);
        text.push('\n');
        table.header(text);
        for row in &rows {
            table.row(row, text);
        }
        for check in self.checks.iter().filter(|check| !check.equal) {
            let found = check.found.as_deref().unwrap_or_default();
            push_line(text, format_args!("{}: {}", check.what, visible(found)));
        }
    }
}

fn row(name: &str, files: &Files) -> Vec<String> {
    let records = files.records.map(|records| records.to_string());
    vec![
        name.to_owned(),
        files.amount.files.to_string(),
        format_bytes(files.amount.bytes),
        records.unwrap_or_default(),
        files.delete_files.to_string(),
        files.partitions.to_string(),
    ]
}
