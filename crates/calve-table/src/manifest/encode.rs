use bytes::Bytes;
use iceberg::spec::{
    DataContentType, FormatVersion, Literal, ManifestContentType, ManifestFile, ManifestStatus,
    PartitionSpec, Schema,
};

use super::entry::{ContentFile, Entry};
use super::schema::{PartitionColumn, entry_schema};
use super::summary::FieldRange;
use super::value::put_value;
use crate::avro::{ContainerWriter, Encode};
use crate::{Error, Result};

/// The sequence number of what is not committed yet: the manifest list puts the real one there.
pub(crate) const UNASSIGNED: i64 = -1;

/// Builds one manifest in memory, entry by entry.
#[derive(Debug)]
pub(crate) struct ManifestEncoder {
    version: FormatVersion,
    content: ManifestContentType,
    spec: PartitionSpec,
    columns: Vec<PartitionColumn>,
    ranges: Vec<FieldRange>,
    snapshot_id: i64,
    container: ContainerWriter,
    counts: Counts,
    min_sequence_number: Option<i64>,
}

/// Files and rows by status.
#[derive(Debug, Default)]
struct Counts {
    files: [u32; 3],
    rows: [u64; 3],
}

/// A manifest that is complete but not written anywhere.
#[derive(Debug)]
pub(crate) struct EncodedManifest {
    pub(crate) bytes: Bytes,
    /// Its entry in a manifest list.
    pub(crate) file: ManifestFile,
}

impl ManifestEncoder {
    /// Starts a manifest. `sync` is any 16 bytes that make this file's markers its own.
    pub(crate) fn new(
        version: FormatVersion,
        content: ManifestContentType,
        spec: PartitionSpec,
        columns: Vec<PartitionColumn>,
        snapshot_id: i64,
        sync: [u8; 16],
    ) -> Self {
        Self {
            version,
            content,
            spec,
            ranges: vec![FieldRange::default(); columns.len()],
            columns,
            snapshot_id,
            container: ContainerWriter::new(sync),
            counts: Counts::default(),
            min_sequence_number: None,
        }
    }

    /// Appends an entry. An added file without sequence numbers gets those of the commit.
    pub(crate) fn append(&mut self, entry: &Entry) -> Result<()> {
        let file = &entry.file;
        self.check(entry)?;
        let (version, columns) = (self.version, &self.columns);
        self.container.append(|buffer| {
            buffer.put_long(entry.status as i64);
            if version == FormatVersion::V1 {
                buffer.put_long(entry.snapshot_id.unwrap_or(self.snapshot_id));
            } else {
                buffer.put_optional(entry.snapshot_id, Encode::put_long);
                buffer.put_optional(entry.sequence_number, Encode::put_long);
                buffer.put_optional(entry.file_sequence_number, Encode::put_long);
            }
            put_file(buffer, version, columns, file)
        })?;
        for (range, value) in self.ranges.iter_mut().zip(file.partition.iter()) {
            range.update(primitive(value));
        }
        let status = entry.status as usize;
        self.counts.files[status] += 1;
        self.counts.rows[status] += file.record_count;
        if entry.is_live() {
            let number = entry.sequence_number;
            let known = self.min_sequence_number.into_iter().chain(number).min();
            self.min_sequence_number = known;
        }
        Ok(())
    }

    /// The size of the manifest so far, near enough to decide when it is full.
    pub(crate) fn size(&self) -> usize {
        self.container.size()
    }

    /// Ends the manifest. `schema` is the table's schema by now: it may have grown since the start.
    pub(crate) fn finish(self, path: String, schema: &Schema) -> Result<EncodedManifest> {
        let json = |value: serde_json::Result<String>| {
            value.map_err(|source| Error::Json {
                path: path.clone(),
                source,
            })
        };
        let mut metadata = vec![
            ("schema", json(serde_json::to_string(schema))?),
            ("schema-id", schema.schema_id().to_string()),
            (
                "partition-spec",
                json(serde_json::to_string(self.spec.fields()))?,
            ),
            ("partition-spec-id", self.spec.spec_id().to_string()),
            ("format-version", (self.version as u8).to_string()),
        ];
        if self.version != FormatVersion::V1 {
            metadata.push(("content", self.content.to_string()));
        }
        let bytes = self
            .container
            .finish(&entry_schema(self.version, &self.columns), &metadata);
        let [existing, added, deleted] = self.counts.files;
        let [existing_rows, added_rows, deleted_rows] = self.counts.rows;
        let file = ManifestFile {
            manifest_path: path,
            manifest_length: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
            partition_spec_id: self.spec.spec_id(),
            content: self.content,
            sequence_number: UNASSIGNED,
            min_sequence_number: self.min_sequence_number.unwrap_or(UNASSIGNED),
            added_snapshot_id: self.snapshot_id,
            added_files_count: Some(added),
            existing_files_count: Some(existing),
            deleted_files_count: Some(deleted),
            added_rows_count: Some(added_rows),
            existing_rows_count: Some(existing_rows),
            deleted_rows_count: Some(deleted_rows),
            partitions: Some(self.ranges.iter().map(FieldRange::finish).collect()),
            key_metadata: None,
            first_row_id: None,
        };
        Ok(EncodedManifest { bytes, file })
    }

    fn check(&self, entry: &Entry) -> Result<()> {
        let file = &entry.file;
        if file.partition.fields().len() != self.columns.len() {
            return Err(Error::PartitionLength {
                path: file.path.clone(),
                expected: self.columns.len(),
                found: file.partition.fields().len(),
            });
        }
        let is_data = file.content == DataContentType::Data;
        if is_data != (self.content == ManifestContentType::Data) {
            return Err(Error::WrongContent {
                path: file.path.clone(),
                content: file.content,
                manifest: self.content,
            });
        }
        let is_committed = entry.sequence_number.is_some() && entry.file_sequence_number.is_some();
        if entry.status != ManifestStatus::Added
            && !is_committed
            && self.version != FormatVersion::V1
        {
            return Err(Error::NoSequenceNumber {
                path: file.path.clone(),
            });
        }
        Ok(())
    }
}

fn primitive(value: Option<&Literal>) -> Option<&iceberg::spec::PrimitiveLiteral> {
    match value {
        Some(Literal::Primitive(value)) => Some(value),
        _ => None,
    }
}

fn put_file(
    buffer: &mut Vec<u8>,
    version: FormatVersion,
    columns: &[PartitionColumn],
    file: &ContentFile,
) -> Result<()> {
    let is_v1 = version == FormatVersion::V1;
    if !is_v1 {
        buffer.put_long(file.content as i64);
    }
    buffer.put_bytes(file.path.as_bytes());
    let format = file.format.to_string().to_ascii_uppercase();
    buffer.put_bytes(format.as_bytes());
    put_partition(buffer, columns, file)?;
    put_count(buffer, file, file.record_count)?;
    put_count(buffer, file, file.size_bytes)?;
    if is_v1 {
        // The block size: required in version 1, and read by nobody.
        buffer.put_long(64 * 1024 * 1024);
    }
    for counts in [
        &file.column_sizes,
        &file.value_counts,
        &file.null_value_counts,
        &file.nan_value_counts,
    ] {
        buffer.put_optional(counts.as_ref(), |buffer, counts| {
            buffer.put_array(counts.iter(), |buffer, (id, count)| {
                buffer.put_long(i64::from(*id));
                buffer.put_long(*count);
            });
        });
    }
    for bounds in [&file.lower_bounds, &file.upper_bounds] {
        buffer.put_optional(bounds.as_ref(), |buffer, bounds| {
            buffer.put_array(bounds.iter(), |buffer, (id, bound)| {
                buffer.put_long(i64::from(*id));
                buffer.put_bytes(bound);
            });
        });
    }
    buffer.put_optional(file.key_metadata.as_deref(), |buffer, key| {
        buffer.put_bytes(key);
    });
    buffer.put_optional(file.split_offsets.as_ref(), |buffer, offsets| {
        buffer.put_array(offsets.iter(), |buffer, offset| buffer.put_long(*offset));
    });
    if !is_v1 {
        buffer.put_optional(file.equality_ids.as_ref(), |buffer, ids| {
            buffer.put_array(ids.iter(), |buffer, id| buffer.put_long(i64::from(*id)));
        });
    }
    buffer.put_optional(file.sort_order_id, |buffer, id| {
        buffer.put_long(i64::from(id));
    });
    put_newer_fields(buffer, version, file);
    Ok(())
}

fn put_newer_fields(buffer: &mut Vec<u8>, version: FormatVersion, file: &ContentFile) {
    if version >= FormatVersion::V3 {
        buffer.put_optional(file.first_row_id, Encode::put_long);
    }
    if version >= FormatVersion::V2 {
        buffer.put_optional(file.referenced_data_file.as_ref(), |buffer, path| {
            buffer.put_bytes(path.as_bytes());
        });
    }
    if version >= FormatVersion::V3 {
        buffer.put_optional(file.content_offset, Encode::put_long);
        buffer.put_optional(file.content_size_bytes, Encode::put_long);
    }
}

fn put_partition(
    buffer: &mut Vec<u8>,
    columns: &[PartitionColumn],
    file: &ContentFile,
) -> Result<()> {
    for (column, value) in columns.iter().zip(file.partition.iter()) {
        let Some(value) = value else {
            buffer.push(0);
            continue;
        };
        buffer.push(2);
        primitive(Some(value))
            .and_then(|value| put_value(buffer, &column.primitive, value))
            .ok_or_else(|| Error::PartitionValue {
                path: file.path.clone(),
                field: column.name.clone(),
                expected: column.primitive.clone(),
                found: Box::new(value.clone()),
            })?;
    }
    Ok(())
}

fn put_count(buffer: &mut Vec<u8>, file: &ContentFile, count: u64) -> Result<()> {
    let count = i64::try_from(count).map_err(|_| Error::CountTooLarge {
        path: file.path.clone(),
        count,
    })?;
    buffer.put_long(count);
    Ok(())
}
