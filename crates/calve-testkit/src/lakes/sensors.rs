use std::path::Path;
use std::sync::Arc;
use std::thread;

use arrow::array::{Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};

use super::{Made, Random, batch, parquet_bytes, write_bytes};

/// 2024-01-01T00:00:00Z, in microseconds.
const START_US: i64 = 1_704_067_200_000_000;
/// How much later each row is than the one before, on average.
const STEP_US: i64 = 20_000;
/// How many sensors there are.
const SENSORS: u32 = 100_000;
/// What sensors say of themselves, most frequent first.
const STATUS: [&str; 4] = ["OK", "OK", "WARN", "FAIL"];

/// Makes the files that a stream of sensor readings leaves: `part-000000.snappy.parquet` and so on, flat, each with
/// the rows of one moment.
///
/// The columns are `sensorid` (32 bits), `currenttemperature` (32 bits, 120 values), `status` (text, few values) and
/// `date_ts` (microseconds), which grows from file to file and almost from row to row. 58,176 files of 2,400
/// rows are about 2 GB.
pub fn sensors(dir: &Path, files: usize, rows_per_file: usize, seed: u64) -> Made {
    let threads = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut made = Made::default();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                scope.spawn(move || {
                    let mut made = Made::default();
                    for file in (worker..files).step_by(threads) {
                        let bytes = parquet_bytes(&readings(file, rows_per_file, seed));
                        let name = format!("part-{file:06}.snappy.parquet");
                        write_bytes(&dir.join(name), &bytes);
                        made.add(Made {
                            files: 1,
                            rows: rows_per_file as u64,
                            bytes: bytes.len() as u64,
                            partitions: 0,
                        });
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

/// The rows of one file.
fn readings(file: usize, rows: usize, seed: u64) -> RecordBatch {
    let mut random = Random::for_parts(seed, &[file as u64]);
    let first = i64::try_from(file * rows).unwrap();
    let count = i64::try_from(rows).unwrap();
    let number = |value: u32| i32::try_from(value).unwrap();
    let sensors = Int32Array::from_iter_values((0..rows).map(|_| number(random.below(SENSORS))));
    let temperatures =
        Int32Array::from_iter_values((0..rows).map(|_| number(random.below(120)) - 20));
    let status = StringArray::from_iter_values((0..rows).map(|_| *random.pick(&STATUS)));
    let times = (first..first + count).map(|row| {
        let jitter = i64::from(random.below(u32::try_from(2 * STEP_US).unwrap()));
        START_US + row * STEP_US + jitter
    });
    let times = TimestampMicrosecondArray::from_iter_values(times);
    batch(vec![
        ("sensorid", Arc::new(sensors)),
        ("currenttemperature", Arc::new(temperatures)),
        ("status", Arc::new(status)),
        ("date_ts", Arc::new(times)),
    ])
}
