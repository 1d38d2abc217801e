//! The walk of a stream's small files: table, question, compaction, the same question; and compaction beside a bare
//! decode and encode of the same files, and beside Spark.
//!
//! ```text
//! cargo bench -p calve-cli --bench compact -- [walk|encode|spark|memory] [--files N] [--rows N]
//! ```
//!
//! `walk` with `--files 58176 --rows 2400` is the whole stream, 2 GB. `spark` needs Java and makes an environment of
//! its own. Prints Markdown tables as they stand in `BENCHMARKS.md`.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::path::Path;

use calve_testkit::{lakes, python};
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
    let sections = ["walk", "encode", "spark", "memory"];
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

/// Processor time beside that of decoding and encoding the same bytes and nothing else.
fn encode(files: usize, rows: usize) {
    let work = tempfile::tempdir().unwrap();
    let lake = stream(work.path(), files, rows);
    add(work.path(), &lake);
    header("compact beside a bare decode and encode");
    let ours = compact(work.path());
    row("calve compact", files, &ours);
    let bench = std::env::current_exe().unwrap();
    let out = work.path().join("bare.parquet");
    let bare = [
        bench.to_str().unwrap(),
        "re-encode",
        &lake,
        out.to_str().unwrap(),
    ];
    let bare = measure(&bare);
    row("arrow-rs alone, one thread", files, &bare);
    println!(
        "\nRatio of CPU times: {:.2}",
        ours.cpu_seconds / bare.cpu_seconds
    );
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

/// Peak memory at a tenth of the files and at all of them.
fn memory(files: usize, rows: usize) {
    header("compact, peak memory by number of files");
    for count in [files / 10, files] {
        let work = tempfile::tempdir().unwrap();
        let lake = stream(work.path(), count, rows);
        add(work.path(), &lake);
        row(
            "calve compact --memory 256MB",
            count,
            &calve(work.path(), &["--memory", "256MB", "compact", TABLE]),
        );
    }
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
    let uri = format!("uri=sqlite:///{}/calve.db", home.display());
    let warehouse = format!("warehouse={}/warehouse", home.display());
    let mut command = vec![CALVE, "--set", &uri, "--set", &warehouse];
    command.extend(["--output-format", "json", "--no-progress"]);
    command.extend(arguments);
    measure(&command)
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
        let schema = std::sync::Arc::clone(reader.schema());
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
