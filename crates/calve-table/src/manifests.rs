//! The manifests of a snapshot, read from the store.

use calve_base::Location;
use calve_storage::Storage;
use iceberg::spec::{ManifestFile, Snapshot, TableMetadata};

use crate::manifest::{ManifestReader, decode_list};
use crate::partition::value_types;
use crate::{Error, Result};

/// Reads the manifest list of a snapshot.
///
/// # Errors
/// When it cannot be read or is malformed.
pub async fn load_manifests(storage: &Storage, snapshot: &Snapshot) -> Result<Vec<ManifestFile>> {
    let path = snapshot.manifest_list();
    let bytes = storage.read(&Location::parse(path)?).await?;
    decode_list(bytes).map_err(Error::malformed(path))
}

/// Opens one manifest.
pub(crate) async fn open_manifest(
    storage: &Storage,
    metadata: &TableMetadata,
    manifest: &ManifestFile,
) -> Result<ManifestReader> {
    let path = manifest.manifest_path.as_str();
    let spec_id = manifest.partition_spec_id;
    let spec = metadata.partition_spec_by_id(spec_id);
    let spec = spec.ok_or_else(|| Error::UnknownSpec {
        path: path.to_owned(),
        spec_id,
    })?;
    let bytes = storage.read(&Location::parse(path)?).await?;
    let types = value_types(metadata, spec);
    ManifestReader::open(bytes, manifest.clone(), spec, types).map_err(Error::malformed(path))
}
