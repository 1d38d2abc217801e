use std::fmt::Write as _;
use std::io::Read;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use calve::Session;
use futures::TryStreamExt;

use super::Context;
use crate::flags::{OutputFormat, RowFormat, SqlFlags};
use crate::rows::{Error, RowWriter};
use crate::status::ExitStatus;

/// Runs a query and prints its rows, or its plan.
pub(crate) async fn sql(context: &Context, flags: SqlFlags) -> anyhow::Result<ExitStatus> {
    let format = match (flags.format, context.settings.output) {
        (Some(format), _) => format,
        (None, OutputFormat::Table) => RowFormat::Table,
        (None, OutputFormat::Json) => RowFormat::Json,
    };
    if format == RowFormat::Parquet && context.settings.stdout_is_terminal {
        return Err(Error::Terminal.into());
    }
    let query = match flags.query.as_str() {
        "-" => read_stdin()?,
        _ => flags.query,
    };
    let session = Session::new(context.open_catalog().await?, context.session_options())?;
    let mut frame = session.sql(&query).await?;
    if flags.explain {
        frame = frame.explain(false, false)?;
        if format == RowFormat::Table {
            return print_plan(context, &frame.collect().await?);
        }
    }
    let mut rows = frame.execute_stream().await?;
    let stdout = context.printer.stream();
    let closed = stdout.closed();
    let mut writer = RowWriter::new(format, &rows.schema(), stdout)?;
    while let Some(batch) = rows.try_next().await? {
        writer.write(&batch)?;
        if closed.load(Ordering::Relaxed) {
            break;
        }
    }
    writer.finish()?;
    Ok(ExitStatus::Done)
}

/// Prints a plan with its line breaks.
fn print_plan(context: &Context, batches: &[RecordBatch]) -> anyhow::Result<ExitStatus> {
    let options = FormatOptions::new();
    let mut text = String::new();
    for batch in batches {
        let kinds = ArrayFormatter::try_new(batch.column(0), &options)?;
        let plans = ArrayFormatter::try_new(batch.column(1), &options)?;
        for row in 0..batch.num_rows() {
            writeln!(text, "{}\n{}", kinds.value(row), plans.value(row))?;
        }
    }
    context.printer.data(text.as_bytes())?;
    Ok(ExitStatus::Done)
}

/// Reads the query from stdin.
fn read_stdin() -> anyhow::Result<String> {
    let mut query = String::new();
    std::io::stdin()
        .read_to_string(&mut query)
        .context("the query cannot be read from stdin")?;
    Ok(query)
}
