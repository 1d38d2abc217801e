//! Where data files go.

use std::fmt::Write as _;

use calve_base::Location;
use iceberg::spec::{Literal, PartitionSpec, PrimitiveType, Struct, TableMetadata};

use crate::Result;
use crate::metadata_tables::human::human;
use crate::partition::value_types;

/// Where data files go, unless into the folder `data` of the table.
const DATA_PATH: &str = "write.data.path";
/// What `write.data.path` was called before.
const FOLDER_STORAGE_PATH: &str = "write.folder-storage.path";
/// What `write.data.path` was called before, for tables of object stores.
const OBJECT_STORAGE_PATH: &str = "write.object-storage.path";
/// Whether a hash comes before the partition in a file's path.
const OBJECT_STORAGE: &str = "write.object-storage.enabled";

/// Gives every new file a path of its own.
#[derive(Debug)]
pub(crate) struct Paths {
    folder: Location,
    hashed: bool,
    /// The name and the type of each partition field.
    fields: Vec<(String, iceberg::spec::Transform, Option<PrimitiveType>)>,
    /// What all names have in common: the writer's id.
    writer: String,
    next: u32,
}

impl Paths {
    pub(crate) fn new(
        metadata: &TableMetadata,
        spec: &PartitionSpec,
        writer: String,
    ) -> Result<Self> {
        let hashed = is_hashed(metadata);
        let folder = data_folder(metadata)?;
        let types = value_types(metadata, spec);
        let fields = spec
            .fields()
            .iter()
            .zip(types)
            .map(|(field, of)| (field.name.clone(), field.transform, of))
            .collect();
        Ok(Self {
            folder,
            hashed,
            fields,
            writer,
            next: 0,
        })
    }

    /// Changes what all names have in common.
    pub(super) fn set_writer(&mut self, writer: String) {
        self.writer = writer;
    }

    /// The path of the next file of a partition.
    pub(crate) fn next(&mut self, partition: &Struct) -> Location {
        self.next_with_suffix(partition, "parquet")
    }

    /// The path of the next Puffin file of a partition.
    pub(crate) fn next_puffin(&mut self, partition: &Struct) -> Location {
        self.next_with_suffix(partition, "puffin")
    }

    fn next_with_suffix(&mut self, partition: &Struct, suffix: &str) -> Location {
        let name = format!("{:05}-{}.{suffix}", self.next, self.writer);
        self.next += 1;
        let partition = self.partition(partition);
        let tail = if partition.is_empty() {
            name
        } else {
            format!("{partition}/{name}")
        };
        if self.hashed {
            self.folder.join(&format!("{}/{tail}", hash_folders(&tail)))
        } else {
            self.folder.join(&tail)
        }
    }

    /// `year=2024/city=S%C3%A3o+Paulo`, as Java's `PartitionSpec.partitionToPath`.
    fn partition(&self, partition: &Struct) -> String {
        let mut path = String::new();
        for ((name, transform, of), value) in self.fields.iter().zip(partition.iter()) {
            let text = match (value, of) {
                (Some(Literal::Primitive(value)), Some(of)) => {
                    human(*transform, of, value).unwrap_or_else(|| "null".to_owned())
                }
                _ => "null".to_owned(),
            };
            if !path.is_empty() {
                path.push('/');
            }
            form_encode(&mut path, name);
            path.push('=');
            form_encode(&mut path, &text);
        }
        path
    }
}

fn is_hashed(metadata: &TableMetadata) -> bool {
    let property = metadata.properties().get(OBJECT_STORAGE);
    property.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// The folder that a table's data files go into.
pub(crate) fn data_folder(metadata: &TableMetadata) -> Result<Location> {
    let properties = metadata.properties();
    let own = properties.get(DATA_PATH);
    let old = is_hashed(metadata).then(|| properties.get(OBJECT_STORAGE_PATH));
    let folder = own.or(old.flatten());
    Ok(
        match folder.or_else(|| properties.get(FOLDER_STORAGE_PATH)) {
            Some(folder) => Location::parse(folder.trim_end_matches('/'))?,
            None => Location::parse(metadata.location())?.join("data"),
        },
    )
}

/// Encodes as HTML forms do (Java's `URLEncoder`), so that no value makes folders of its own.
fn form_encode(path: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                path.push(char::from(byte));
            }
            b' ' => path.push('+'),
            _ => {
                let _ = write!(path, "%{byte:02X}");
            }
        }
    }
}

/// Three folders of four bits each and one of eight: prefixes that object stores can spread load by.
/// (Java uses another hash; only the spread matters to readers.)
fn hash_folders(text: &str) -> String {
    let hash = xxhash_rust::xxh3::xxh3_64(text.as_bytes());
    let bits = format!("{:020b}", hash & 0xf_ffff);
    format!(
        "{}/{}/{}/{}",
        &bits[..4],
        &bits[4..8],
        &bits[8..12],
        &bits[12..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_never_make_folders() {
        let mut path = String::new();
        form_encode(&mut path, "São Paulo/..=1%");
        assert_eq!(path, "S%C3%A3o+Paulo%2F..%3D1%25");
    }
}
