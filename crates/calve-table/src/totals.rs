use iceberg::spec::DataContentType;

use crate::manifest::ContentFile;

/// Files and rows by kind: what a snapshot adds, or what it removes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct FileTotals {
    /// Number of data files.
    pub data_files: u64,
    /// Number of rows in data files.
    pub records: u64,
    /// Number of files of position deletes, deletion vectors not counted.
    pub position_delete_files: u64,
    /// Number of deletion vectors.
    pub deletion_vectors: u64,
    /// Number of deleted positions.
    pub position_deletes: u64,
    /// Number of files of equality deletes.
    pub equality_delete_files: u64,
    /// Number of equality deletes.
    pub equality_deletes: u64,
    /// Size of all the files in bytes.
    pub bytes: u64,
}

impl FileTotals {
    /// Counts one file in.
    pub fn add(&mut self, file: &ContentFile) {
        match file.content {
            DataContentType::Data => {
                self.data_files += 1;
                self.records += file.record_count;
            }
            DataContentType::PositionDeletes => {
                if file.is_deletion_vector() {
                    self.deletion_vectors += 1;
                } else {
                    self.position_delete_files += 1;
                }
                self.position_deletes += file.record_count;
            }
            DataContentType::EqualityDeletes => {
                self.equality_delete_files += 1;
                self.equality_deletes += file.record_count;
            }
        }
        // A deletion vector is a part of a file that holds several.
        let size = file
            .content_size_bytes
            .filter(|_| file.is_deletion_vector());
        self.bytes += size.map_or(file.size_bytes, i64::unsigned_abs);
    }

    /// Counts in what others came to.
    pub fn merge(&mut self, other: &Self) {
        self.data_files += other.data_files;
        self.records += other.records;
        self.position_delete_files += other.position_delete_files;
        self.deletion_vectors += other.deletion_vectors;
        self.position_deletes += other.position_deletes;
        self.equality_delete_files += other.equality_delete_files;
        self.equality_deletes += other.equality_deletes;
        self.bytes += other.bytes;
    }

    /// Number of delete files of any kind, deletion vectors included.
    pub fn delete_files(&self) -> u64 {
        self.position_delete_files + self.equality_delete_files + self.deletion_vectors
    }
}
