//! How Parquet is written, by the table's properties.

use std::collections::HashMap;
use std::str::FromStr;

use iceberg::spec::{NestedFieldRef, Schema, Type};
use parquet::basic::{BrotliLevel, Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;

use super::DataError;

/// The size at which a data file is full (`write.target-file-size-bytes`), unless the table says so.
pub const DEFAULT_TARGET_FILE_BYTES: u64 = 512 * 1024 * 1024;

const TARGET_FILE_BYTES: &str = "write.target-file-size-bytes";
const CODEC: &str = "write.parquet.compression-codec";
const LEVEL: &str = "write.parquet.compression-level";
const ROW_GROUP_BYTES: &str = "write.parquet.row-group-size-bytes";
const ROW_GROUP_ROWS: &str = "write.parquet.row-group-limit";
const PAGE_BYTES: &str = "write.parquet.page-size-bytes";
const PAGE_ROWS: &str = "write.parquet.page-row-limit";
const DICTIONARY_BYTES: &str = "write.parquet.dict-size-bytes";
const BLOOM_FILTER: &str = "write.parquet.bloom-filter-enabled.column.";
const BLOOM_FILTER_FPP: &str = "write.parquet.bloom-filter-fpp.column.";

const DEFAULT_ROW_GROUP_BYTES: u64 = 128 * 1024 * 1024;
const DEFAULT_PAGE_BYTES: u64 = 1024 * 1024;
const DEFAULT_PAGE_ROWS: u64 = 20_000;
const DEFAULT_DICTIONARY_BYTES: u64 = 2 * 1024 * 1024;

/// The size at which the table's data files are full.
pub(super) fn target_file_bytes(properties: &HashMap<String, String>) -> Result<u64, DataError> {
    number(properties, TARGET_FILE_BYTES, DEFAULT_TARGET_FILE_BYTES)
}

/// Makes the writer's properties of the table's.
pub(crate) fn writer_properties(
    properties: &HashMap<String, String>,
    schema: &Schema,
) -> Result<WriterProperties, DataError> {
    let size = |name, default| -> Result<usize, DataError> {
        let bytes = number(properties, name, default)?;
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
    };
    let rows = match properties.get(ROW_GROUP_ROWS) {
        Some(_) => Some(size(ROW_GROUP_ROWS, 1)?),
        None => None,
    };
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("calve version {}", env!("CARGO_PKG_VERSION")))
        .set_compression(compression(properties)?)
        .set_max_row_group_bytes(Some(size(ROW_GROUP_BYTES, DEFAULT_ROW_GROUP_BYTES)?))
        .set_max_row_group_row_count(rows)
        .set_data_page_size_limit(size(PAGE_BYTES, DEFAULT_PAGE_BYTES)?)
        .set_data_page_row_count_limit(size(PAGE_ROWS, DEFAULT_PAGE_ROWS)?)
        .set_dictionary_page_size_limit(size(DICTIONARY_BYTES, DEFAULT_DICTIONARY_BYTES)?)
        .set_statistics_enabled(EnabledStatistics::Page)
        // Bounds are cut by the table's metrics modes when they go into manifests.
        .set_statistics_truncate_length(None);
    builder = bloom_filters(properties, schema, builder)?;
    Ok(builder.build())
}

fn compression(properties: &HashMap<String, String>) -> Result<Compression, DataError> {
    let wrong = |name: &str, value: &str| DataError::Property {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let codec = properties.get(CODEC).map_or("zstd", String::as_str);
    let level = match properties.get(LEVEL).map(String::as_str) {
        None | Some("null") => None,
        Some(level) => Some(level.parse::<i32>().map_err(|_| wrong(LEVEL, level))?),
    };
    let bad_level = || wrong(LEVEL, &level.unwrap_or_default().to_string());
    let unsigned = |level: i32| u32::try_from(level).map_err(|_| bad_level());
    Ok(match codec.to_ascii_lowercase().as_str() {
        "zstd" => Compression::ZSTD(match level {
            Some(level) => ZstdLevel::try_new(level).map_err(|_| bad_level())?,
            None => ZstdLevel::default(),
        }),
        "gzip" => Compression::GZIP(match level {
            Some(level) => GzipLevel::try_new(unsigned(level)?).map_err(|_| bad_level())?,
            None => GzipLevel::default(),
        }),
        "brotli" => Compression::BROTLI(match level {
            Some(level) => BrotliLevel::try_new(unsigned(level)?).map_err(|_| bad_level())?,
            None => BrotliLevel::default(),
        }),
        "snappy" => Compression::SNAPPY,
        "lz4" | "lz4_raw" => Compression::LZ4_RAW,
        "none" | "uncompressed" => Compression::UNCOMPRESSED,
        _ => return Err(wrong(CODEC, codec)),
    })
}

fn bloom_filters(
    properties: &HashMap<String, String>,
    schema: &Schema,
    mut builder: WriterPropertiesBuilder,
) -> Result<WriterPropertiesBuilder, DataError> {
    let mut names: Vec<&String> = properties.keys().collect();
    names.sort();
    for name in names {
        let Some(column) = name.strip_prefix(BLOOM_FILTER) else {
            continue;
        };
        if !properties[name].eq_ignore_ascii_case("true") {
            continue;
        }
        // The name may be of a column that is gone: as in Java, that is no error.
        let Some(path) = leaf_path(schema, column) else {
            continue;
        };
        builder = builder.set_column_bloom_filter_enabled(path.clone(), true);
        if let Some(text) = properties.get(&format!("{BLOOM_FILTER_FPP}{column}")) {
            let fpp = f64::from_str(text)
                .ok()
                .filter(|fpp| *fpp > 0.0 && *fpp < 1.0)
                .ok_or_else(|| DataError::Property {
                    name: format!("{BLOOM_FILTER_FPP}{column}"),
                    value: text.clone(),
                })?;
            builder = builder.set_column_bloom_filter_fpp(path, fpp);
        }
    }
    Ok(builder)
}

/// The path of a primitive column in a file that is written by Arrow: with the groups that lists and
/// maps need.
fn leaf_path(schema: &Schema, column: &str) -> Option<ColumnPath> {
    let id = schema.field_id_by_name(column)?;
    let mut path = Vec::new();
    find(schema.as_struct().fields(), id, &mut path).then(|| ColumnPath::new(path))
}

fn find(fields: &[NestedFieldRef], id: i32, path: &mut Vec<String>) -> bool {
    for field in fields {
        let depth = path.len();
        path.push(field.name.clone());
        let found = match field.field_type.as_ref() {
            Type::Primitive(_) => field.id == id,
            Type::Struct(of) => find(of.fields(), id, path),
            Type::List(of) => {
                path.push("list".to_owned());
                find(std::slice::from_ref(&of.element_field), id, path)
            }
            Type::Map(of) => {
                path.push("key_value".to_owned());
                find(std::slice::from_ref(&of.key_field), id, path)
                    || find(std::slice::from_ref(&of.value_field), id, path)
            }
        };
        if found {
            return true;
        }
        path.truncate(depth);
    }
    false
}

/// A property as a number above 0.
fn number(
    properties: &HashMap<String, String>,
    name: &str,
    default: u64,
) -> Result<u64, DataError> {
    match properties.get(name) {
        None => Ok(default),
        Some(value) => match value.trim().parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(DataError::Property {
                name: name.to_owned(),
                value: value.clone(),
            }),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(settings: &[(&str, &str)], expected: Result<Compression, &str>) {
        let properties: HashMap<String, String> = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let got = compression(&properties).map_err(|error| error.to_string());
        assert_eq!(got, expected.map_err(ToOwned::to_owned));
    }

    #[test]
    fn codecs_by_their_names() {
        check(&[], Ok(Compression::ZSTD(ZstdLevel::default())));
        check(&[(CODEC, "snappy")], Ok(Compression::SNAPPY));
        check(&[(CODEC, "Uncompressed")], Ok(Compression::UNCOMPRESSED));
        let nine = Compression::ZSTD(ZstdLevel::try_new(9).unwrap());
        check(&[(LEVEL, "9")], Ok(nine));
        check(
            &[(LEVEL, "null")],
            Ok(Compression::ZSTD(ZstdLevel::default())),
        );
        check(
            &[(CODEC, "lzo")],
            Err("table property write.parquet.compression-codec=lzo means nothing"),
        );
        check(
            &[(CODEC, "gzip"), (LEVEL, "-3")],
            Err("table property write.parquet.compression-level=-3 means nothing"),
        );
    }
}
