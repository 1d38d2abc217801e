//! Delete files: which rows of which data files are gone.

mod equality;
mod positions;

use std::collections::HashMap;
use std::sync::Arc;

use calve_base::Location;
use iceberg::spec::{DataContentType, DataFile, DataFileFormat, Struct};
use tokio::sync::OnceCell;

pub(crate) use equality::{DeletedKeys, EqualityFilter};
use positions::Positions;
pub(crate) use positions::access_plan;

/// The reserved field ids of a position delete file's columns (spec, "Position Delete Files").
const FILE_PATH_ID: i32 = 2_147_483_546;
const POS_ID: i32 = 2_147_483_545;

/// A delete file. It is read when the first data file that it applies to is.
#[derive(Debug)]
pub(crate) struct DeleteFile {
    pub(crate) location: Location,
    pub(crate) size: u64,
    sequence_number: i64,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// Rows by file and position, in a Parquet file.
    Positions(OnceCell<Positions>),
    /// Rows by position, as a bitmap in a part of a Puffin file.
    Vector {
        data_file: String,
        offset: u64,
        length: u64,
        read: OnceCell<Positions>,
    },
    /// Rows by their values in the fields of these ids.
    Equality {
        field_ids: Vec<i32>,
        read: OnceCell<Arc<DeletedKeys>>,
    },
}

impl DeleteFile {
    /// Understands a manifest entry. The error says what is not supported or wrong.
    pub(crate) fn new(file: &DataFile, sequence_number: i64) -> Result<Self, String> {
        let path = file.file_path();
        let location = Location::parse(path).map_err(|error| error.to_string())?;
        let kind = match (file.content_type(), file.file_format()) {
            (DataContentType::PositionDeletes, DataFileFormat::Parquet) => {
                Kind::Positions(OnceCell::new())
            }
            (DataContentType::PositionDeletes, DataFileFormat::Puffin) => vector(file)?,
            (DataContentType::EqualityDeletes, DataFileFormat::Parquet) => Kind::Equality {
                field_ids: file
                    .equality_ids()
                    .filter(|ids| !ids.is_empty())
                    .ok_or_else(|| format!("equality delete file {path} names no fields"))?,
                read: OnceCell::new(),
            },
            (_, format) => {
                return Err(format!(
                    "delete file {path} is {format}, and only Parquet is read"
                ));
            }
        };
        Ok(Self {
            location,
            size: file.file_size_in_bytes(),
            sequence_number,
            kind,
        })
    }

    fn is_equality(&self) -> bool {
        matches!(self.kind, Kind::Equality { .. })
    }
}

fn vector(file: &DataFile) -> Result<Kind, String> {
    let wrong = || {
        format!(
            "deletion vector in {} lacks its place or its data file",
            file.file_path()
        )
    };
    let place = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    Ok(Kind::Vector {
        data_file: file.referenced_data_file().ok_or_else(wrong)?,
        offset: place(file.content_offset()).ok_or_else(wrong)?,
        length: place(file.content_size_in_bytes()).ok_or_else(wrong)?,
        read: OnceCell::new(),
    })
}

/// All live delete files of a snapshot, by what they apply to.
#[derive(Debug, Default)]
pub(crate) struct DeleteIndex {
    /// By partition spec and partition.
    by_partition: HashMap<(i32, Struct), Vec<Arc<DeleteFile>>>,
    /// Position deletes that are known to be of one data file, by its canonical location.
    by_data_file: HashMap<String, Vec<Arc<DeleteFile>>>,
    /// Equality deletes of an unpartitioned spec apply to every partition.
    global: Vec<Arc<DeleteFile>>,
}

impl DeleteIndex {
    /// Takes in one delete file.
    pub(crate) fn add(
        &mut self,
        file: &DataFile,
        sequence_number: i64,
        spec_id: i32,
        unpartitioned: bool,
    ) -> Result<(), String> {
        let delete = Arc::new(DeleteFile::new(file, sequence_number)?);
        if delete.is_equality() && unpartitioned {
            self.global.push(delete);
        } else if let Some(data_file) = file
            .referenced_data_file()
            .filter(|_| !delete.is_equality())
        {
            self.by_data_file
                .entry(canonical(&data_file))
                .or_default()
                .push(delete);
        } else {
            let key = (spec_id, file.partition().clone());
            self.by_partition.entry(key).or_default().push(delete);
        }
        Ok(())
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_partition.is_empty() && self.by_data_file.is_empty() && self.global.is_empty()
    }

    /// The delete files that apply to a data file (spec, "Scan Planning").
    pub(crate) fn of(
        &self,
        file: &DataFile,
        sequence_number: i64,
        spec_id: i32,
    ) -> Vec<Arc<DeleteFile>> {
        if self.is_empty() {
            return Vec::new();
        }
        let partition = self.by_partition.get(&(spec_id, file.partition().clone()));
        let own = self.by_data_file.get(&canonical(file.file_path()));
        let all = self
            .global
            .iter()
            .chain(partition.into_iter().flatten())
            .chain(own.into_iter().flatten());
        all.filter(|delete| {
            if delete.is_equality() {
                delete.sequence_number > sequence_number
            } else {
                delete.sequence_number >= sequence_number
            }
        })
        .map(Arc::clone)
        .collect()
    }
}

/// The spelling in which two addresses of one file are equal.
fn canonical(path: &str) -> String {
    Location::parse(path).map_or_else(|_| path.to_owned(), |location| location.canonical())
}
