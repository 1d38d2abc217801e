use bytes::Bytes;
use calve_base::Location;
use calve_lake::{Lake, LakeEntry, LakeFile, LakeOptions, Recursive, Source};
use calve_storage::Storage;
use futures::TryStreamExt;
use iceberg::spec::{PrimitiveType, Type};

/// Options for a test, written in one line.
#[derive(Debug, Default, Clone)]
pub(crate) struct With {
    pub(crate) types: Vec<(&'static str, PrimitiveType)>,
    pub(crate) filter: Vec<(&'static str, &'static str)>,
    pub(crate) recursive: Recursive,
}

impl From<With> for LakeOptions {
    fn from(with: With) -> Self {
        let own = |(left, right): (&str, &str)| (left.to_owned(), right.to_owned());
        Self {
            partition_types: with
                .types
                .into_iter()
                .map(|(name, kind)| (name.to_owned(), kind))
                .collect(),
            partition_filter: with.filter.into_iter().map(own).collect(),
            recursive: with.recursive,
            ..Self::default()
        }
    }
}

/// Fills a store of its own with files. A path that ends with `!` is a file of no bytes.
pub(crate) async fn store(root: &Location, paths: &[&str]) -> Storage {
    let storage = Storage::new(calve_base::Properties::new());
    for path in paths {
        let (path, bytes) = match path.strip_suffix('!') {
            Some(path) => (path, Bytes::new()),
            None => (*path, Bytes::from_static(b"x")),
        };
        storage.write(&root.join(path), bytes).await.unwrap();
    }
    storage
}

/// A lake as lines: its keys, its files with their values, what it leaves out; or its error.
pub(crate) async fn lines(storage: &Storage, source: Source, with: With) -> Vec<String> {
    lines_with(storage, source, with.into()).await
}

/// As [`lines`], with all options.
pub(crate) async fn lines_with(
    storage: &Storage,
    source: Source,
    options: LakeOptions,
) -> Vec<String> {
    match read(storage, source, options).await {
        Ok(lines) => lines,
        Err(error) => vec![format!("error: {error}")],
    }
}

async fn read(
    storage: &Storage,
    source: Source,
    options: LakeOptions,
) -> calve_lake::Result<Vec<String>> {
    let lake = Lake::open(storage, source, options).await?;
    let entries: Vec<LakeEntry> = lake.files().try_collect().await?;
    let again: Vec<LakeEntry> = lake.files().try_collect().await?;
    assert_eq!(entries, again, "the order is the same each time");
    let is_file = |entry: &&LakeEntry| matches!(entry, LakeEntry::File(_));
    let files = entries.iter().filter(is_file).count() as u64;
    let totals = lake.totals();
    assert_eq!(totals.files, files, "both passes see the same files");
    assert_eq!(totals.skipped, entries.len() as u64 - files, "{entries:?}");
    let key = |key: &calve_lake::PartitionKey| format!("{}: {}", key.name, key.primitive_type);
    let keys: Vec<String> = lake.partition_keys().iter().map(key).collect();
    let mut lines = vec![format!(
        "[{}] {} partitions",
        keys.join(", "),
        totals.partitions
    )];
    lines.extend(
        lake.warnings()
            .iter()
            .map(|warning| format!("warning: {}", warning.code())),
    );
    lines.extend(entries.iter().map(|entry| line(&lake, entry)));
    Ok(lines)
}

fn line(lake: &Lake, entry: &LakeEntry) -> String {
    let path = |location: &Location| {
        let root = lake.root().as_str().trim_end_matches('/');
        let path = location.as_str();
        path.strip_prefix(root)
            .map_or(path, |below| below.trim_start_matches('/'))
            .to_owned()
    };
    match entry {
        LakeEntry::Skipped(skipped) => format!("- {}: {}", path(&skipped.location), skipped.reason),
        LakeEntry::File(file) => format!("{} {}", path(&file.location), values(lake, file)),
    }
}

/// The partition values of a file: `[1, "a", null]`.
pub(crate) fn values(lake: &Lake, file: &LakeFile) -> String {
    let values = lake
        .partition_keys()
        .iter()
        .zip(file.partition.iter())
        .map(|(key, value)| {
            value.clone().map_or(serde_json::Value::Null, |value| {
                value
                    .try_into_json(&Type::Primitive(key.primitive_type.clone()))
                    .unwrap()
            })
        });
    serde_json::Value::Array(values.collect()).to_string()
}
