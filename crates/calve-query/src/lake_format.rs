//! What the files of a lake can be.

use std::sync::Arc;

use calve_lake::{FileFormat, Lake};
use datafusion::catalog::TableProvider;

use crate::{
    OrcTimestamps, RecordFormat, Result, Session, TextFormat, lake_provider, record_provider,
    text_provider,
};

/// What the files of a lake are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LakeFormat {
    /// Parquet.
    #[default]
    Parquet,
    /// Text.
    Text(TextFormat),
    /// Avro object container files.
    Avro,
    /// ORC.
    Orc,
}

impl LakeFormat {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Parquet,
        Self::Text(TextFormat::Csv),
        Self::Text(TextFormat::Json),
        Self::Avro,
        Self::Orc,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Text(TextFormat::Csv) => "csv",
            Self::Text(TextFormat::Json) => "json",
            Self::Avro => "avro",
            Self::Orc => "orc",
        }
    }

    /// What an entry of a metastore has to say of such files. Of text it says too little: its columns are looked for
    /// in the files.
    pub fn of_entries(self) -> FileFormat {
        match self {
            Self::Orc => FileFormat::Orc,
            Self::Avro => FileFormat::Avro,
            Self::Parquet | Self::Text(_) => FileFormat::Parquet,
        }
    }
}

/// Makes a lake of any format readable in a session.
///
/// # Errors
/// When the lake cannot be listed, a file is of another format, or files do not fit together.
pub async fn provider_of(
    session: &Session,
    lake: &Lake,
    format: LakeFormat,
    orc: OrcTimestamps,
) -> Result<Arc<dyn TableProvider>> {
    Ok(match format {
        LakeFormat::Parquet => Arc::new(Box::pin(lake_provider(lake)).await?),
        LakeFormat::Text(format) => Arc::new(Box::pin(text_provider(session, lake, format)).await?),
        LakeFormat::Avro => Arc::new(Box::pin(record_provider(lake, RecordFormat::Avro)).await?),
        LakeFormat::Orc => Arc::new(Box::pin(record_provider(lake, RecordFormat::Orc(orc))).await?),
    })
}
