use bytes::Bytes;
use iceberg::spec::{FieldSummary, FormatVersion, ManifestContentType, ManifestFile};

use super::decode::{optional_bytes, optional_long, record_of};
use super::encode::UNASSIGNED;
use super::list_schema::list_schema;
use crate::avro::{AvroError, ContainerReader, ContainerWriter, Cursor, Encode, Field, Kind};
use crate::{Error, Result};

/// What the header of a manifest list says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListHeader {
    pub(crate) version: FormatVersion,
    pub(crate) snapshot_id: i64,
    pub(crate) parent_snapshot_id: Option<i64>,
    pub(crate) sequence_number: i64,
    /// The first row id that is free (format version 3).
    pub(crate) first_row_id: u64,
}

/// Gives the new manifests their sequence numbers and row ids and encodes the list. Returns also
/// how many row ids were given.
pub(crate) fn encode_list(
    header: ListHeader,
    manifests: &mut [ManifestFile],
    sync: [u8; 16],
) -> Result<(Bytes, u64)> {
    let mut next_row_id = header.first_row_id;
    let mut container = ContainerWriter::new(sync);
    for manifest in manifests {
        assign_sequence_numbers(header, manifest)?;
        if header.version >= FormatVersion::V3 {
            next_row_id = assign_row_ids(next_row_id, manifest)?;
        }
        container.append(|buffer| put_manifest(buffer, header.version, manifest))?;
    }
    let or_null = |id: Option<i64>| id.map_or_else(|| "null".to_owned(), |id| id.to_string());
    let mut metadata = vec![
        ("snapshot-id", header.snapshot_id.to_string()),
        ("parent-snapshot-id", or_null(header.parent_snapshot_id)),
        ("format-version", (header.version as u8).to_string()),
    ];
    if header.version >= FormatVersion::V2 {
        metadata.push(("sequence-number", header.sequence_number.to_string()));
    }
    if header.version >= FormatVersion::V3 {
        metadata.push(("first-row-id", header.first_row_id.to_string()));
    }
    let bytes = container.finish(&list_schema(header.version), &metadata);
    Ok((bytes, next_row_id - header.first_row_id))
}

fn assign_sequence_numbers(header: ListHeader, manifest: &mut ManifestFile) -> Result<()> {
    for number in [
        &mut manifest.sequence_number,
        &mut manifest.min_sequence_number,
    ] {
        if *number == UNASSIGNED {
            if manifest.added_snapshot_id != header.snapshot_id {
                return Err(Error::ForeignManifest {
                    path: manifest.manifest_path.clone(),
                    snapshot_id: manifest.added_snapshot_id,
                    expected: header.snapshot_id,
                });
            }
            *number = header.sequence_number;
        }
    }
    Ok(())
}

/// Returns the next free row id. Manifests from before format version 3 get ids too.
fn assign_row_ids(next_row_id: u64, manifest: &mut ManifestFile) -> Result<u64> {
    if manifest.content == ManifestContentType::Deletes || manifest.first_row_id.is_some() {
        return Ok(next_row_id);
    }
    manifest.first_row_id = Some(next_row_id);
    let rows = manifest
        .added_rows_count
        .zip(manifest.existing_rows_count)
        .ok_or_else(|| Error::NoCounts {
            path: manifest.manifest_path.clone(),
        })?;
    next_row_id
        .checked_add(rows.0)
        .and_then(|next| next.checked_add(rows.1))
        .ok_or_else(|| Error::CountTooLarge {
            path: manifest.manifest_path.clone(),
            count: rows.0,
        })
}

fn put_manifest(
    buffer: &mut Vec<u8>,
    version: FormatVersion,
    manifest: &ManifestFile,
) -> Result<()> {
    buffer.put_bytes(manifest.manifest_path.as_bytes());
    buffer.put_long(manifest.manifest_length);
    buffer.put_long(i64::from(manifest.partition_spec_id));
    let files = [
        manifest.added_files_count,
        manifest.existing_files_count,
        manifest.deleted_files_count,
    ]
    .map(|count| count.map(u64::from));
    let rows = [
        manifest.added_rows_count,
        manifest.existing_rows_count,
        manifest.deleted_rows_count,
    ];
    if version == FormatVersion::V1 {
        buffer.put_long(manifest.added_snapshot_id);
        put_optional_counts(buffer, files);
        put_summaries(buffer, manifest);
        put_optional_counts(buffer, rows);
    } else {
        buffer.put_long(manifest.content as i64);
        buffer.put_long(manifest.sequence_number);
        buffer.put_long(manifest.min_sequence_number);
        buffer.put_long(manifest.added_snapshot_id);
        for count in files.into_iter().chain(rows) {
            let count = count.and_then(|count| i64::try_from(count).ok());
            buffer.put_long(count.ok_or_else(|| Error::NoCounts {
                path: manifest.manifest_path.clone(),
            })?);
        }
        put_summaries(buffer, manifest);
    }
    buffer.put_optional(manifest.key_metadata.as_ref(), |buffer, key| {
        buffer.put_bytes(key);
    });
    if version >= FormatVersion::V3 {
        let id = manifest.first_row_id;
        let id = id.and_then(|id| i64::try_from(id).ok());
        buffer.put_optional(id, Encode::put_long);
    }
    Ok(())
}

fn put_optional_counts(buffer: &mut Vec<u8>, counts: [Option<u64>; 3]) {
    for count in counts {
        let count = count.and_then(|count| i64::try_from(count).ok());
        buffer.put_optional(count, Encode::put_long);
    }
}

fn put_summaries(buffer: &mut Vec<u8>, manifest: &ManifestFile) {
    buffer.put_optional(manifest.partitions.as_ref(), |buffer, summaries| {
        buffer.put_array(summaries.iter(), |buffer, summary| {
            buffer.push(u8::from(summary.contains_null));
            buffer.put_optional(summary.contains_nan, |buffer, nan| {
                buffer.push(u8::from(nan));
            });
            for bound in [&summary.lower_bound, &summary.upper_bound] {
                buffer.put_optional(bound.as_ref(), |buffer, bound| buffer.put_bytes(bound));
            }
        });
    });
}

/// Reads a manifest list of any version.
pub(crate) fn decode_list(bytes: Bytes) -> Result<Vec<ManifestFile>, AvroError> {
    let mut container = ContainerReader::open(bytes)?;
    let record = record_of(container.schema(), "manifest_file")?;
    let mut manifests = Vec::new();
    while let Some((count, data)) = container.next_block()? {
        let mut cursor = Cursor::new(&data);
        for _ in 0..count {
            let mut manifest = empty_manifest();
            for field in &record.fields {
                read_field(&mut manifest, field, &mut cursor)?;
            }
            if manifest.manifest_path.is_empty() {
                return Err(AvroError::FieldMissing {
                    field: "manifest_path",
                });
            }
            manifests.push(manifest);
        }
    }
    Ok(manifests)
}

/// What version 1 leaves out has these values.
fn empty_manifest() -> ManifestFile {
    ManifestFile {
        manifest_path: String::new(),
        manifest_length: 0,
        partition_spec_id: 0,
        content: ManifestContentType::Data,
        sequence_number: 0,
        min_sequence_number: 0,
        added_snapshot_id: 0,
        added_files_count: None,
        existing_files_count: None,
        deleted_files_count: None,
        added_rows_count: None,
        existing_rows_count: None,
        deleted_rows_count: None,
        partitions: None,
        key_metadata: None,
        first_row_id: None,
    }
}

fn read_field(
    manifest: &mut ManifestFile,
    field: &Field,
    cursor: &mut Cursor<'_>,
) -> Result<(), AvroError> {
    match list_field(field) {
        Some(500) => {
            let offset = cursor.position();
            let path = optional_bytes(cursor, field, "manifest_path")?.unwrap_or_default();
            manifest.manifest_path =
                String::from_utf8(path.to_vec()).map_err(|_| AvroError::NotUtf8 { offset })?;
        }
        Some(501) => manifest.manifest_length = number(cursor, field, "manifest_length")?,
        Some(502) => {
            let id = number(cursor, field, "partition_spec_id")?;
            manifest.partition_spec_id = narrow(id, "partition_spec_id")?;
        }
        Some(517) => {
            manifest.content = match number(cursor, field, "content")? {
                0 => ManifestContentType::Data,
                1 => ManifestContentType::Deletes,
                other => return Err(unknown("content", other)),
            };
        }
        Some(515) => manifest.sequence_number = number(cursor, field, "sequence_number")?,
        Some(516) => manifest.min_sequence_number = number(cursor, field, "min_sequence_number")?,
        Some(503) => manifest.added_snapshot_id = number(cursor, field, "added_snapshot_id")?,
        Some(504) => manifest.added_files_count = count(cursor, field, "added_files_count")?,
        Some(505) => manifest.existing_files_count = count(cursor, field, "existing_files_count")?,
        Some(506) => manifest.deleted_files_count = count(cursor, field, "deleted_files_count")?,
        Some(512) => manifest.added_rows_count = count(cursor, field, "added_rows_count")?,
        Some(513) => manifest.existing_rows_count = count(cursor, field, "existing_rows_count")?,
        Some(514) => manifest.deleted_rows_count = count(cursor, field, "deleted_rows_count")?,
        Some(507) => manifest.partitions = read_summaries(cursor, field)?,
        Some(519) => {
            let key = optional_bytes(cursor, field, "key_metadata")?;
            manifest.key_metadata = key.map(<[u8]>::to_vec);
        }
        Some(520) => manifest.first_row_id = count(cursor, field, "first_row_id")?,
        _ => cursor.skip(&field.schema)?,
    }
    Ok(())
}

/// The id of a field of a manifest list's entry; early writers had other names for some.
fn list_field(field: &Field) -> Option<i32> {
    field.id.or(match field.name.as_str() {
        "manifest_path" => Some(500),
        "manifest_length" => Some(501),
        "partition_spec_id" => Some(502),
        "content" => Some(517),
        "sequence_number" => Some(515),
        "min_sequence_number" => Some(516),
        "added_snapshot_id" => Some(503),
        "added_files_count" | "added_data_files_count" => Some(504),
        "existing_files_count" | "existing_data_files_count" => Some(505),
        "deleted_files_count" | "deleted_data_files_count" => Some(506),
        "added_rows_count" => Some(512),
        "existing_rows_count" => Some(513),
        "deleted_rows_count" => Some(514),
        "partitions" => Some(507),
        "key_metadata" => Some(519),
        "first_row_id" => Some(520),
        _ => None,
    })
}

fn read_summaries(
    cursor: &mut Cursor<'_>,
    field: &Field,
) -> Result<Option<Vec<FieldSummary>>, AvroError> {
    let Some(schema) = cursor.branch(&field.schema)? else {
        return Ok(None);
    };
    let Kind::Array(items) = &schema.kind else {
        return Err(AvroError::FieldType {
            field: "partitions",
        });
    };
    let record = record_of(items, "partitions")?;
    let mut summaries = Vec::new();
    cursor.items(false, |cursor| {
        let mut summary = FieldSummary::default();
        cursor.branch(items)?;
        for field in &record.fields {
            match field.id.or(match field.name.as_str() {
                "contains_null" => Some(509),
                "contains_nan" => Some(518),
                "lower_bound" => Some(510),
                "upper_bound" => Some(511),
                _ => None,
            }) {
                Some(509) => {
                    summary.contains_null = flag(cursor, field, "contains_null")?.unwrap_or(true);
                }
                Some(518) => summary.contains_nan = flag(cursor, field, "contains_nan")?,
                Some(510) => {
                    let bound = optional_bytes(cursor, field, "lower_bound")?;
                    summary.lower_bound = bound.map(|bound| bound.to_vec().into());
                }
                Some(511) => {
                    let bound = optional_bytes(cursor, field, "upper_bound")?;
                    summary.upper_bound = bound.map(|bound| bound.to_vec().into());
                }
                _ => cursor.skip(&field.schema)?,
            }
        }
        summaries.push(summary);
        Ok(())
    })?;
    Ok(Some(summaries))
}

fn flag(
    cursor: &mut Cursor<'_>,
    field: &Field,
    name: &'static str,
) -> Result<Option<bool>, AvroError> {
    match cursor.branch(&field.schema)?.map(|schema| &schema.kind) {
        None => Ok(None),
        Some(Kind::Boolean) => cursor.boolean().map(Some),
        Some(_) => Err(AvroError::FieldType { field: name }),
    }
}

fn number(cursor: &mut Cursor<'_>, field: &Field, name: &'static str) -> Result<i64, AvroError> {
    optional_long(cursor, field, name)?.ok_or(AvroError::FieldMissing { field: name })
}

fn count<T: TryFrom<i64>>(
    cursor: &mut Cursor<'_>,
    field: &Field,
    name: &'static str,
) -> Result<Option<T>, AvroError> {
    let count = optional_long(cursor, field, name)?;
    count.map(|count| narrow(count, name)).transpose()
}

fn narrow<T: TryFrom<i64>>(value: i64, field: &'static str) -> Result<T, AvroError> {
    T::try_from(value).map_err(|_| unknown(field, value))
}

fn unknown(field: &'static str, value: i64) -> AvroError {
    AvroError::FieldValue {
        field,
        value: value.to_string(),
    }
}
