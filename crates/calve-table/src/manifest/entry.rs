use std::collections::HashMap;

use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, Datum, ManifestContentType,
    ManifestFile, ManifestStatus, Schema, Struct,
};

use crate::{Error, Result};

/// A line of a manifest: a file, and when it came or went.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Whether the file was added, kept or removed by the snapshot that wrote the manifest.
    pub status: ManifestStatus,
    /// The snapshot that added the file, or removed it where it is removed.
    pub snapshot_id: Option<i64>,
    /// The data sequence number: deletes of a higher one apply to the file.
    pub sequence_number: Option<i64>,
    /// The sequence number of the commit that added the file.
    pub file_sequence_number: Option<i64>,
    /// The file.
    pub file: ContentFile,
}

/// A number for each column, by field id.
pub type Counts = Vec<(i32, i64)>;

/// A bound for each column, as single-value bytes, by field id.
pub type Bounds = Vec<(i32, Box<[u8]>)>;

/// A data file or delete file, as a manifest describes it: nothing added, nothing left out.
///
/// [`DataFile`] cannot tell an empty map from none and drops bounds of columns that its schema
/// lacks; what is copied from manifest to manifest must keep both. Maps are ordered by field id.
#[derive(Debug, Clone, PartialEq)]
pub struct ContentFile {
    /// Data, position deletes (deletion vectors too) or equality deletes.
    pub content: DataContentType,
    /// Where it lies, as written.
    pub path: String,
    /// Its format.
    pub format: DataFileFormat,
    /// Its partition, in the order of the fields of its partition spec.
    pub partition: Struct,
    /// Number of rows.
    pub record_count: u64,
    /// Size in bytes.
    pub size_bytes: u64,
    /// Size of each column in bytes.
    pub column_sizes: Option<Counts>,
    /// Number of values of each column, nulls included.
    pub value_counts: Option<Counts>,
    /// Number of nulls of each column.
    pub null_value_counts: Option<Counts>,
    /// Number of NaNs of each column.
    pub nan_value_counts: Option<Counts>,
    /// Lower bound of each column, as single-value bytes.
    pub lower_bounds: Option<Bounds>,
    /// Upper bound of each column, as single-value bytes.
    pub upper_bounds: Option<Bounds>,
    /// Key metadata of an encrypted file.
    pub key_metadata: Option<Box<[u8]>>,
    /// Where row groups begin.
    pub split_offsets: Option<Vec<i64>>,
    /// The columns that an equality delete compares.
    pub equality_ids: Option<Vec<i32>>,
    /// The order its rows are in.
    pub sort_order_id: Option<i32>,
    /// The row id of its first row (format version 3).
    pub first_row_id: Option<i64>,
    /// The data file that all its deletes concern.
    pub referenced_data_file: Option<String>,
    /// Where a deletion vector begins in its file.
    pub content_offset: Option<i64>,
    /// The length of a deletion vector.
    pub content_size_bytes: Option<i64>,
}

impl Entry {
    /// Whether the file is part of the table after the snapshot.
    pub fn is_live(&self) -> bool {
        self.status != ManifestStatus::Deleted
    }

    /// Fills in what a manifest leaves to its entry in the manifest list.
    pub(crate) fn inherit(&mut self, manifest: &ManifestFile) {
        self.snapshot_id.get_or_insert(manifest.added_snapshot_id);
        if self.status == ManifestStatus::Added || manifest.sequence_number == 0 {
            self.sequence_number.get_or_insert(manifest.sequence_number);
            self.file_sequence_number
                .get_or_insert(manifest.sequence_number);
        }
    }
}

/// Gives row ids to the files of a manifest that have none yet (spec, "First Row ID Inheritance").
#[derive(Debug)]
pub(crate) struct RowIds {
    next: Option<i64>,
}

impl RowIds {
    pub(crate) fn of(manifest: &ManifestFile) -> Self {
        let is_data = manifest.content == ManifestContentType::Data;
        Self {
            next: manifest
                .first_row_id
                .filter(|_| is_data)
                .and_then(|id| i64::try_from(id).ok()),
        }
    }

    pub(crate) fn assign(&mut self, entry: &mut Entry) {
        if let Some(next) = self.next
            && entry.is_live()
            && entry.file.first_row_id.is_none()
        {
            entry.file.first_row_id = Some(next);
            self.next = i64::try_from(entry.file.record_count)
                .ok()
                .and_then(|count| next.checked_add(count));
        }
    }
}

impl ContentFile {
    /// Whether this is a deletion vector.
    pub fn is_deletion_vector(&self) -> bool {
        self.content == DataContentType::PositionDeletes && self.format == DataFileFormat::Puffin
    }

    /// Takes over what another part of the program describes in `iceberg`'s terms.
    ///
    /// # Errors
    /// When a number or a bound cannot be stored.
    pub fn from_data_file(file: &DataFile) -> Result<Self> {
        let error = |source| Error::DataFile {
            path: file.file_path().to_owned(),
            source,
        };
        let bounds = |bounds| bounds_as_bytes(bounds).map_err(error);
        Ok(Self {
            content: file.content_type(),
            path: file.file_path().to_owned(),
            format: file.file_format(),
            partition: file.partition().clone(),
            record_count: file.record_count(),
            size_bytes: file.file_size_in_bytes(),
            column_sizes: counts(file.column_sizes()),
            value_counts: counts(file.value_counts()),
            null_value_counts: counts(file.null_value_counts()),
            nan_value_counts: counts(file.nan_value_counts()),
            lower_bounds: bounds(file.lower_bounds())?,
            upper_bounds: bounds(file.upper_bounds())?,
            key_metadata: file.key_metadata().map(Into::into),
            split_offsets: file.split_offsets().map(<[i64]>::to_vec),
            equality_ids: file.equality_ids(),
            sort_order_id: file.sort_order_id(),
            first_row_id: file.first_row_id(),
            referenced_data_file: file.referenced_data_file(),
            content_offset: file.content_offset(),
            content_size_bytes: file.content_size_in_bytes(),
        })
    }

    /// The same file in `iceberg`'s terms, its bounds read by the types of `schema`. Bounds of
    /// columns that `schema` lacks, or that its types cannot hold, are left out.
    ///
    /// # Errors
    /// Never in practice: all that a [`DataFile`] requires is here.
    pub fn to_data_file(&self, spec_id: i32, schema: &Schema) -> Result<DataFile> {
        let mut builder = DataFileBuilder::default();
        builder
            .content(self.content)
            .file_path(self.path.clone())
            .file_format(self.format)
            .partition(self.partition.clone())
            .partition_spec_id(spec_id)
            .record_count(self.record_count)
            .file_size_in_bytes(self.size_bytes)
            .column_sizes(counts_by_id(self.column_sizes.as_ref()))
            .value_counts(counts_by_id(self.value_counts.as_ref()))
            .null_value_counts(counts_by_id(self.null_value_counts.as_ref()))
            .nan_value_counts(counts_by_id(self.nan_value_counts.as_ref()))
            .lower_bounds(bounds_by_id(self.lower_bounds.as_ref(), schema))
            .upper_bounds(bounds_by_id(self.upper_bounds.as_ref(), schema))
            .key_metadata(self.key_metadata.as_deref().map(<[u8]>::to_vec))
            .split_offsets(self.split_offsets.clone())
            .equality_ids(self.equality_ids.clone())
            .first_row_id(self.first_row_id)
            .referenced_data_file(self.referenced_data_file.clone())
            .content_offset(self.content_offset)
            .content_size_in_bytes(self.content_size_bytes);
        if let Some(id) = self.sort_order_id {
            builder.sort_order_id(id);
        }
        builder.build().map_err(|error| Error::DataFile {
            path: self.path.clone(),
            source: iceberg::Error::new(iceberg::ErrorKind::DataInvalid, error.to_string()),
        })
    }
}

/// An empty map says nothing: it is stored as none. Counts beyond `i64` are left out.
fn counts(map: &HashMap<i32, u64>) -> Option<Counts> {
    let mut counts: Vec<(i32, i64)> = map
        .iter()
        .filter_map(|(id, count)| Some((*id, i64::try_from(*count).ok()?)))
        .collect();
    counts.sort_unstable();
    (!counts.is_empty()).then_some(counts)
}

fn bounds_as_bytes(map: &HashMap<i32, Datum>) -> iceberg::Result<Option<Bounds>> {
    let mut bounds = Vec::with_capacity(map.len());
    for (id, bound) in map {
        bounds.push((*id, bound.to_bytes()?.into_vec().into_boxed_slice()));
    }
    bounds.sort_unstable_by_key(|(id, _)| *id);
    Ok((!bounds.is_empty()).then_some(bounds))
}

fn counts_by_id(counts: Option<&Counts>) -> HashMap<i32, u64> {
    let counts = counts.map_or(&[][..], Vec::as_slice).iter();
    counts
        .filter_map(|(id, count)| Some((*id, u64::try_from(*count).ok()?)))
        .collect()
}

fn bounds_by_id(bounds: Option<&Bounds>, schema: &Schema) -> HashMap<i32, Datum> {
    let bounds = bounds.map_or(&[][..], Vec::as_slice).iter();
    bounds
        .filter_map(|(id, bytes)| {
            let field = schema.field_by_id(*id)?;
            let primitive = field.field_type.as_primitive_type()?.clone();
            Some((*id, Datum::try_from_bytes(bytes, primitive).ok()?))
        })
        .collect()
}
