use std::path::Path;
use std::sync::Arc;
use std::thread;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use chrono::{Days, NaiveDate};

use super::{Made, Random, batch, parquet_bytes, write_bytes};

/// The elements of the network that the lakes use, most frequent first.
pub const GHCN_ELEMENTS: [&str; 20] = [
    "TMAX", "TMIN", "PRCP", "SNOW", "SNWD", "TAVG", "TOBS", "AWND", "EVAP", "MDPR", "TSUN", "WDF2",
    "WDF5", "WDMV", "WESD", "WESF", "WSF2", "WSF5", "WT01", "WT03",
];

const LAST_YEAR: u32 = 2023;
const YEARS: usize = 274;
/// Lakes of up to this many files have no two files alike.
const DISTINCT_FILES: usize = 1_000;

/// Makes a lake in the shape of NOAA's Global Historical Climatology Network, by year:
/// `YEAR=2023/ELEMENT=TMAX/part-….snappy.parquet`.
///
/// The columns are `ID`, `DATE` (text, `yyyymmdd`), `DATA_VALUE` (64 bits), `M_FLAG`, `Q_FLAG`,
/// `S_FLAG` and `OBS_TIME` (text); `YEAR` and `ELEMENT` are in the path only. There are four files
/// in a partition, and as many years back from 2023 as the number of files needs. In lakes of more
/// than 1,000 files, the same few encoded files of a year serve all its elements, so that making
/// 20,000 files takes seconds.
pub fn ghcn(dir: &Path, files: usize, rows_per_file: usize, seed: u64) -> Made {
    let layout = Layout::new(files);
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut made = Made::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let layout = &layout;
                scope.spawn(move || {
                    let mut made = Made::default();
                    for year in (worker..layout.years).step_by(threads) {
                        made.add(layout.write_year(dir, year, rows_per_file, seed));
                    }
                    made
                })
            })
            .collect();
        for worker in workers {
            made.add(worker.join().unwrap());
        }
    });
    made
}

struct Layout {
    files: usize,
    elements: usize,
    files_per_partition: usize,
    years: usize,
    distinct: bool,
}

impl Layout {
    fn new(files: usize) -> Self {
        let distinct = files <= DISTINCT_FILES;
        let elements = if distinct { 5 } else { GHCN_ELEMENTS.len() };
        let files_per_partition = files.div_ceil(YEARS * elements).max(4);
        Self {
            files,
            elements,
            files_per_partition,
            years: files.div_ceil(elements * files_per_partition),
            distinct,
        }
    }

    fn write_year(&self, dir: &Path, year_index: usize, rows: usize, seed: u64) -> Made {
        let year = LAST_YEAR - u32::try_from(year_index).unwrap();
        let per_year = self.elements * self.files_per_partition;
        let mut left = self.files.saturating_sub(year_index * per_year);
        let mut made = Made::default();
        let mut encoded: Vec<Vec<u8>> = Vec::new();
        for (element_index, element) in GHCN_ELEMENTS.iter().take(self.elements).enumerate() {
            let files = left.min(self.files_per_partition);
            made.partitions += u64::from(files > 0);
            for file in 0..files {
                let parts = [u64::from(year), element_index as u64, file as u64];
                let bytes = if self.distinct {
                    &parquet_bytes(&observations(year, element, rows, seed, &parts))
                } else {
                    if encoded.len() <= file {
                        encoded.push(parquet_bytes(&observations(
                            year, "TMAX", rows, seed, &parts,
                        )));
                    }
                    &encoded[file]
                };
                let mut name = Random::for_parts(seed, &parts);
                let name = format!(
                    "part-{file:05}-{:016x}{:016x}.c000.snappy.parquet",
                    name.next_u64(),
                    name.next_u64()
                );
                write_bytes(
                    &dir.join(format!("YEAR={year}/ELEMENT={element}/{name}")),
                    bytes,
                );
                made.add(Made {
                    files: 1,
                    rows: rows as u64,
                    bytes: bytes.len() as u64,
                    partitions: 0,
                });
            }
            left -= files;
        }
        made
    }
}

fn observations(year: u32, element: &str, rows: usize, seed: u64, parts: &[u64]) -> RecordBatch {
    let mut random = Random::for_parts(seed.wrapping_add(1), parts);
    let first = NaiveDate::from_ymd_opt(i32::try_from(year).unwrap(), 1, 1).unwrap();
    let stations: Vec<String> = (0..8)
        .map(|_| {
            let country = random.pick(&["USW000", "USC00", "CA00", "GME00", "ASN000", "UK0000"]);
            format!(
                "{country}{:0width$}",
                random.below(90_000),
                width = 11 - country.len()
            )
        })
        .collect();
    let mut values: Vec<i64> = Vec::with_capacity(rows);
    let (mut dates, mut measurement, mut quality, mut source, mut times, mut ids) =
        (vec![], vec![], vec![], vec![], vec![], vec![]);
    for row in 0..rows {
        let day = row * 365 / rows.max(1);
        let date = first.checked_add_days(Days::new(day as u64)).unwrap();
        ids.push(stations[row % stations.len()].as_str());
        dates.push(date.format("%Y%m%d").to_string());
        values.push(value(element, day, &mut random));
        measurement.push(random.one_in(20).then(|| *random.pick(&["T", "B", "P"])));
        quality.push(random.one_in(200).then(|| *random.pick(&["D", "I", "S"])));
        source.push(*random.pick(&["7", "W", "0", "E", "a"]));
        times.push(
            random
                .one_in(3)
                .then(|| *random.pick(&["0700", "0800", "1800", "2400"])),
        );
    }
    batch(vec![
        ("ID", Arc::new(StringArray::from(ids))),
        ("DATE", Arc::new(StringArray::from(dates))),
        ("DATA_VALUE", Arc::new(Int64Array::from(values))),
        ("M_FLAG", Arc::new(StringArray::from(measurement))),
        ("Q_FLAG", Arc::new(StringArray::from(quality))),
        ("S_FLAG", Arc::new(StringArray::from(source))),
        ("OBS_TIME", Arc::new(StringArray::from(times))),
    ])
}

/// Temperatures in tenths of a degree with summers and winters; everything else is mostly zero.
fn value(element: &str, day: usize, random: &mut Random) -> i64 {
    let noise = i64::from(random.below(120)) - 60;
    if element.starts_with('T') {
        let season = i64::try_from(day.abs_diff(200)).unwrap();
        260 - season * 2 - if element == "TMIN" { 90 } else { 0 } + noise
    } else if random.one_in(3) {
        i64::from(random.below(400))
    } else {
        0
    }
}
