use calve::base::{Location, TableIdent};
use calve::iceberg::spec::PrimitiveType;

use super::source::partition_types;
use super::{Error, Settings, XmlSettings};
use crate::flags::{CrawlFlags, CrawlFormatFlag, XmlFlags};

/// What `calve crawl` is told.
#[derive(Debug, Clone)]
pub(crate) struct CrawlSettings {
    pub(crate) location: Location,
    pub(crate) table: TableIdent,
    pub(crate) updates: bool,
    pub(crate) partition_types: Vec<(String, PrimitiveType)>,
    pub(crate) format: CrawlFormat,
}

/// What the files are.
#[derive(Debug, Clone)]
pub(crate) enum CrawlFormat {
    Parquet,
    Xml(Box<XmlSettings>),
}

impl CrawlSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When a name, a location or a type means nothing, or a flag has no effect.
    pub(crate) fn resolve(flags: CrawlFlags, settings: &Settings) -> Result<Self, Error> {
        let location = settings.location(&flags.location)?;
        let format = match flags.format {
            Some(CrawlFormatFlag::Xml) if !flags.partition_type.is_empty() => {
                return Err(Error::Useless {
                    flag: "--partition-type",
                    reason: "a table of XML has no partition keys",
                });
            }
            Some(CrawlFormatFlag::Xml) => {
                let xml = XmlFlags {
                    inputs: vec![flags.location],
                    row_tag: flags.row_tag,
                    reading: flags.reading,
                };
                CrawlFormat::Xml(Box::new(XmlSettings::resolve(xml, settings)?))
            }
            Some(CrawlFormatFlag::Parquet) | None if flags.row_tag.is_some() => {
                return Err(Error::Useless {
                    flag: "--row-tag",
                    reason: "only XML has one (--format xml)",
                });
            }
            Some(CrawlFormatFlag::Parquet) | None => CrawlFormat::Parquet,
        };
        Ok(Self {
            location,
            table: Settings::table(&flags.table)?,
            updates: flags.update,
            partition_types: partition_types(flags.partition_type)?,
            format,
        })
    }
}
