//! Writers whose statistics are known to be wrong.

use parquet::file::metadata::ParquetMetaData;

/// Which library wrote a file, as far as its statistics' errors depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    /// arrow-rs's `parquet`, of that major version.
    ParquetRs(u32),
    /// C++ before Arrow 4, which renamed itself to `parquet-cpp-arrow`.
    OldParquetCpp,
    /// Parquet.Net.
    ParquetNet,
    /// Any other.
    Other,
}

impl Writer {
    /// Reads the footer's `created_by`.
    pub(super) fn of(footer: &ParquetMetaData) -> Self {
        footer
            .file_metadata()
            .created_by()
            .map_or(Self::Other, Self::parse)
    }

    fn parse(created_by: &str) -> Self {
        if let Some(version) = created_by.strip_prefix("parquet-rs version ") {
            let major = version.split('.').next().and_then(|text| text.parse().ok());
            Self::ParquetRs(major.unwrap_or(0))
        } else if created_by.starts_with("parquet-cpp version ") {
            Self::OldParquetCpp
        } else if created_by.starts_with("Parquet.Net ") {
            Self::ParquetNet
        } else {
            Self::Other
        }
    }

    /// Whether its statistics hold dates and times as the column does (Parquet.Net's are in another
    /// unit, parquet-dotnet #769, or in the time zone of the machine that wrote).
    pub(super) fn keeps_time(self) -> bool {
        self != Self::ParquetNet
    }

    /// Whether it compared text and binary byte by byte (arrow-rs compared lengths first, #641).
    pub(super) fn orders_bytes(self) -> bool {
        !matches!(self, Self::ParquetRs(major) if major < 6)
    }

    /// Whether it compared unsigned integers as such (arrow-rs did not without a logical type, #1532).
    pub(super) fn orders_unsigned(self) -> bool {
        !matches!(self, Self::ParquetRs(major) if major < 13)
    }

    /// Whether it compared decimals in fixed byte arrays as numbers (arrow-rs #1532, arrow #42906).
    pub(super) fn orders_fixed_decimals(self) -> bool {
        self.orders_unsigned() && self != Self::OldParquetCpp
    }

    /// Whether it compared decimals in variable byte arrays as numbers. No release of arrow-rs is
    /// known to (#10860 for unequal lengths, #11073 in its Arrow writer).
    pub(super) fn orders_variable_decimals(self) -> bool {
        !matches!(self, Self::ParquetRs(_) | Self::OldParquetCpp)
    }
}

#[cfg(test)]
mod tests {
    use super::Writer;

    #[test]
    fn created_by() {
        for (text, writer) in [
            ("parquet-rs version 58.4.1", Writer::ParquetRs(58)),
            ("parquet-rs version 0.3.0 (build abc)", Writer::ParquetRs(0)),
            ("parquet-rs version", Writer::Other),
            ("parquet-cpp version 1.5.1-SNAPSHOT", Writer::OldParquetCpp),
            ("parquet-cpp-arrow version 4.0.0", Writer::Other),
            ("parquet-mr version 1.12.3 (build f8d)", Writer::Other),
            ("Parquet.Net version 4.25.0 (build 687)", Writer::ParquetNet),
            ("", Writer::Other),
        ] {
            assert_eq!(Writer::parse(text), writer, "{text}");
        }
    }
}
