//! The walk of a stream's small files: table, question, compaction, the same question; and compaction beside a bare
//! decode and encode of the same files, and beside Spark.
//!
//! ```text
//! cargo bench -p calve-cli --bench compact -- [walk|encode|spark|memory|s3|copy|threshold|expire] [--files N] [--rows N]
//! ```
//!
//! `walk` with `--files 58176 --rows 2400` is the whole stream, 2 GB. `spark` needs Java and makes an environment of
//! its own. Prints Markdown tables as they stand in `BENCHMARKS.md`.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{Field, Schema};

use calve::base::Location;
use calve::iceberg::spec::{DataContentType, DataFileBuilder, DataFileFormat, Struct};
use calve::table::{Append, ManifestRoller, ReplaceFiles, Transaction, new_snapshot_id};
use calve_testkit::{lakes, python, s3};
use futures::StreamExt;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde_json::Value;

const CALVE: &str = env!("CARGO_BIN_EXE_calve");
const TABLE: &str = "iot.readings";
const QUESTION: &str = "SELECT status, count(*) AS n, avg(currenttemperature) AS mean, max(date_ts) AS latest \
                        FROM iot.readings GROUP BY status ORDER BY status";
/// How many rows are decoded at a time where nothing else is done.
const BATCH_ROWS: usize = 8192;

/// What a command cost.
struct Cost {
    wall_seconds: f64,
    cpu_seconds: f64,
    peak_rss_bytes: u64,
    stdout: Value,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, from, to] = arguments.as_slice()
        && word == "re-encode"
    {
        re_encode(Path::new(from), Path::new(to));
        return;
    }
    let number = |flag: &str, default: usize| {
        let at = arguments.iter().position(|argument| argument == flag);
        at.map_or(default, |at| arguments[at + 1].parse().unwrap())
    };
    let (files, rows) = (number("--files", 5_000), number("--rows", 1_000));
    let sections = [
        "walk",
        "encode",
        "spark",
        "memory",
        "s3",
        "copy",
        "threshold",
        "expire",
    ];
    let named: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let named: Vec<&str> = named
        .into_iter()
        .filter(|it| sections.contains(it))
        .collect();
    let wanted = |section: &str| named.is_empty() || named.contains(&section);
    if wanted("walk") {
        walk(files, rows);
    }
    if wanted("encode") {
        encode(files, rows);
    }
    if wanted("spark") {
        spark(files, rows);
    }
    if wanted("memory") {
        memory(files, rows);
    }
    if wanted("s3") {
        s3(files, rows);
    }
    if wanted("copy") {
        copy(number("--large-files", 50), number("--megabytes", 100));
    }
    if wanted("threshold") {
        threshold(number("--megabytes", 256));
    }
    if wanted("expire") {
        expire(number("--snapshots", 1_000), number("--per-snapshot", 100));
    }
}

/// Every step of the walk.
fn walk(files: usize, rows: usize) {
    let work = tempfile::tempdir().unwrap();
    let lake = stream(work.path(), files, rows);
    header(&format!(
        "A stream's files, step by step: {files} files of {rows} rows"
    ));
    row("calve add-files", files, &add(work.path(), &lake));
    let question = calve(work.path(), &["sql", QUESTION]);
    row("question", files, &question);
    let compaction = compact(work.path());
    row("calve compact", files, &compaction);
    let added = &compaction.stdout["added_data_files_count"];
    let added = usize::try_from(added.as_u64().unwrap()).unwrap();
    let again = calve(work.path(), &["sql", QUESTION]);
    assert_eq!(again.stdout, question.stdout);
    row("the same question", added, &again);
    println!(
        "\n{} MB became {} MB; the question takes {:.1} times less.",
        compaction.stdout["rewritten_bytes_count"].as_u64().unwrap() / 1_000_000,
        compaction.stdout["added_bytes_count"].as_u64().unwrap() / 1_000_000,
        question.wall_seconds / again.wall_seconds
    );
}

/// Processor time beside that of decoding and encoding the same bytes and nothing else: each on one processor, turn
/// by turn. Where a machine is shared, single runs differ by a third; what counts is the median of the ratios.
fn encode(files: usize, rows: usize) {
    const ROUNDS: usize = 11;
    const ONE_PROCESSOR: [&str; 3] = ["taskset", "-c", "0"];
    header(&format!(
        "compact beside a bare decode and encode, one processor, median of {ROUNDS} rounds"
    ));
    let bench = std::env::current_exe().unwrap();
    let rounds = (0..ROUNDS).map(|round| {
        let work = tempfile::tempdir().unwrap();
        let lake = stream(work.path(), files, rows);
        add(work.path(), &lake);
        let out = work.path().join("bare.parquet");
        let bare = [
            bench.to_str().unwrap(),
            "re-encode",
            &lake,
            out.to_str().unwrap(),
        ];
        let ours = command(work.path(), &["compact", TABLE]);
        let ours: Vec<&str> = ours.iter().map(String::as_str).collect();
        let ours = || measure(&[&ONE_PROCESSOR[..], &ours].concat());
        let bare = || measure(&[&ONE_PROCESSOR[..], &bare].concat());
        // Who begins takes turns.
        if round % 2 == 0 {
            let bare = bare();
            (ours(), bare)
        } else {
            (ours(), bare())
        }
    });
    let (ours, bare): (Vec<Cost>, Vec<Cost>) = rounds.unzip();
    let ratios = ours.iter().zip(&bare);
    let ratios = ratios.map(|(ours, bare)| ours.cpu_seconds / bare.cpu_seconds);
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    row("calve compact", files, &median(ours));
    row("arrow-rs alone", files, &median(bare));
    println!(
        "\nRatio of CPU times: {:.2} ({:.2} to {:.2})",
        ratios[ROUNDS / 2],
        ratios[0],
        ratios[ROUNDS - 1]
    );
}

/// The run in the middle, by processor time.
fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by(|left, right| left.cpu_seconds.total_cmp(&right.cpu_seconds));
    let middle = costs.len() / 2;
    costs.swap_remove(middle)
}

/// The same table rewritten by Spark, in a session that is warm.
fn spark(files: usize, rows: usize) {
    let work = tempfile::tempdir().unwrap();
    let lake = stream(work.path(), files, rows);
    add(work.path(), &lake);
    let shown = calve(work.path(), &["show", TABLE]);
    let metadata = shown.stdout["metadata_location"].as_str().unwrap();
    let interpreter = python::spark_interpreter();
    let script = python::scripts().join("peer_rewrite.py");
    let theirs = measure(&[
        interpreter.to_str().unwrap(),
        script.to_str().unwrap(),
        metadata,
    ]);
    assert_eq!(theirs.stdout["rewritten"], files);
    let ours = compact(work.path());
    let theirs = theirs.stdout["wall_seconds"].as_f64().unwrap();
    println!(
        "\n### compact beside Spark's rewrite_data_files: {files} files of {rows} rows\n\n\
         calve {:.2} s, the whole process; Spark {theirs:.2} s, the call in a warm session. Ratio: {:.1}",
        ours.wall_seconds,
        theirs / ours.wall_seconds
    );
}

/// Peak memory with a tenth of the files, with a tenth of them that have all the rows, and with all of them.
fn memory(files: usize, rows: usize) {
    header("compact, peak memory by number of files");
    for (count, rows) in [(files / 10, rows), (files / 10, rows * 10), (files, rows)] {
        let work = tempfile::tempdir().unwrap();
        let lake = stream(work.path(), count, rows);
        add(work.path(), &lake);
        row(
            &format!("calve compact --memory 256MB, {rows} rows a file"),
            count,
            &calve(work.path(), &["--memory", "256MB", "compact", TABLE]),
        );
    }
}

/// The stream's files on a server that answers late.
fn s3(files: usize, rows: usize) {
    const LATENCY_MS: u64 = 30;
    /// How many files are read at once unless told otherwise.
    const CONCURRENCY: f64 = 128.0;
    let work = tempfile::tempdir().unwrap();
    let server = s3::S3Server::with_buckets(&["lake"]);
    lakes::sensors(&server.root().join("lake/in"), files, rows, 58_176);
    let pairs = server.properties();
    let pairs = pairs.iter().map(|(key, value)| format!("{key}={value}"));
    let pairs: Vec<String> = pairs.collect();
    let mut settings = vec!["--set", "warehouse=s3://lake/warehouse"];
    for pair in &pairs {
        settings.extend(["--set", pair]);
    }
    let run = |command: &[&str]| calve(work.path(), &[settings.as_slice(), command].concat());
    run(&["add-files", "s3://lake/in", "--table", TABLE]);
    header(&format!(
        "compact on S3, {LATENCY_MS} ms added to each request"
    ));
    server.forget_requests();
    server.set_latency(std::time::Duration::from_millis(LATENCY_MS));
    let before = cpu_seconds();
    let ours = run(&["compact", TABLE]);
    let served = cpu_seconds() - before;
    row("calve compact", files, &ours);
    let requests = server.requests().len();
    #[expect(clippy::cast_precision_loss, reason = "printed with two decimals")]
    let limit = requests as f64 * LATENCY_MS as f64 / 1000.0 / CONCURRENCY;
    println!(
        "\n{requests} requests, at most {} at once. Requests take {limit:.2} s at least, calve's CPU time is {:.2} s: wall \
         time is {:.2} of the larger one. The server took {served:.2} s of CPU time on the same 2 cores.",
        server.most_concurrent(),
        ours.cpu_seconds,
        ours.wall_seconds / limit.max(ours.cpu_seconds)
    );
}

/// The processor time of this process.
fn cpu_seconds() -> f64 {
    let stat = fs_err::read_to_string("/proc/self/stat").unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let mut ticks = fields.split_whitespace().skip(11).take(2);
    let mut next = || ticks.next().unwrap().parse::<f64>().unwrap();
    (next() + next()) / 100.0
}

/// Large files put together as they are, and the same ones decoded and encoded.
fn copy(files: usize, megabytes: usize) {
    header(&format!("{files} files of {megabytes} MB put together"));
    let copied = large(files, megabytes, &["compact", TABLE]);
    assert_eq!(copied.stdout["copied_data_files_count"], files);
    row("calve compact, row groups copied", files, &copied);
    let off = ["compact", TABLE, "--option", "row-group-copy.enabled=false"];
    let encoded = large(files, megabytes, &off);
    assert_eq!(encoded.stdout["copied_data_files_count"], 0);
    row("calve compact, rows encoded anew", files, &encoded);
    println!(
        "\nCopying is {:.1} times as fast, and takes {:.1} times less CPU time.",
        encoded.wall_seconds / copied.wall_seconds,
        encoded.cpu_seconds / copied.cpu_seconds
    );
}

/// What copying costs and what it leaves to be scanned, by the size of row groups.
fn threshold(megabytes: usize) {
    println!("\n### Copying row groups of several sizes, {megabytes} MB in all\n");
    println!(
        "| row group, MB | copy, CPU s | encode, CPU s | scan after copy, CPU s | scan after encode, CPU s |\n\
         |---|---|---|---|---|"
    );
    for size in [1, 2, 4, 8, 16, 32] {
        let files = megabytes / size;
        let least = ["--option", "row-group-copy.min-row-group-bytes=1"];
        let copied = large_then_scan(files, size, &least);
        let off = ["--option", "row-group-copy.enabled=false"];
        let encoded = large_then_scan(files, size, &off);
        println!(
            "| {size} | {:.2} | {:.2} | {:.2} | {:.2} |",
            copied.0, encoded.0, copied.1, encoded.1
        );
    }
}

/// CPU times of a compaction with these options and of a scan of all columns after it.
fn large_then_scan(files: usize, megabytes: usize, options: &[&str]) -> (f64, f64) {
    let work = tempfile::tempdir().unwrap();
    let lake = large_lake(work.path(), files, megabytes);
    add(work.path(), &lake);
    let compact = [&["compact", TABLE], options].concat();
    let compaction = calve(work.path(), &compact).cpu_seconds;
    let scan = "SELECT max(sensorid), max(currenttemperature), max(status), max(date_ts), max(reading) FROM iot.readings \
                WHERE reading >= 0";
    (compaction, calve(work.path(), &["sql", scan]).cpu_seconds)
}

fn large(files: usize, megabytes: usize, command: &[&str]) -> Cost {
    let work = tempfile::tempdir().unwrap();
    let lake = large_lake(work.path(), files, megabytes);
    add(work.path(), &lake);
    calve(work.path(), command)
}

/// Files of one row group of about that size each, as the table's own writer makes them.
fn large_lake(work: &Path, files: usize, megabytes: usize) -> String {
    let lake = work.join("lake");
    fs_err::create_dir_all(&lake).unwrap();
    let first = lake.join("part-0000.parquet");
    write_large(&first, megabytes * 1_000_000);
    for file in 1..files {
        fs_err::copy(&first, lake.join(format!("part-{file:04}.parquet"))).unwrap();
    }
    lake.to_str().unwrap().to_owned()
}

/// One row group of readings, with the field ids that a table made of it has.
fn write_large(path: &Path, bytes: usize) {
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut batch = || {
        let numbers: Vec<u64> = (0..65_536).map(|_| next()).collect();
        let small = |most: u64| {
            let values = numbers.iter().map(|it| i32::try_from(it % most).unwrap());
            Int32Array::from_iter_values(values)
        };
        #[expect(clippy::cast_precision_loss, reason = "any number will do")]
        let readings = numbers.iter().map(|it| *it as f64);
        let status = ["OK", "WARN", "FAIL"];
        let status = numbers
            .iter()
            .map(|it| status[usize::try_from(it % 3).unwrap()]);
        let times = numbers
            .iter()
            .map(|it| i64::try_from(it % (1 << 50)).unwrap());
        let columns: [(&str, ArrayRef); 5] = [
            ("sensorid", Arc::new(small(100_000))),
            ("currenttemperature", Arc::new(small(120))),
            ("status", Arc::new(StringArray::from_iter_values(status))),
            (
                "date_ts",
                Arc::new(TimestampMicrosecondArray::from_iter_values(times)),
            ),
            (
                "reading",
                Arc::new(Float64Array::from_iter_values(readings)),
            ),
        ];
        let fields = columns.iter().enumerate().map(|(at, (name, values))| {
            let id = [("PARQUET:field_id".to_owned(), (at + 1).to_string())];
            Field::new(*name, values.data_type().clone(), true).with_metadata(id.into())
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        RecordBatch::try_new(schema, columns.map(|(_, values)| values).to_vec()).unwrap()
    };
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(None)
        .build();
    let file = fs_err::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch().schema(), Some(properties)).unwrap();
    while writer.in_progress_size() < bytes {
        writer.write(&batch()).unwrap();
    }
    writer.close().unwrap();
}

/// A table of many snapshots, half of of whose files are gone.
fn expire(snapshots: usize, per_snapshot: usize) {
    header(&format!(
        "expire-snapshots: {snapshots} snapshots of {per_snapshot} files each, half of all files removed again"
    ));
    for count in [snapshots / 10, snapshots] {
        let work = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(history(work.path(), count, per_snapshot));
        let command = ["expire-snapshots", TABLE, "--older-than", "0s"];
        let cost = calve(work.path(), &command);
        let deleted = cost.stdout["deleted_data_files_count"].as_u64().unwrap();
        assert_eq!(deleted, (count * per_snapshot / 2) as u64);
        row("calve expire-snapshots", count * per_snapshot, &cost);
    }
}

/// Appends so many times, then removes the files of every other append.
async fn history(home: &Path, snapshots: usize, per_snapshot: usize) {
    let uri = format!("sqlite:///{}/calve.db", home.display());
    let warehouse = format!("{}/warehouse", home.display());
    let properties = [("type", "sql"), ("uri", &uri), ("warehouse", &warehouse)];
    let properties = properties.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let catalog = calve::catalog::open("default", properties.into()).await;
    let catalog = catalog.unwrap();
    let rows = lakes::batch(vec![("id", Arc::new(Int64Array::from(vec![1])) as _)]);
    let ident: calve::base::TableIdent = TABLE.parse().unwrap();
    let (schema, rows) = (rows.schema(), futures::stream::iter([Ok(rows)]).boxed());
    calve::Ingest::new(Arc::clone(&catalog), ident.clone(), schema, rows)
        .await
        .unwrap();
    let mut removed = Vec::new();
    for snapshot in 0..snapshots {
        let table = catalog.load_table(&ident).await.unwrap();
        let id = new_snapshot_id();
        let mut roller = ManifestRoller::new(table.storage(), table.metadata(), id).unwrap();
        for file in 0..per_snapshot {
            let path = home.join(format!("warehouse/data/{snapshot:05}-{file:05}.parquet"));
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(&path, "rows").unwrap();
            let location = Location::parse(path.to_str().unwrap()).unwrap();
            let mut builder = DataFileBuilder::default();
            builder
                .content(DataContentType::Data)
                .file_path(location.canonical())
                .file_format(DataFileFormat::Parquet)
                .partition(Struct::empty())
                .record_count(1)
                .file_size_in_bytes(4);
            roller.add(builder.build().unwrap()).await.unwrap();
            if snapshot % 2 == 0 {
                removed.push(location);
            }
        }
        let append = Append::new(id, roller.finish().await.unwrap());
        let transaction = Transaction::new(Arc::clone(&catalog), table);
        transaction.with_snapshot(append).await.unwrap();
    }
    let table = catalog.load_table(&ident).await.unwrap();
    let id = new_snapshot_id();
    let roller = ManifestRoller::new(table.storage(), table.metadata(), id).unwrap();
    let replace = ReplaceFiles::new(id, removed, roller.finish().await.unwrap());
    let transaction = Transaction::new(Arc::clone(&catalog), table);
    transaction.with_snapshot(replace).await.unwrap();
}

fn stream(work: &Path, files: usize, rows: usize) -> String {
    let lake = work.join("lake");
    lakes::sensors(&lake, files, rows, 58_176);
    lake.to_str().unwrap().to_owned()
}

fn add(work: &Path, lake: &str) -> Cost {
    calve(work, &["add-files", lake, "--table", TABLE])
}

fn compact(work: &Path) -> Cost {
    calve(work, &["compact", TABLE])
}

/// Runs calve against a SQLite catalog in `home`.
fn calve(home: &Path, arguments: &[&str]) -> Cost {
    let command = command(home, arguments);
    measure(&command.iter().map(String::as_str).collect::<Vec<_>>())
}

fn command(home: &Path, arguments: &[&str]) -> Vec<String> {
    let home = home.display();
    let uri = format!("uri=sqlite:///{home}/calve.db");
    let warehouse = format!("warehouse={home}/warehouse");
    let fixed = [CALVE, "--set", &uri, "--set", &warehouse];
    let format = ["--output-format", "json", "--no-progress"];
    let command = fixed.iter().chain(&format).chain(arguments);
    command.map(|word| (*word).to_owned()).collect()
}

/// Runs a command to its end.
fn measure(command: &[&str]) -> Cost {
    let measured = python::run_file("measure.py", command);
    assert_eq!(measured["exit"], 0, "{command:?}: {}", measured["stderr"]);
    Cost {
        wall_seconds: measured["wall_seconds"].as_f64().unwrap(),
        cpu_seconds: measured["cpu_seconds"].as_f64().unwrap(),
        peak_rss_bytes: measured["peak_rss_bytes"].as_u64().unwrap(),
        stdout: serde_json::from_str(measured["stdout"].as_str().unwrap()).unwrap_or_default(),
    }
}

/// Decodes all files of a folder and encodes their rows as one, as Iceberg's writers do by default.
fn re_encode(from: &Path, to: &Path) {
    let mut paths: Vec<_> = fs_err::read_dir(from)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer = None;
    for path in paths {
        let bytes = bytes::Bytes::from(fs_err::read(path).unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        let schema = Arc::clone(reader.schema());
        let writer = writer.get_or_insert_with(|| {
            let file = fs_err::File::create(to).unwrap();
            ArrowWriter::try_new(file, schema, Some(properties.clone())).unwrap()
        });
        for batch in reader.with_batch_size(BATCH_ROWS).build().unwrap() {
            writer.write(&batch.unwrap()).unwrap();
        }
    }
    writer.unwrap().close().unwrap();
    println!("null");
}

fn header(title: &str) {
    println!(
        "\n### {title}\n\n| | files | wall s | CPU s | files/s | peak MB |\n|---|---|---|---|---|---|"
    );
}

fn row(name: &str, files: usize, cost: &Cost) {
    #[expect(clippy::cast_precision_loss, reason = "printed without decimals")]
    let rate = files as f64 / cost.wall_seconds;
    println!(
        "| {name} | {files} | {:.2} | {:.2} | {rate:.0} | {} |",
        cost.wall_seconds,
        cost.cpu_seconds,
        cost.peak_rss_bytes / 1_000_000,
    );
}
