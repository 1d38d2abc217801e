use std::path::PathBuf;

use calve::base::{Location, TableIdent, units};
use calve::iceberg::spec::PrimitiveType;
use calve::lake::Recursive;
use calve::migrate::Int96;
use calve::migrate::assess::Prices;

use super::add_files::int96;
use super::source::{partition_types, recursive};
use super::{Error, Settings, SourceSettings};
use crate::flags::{AssessFlags, AssessFormatFlag, OutputFormat};

/// What `calve assess` is told.
#[derive(Debug, Clone)]
pub(crate) struct AssessSettings {
    pub(crate) source: SourceSettings,
    pub(crate) table: Option<TableIdent>,
    pub(crate) is_html: bool,
    pub(crate) out: Option<PathBuf>,
    pub(crate) cache: Option<Location>,
    pub(crate) target_bytes: Option<u64>,
    pub(crate) prices: Prices,
    pub(crate) neighbours: bool,
    pub(crate) partition_filter: Vec<(String, String)>,
    pub(crate) partition_types: Vec<(String, PrimitiveType)>,
    pub(crate) recursive: Recursive,
    pub(crate) int96: Int96,
}

impl AssessSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When a name, a location, a size or a price means nothing, or the report would have two forms at once.
    pub(crate) fn resolve(flags: AssessFlags, settings: &Settings) -> Result<Self, Error> {
        let source = SourceSettings::parse(&flags.source, settings)?;
        if matches!(source, SourceSettings::IcebergTable(_)) {
            return Err(Error::IcebergSource { text: flags.source });
        }
        let is_html = flags.format == Some(AssessFormatFlag::Html);
        if is_html && flags.out.is_none() && settings.output == OutputFormat::Json {
            return Err(Error::Useless {
                flag: "--format html",
                reason: "--output-format json prints JSON: name a file for the page with --out",
            });
        }
        let cache = flags.cache.map(|text| settings.location(&text));
        Ok(Self {
            source,
            table: flags.table.as_deref().map(Settings::table).transpose()?,
            is_html,
            out: flags.out,
            cache: cache.transpose()?,
            target_bytes: flags.target_file_size.map(size).transpose()?,
            prices: prices(flags.price)?,
            neighbours: !flags.no_catalog_check,
            partition_filter: flags.partition_filter,
            partition_types: partition_types(flags.partition_type)?,
            recursive: recursive(flags.recursive),
            int96: int96(flags.int96),
        })
    }
}

fn size(text: String) -> Result<u64, Error> {
    match units::parse_bytes(&text) {
        Ok(size) if size > 0 => Ok(size),
        _ => Err(Error::Value {
            place: "--target-file-size".to_owned(),
            text,
            expected: "a size above 0, such as 128MB",
        }),
    }
}

/// The list prices, but for those that were given.
pub(super) fn prices(given: Vec<(String, String)>) -> Result<Prices, Error> {
    let mut prices = Prices::default();
    for (what, text) in given {
        let place = match what.as_str() {
            "list" => &mut prices.list_per_thousand,
            "put" => &mut prices.put_per_thousand,
            "get" => &mut prices.get_per_thousand,
            "glue" => &mut prices.glue_per_million,
            "athena" => &mut prices.athena_per_terabyte,
            _ => {
                return Err(Error::Value {
                    place: "--price".to_owned(),
                    text: what,
                    expected: "list, put, get, glue or athena",
                });
            }
        };
        match text.trim().parse::<f64>() {
            Ok(price) if price.is_finite() && price >= 0.0 => *place = price,
            _ => {
                return Err(Error::Value {
                    place: format!("--price {what}"),
                    text,
                    expected: "a number of dollars, such as 0.005",
                });
            }
        }
    }
    Ok(prices)
}
