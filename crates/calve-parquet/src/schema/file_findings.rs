//! What the policy has to say of one file beyond its schema.

use std::collections::BTreeSet;

use parquet::basic::{Compression, Type as PhysicalType};
use parquet::file::metadata::{FileMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;

use super::leaf::Annotation;
use crate::policy::{Finding, FindingCode, Severity, TypePolicy};

/// 1582-10-15, the first day on which the Julian and the Gregorian calendar do not matter, in days since 1970.
const GREGORIAN_START_DAY: i64 = -141_427;
/// Hive 2 and others that leave no word of their calendar.
const UNKNOWN_JAVA_WRITER: &str = "a Java program, perhaps Hive 2,";
const MILLIS_PER_DAY: i64 = 86_400_000;

/// Judges what a footer says beyond its schema: codecs, who wrote it, calendars. Cheap; not cached.
pub fn file_findings(footer: &ParquetMetaData, policy: &TypePolicy) -> Vec<Finding> {
    let mut findings = codecs(footer);
    findings.extend(int96_writer(footer, policy));
    findings.extend(hybrid_calendar(footer));
    findings
}

/// Whether the writer of a file writes instants into INT96 columns (Spark) or wall-clock times (Hive,
/// Impala); `None` where the footer does not tell.
pub fn writes_int96_instants(footer: &ParquetMetaData) -> Option<bool> {
    int96_convention(footer.file_metadata()).map(|(_, instants)| instants)
}

fn codecs(footer: &ParquetMetaData) -> Vec<Finding> {
    let used: BTreeSet<FindingCode> = footer
        .row_groups()
        .iter()
        .flat_map(RowGroupMetaData::columns)
        .filter_map(|column| match column.compression() {
            Compression::LZ4 => Some(FindingCode::CodecLz4),
            Compression::LZO => Some(FindingCode::CodecLzo),
            Compression::BROTLI(_) => Some(FindingCode::CodecBrotli),
            _ => None,
        })
        .collect();
    used.into_iter()
        .map(|code| match code {
            FindingCode::CodecLz4 => whole_file(
                Severity::Note,
                code,
                "compressed with LZ4 in Hadoop's deprecated framing, which some readers cannot read",
            ),
            FindingCode::CodecLzo => whole_file(
                Severity::Unsafe,
                code,
                "compressed with LZO, which few readers can read; rewrite it, or allow it",
            ),
            _ => whole_file(
                Severity::Note,
                code,
                "compressed with Brotli, which some readers cannot read",
            ),
        })
        .collect()
}

/// Spark writes instants into INT96; Hive and Impala write wall-clock times.
fn int96_writer(footer: &ParquetMetaData, policy: &TypePolicy) -> Option<Finding> {
    let schema = footer.file_metadata().schema_descr();
    let has_int96 = schema
        .columns()
        .iter()
        .any(|column| column.physical_type() == PhysicalType::INT96);
    if !has_int96 {
        return None;
    }
    let (writer, writes_instants) = int96_convention(footer.file_metadata())?;
    if writes_instants == policy.int96_is_instant {
        return None;
    }
    let (meant, taken) = if writes_instants {
        ("instants", "wall-clock times (`timestamp`)")
    } else {
        ("wall-clock times", "instants (`timestamptz`)")
    };
    Some(whole_file(
        Severity::Note,
        FindingCode::Int96Writer,
        &format!(
            "written by {writer}, whose INT96 columns are {meant}, but taken for {taken}: times may seem shifted"
        ),
    ))
}

fn int96_convention(file: &FileMetaData) -> Option<(&'static str, bool)> {
    if has_key(file, |key| key.starts_with("org.apache.spark.")) {
        return Some(("Spark", true));
    }
    if has_key(file, |key| {
        key == "writer.time.zone" || key.starts_with("hive.")
    }) {
        return Some(("Hive", false));
    }
    file.created_by()
        .is_some_and(|writer| writer.to_lowercase().starts_with("impala"))
        .then_some(("Impala", false))
}

/// Old Hive and Spark write days before 1582-10-15 in another calendar than Iceberg's.
fn hybrid_calendar(footer: &ParquetMetaData) -> Option<Finding> {
    let file = footer.file_metadata();
    let writer = writer_of_hybrid_calendar(file)?;
    // Of a writer that does not say which calendar it is, only what is certain is told.
    let otherwise = writer != UNKNOWN_JAVA_WRITER;
    let columns: Vec<String> = file
        .schema_descr()
        .columns()
        .iter()
        .enumerate()
        .filter(|(index, _)| is_before_gregorian(footer, *index, otherwise))
        .map(|(_, column)| format!("`{}`", column.path().string()))
        .collect();
    (!columns.is_empty()).then(|| {
        whole_file(
            Severity::Note,
            FindingCode::HybridCalendar,
            &format!(
                "written by {writer} in the hybrid Julian calendar: days before 1582-10-15 in {} may be read shifted",
                columns.join(", ")
            ),
        )
    })
}

fn writer_of_hybrid_calendar(file: &FileMetaData) -> Option<&'static str> {
    if has_key(file, |key| {
        key == "org.apache.spark.legacyDateTime" || key == "org.apache.spark.legacyINT96"
    }) {
        return Some("Spark");
    }
    let value_of = |name: &str| {
        file.key_value_metadata()?
            .iter()
            .find(|pair| pair.key == name)
            .and_then(|pair| pair.value.as_deref())
    };
    if value_of("org.apache.spark.version").is_some_and(|version| version.starts_with("2.")) {
        return Some("Spark 2");
    }
    match value_of("writer.date.proleptic") {
        Some("false") => Some("Hive"),
        Some(_) => None,
        None => file
            .created_by()
            .is_some_and(|writer| writer.starts_with("parquet-mr"))
            .then_some(UNKNOWN_JAVA_WRITER)
            .filter(|_| value_of("org.apache.spark.version").is_none()),
    }
}

/// Whether a date or timestamp column holds a day before 1582-10-15; `otherwise` where no statistics tell.
fn is_before_gregorian(footer: &ParquetMetaData, index: usize, otherwise: bool) -> bool {
    let column = footer.file_metadata().schema_descr().column(index);
    let info = column.self_type().get_basic_info();
    let per_day = match Annotation::of(info, 0, 0) {
        Annotation::Date => 1,
        Annotation::Timestamp { unit, .. } => match unit {
            parquet::basic::TimeUnit::MILLIS => MILLIS_PER_DAY,
            parquet::basic::TimeUnit::MICROS => MILLIS_PER_DAY * 1_000,
            parquet::basic::TimeUnit::NANOS => MILLIS_PER_DAY * 1_000_000,
        },
        _ => return otherwise && column.physical_type() == PhysicalType::INT96,
    };
    footer.row_groups().iter().any(|group| {
        let statistics = group
            .columns()
            .get(index)
            .and_then(|chunk| chunk.statistics());
        match statistics {
            Some(Statistics::Int32(values)) => values
                .min_opt()
                .map_or(otherwise, |min| i64::from(*min) < GREGORIAN_START_DAY),
            Some(Statistics::Int64(values)) => values.min_opt().map_or(otherwise, |min| {
                min.div_euclid(per_day) < GREGORIAN_START_DAY
            }),
            _ => otherwise,
        }
    })
}

fn has_key(file: &FileMetaData, wanted: impl Fn(&str) -> bool) -> bool {
    file.key_value_metadata()
        .is_some_and(|pairs| pairs.iter().any(|pair| wanted(&pair.key)))
}

fn whole_file(severity: Severity, code: FindingCode, message: &str) -> Finding {
    Finding {
        severity,
        code,
        column: String::new(),
        message: message.to_owned(),
    }
}
