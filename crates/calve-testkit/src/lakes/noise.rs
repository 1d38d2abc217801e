use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};

use super::{batch, parquet_bytes, write_bytes};

/// Why a reader must leave a file out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoiseReason {
    /// A component of its path begins with `_` or `.`.
    Hidden,
    /// It has no bytes.
    ZeroByte,
    /// It stands for a folder.
    Marker,
}

/// A file that is no part of the data.
#[derive(Debug, Clone, Copy)]
pub struct Noise {
    /// Its path below the lake.
    pub path: &'static str,
    /// Why it is no part.
    pub reason: NoiseReason,
    /// Whether it is a readable Parquet file all the same.
    pub parquet: bool,
}

/// What [`noise`] writes.
pub const NOISE: &[Noise] = &[
    Noise {
        path: "_SUCCESS",
        reason: NoiseReason::Hidden,
        parquet: false,
    },
    Noise {
        path: "_metadata",
        reason: NoiseReason::Hidden,
        parquet: true,
    },
    Noise {
        path: ".part-0.parquet.crc",
        reason: NoiseReason::Hidden,
        parquet: false,
    },
    Noise {
        path: "_temporary/0/part-0.parquet",
        reason: NoiseReason::Hidden,
        parquet: true,
    },
    Noise {
        path: ".hive-staging_1/x=1/part-0.parquet",
        reason: NoiseReason::Hidden,
        parquet: true,
    },
    Noise {
        path: "year=1_$folder$",
        reason: NoiseReason::Marker,
        parquet: false,
    },
    Noise {
        path: "empty.parquet",
        reason: NoiseReason::ZeroByte,
        parquet: false,
    },
];

/// Strews files over a lake that are no part of it: [`NOISE`], below `dir`.
pub fn noise(dir: &Path) {
    let rows = batch(vec![(
        "not_a_row",
        Arc::new(Int64Array::from(vec![-1])) as ArrayRef,
    )]);
    let parquet = parquet_bytes(&rows);
    for noise in NOISE {
        let bytes: &[u8] = if noise.parquet { &parquet } else { b"" };
        write_bytes(&dir.join(noise.path), bytes);
    }
}
