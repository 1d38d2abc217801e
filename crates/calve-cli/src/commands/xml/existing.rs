//! What lies already where Parquet files are to be written.

use std::collections::HashSet;

use calve::base::{Location, Scheme};
use calve::storage::Storage;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, future, stream};

use super::files::{Layout, PARQUET};
use crate::failure::Refusal;
use crate::settings::IfExists;
use crate::status::ExitStatus;

/// How many files are deleted together.
const DELETED_AT_ONCE: usize = 64;

/// Refuses to write beside files that are there already, unless that is what was asked for.
///
/// # Errors
/// When there are some, or the store fails.
pub(super) async fn check(storage: &Storage, layout: &Layout) -> anyhow::Result<()> {
    let is_file = !layout.is_one_file() && layout.out.scheme() == Scheme::File;
    if is_file && storage.head(&layout.out).await?.is_some() {
        return Err(Refusal {
            message: format!("{} is a file", layout.out),
            hint: "name a folder, or a file that ends in `.parquet`".to_owned(),
            status: ExitStatus::Failed,
        }
        .into());
    }
    match layout.if_exists {
        IfExists::Replace => return Ok(()),
        IfExists::Append => return check_append(layout),
        IfExists::Fail => {}
    }
    let Some(file) = files(storage, layout).await?.try_next().await? else {
        return Ok(());
    };
    let others = if layout.is_one_file() || layout.relationalize.is_some() {
        ""
    } else {
        ", or `--if-exists append` to write beside it"
    };
    Err(Refusal {
        message: format!("{file} is there already"),
        hint: format!(
            "write elsewhere, or give `--if-exists replace` to delete what is there once all rows are \
             written{others}"
        ),
        status: ExitStatus::Failed,
    }
    .into())
}

/// Refuses to replace files by less than was to be read: no rows at all, or what is left of damaged documents.
///
/// # Errors
/// When there are files that would be replaced, or the store fails.
pub(super) async fn check_replaced(
    storage: &Storage,
    layout: &Layout,
    rows: u64,
    faults: &[String],
) -> anyhow::Result<()> {
    let problem = match faults {
        _ if layout.if_exists != IfExists::Replace => return Ok(()),
        [] if rows > 0 => return Ok(()),
        [] => "no row was found",
        [first, ..] => first,
    };
    if files(storage, layout).await?.try_next().await?.is_none() {
        return Ok(());
    }
    Err(Refusal {
        message: format!("nothing is replaced: {problem}"),
        hint: "look at the documents, and whether --row-tag is the name or the path of the rows' element; or \
               write elsewhere"
            .to_owned(),
        status: ExitStatus::Problem,
    }
    .into())
}

/// Refuses to write beside other files what cannot stand there.
fn check_append(layout: &Layout) -> anyhow::Result<()> {
    let problem = if layout.is_one_file() {
        "all rows go into one file"
    } else if layout.relationalize.is_some() {
        "the keys of flat tables begin anew with each run"
    } else {
        return Ok(());
    };
    Err(Refusal {
        message: format!("--if-exists append: {problem}"),
        hint: "write elsewhere, or give `--if-exists replace`".to_owned(),
        status: ExitStatus::Failed,
    }
    .into())
}

/// Deletes what was there before; gives how many files.
///
/// # Errors
/// When the store fails. What is left is deleted by the next run that replaces.
pub(super) async fn delete_others(
    storage: &Storage,
    layout: &Layout,
    written: &HashSet<Location>,
) -> anyhow::Result<u64> {
    let mut old = files(storage, layout)
        .await?
        .try_filter(|file| future::ready(!written.contains(file)))
        .try_chunks(DELETED_AT_ONCE);
    let mut deleted = 0;
    while let Some(files) = old.try_next().await? {
        for outcome in storage.delete_all(&files, DELETED_AT_ONCE).await {
            outcome?;
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// The Parquet files of a folder, at any depth; or the one file, with those that it went on in.
async fn files(
    storage: &Storage,
    layout: &Layout,
) -> anyhow::Result<BoxStream<'static, calve::storage::Result<Location>>> {
    if !layout.is_one_file() {
        let objects = storage.list(&layout.out);
        let files = objects.map_ok(|object| object.location);
        let files = files.try_filter(|file| future::ready(file.as_str().ends_with(PARQUET)));
        return Ok(files.boxed());
    }
    let Some(folder) = layout.out.parent() else {
        return Ok(stream::empty().boxed());
    };
    let (_, objects) = storage.list_folder(&folder).await?;
    let files: Vec<Location> = objects
        .into_iter()
        .map(|object| object.location)
        .filter(|file| layout.is_part(file))
        .collect();
    Ok(stream::iter(files.into_iter().map(Ok)).boxed())
}
