//! Who else has to do with the files.

use std::sync::Arc;

use calve_base::{Location, Progress, Stage, TableIdent};
use calve_catalog::{Catalog, HiveTable, Table};
use calve_lake::Warning;
use calve_lake::footer::ARCHIVES;
use calve_table::Scan;
use futures::{StreamExt, TryStreamExt};

use super::report::{Caution, Census};
use crate::Result;

/// How many tables of a catalog are looked at.
const TABLES_LIMIT: usize = 1_000;
/// How many are looked at once.
const TABLES_AT_ONCE: usize = 8;
/// How many of those that share the files are named.
const NAMED_LIMIT: usize = 20;
/// The properties that say where else a table keeps data.
const FOLDER_PROPERTIES: [&str; 3] = [
    "write.data.path",
    "write.object-storage.path",
    "write.folder-storage.path",
];
const GC_ENABLED: &str = "gc.enabled";

/// What is to be known whatever the catalog holds.
pub(super) fn cautions(census: &Census, warnings: &[Warning]) -> Vec<Caution> {
    let mut cautions = Vec::new();
    if census.files > 0 {
        cautions.push(caution(
            "shared_files",
            "in place, source and table share their files: while both are in use, nothing may delete or replace files \
             in the source's folder; gc.enabled=false, which is set, keeps the table from deleting them"
                .to_owned(),
        ));
    }
    let warnings = warnings.iter();
    cautions.extend(warnings.map(|it| caution(it.code(), it.to_string())));
    for class in &census.storage_classes {
        let (files, name) = (class.amount.files, &class.class);
        let message = match name.as_str() {
            name if ARCHIVES.contains(&name) => format!(
                "{files} files lie in {name}: they answer no reads until they are restored, to no engine"
            ),
            "INTELLIGENT_TIERING" => format!(
                "{files} files lie in INTELLIGENT_TIERING: reading a footer moves its file back into the frequent tier, \
                 and a listing does not tell which are archived"
            ),
            name => format!("{files} files lie in {name}: each read costs a retrieval fee"),
        };
        cautions.push(caution("storage_class", message));
    }
    cautions
}

fn caution(code: &str, message: String) -> Caution {
    Caution {
        code: code.to_owned(),
        message,
    }
}

/// The catalog's other tables that lie over the source's files. Of an Iceberg table, its folders and the
/// first of its data files are looked at.
///
/// A catalog that cannot be looked through is a caution, too, and no error.
pub(super) async fn neighbours(
    catalog: &Arc<dyn Catalog>,
    root: &Location,
    own: Option<&TableIdent>,
    progress: &dyn Progress,
) -> Vec<Caution> {
    let mut found = Found::default();
    let stage = Stage::start(progress, "tables looked at", None);
    if let Err(error) = iceberg_tables(catalog, root, &stage, &mut found).await {
        found.unknown(catalog.name(), &error);
    }
    if let Err(error) = hive_tables(catalog, root, own, &stage, &mut found).await {
        found.unknown(catalog.name(), &error);
    }
    drop(stage);
    let more = found.count.saturating_sub(found.first.len());
    if more > 0 {
        let message = format!("{more} more tables of the catalog lie over these files");
        found.first.push(caution("other_table", message));
    }
    found.first.extend(found.notes);
    found.first
}

#[derive(Default)]
struct Found {
    count: usize,
    first: Vec<Caution>,
    notes: Vec<Caution>,
}

impl Found {
    fn push(&mut self, message: String) {
        self.count += 1;
        if self.first.len() < NAMED_LIMIT {
            self.first.push(caution("other_table", message));
        }
    }

    fn unknown(&mut self, catalog: &str, error: &crate::Error) {
        let message = format!(
            "whether other tables of catalog {catalog} lie over these files is not known: {error}"
        );
        self.notes.push(caution("unchecked_catalog", message));
    }
}

async fn iceberg_tables(
    catalog: &Arc<dyn Catalog>,
    root: &Location,
    stage: &Stage<'_>,
    found: &mut Found,
) -> Result<()> {
    let idents = catalog.list_tables(None).await?;
    if idents.len() > TABLES_LIMIT {
        let message = format!(
            "of the {} Iceberg tables of catalog {}, {TABLES_LIMIT} were looked at",
            idents.len(),
            catalog.name()
        );
        found.notes.push(caution("unchecked_catalog", message));
    }
    let looks = idents
        .into_iter()
        .take(TABLES_LIMIT)
        .map(|ident| async move {
            let shares = match catalog.load_table(&ident).await {
                Ok(table) => shares(&table, root).await,
                Err(error) => Err(error.into()),
            };
            (ident, shares)
        });
    let mut looks = futures::stream::iter(looks).buffered(TABLES_AT_ONCE);
    while let Some((ident, shares)) = looks.next().await {
        stage.advance(1);
        match shares {
            Ok(None) => {}
            Ok(Some(how)) => found.push(format!("the Iceberg table {ident} {how}")),
            Err(error) => {
                tracing::warn!(%ident, %error, "a table of the catalog cannot be looked at");
                if found.notes.len() < NAMED_LIMIT {
                    let message = format!(
                        "whether table {ident} lies over these files is not known: {error}"
                    );
                    found.notes.push(caution("unchecked_table", message));
                }
            }
        }
    }
    Ok(())
}

/// How a table shares the source's files, if it does.
async fn shares(table: &Table, root: &Location) -> Result<Option<String>> {
    let properties = table.metadata().properties();
    let gc = match properties.get(GC_ENABLED).map(String::as_str) {
        Some("false") => "gc.enabled=false: it deletes none of them",
        _ => "gc.enabled is not false: expiring its snapshots, or purging it, deletes them",
    };
    let folders = FOLDER_PROPERTIES
        .iter()
        .filter_map(|it| properties.get(*it));
    let folders = std::iter::once(table.metadata().location()).chain(folders.map(String::as_str));
    for folder in folders {
        if let Ok(folder) = Location::parse(folder)
            && overlap(root, &folder)
        {
            return Ok(Some(format!(
                "keeps its files in {folder}, which overlaps with the source ({gc})"
            )));
        }
    }
    let scan = Scan::new(table.clone()).with_concurrency(1);
    let Some(first) = scan.plan().await?.try_next().await? else {
        return Ok(None);
    };
    let file = Location::parse(&first.file.path).map_err(calve_table::Error::from)?;
    Ok(root
        .contains(&file)
        .then(|| format!("has files of the source, among them {file} ({gc})")))
}

async fn hive_tables(
    catalog: &Arc<dyn Catalog>,
    root: &Location,
    own: Option<&TableIdent>,
    stage: &Stage<'_>,
    found: &mut Found,
) -> Result<()> {
    let Some(metastore) = catalog.metastore() else {
        return Ok(());
    };
    for namespace in catalog.list_namespaces().await? {
        let mut entries = metastore.entries(&namespace);
        while let Some(entry) = entries.next().await {
            stage.advance(1);
            let entry = match entry {
                Ok(entry) => entry,
                // An entry whose location means nothing lies nowhere.
                Err(calve_catalog::Error::Location { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            let is_over = entry.location.as_ref().is_some_and(|it| overlap(root, it));
            if is_over && own != Some(&entry.ident) && !is_iceberg(&entry) {
                let kind = entry.table_type.as_deref().unwrap_or("a table");
                found.push(format!(
                    "the entry {} ({kind}) lies over these files, too",
                    entry.ident
                ));
            }
        }
    }
    Ok(())
}

fn is_iceberg(entry: &HiveTable) -> bool {
    let parameters = &entry.parameters;
    parameters
        .get("table_type")
        .is_some_and(|it| it.eq_ignore_ascii_case("iceberg"))
}

fn overlap(left: &Location, right: &Location) -> bool {
    left.contains(right) || right.contains(left)
}
