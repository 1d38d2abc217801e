use std::path::PathBuf;

use calve::arrow::datatypes::Schema;
use calve::base::{Location, Properties, TableIdent};
use calve::migrate::PartitionBy;
use calve::xml::infer::MixedTypes;
use calve::xml::options::{Limits, Mode, Namespaces};
use calve::xml::resolve_choice::ResolveChoice;
use calve::xml::schema::evolve::{DEFAULT_RESCUED_DATA_COLUMN, OnDrift};
use calve::xml::schema::hints::Hints;
use calve::xml::write::Codec;
use calve::xml::{InferSchema, XmlOptions};

use super::{Error, Settings, bytes};
use crate::flags::{
    CompressionFlag, IfExistsFlag, InferenceFlags, MixedTypesFlag, ModeFlag, NamespacesFlag,
    OnDriftFlag, ReadingFlags, XmlConvertFlags, XmlFlags,
};

/// What both commands of `calve xml` are told.
#[derive(Debug, Clone)]
pub(crate) struct XmlSettings {
    pub(crate) inputs: Vec<Location>,
    pub(crate) options: XmlOptions,
    pub(crate) inference: InferSchema,
    /// Whether the schema is inferred from some of the rows only.
    pub(crate) is_sampled: bool,
    /// Whether types of columns are given, whatever their values are.
    pub(crate) has_types: bool,
    pub(crate) choices: Option<ResolveChoice>,
}

/// What `calve xml convert` is told.
#[derive(Debug, Clone)]
pub(crate) struct XmlConvertSettings {
    pub(crate) xml: XmlSettings,
    pub(crate) target: XmlTarget,
    pub(crate) schema: SchemaSettings,
    pub(crate) on_drift: Option<OnDrift>,
    pub(crate) schema_out: Option<PathBuf>,
    pub(crate) rejects: Option<PathBuf>,
    pub(crate) mapping: Option<PathBuf>,
    /// Where files are entered in Glue.
    pub(crate) register: Option<TableIdent>,
}

/// Where the schema of rows comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SchemaSettings {
    /// It is inferred.
    Inferred,
    /// A file of Spark's or Glue's JSON, or DDL.
    File(PathBuf),
    /// An XML Schema.
    Xsd(PathBuf),
    /// That of an entry of Glue.
    Entry(Schema),
}

/// What is done where files are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IfExists {
    /// Nothing is written.
    Fail,
    /// New files are written beside them.
    Append,
    /// They are deleted once all rows are written.
    Replace,
}

/// Where rows go.
#[derive(Debug, Clone)]
pub(crate) enum XmlTarget {
    /// Into Parquet files.
    Files {
        out: Location,
        relationalize: Option<String>,
        codec: Codec,
        row_group_bytes: Option<u64>,
        file_bytes: Option<u64>,
        /// The columns whose values are folders.
        partition_by: Vec<String>,
        open_files: Option<usize>,
        if_exists: IfExists,
    },
    /// Into a table.
    Table {
        table: TableIdent,
        partition_by: PartitionBy,
        location: Option<Location>,
        properties: Properties,
    },
}

impl XmlSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// When an input is no location, or a hint or size means nothing.
    pub(crate) fn resolve(flags: XmlFlags, settings: &Settings) -> Result<Self, Error> {
        let XmlFlags {
            inputs,
            row_tag,
            reading: flags,
        } = flags;
        let inputs = inputs.iter().map(|text| settings.location(text));
        let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
        let defaults = XmlOptions::new(row_tag.ok_or(Error::NoRowTag)?);
        check_name("--value-tag", flags.value_tag.as_deref())?;
        check_name(
            "--corrupt-record-column",
            flags.corrupt_record_column.as_deref(),
        )?;
        let limits = limits(&flags)?;
        let options = XmlOptions {
            attribute_prefix: flags
                .attribute_prefix
                .unwrap_or_else(|| defaults.attribute_prefix.clone()),
            exclude_attributes: flags.exclude_attributes,
            value_tag: flags
                .value_tag
                .unwrap_or_else(|| defaults.value_tag.clone()),
            null_value: flags.null_value,
            treat_empty_values_as_nulls: flags.treat_empty_values_as_nulls,
            ignore_surrounding_spaces: flags
                .ignore_surrounding_spaces
                .unwrap_or(defaults.ignore_surrounding_spaces),
            namespaces: match flags.namespaces {
                Some(NamespacesFlag::Strip) => Namespaces::Strip,
                Some(NamespacesFlag::Expand) => Namespaces::Expand,
                Some(NamespacesFlag::Keep) | None => Namespaces::Keep,
            },
            mode: match flags.mode {
                Some(ModeFlag::Dropmalformed) => Mode::DropMalformed,
                Some(ModeFlag::Failfast) => Mode::FailFast,
                Some(ModeFlag::Permissive) | None => Mode::Permissive,
            },
            corrupt_record_column: flags
                .corrupt_record_column
                .unwrap_or_else(|| defaults.corrupt_record_column.clone()),
            encoding: flags.encoding,
            date_format: flags.date_format,
            timestamp_format: flags.timestamp_format,
            timestamp_ntz_format: flags.timestamp_ntz_format,
            time_zone: flags
                .time_zone
                .unwrap_or_else(|| defaults.time_zone.clone()),
            limits,
            ..defaults
        };
        let of = flags.inference;
        let choices = match of.resolve_choice.as_slice() {
            [] => None,
            specs => Some(ResolveChoice::parse(specs)?),
        };
        let mut inference = inference(options.clone(), &of)?;
        if let Some(choices) = &choices {
            inference = inference.with_choices(choices.choices());
        }
        Ok(Self {
            inputs,
            options,
            inference,
            is_sampled: of.sample_rows.is_some() || of.sampling_ratio.is_some(),
            has_types: !of.types.is_empty(),
            choices,
        })
    }
}

fn inference(options: XmlOptions, flags: &InferenceFlags) -> Result<InferSchema, Error> {
    let mut hints = Hints::new();
    for (path, data_type) in &flags.types {
        hints = hints.with_type(&format!("{path}={data_type}"))?;
    }
    for path in &flags.arrays {
        hints = hints.with_array(path)?;
    }
    let inference = InferSchema::new(options)
        .with_infer_types(flags.infer_types.unwrap_or(true))
        .with_prefers_decimal(flags.prefers_decimal)
        .with_prefers_timestamp_ntz(flags.prefers_timestamp_ntz)
        .with_keeps_leading_zeros(flags.keep_leading_zeros)
        .with_mixed_types(match flags.mixed_types {
            Some(MixedTypesFlag::ValueTag) => MixedTypes::ValueTag,
            Some(MixedTypesFlag::RawXml) | None => MixedTypes::RawXml,
        })
        .with_hints(hints);
    Ok(match (flags.sample_rows, flags.sampling_ratio) {
        (Some(rows), _) => inference.with_sample_rows(rows),
        (None, Some(ratio)) => inference.with_sampling_ratio(ratio)?,
        (None, None) => inference,
    })
}

fn limits(flags: &ReadingFlags) -> Result<Limits, Error> {
    let size = |flag: &str, text: &Option<String>, default: usize| match text {
        Some(text) => Ok(usize::try_from(bytes(flag, text)?).unwrap_or(usize::MAX)),
        None => Ok::<_, Error>(default),
    };
    let default = Limits::default();
    Ok(Limits {
        depth: flags.max_depth.unwrap_or(default.depth),
        name_bytes: size("--max-name-size", &flags.max_name_size, default.name_bytes)?,
        attribute_bytes: size(
            "--max-attributes-size",
            &flags.max_attributes_size,
            default.attribute_bytes,
        )?,
        attributes: flags.max_attributes.unwrap_or(default.attributes),
        entity_expansion_bytes: match &flags.max_entity_expansion {
            Some(text) => bytes("--max-entity-expansion", text)?,
            None => default.entity_expansion_bytes,
        },
        row_bytes: size("--max-row-size", &flags.max_row_size, default.row_bytes)?,
    })
}

/// Refuses what says how a schema is inferred, where none is.
fn refuse_guesses(flags: &InferenceFlags) -> Result<(), Error> {
    let given = [
        ("--sample-rows", flags.sample_rows.is_some()),
        ("--sampling-ratio", flags.sampling_ratio.is_some()),
        ("--type", !flags.types.is_empty()),
        ("--array", !flags.arrays.is_empty()),
        ("--infer-types", flags.infer_types.is_some()),
        ("--prefers-decimal", flags.prefers_decimal),
        ("--prefers-timestamp-ntz", flags.prefers_timestamp_ntz),
        ("--keep-leading-zeros", flags.keep_leading_zeros),
        ("--mixed-types", flags.mixed_types.is_some()),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((flag, _)) => Err(Error::Useless {
            flag,
            reason: "the schema is given, and nothing is inferred",
        }),
    }
}

/// Refuses flags that would do nothing.
fn refuse_useless(flags: &XmlConvertFlags, has_entry: bool) -> Result<(), Error> {
    let is_given = flags.schema.is_some() || flags.xsd.is_some() || has_entry;
    let is_compared = matches!(flags.on_drift, Some(OnDriftFlag::Fail | OnDriftFlag::Widen));
    if is_given && !is_compared {
        refuse_guesses(&flags.xml.reading.inference)?;
    }
    if flags.xsd.is_some() && flags.on_drift == Some(OnDriftFlag::Widen) {
        return Err(Error::Useless {
            flag: "--on-drift widen",
            reason: "rows that are not as the XML Schema says are bad rows, whatever columns there are",
        });
    }
    if flags.on_drift.is_some() && !is_given && flags.table.is_none() {
        return Err(Error::Useless {
            flag: "--on-drift",
            reason: "there is neither a schema nor a table that the data could differ from",
        });
    }
    Ok(())
}

/// Where the rows go; takes what the flags say of it.
fn target(flags: &mut XmlConvertFlags, settings: &Settings) -> Result<XmlTarget, Error> {
    let partition_by = flags.partition_by.take();
    if let Some(table) = &flags.table {
        let location = flags.location.as_deref();
        return Ok(XmlTarget::Table {
            table: Settings::table(table)?,
            partition_by: match partition_by {
                Some(text) => PartitionBy::parse(&text)?,
                None => PartitionBy::default(),
            },
            location: location.map(|text| settings.location(text)).transpose()?,
            properties: std::mem::take(&mut flags.property).into_iter().collect(),
        });
    }
    let size =
        |place: &str, text: &Option<String>| text.as_deref().map(|it| bytes(place, it)).transpose();
    Ok(XmlTarget::Files {
        out: settings.location(flags.out.as_deref().unwrap_or_default())?,
        relationalize: flags.relationalize.take().map(table_name).transpose()?,
        codec: match flags.compression {
            Some(CompressionFlag::Snappy) => Codec::Snappy,
            Some(CompressionFlag::None) => Codec::None,
            Some(CompressionFlag::Zstd) | None => Codec::Zstd,
        },
        row_group_bytes: size("--row-group-size", &flags.row_group_size)?,
        file_bytes: size("--file-size", &flags.file_size)?,
        partition_by: match partition_by {
            Some(text) => columns(&PartitionBy::parse(&text)?, &text)?,
            None => Vec::new(),
        },
        open_files: flags.max_open_files,
        if_exists: match flags.if_exists {
            Some(IfExistsFlag::Append) => IfExists::Append,
            Some(IfExistsFlag::Replace) => IfExists::Replace,
            Some(IfExistsFlag::Fail) | None => IfExists::Fail,
        },
    })
}

/// Refuses a column without a name.
fn check_name(place: &str, name: Option<&str>) -> Result<(), Error> {
    if name != Some("") {
        return Ok(());
    }
    Err(Error::Value {
        place: place.to_owned(),
        text: String::new(),
        expected: "the name of a column",
    })
}

/// The name of the first flat table, which is that of its folder.
fn table_name(text: String) -> Result<String, Error> {
    let is_folder =
        !text.contains(['/', '\\']) && !text.trim().is_empty() && text != "." && text != "..";
    if is_folder {
        return Ok(text);
    }
    Err(Error::Value {
        place: "--relationalize".to_owned(),
        text,
        expected: "the name of a table, which is that of its folder",
    })
}

/// The columns whose values are folders: no more is made of them than that.
fn columns(partition_by: &PartitionBy, text: &str) -> Result<Vec<String>, Error> {
    partition_by.columns().ok_or_else(|| Error::Value {
        place: "--partition-by".to_owned(),
        text: text.to_owned(),
        expected: "a list of columns, whose values are folders",
    })
}

impl XmlConvertSettings {
    /// Decides what the flags mean.
    ///
    /// # Errors
    /// As [`XmlSettings::resolve`], and when a name or a size means nothing, or a flag would do nothing. `has_entry`
    /// says that the rows' columns are those of an entry of Glue.
    pub(crate) fn resolve(
        flags: XmlConvertFlags,
        has_entry: bool,
        settings: &Settings,
    ) -> Result<Self, Error> {
        refuse_useless(&flags, has_entry)?;
        let mut flags = flags;
        let target = target(&mut flags, settings)?;
        let on_drift = flags.on_drift.map(|flag| match flag {
            OnDriftFlag::Fail => OnDrift::Fail,
            OnDriftFlag::Widen => OnDrift::Widen,
            OnDriftFlag::Rescue => OnDrift::Rescue,
        });
        let mut xml = XmlSettings::resolve(flags.xml, settings)?;
        match (on_drift, flags.rescued_data_column) {
            (Some(OnDrift::Rescue), name) => {
                let name = name.unwrap_or_else(|| DEFAULT_RESCUED_DATA_COLUMN.to_owned());
                xml.options.rescued_data_column = Some(name);
            }
            (_, Some(_)) => {
                return Err(Error::Useless {
                    flag: "--rescued-data-column",
                    reason: "only `--on-drift rescue` fills the column",
                });
            }
            _ => {}
        }
        Ok(Self {
            xml,
            target,
            schema: match (flags.schema, flags.xsd) {
                (Some(file), _) => SchemaSettings::File(file),
                (None, Some(file)) => SchemaSettings::Xsd(file),
                (None, None) => SchemaSettings::Inferred,
            },
            on_drift,
            schema_out: flags.schema_out,
            rejects: flags.rejects,
            mapping: flags.mapping,
            register: flags.register.as_deref().map(Settings::table).transpose()?,
        })
    }
}
