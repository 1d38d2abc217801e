//! Delete files: which rows of which data files are gone.

mod equality;
mod positions;

use std::sync::Arc;

use calve_base::Location;
use calve_table::ContentFile;
use iceberg::spec::{DataContentType, DataFileFormat};
use tokio::sync::OnceCell;

pub(crate) use equality::{DeletedKeys, EqualityFilter};
use positions::Positions;
pub(crate) use positions::{access_plan, deleted_positions, positions_in};

/// The reserved field ids of a position delete file's columns (spec, "Position Delete Files").
const FILE_PATH_ID: i32 = 2_147_483_546;
const POS_ID: i32 = 2_147_483_545;

/// A delete file. It is read when the first data file that it applies to is.
#[derive(Debug)]
pub(crate) struct DeleteFile {
    pub(crate) location: Location,
    pub(crate) size: u64,
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
    pub(crate) fn new(file: &ContentFile) -> Result<Self, String> {
        let path = &file.path;
        let location = Location::parse(path.as_str()).map_err(|error| error.to_string())?;
        let kind = match (file.content, file.format) {
            (DataContentType::PositionDeletes, DataFileFormat::Parquet) => {
                Kind::Positions(OnceCell::new())
            }
            (DataContentType::PositionDeletes, DataFileFormat::Puffin) => vector(file)?,
            (DataContentType::EqualityDeletes, DataFileFormat::Parquet) => Kind::Equality {
                field_ids: file
                    .equality_ids
                    .clone()
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
            size: file.size_bytes,
            kind,
        })
    }
}

fn vector(file: &ContentFile) -> Result<Kind, String> {
    let wrong = || {
        format!(
            "deletion vector in {} lacks its place or its data file",
            file.path
        )
    };
    let place = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    Ok(Kind::Vector {
        data_file: file.referenced_data_file.clone().ok_or_else(wrong)?,
        offset: place(file.content_offset).ok_or_else(wrong)?,
        length: place(file.content_size_bytes).ok_or_else(wrong)?,
        read: OnceCell::new(),
    })
}

/// The spelling in which two addresses of one file are equal.
fn canonical(path: &str) -> String {
    Location::parse(path).map_or_else(|_| path.to_owned(), |location| location.canonical())
}
