//! `verify --level rows` beside what DataFusion takes to decode all columns of both sides.
//!
//! ```text
//! cargo bench --workspace --bench rows -- [--rows 10000000]
//! ```
//!
//! Prints one Markdown table, as it stands in `BENCHMARKS.md`. A last line has one changed cell.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use calve_base::{Location, Properties};
use calve_catalog::Catalog;
use calve_lake::{Lake, LakeOptions, Source};
use calve_migrate::AddFiles;
use calve_query::{LakeFormat, Session, SessionOptions, lake_provider, table_provider};
use calve_testkit::lakes;
use calve_verify::{Level, Report, Verify, VerifySource};
use datafusion::catalog::TableProvider;
use futures::TryStreamExt;

/// How often each is measured, turn by turn; the best counts.
const ROUNDS: usize = 7;

/// How many files the rows lie in, each in a partition of its own.
const FILES: i64 = 10;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let rows = arguments
        .iter()
        .position(|it| it == "--rows")
        .map_or(10_000_000, |at| arguments[at + 1].parse::<i64>().unwrap());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(run(rows));
}

async fn run(rows: i64) {
    let work = tempfile::tempdir().unwrap();
    let (lake, changed) = (work.path().join("lake"), work.path().join("changed"));
    for file in 0..FILES {
        let name = format!("part={file}/part-0.parquet");
        let (start, end) = (file * rows / FILES, (file + 1) * rows / FILES);
        lakes::write_parquet(&lake.join(&name), &batch(start, end, None));
        let cell = (file == 3).then_some(start + 17);
        lakes::write_parquet(&changed.join(&name), &batch(start, end, cell));
    }
    let path = work.path().display();
    let properties = Properties::from([
        ("uri".to_owned(), format!("sqlite:///{path}/calve.db")),
        ("warehouse".to_owned(), format!("{path}/warehouse")),
    ]);
    let catalog = calve_catalog::open("default", properties).await.unwrap();
    AddFiles::new(Arc::clone(&catalog), source(&lake), "db.t".parse().unwrap())
        .await
        .unwrap();

    println!("| | rows | seconds | of the scan |\n|---|---|---|---|");
    let mut best = [Duration::MAX; 3];
    for _ in 0..ROUNDS {
        let (scan, read) = timed(scan(&catalog, &lake)).await;
        assert_eq!(read, 2 * rows.unsigned_abs());
        let (equal, report) = timed(verify(&catalog, &lake)).await;
        assert!(report.equal);
        let (found, report) = timed(verify(&catalog, &changed)).await;
        let found_rows = report.row_differences.unwrap();
        assert_eq!((found_rows.changed, found_rows.rows.len()), (1, 1));
        for (best, time) in best.iter_mut().zip([scan, equal, found]) {
            *best = time.min(*best);
        }
    }
    let [scan, equal, found] = best;
    let decoded = "DataFusion decodes all columns of both sides";
    line(decoded, rows, scan, scan);
    line("`verify --level rows`, equal", rows, equal, scan);
    line("`verify --level rows`, one cell changed", rows, found, scan);
}

fn line(what: &str, rows: i64, time: Duration, scan: Duration) {
    let seconds = time.as_secs_f64();
    println!(
        "| {what} | {rows} | {seconds:.2} | {:.2} |",
        seconds / scan.as_secs_f64()
    );
}

async fn timed<T>(work: impl Future<Output = T>) -> (Duration, T) {
    let started = Instant::now();
    let done = work.await;
    (started.elapsed(), done)
}

fn source(lake: &Path) -> Source {
    Source::Location(Location::parse(lake.to_str().unwrap()).unwrap())
}

async fn verify(catalog: &Arc<dyn Catalog>, lake: &Path) -> Report {
    let source = VerifySource::Lake {
        source: source(lake),
        options: Box::default(),
        format: LakeFormat::Parquet,
    };
    Verify::new(Arc::clone(catalog), source, "db.t".parse().unwrap())
        .with_level(Level::Rows)
        .await
        .unwrap()
}

/// Reads both sides at once, as verification does, and counts their rows.
async fn scan(catalog: &Arc<dyn Catalog>, lake: &Path) -> u64 {
    let session = Session::new(Arc::clone(catalog), SessionOptions::default()).unwrap();
    let lake = Lake::open(catalog.storage(), source(lake), LakeOptions::default())
        .await
        .unwrap();
    let lake: Arc<dyn TableProvider> = Arc::new(lake_provider(&lake).await.unwrap());
    let table = catalog.load_table(&"db.t".parse().unwrap()).await.unwrap();
    let table: Arc<dyn TableProvider> = Arc::new(table_provider(&table).unwrap());
    let count = |provider: Arc<dyn TableProvider>| {
        let rows = session.context().read_table(provider).unwrap();
        async move {
            let streams = rows.execute_stream_partitioned().await.unwrap();
            let counts = streams.into_iter().map(|stream| {
                tokio::spawn(stream.try_fold(0, |all, batch| async move {
                    Ok(all + batch.num_rows() as u64)
                }))
            });
            let mut all = 0;
            for count in counts.collect::<Vec<_>>() {
                all += count.await.unwrap().unwrap();
            }
            all
        }
    };
    let (one, other) = tokio::join!(count(lake), count(table));
    one + other
}

/// Rows of eight columns: numbers, texts of few and of many values, times.
#[expect(clippy::cast_precision_loss, reason = "made-up values")]
fn batch(start: i64, end: i64, changed: Option<i64>) -> RecordBatch {
    let mixed = |id: i64| id.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed());
    let ids = || start..end;
    let amounts: Decimal128Array = ids()
        .map(|id| Some(i128::from(mixed(id) % 1_000_000)))
        .collect();
    let names: StringArray = ids()
        .map(|id| match changed {
            Some(cell) if cell == id => Some("changed".to_owned()),
            _ => Some(format!("name {:x}", mixed(id).unsigned_abs() % (1 << 32))),
        })
        .collect();
    let countries = ["AT", "BR", "DE", "FR", "IN", "JP", "KE", "US"];
    let columns: [(&str, ArrayRef); 8] = [
        ("id", Arc::new(Int64Array::from_iter_values(ids()))),
        (
            "amount",
            Arc::new(amounts.with_precision_and_scale(12, 2).unwrap()),
        ),
        (
            "score",
            Arc::new(Float64Array::from_iter_values(
                ids().map(|id| mixed(id) as f64),
            )),
        ),
        ("name", Arc::new(names)),
        (
            "country",
            Arc::new(StringArray::from_iter_values(
                ids().map(|id| countries[(mixed(id).unsigned_abs() % 8) as usize]),
            )),
        ),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from_iter_values(
                ids().map(|id| 1_700_000_000_000_000 + id * 1_000),
            )),
        ),
        (
            "day",
            Arc::new(Date32Array::from_iter_values(
                ids().map(|id| (id % 20_000) as i32),
            )),
        ),
        (
            "flag",
            Arc::new(
                ids()
                    .map(|id| (id % 11 != 0).then_some(id % 3 == 0))
                    .collect::<BooleanArray>(),
            ),
        ),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}
