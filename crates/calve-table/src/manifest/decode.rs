use std::sync::Arc;

use bytes::Bytes;
use iceberg::spec::{
    DataContentType, DataFileFormat, ManifestFile, ManifestStatus, PartitionSpec, PrimitiveType,
    Struct,
};

use super::entry::{Bounds, ContentFile, Counts, Entry, RowIds};
use super::value::{promote, read_value};
use crate::avro::{AvroError, ContainerReader, Cursor, Field, Kind, Record, Schema};

type Result<T> = std::result::Result<T, AvroError>;

/// Reads the entries of one manifest, block by block, with all that they inherit filled in.
#[derive(Debug)]
pub(crate) struct ManifestReader {
    container: ContainerReader,
    manifest: ManifestFile,
    row_ids: RowIds,
    /// The ids of the spec's fields, in the order in which partition values are given.
    field_ids: Vec<i32>,
    value_types: Vec<Option<PrimitiveType>>,
}

impl ManifestReader {
    /// Opens a manifest. `value_types` are the types that the values of `spec` have today.
    pub(crate) fn open(
        bytes: Bytes,
        manifest: ManifestFile,
        spec: &PartitionSpec,
        value_types: Vec<Option<PrimitiveType>>,
    ) -> Result<Self> {
        Ok(Self {
            container: ContainerReader::open(bytes)?,
            row_ids: RowIds::of(&manifest),
            manifest,
            field_ids: spec.fields().iter().map(|field| field.field_id).collect(),
            value_types,
        })
    }

    /// How much its entries take in the file, compressed, in bytes.
    pub(crate) fn entry_bytes(&self) -> usize {
        self.container.block_bytes()
    }

    /// The entries of the next block; `None` at the end.
    pub(crate) fn next_block(&mut self) -> Result<Option<Vec<Entry>>> {
        let Some((count, data)) = self.container.next_block()? else {
            return Ok(None);
        };
        let record = entry_record(&self.container)?;
        let mut cursor = Cursor::new(&data);
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let mut entry = self.entry(&record, &mut cursor)?;
            entry.inherit(&self.manifest);
            self.row_ids.assign(&mut entry);
            entries.push(entry);
        }
        Ok(Some(entries))
    }

    fn entry(&self, record: &Record, cursor: &mut Cursor<'_>) -> Result<Entry> {
        let (mut status, mut snapshot_id) = (None, None);
        let (mut sequence_number, mut file_sequence_number) = (None, None);
        let mut file = None;
        for field in &record.fields {
            match entry_field(field) {
                Some(0) => status = Some(read_status(cursor, field)?),
                Some(1) => snapshot_id = optional_long(cursor, field, "snapshot_id")?,
                Some(3) => sequence_number = optional_long(cursor, field, "sequence_number")?,
                Some(4) => {
                    file_sequence_number = optional_long(cursor, field, "file_sequence_number")?;
                }
                Some(2) => {
                    let record = record_of(&field.schema, "data_file")?;
                    cursor.branch(&field.schema)?;
                    file = Some(self.file(&record, cursor)?);
                }
                _ => cursor.skip(&field.schema)?,
            }
        }
        Ok(Entry {
            status: found(status, "status")?,
            snapshot_id,
            sequence_number,
            file_sequence_number,
            file: found(file, "data_file")?,
        })
    }

    fn file(&self, record: &Record, cursor: &mut Cursor<'_>) -> Result<ContentFile> {
        let mut file = FileParts::default();
        for field in &record.fields {
            match file_field(field) {
                Some(102) => file.partition = Some(self.partition(field, cursor)?),
                Some(id) => file.read(id, field, cursor)?,
                None => cursor.skip(&field.schema)?,
            }
        }
        file.finish()
    }

    fn partition(&self, field: &Field, cursor: &mut Cursor<'_>) -> Result<Struct> {
        let record = record_of(&field.schema, "partition")?;
        cursor.branch(&field.schema)?;
        let mut values = vec![None; self.field_ids.len()];
        for (index, field) in record.fields.iter().enumerate() {
            // Written in the order of the spec as a rule, which spares the search.
            let position = if field.id.is_none() || self.field_ids.get(index) == field.id.as_ref() {
                (index < values.len()).then_some(index)
            } else {
                self.field_ids.iter().position(|id| Some(*id) == field.id)
            };
            match position {
                Some(position) => {
                    let value = read_value(cursor, &field.schema)?;
                    let value_type = self.value_types.get(position).and_then(Option::as_ref);
                    values[position] = value.map(|value| promote(value, value_type));
                }
                None => cursor.skip(&field.schema)?,
            }
        }
        Ok(Struct::from_iter(values))
    }
}

/// Visits the paths of the live files of a manifest, with the content of each, reading nothing else.
pub(crate) fn read_paths(bytes: Bytes, mut visit: impl FnMut(&str, DataContentType)) -> Result<()> {
    let mut container = ContainerReader::open(bytes)?;
    let record = entry_record(&container)?;
    while let Some((count, data)) = container.next_block()? {
        let mut cursor = Cursor::new(&data);
        for _ in 0..count {
            read_path(&record, &mut cursor, &mut visit)?;
        }
    }
    Ok(())
}

fn read_path(
    record: &Record,
    cursor: &mut Cursor<'_>,
    visit: &mut impl FnMut(&str, DataContentType),
) -> Result<()> {
    let mut status = None;
    let mut path = None;
    let mut content = DataContentType::Data;
    for field in &record.fields {
        match entry_field(field) {
            Some(0) => status = Some(read_status(cursor, field)?),
            Some(2) => {
                let record = record_of(&field.schema, "data_file")?;
                cursor.branch(&field.schema)?;
                for field in &record.fields {
                    match file_field(field) {
                        Some(100) => path = Some(read_string(cursor, field, "file_path")?),
                        Some(134) => content = read_content(cursor, field)?,
                        _ => cursor.skip(&field.schema)?,
                    }
                }
            }
            _ => cursor.skip(&field.schema)?,
        }
    }
    if found(status, "status")? != ManifestStatus::Deleted {
        visit(found(path, "file_path")?, content);
    }
    Ok(())
}

fn entry_record(container: &ContainerReader) -> Result<Arc<Record>> {
    record_of(container.schema(), "manifest_entry")
}

/// The record that a schema is, or holds beside null.
pub(super) fn record_of(schema: &Schema, field: &'static str) -> Result<Arc<Record>> {
    let record = schema.as_record();
    record.cloned().ok_or(AvroError::FieldType { field })
}

/// The id of a field of an entry. Writers that leave ids out are met by name.
fn entry_field(field: &Field) -> Option<i32> {
    field.id.or(match field.name.as_str() {
        "status" => Some(0),
        "snapshot_id" => Some(1),
        "data_file" => Some(2),
        "sequence_number" => Some(3),
        "file_sequence_number" => Some(4),
        _ => None,
    })
}

/// The id of a field of a file.
fn file_field(field: &Field) -> Option<i32> {
    field.id.or(match field.name.as_str() {
        "content" => Some(134),
        "file_path" => Some(100),
        "file_format" => Some(101),
        "partition" => Some(102),
        "record_count" => Some(103),
        "file_size_in_bytes" => Some(104),
        "column_sizes" => Some(108),
        "value_counts" => Some(109),
        "null_value_counts" => Some(110),
        "nan_value_counts" => Some(137),
        "lower_bounds" => Some(125),
        "upper_bounds" => Some(128),
        "key_metadata" => Some(131),
        "split_offsets" => Some(132),
        "equality_ids" => Some(135),
        "sort_order_id" => Some(140),
        "first_row_id" => Some(142),
        "referenced_data_file" => Some(143),
        "content_offset" => Some(144),
        "content_size_in_bytes" => Some(145),
        _ => None,
    })
}

/// A file whose fields are still being read.
#[derive(Default)]
struct FileParts {
    content: DataContentType,
    path: Option<String>,
    format: Option<DataFileFormat>,
    partition: Option<Struct>,
    record_count: Option<u64>,
    size_bytes: Option<u64>,
    counts: [Option<Counts>; 4],
    bounds: [Option<Bounds>; 2],
    key_metadata: Option<Box<[u8]>>,
    split_offsets: Option<Vec<i64>>,
    equality_ids: Option<Vec<i32>>,
    sort_order_id: Option<i32>,
    first_row_id: Option<i64>,
    referenced_data_file: Option<String>,
    content_offset: Option<i64>,
    content_size_bytes: Option<i64>,
}

impl FileParts {
    fn read(&mut self, id: i32, field: &Field, cursor: &mut Cursor<'_>) -> Result<()> {
        match id {
            134 => self.content = read_content(cursor, field)?,
            100 => self.path = Some(read_string(cursor, field, "file_path")?.to_owned()),
            101 => self.format = Some(read_format(cursor, field)?),
            103 => self.record_count = read_count(cursor, field, "record_count")?,
            104 => self.size_bytes = read_count(cursor, field, "file_size_in_bytes")?,
            108 => self.counts[0] = read_counts(cursor, field, "column_sizes")?,
            109 => self.counts[1] = read_counts(cursor, field, "value_counts")?,
            110 => self.counts[2] = read_counts(cursor, field, "null_value_counts")?,
            137 => self.counts[3] = read_counts(cursor, field, "nan_value_counts")?,
            125 => self.bounds[0] = read_bounds(cursor, field, "lower_bounds")?,
            128 => self.bounds[1] = read_bounds(cursor, field, "upper_bounds")?,
            131 => {
                let key = optional_bytes(cursor, field, "key_metadata")?;
                self.key_metadata = key.map(Into::into);
            }
            132 => {
                self.split_offsets = read_list(cursor, field, "split_offsets", Cursor::long)?;
            }
            135 => self.equality_ids = read_list(cursor, field, "equality_ids", Cursor::int)?,
            140 => {
                let id = optional_long(cursor, field, "sort_order_id")?;
                self.sort_order_id = id.and_then(|id| i32::try_from(id).ok());
            }
            142 => self.first_row_id = optional_long(cursor, field, "first_row_id")?,
            143 => {
                let offset = cursor.position();
                let path = optional_bytes(cursor, field, "referenced_data_file")?;
                let path = path
                    .map(|path| String::from_utf8(path.to_vec()))
                    .transpose();
                self.referenced_data_file = path.map_err(|_| AvroError::NotUtf8 { offset })?;
            }
            144 => self.content_offset = optional_long(cursor, field, "content_offset")?,
            145 => {
                self.content_size_bytes = optional_long(cursor, field, "content_size_in_bytes")?;
            }
            _ => cursor.skip(&field.schema)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<ContentFile> {
        let [
            column_sizes,
            value_counts,
            null_value_counts,
            nan_value_counts,
        ] = self.counts;
        let [lower_bounds, upper_bounds] = self.bounds;
        Ok(ContentFile {
            content: self.content,
            path: found(self.path, "file_path")?,
            format: found(self.format, "file_format")?,
            partition: self.partition.unwrap_or_else(Struct::empty),
            record_count: found(self.record_count, "record_count")?,
            size_bytes: found(self.size_bytes, "file_size_in_bytes")?,
            column_sizes,
            value_counts,
            null_value_counts,
            nan_value_counts,
            lower_bounds,
            upper_bounds,
            key_metadata: self.key_metadata,
            split_offsets: self.split_offsets,
            equality_ids: self.equality_ids,
            sort_order_id: self.sort_order_id,
            first_row_id: self.first_row_id,
            referenced_data_file: self.referenced_data_file,
            content_offset: self.content_offset,
            content_size_bytes: self.content_size_bytes,
        })
    }
}

fn found<T>(value: Option<T>, field: &'static str) -> Result<T> {
    value.ok_or(AvroError::FieldMissing { field })
}

fn read_status(cursor: &mut Cursor<'_>, field: &Field) -> Result<ManifestStatus> {
    let status = found(optional_long(cursor, field, "status")?, "status")?;
    match status {
        0 => Ok(ManifestStatus::Existing),
        1 => Ok(ManifestStatus::Added),
        2 => Ok(ManifestStatus::Deleted),
        _ => Err(unknown("status", &status)),
    }
}

fn read_content(cursor: &mut Cursor<'_>, field: &Field) -> Result<DataContentType> {
    match optional_long(cursor, field, "content")? {
        None | Some(0) => Ok(DataContentType::Data),
        Some(1) => Ok(DataContentType::PositionDeletes),
        Some(2) => Ok(DataContentType::EqualityDeletes),
        Some(other) => Err(unknown("content", &other)),
    }
}

fn read_format(cursor: &mut Cursor<'_>, field: &Field) -> Result<DataFileFormat> {
    let format = read_string(cursor, field, "file_format")?;
    format.parse().map_err(|_| unknown("file_format", format))
}

fn unknown(field: &'static str, value: &(impl ToString + ?Sized)) -> AvroError {
    AvroError::FieldValue {
        field,
        value: value.to_string(),
    }
}

fn read_string<'a>(cursor: &mut Cursor<'a>, field: &Field, name: &'static str) -> Result<&'a str> {
    let schema = found(cursor.branch(&field.schema)?, name)?;
    match schema.kind {
        Kind::String => cursor.string(),
        _ => Err(AvroError::FieldType { field: name }),
    }
}

fn read_count(cursor: &mut Cursor<'_>, field: &Field, name: &'static str) -> Result<Option<u64>> {
    let count = optional_long(cursor, field, name)?;
    count
        .map(|count| u64::try_from(count).map_err(|_| unknown(name, &count)))
        .transpose()
}

pub(super) fn optional_long(
    cursor: &mut Cursor<'_>,
    field: &Field,
    name: &'static str,
) -> Result<Option<i64>> {
    match cursor.branch(&field.schema)?.map(|schema| &schema.kind) {
        None => Ok(None),
        Some(Kind::Int | Kind::Long) => cursor.long().map(Some),
        Some(_) => Err(AvroError::FieldType { field: name }),
    }
}

pub(super) fn optional_bytes<'a>(
    cursor: &mut Cursor<'a>,
    field: &Field,
    name: &'static str,
) -> Result<Option<&'a [u8]>> {
    match cursor.branch(&field.schema)?.map(|schema| &schema.kind) {
        None => Ok(None),
        Some(Kind::Bytes | Kind::String) => cursor.bytes().map(Some),
        Some(Kind::Fixed(length)) => cursor.take(*length).map(Some),
        Some(_) => Err(AvroError::FieldType { field: name }),
    }
}

fn read_list<'a, T>(
    cursor: &mut Cursor<'a>,
    field: &Field,
    name: &'static str,
    read: impl Fn(&mut Cursor<'a>) -> Result<T>,
) -> Result<Option<Vec<T>>> {
    let Some(schema) = cursor.branch(&field.schema)? else {
        return Ok(None);
    };
    let Kind::Array(items) = &schema.kind else {
        return Err(AvroError::FieldType { field: name });
    };
    if !matches!(items.kind, Kind::Int | Kind::Long) {
        return Err(AvroError::FieldType { field: name });
    }
    let mut list = Vec::new();
    cursor.items(false, |cursor| {
        list.push(read(cursor)?);
        Ok(())
    })?;
    Ok(Some(list))
}

fn read_counts(
    cursor: &mut Cursor<'_>,
    field: &Field,
    name: &'static str,
) -> Result<Option<Counts>> {
    read_pairs(cursor, field, name, |cursor, field| {
        found(optional_long(cursor, field, name)?, name)
    })
}

fn read_bounds(
    cursor: &mut Cursor<'_>,
    field: &Field,
    name: &'static str,
) -> Result<Option<Bounds>> {
    read_pairs(cursor, field, name, |cursor, field| {
        Ok(found(optional_bytes(cursor, field, name)?, name)?.into())
    })
}

/// Reads a map with `int` keys, which Avro stores as an array of pairs.
fn read_pairs<T>(
    cursor: &mut Cursor<'_>,
    field: &Field,
    name: &'static str,
    mut read: impl FnMut(&mut Cursor<'_>, &Field) -> Result<T>,
) -> Result<Option<Vec<(i32, T)>>> {
    let Some(schema) = cursor.branch(&field.schema)? else {
        return Ok(None);
    };
    let Kind::Array(items) = &schema.kind else {
        return Err(AvroError::FieldType { field: name });
    };
    let record = record_of(items, name)?;
    let mut pairs = Vec::new();
    cursor.items(false, |cursor| {
        let (mut key, mut value) = (None, None);
        for field in &record.fields {
            match field.name.as_str() {
                "key" => {
                    let id = optional_long(cursor, field, name)?;
                    key = id.and_then(|id| i32::try_from(id).ok());
                }
                "value" => value = Some(read(cursor, field)?),
                _ => cursor.skip(&field.schema)?,
            }
        }
        pairs.push((found(key, name)?, found(value, name)?));
        Ok(())
    })?;
    Ok(Some(pairs))
}
