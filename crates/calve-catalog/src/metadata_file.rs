//! Metadata files: how they are named, written and read.

use std::io::{Read, Write};

use bytes::Bytes;
use calve_base::{Location, TableIdent};
use calve_storage::Storage;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use iceberg::spec::TableMetadata;
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::{Error, Result};

const COMPRESSION_CODEC: &str = "write.metadata.compression-codec";
const METADATA_PATH: &str = "write.metadata.path";
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Reads a metadata file, compressed or not.
///
/// # Errors
/// When the file cannot be read, or is not the metadata of a table.
pub async fn read(storage: &Storage, location: &Location) -> Result<TableMetadata> {
    let bytes = storage.read(location).await?;
    parse(&bytes).map_err(|source| Error::Metadata {
        location: location.clone(),
        source,
    })
}

/// Reads a metadata file as the document that it is, with what [`TableMetadata`] has no place for.
///
/// # Errors
/// When the file cannot be read, or is no JSON.
pub async fn read_document(storage: &Storage, location: &Location) -> Result<serde_json::Value> {
    let bytes = storage.read(location).await?;
    parse(&bytes).map_err(|source| Error::Metadata {
        location: location.clone(),
        source,
    })
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, crate::error::Cause> {
    if !bytes.starts_with(&GZIP_MAGIC) {
        return Ok(serde_json::from_slice(bytes)?);
    }
    let mut text = Vec::new();
    MultiGzDecoder::new(bytes).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}

/// Writes the metadata as a new file, one version after `base`.
pub(crate) async fn write(
    storage: &Storage,
    ident: &TableIdent,
    base: Option<&Location>,
    metadata: &TableMetadata,
) -> Result<Location> {
    let folder = folder(ident, metadata)?;
    let codec = metadata
        .properties()
        .get(COMPRESSION_CODEC)
        .map_or("none", String::as_str)
        .to_ascii_lowercase();
    let version = base.map_or(0, |base| version(base).map_or(0, |version| version + 1));
    let plain = format!("{version:05}-{}", Uuid::new_v4());
    let (location, bytes) = match codec.as_str() {
        "gzip" => (
            folder.join(&format!("{plain}.gz.metadata.json")),
            gzip(metadata),
        ),
        "none" | "" => (
            folder.join(&format!("{plain}.metadata.json")),
            serde_json::to_vec(metadata).map_err(Into::into),
        ),
        _ => {
            let problem = format!("{COMPRESSION_CODEC}={codec}: expected `none` or `gzip`");
            (folder, Err(problem.into()))
        }
    };
    let bytes = bytes.map_err(|source| Error::Metadata {
        location: location.clone(),
        source,
    })?;
    match storage.write_new(&location, Bytes::from(bytes)).await {
        // Nobody else knows the name: an earlier try of this request arrived, unnoticed.
        Ok(()) | Err(calve_storage::Error::AlreadyExists { .. }) => Ok(location),
        Err(error) => Err(error.into()),
    }
}

fn gzip(metadata: &TableMetadata) -> Result<Vec<u8>, crate::error::Cause> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&serde_json::to_vec(metadata)?)?;
    Ok(encoder.finish()?)
}

/// Where a table's metadata files go: `write.metadata.path`, or `metadata` below its location.
fn folder(ident: &TableIdent, metadata: &TableMetadata) -> Result<Location> {
    let parse = |text: &str| {
        Location::parse(text.trim_end_matches('/')).map_err(|source| Error::Location {
            ident: ident.clone(),
            source,
        })
    };
    match metadata.properties().get(METADATA_PATH) {
        Some(path) => parse(path),
        None => Ok(parse(metadata.location())?.join("metadata")),
    }
}

/// The number in `00003-….metadata.json`, and in `v3.metadata.json` as Hadoop tables have it.
fn version(location: &Location) -> Option<u32> {
    let name = location.file_name();
    let digits = match name.split_once('-') {
        Some((digits, _)) => digits,
        None => name.strip_prefix('v')?.split('.').next()?,
    };
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_names() {
        #[track_caller]
        fn check(name: &str, expected: Option<u32>) {
            let location = Location::parse(format!("s3://b/t/metadata/{name}")).unwrap();
            assert_eq!(version(&location), expected, "{name}");
        }
        check(
            "00003-2cd22b57-5127-4198-92ba-e4e67c79821b.metadata.json",
            Some(3),
        );
        check("123456-2cd22b57.gz.metadata.json", Some(123_456));
        check("v12.metadata.json", Some(12));
        check("v12.gz.metadata.json", Some(12));
        check("abc.json", None);
        check("x-y.metadata.json", None);
    }
}
