//! What the policy has to say of one file beyond its schema.

use std::collections::BTreeSet;

use parquet::basic::{Compression, Type as PhysicalType};
use parquet::file::metadata::{FileMetaData, ParquetMetaData};
use parquet::file::statistics::Statistics;

use super::leaf::Annotation;
use crate::policy::{Finding, FindingCode, Severity, TypePolicy};

/// 1582-10-15, the first day on which the Julian and the Gregorian calendar do not matter, in days since 1970.
const GREGORIAN_START_DAY: i64 = -141_427;
const MILLIS_PER_DAY: i64 = 86_400_000;

/// Judges what a footer says beyond its schema: codecs, who wrote it, calendars. Cheap; not cached.
pub fn file_findings(footer: &ParquetMetaData, policy: &TypePolicy) -> Vec<Finding> {
    let mut findings = codecs(footer);
    findings.extend(int96_writer(footer, policy));
    findings.extend(hybrid_calendar(footer));
    findings
}

fn codecs(footer: &ParquetMetaData) -> Vec<Finding> {
    let used: BTreeSet<FindingCode> = footer
        .row_groups()
        .iter()
        .flat_map(|group| group.columns())
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
    let (writer, writes_instants) = writer_of_int96(footer.file_metadata())?;
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

/// Whether the file's writer is one that means instants by INT96 (Spark) or wall-clock times (Hive,
/// Impala); `None` where the footer does not tell.
pub fn writes_int96_instants(footer: &ParquetMetaData) -> Option<bool> {
    writer_of_int96(footer.file_metadata()).map(|(_, instants)| instants)
}

fn writer_of_int96(file: &FileMetaData) -> Option<(&'static str, bool)> {
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
    let columns: Vec<String> = file
        .schema_descr()
        .columns()
        .iter()
        .enumerate()
        .filter(|(index, _)| may_be_before_gregorian(footer, *index))
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
    (value_of("writer.date.proleptic") == Some("false")).then_some("Hive")
}

/// Whether a date or timestamp column holds, or may hold, a day before 1582-10-15.
fn may_be_before_gregorian(footer: &ParquetMetaData, index: usize) -> bool {
    let column = footer.file_metadata().schema_descr().column(index);
    let info = column.self_type().get_basic_info();
    let per_day = match Annotation::of(info, 0, 0) {
        Annotation::Date => 1,
        Annotation::Timestamp { unit, .. } => match unit {
            parquet::basic::TimeUnit::MILLIS => MILLIS_PER_DAY,
            parquet::basic::TimeUnit::MICROS => MILLIS_PER_DAY * 1_000,
            parquet::basic::TimeUnit::NANOS => MILLIS_PER_DAY * 1_000_000,
        },
        _ => return column.physical_type() == PhysicalType::INT96,
    };
    footer.row_groups().iter().any(|group| {
        let statistics = group
            .columns()
            .get(index)
            .and_then(|chunk| chunk.statistics());
        match statistics {
            Some(Statistics::Int32(values)) => values
                .min_opt()
                .is_none_or(|min| i64::from(*min) < GREGORIAN_START_DAY),
            Some(Statistics::Int64(values)) => values
                .min_opt()
                .is_none_or(|min| min.div_euclid(per_day) < GREGORIAN_START_DAY),
            _ => true,
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
