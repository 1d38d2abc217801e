//! `calve ctas` as a whole process, beside DuckDB's `COPY … PARTITION_BY` of the same rows and, with `--spark`, Spark's
//! CTAS in a warm session.
//!
//! ```text
//! cargo bench -p calve-cli --bench ctas -- [--files N] [--rows N] [--spark]
//! ```
//!
//! All write zstd, with two threads; calve has as much memory as its peer. Prints Markdown tables as they stand in
//! `BENCHMARKS.md`.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::path::Path;

use calve_testkit::{lakes, python};
use serde_json::Value;

const CALVE: &str = env!("CARGO_BIN_EXE_calve");
/// What calve and DuckDB may take.
const MEMORY: &str = "2GB";
/// What calve and Spark may take, which needs that much.
const SPARK_MEMORY: &str = "4GB";

/// What a command cost.
struct Cost {
    wall_seconds: f64,
    cpu_seconds: f64,
    peak_rss_bytes: u64,
    stdout: Value,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |flag: &str, default: usize| {
        let at = arguments.iter().position(|argument| argument == flag);
        at.map_or(default, |at| arguments[at + 1].parse().unwrap())
    };
    let (files, rows) = (number("--files", 100), number("--rows", 100_000));
    let work = tempfile::tempdir().unwrap();
    let lake = work.path().join("lake");
    lakes::ghcn(&lake, files, rows, 7);
    println!(
        "\n### ctas, {files} files of {rows} rows, partitioned by YEAR, ELEMENT\n\n\
         | | rows | wall s | CPU s | rows/s | peak MB |\n|---|---|---|---|---|---|"
    );
    let lake = lake.to_str().unwrap();
    let spark = arguments.iter().any(|argument| argument == "--spark");
    compare(work.path(), lake, "sorted", "ID, DATE");
    compare(work.path(), lake, "not sorted", "");
    if spark {
        beside_spark(work.path(), lake);
    }
}

/// Ours beside theirs.
fn compare(work: &Path, lake: &str, name: &str, order: &str) {
    let ours = ours(&work.join(format!("ours {name}")), lake, order, MEMORY);
    let count = &ours.stdout["added_records_count"];
    row(&format!("calve ctas, {name}"), count, &ours);
    let theirs = theirs(&work.join(format!("theirs {name}")), lake, order);
    assert_eq!(theirs.stdout, *count);
    row(&format!("DuckDB COPY, {name}"), count, &theirs);
    println!(
        "\nRatio of wall times, {name}: {:.2}\n",
        ours.wall_seconds / theirs.wall_seconds
    );
}

/// The sorted rewrite beside Spark's, turn by turn: a process of calve's, and the call in a warm session.
fn beside_spark(work: &Path, lake: &str) {
    const ROUNDS: usize = 5;
    let order = "ID, DATE";
    let script = python::scripts().join("peer_ctas.py");
    let interpreter = python::spark_interpreter();
    println!("\n| | calve s | Spark s | ratio |\n|---|---|---|---|");
    let ratios = (1..=ROUNDS).map(|round| {
        let home = work.join(format!("round {round}"));
        let ours = ours(&home, lake, order, SPARK_MEMORY);
        fs_err::remove_dir_all(home).unwrap();
        let theirs = measure(&[
            interpreter.to_str().unwrap(),
            script.to_str().unwrap(),
            lake,
            order,
        ]);
        assert_eq!(theirs.stdout["rows"], ours.stdout["added_records_count"]);
        let theirs = theirs.stdout["wall_seconds"].as_f64().unwrap();
        let ours = ours.wall_seconds;
        let ratio = ours / theirs;
        println!("| {round} | {ours:.2} | {theirs:.2} | {ratio:.2} |");
        ratio
    });
    let mut ratios: Vec<f64> = ratios.collect();
    ratios.sort_by(f64::total_cmp);
    println!("\nMedian of the ratios: {:.2}", ratios[ROUNDS / 2]);
}

fn ours(home: &Path, lake: &str, order: &str, memory: &str) -> Cost {
    fs_err::create_dir_all(home).unwrap();
    let uri = format!("uri=sqlite:///{}/calve.db", home.display());
    let warehouse = format!("warehouse={}/warehouse", home.display());
    let spill = home.display().to_string();
    let mut command = vec![CALVE, "--set", &uri, "--set", &warehouse];
    command.extend([
        "--memory",
        memory,
        "--concurrency",
        "2",
        "--spill-dir",
        &spill,
    ]);
    command.extend(["--output-format", "json", "--no-progress", "ctas", lake]);
    command.extend(["--table", "noaa.ghcn", "--partition-by", "YEAR, ELEMENT"]);
    if !order.is_empty() {
        command.extend(["--sort-by", order]);
    }
    measure(&command)
}

fn theirs(home: &Path, lake: &str, order: &str) -> Cost {
    fs_err::create_dir_all(home).unwrap();
    let script = python::scripts().join("peer_copy.py");
    let interpreter = python::interpreter();
    let out = home.join("out");
    let order = if order.is_empty() {
        String::new()
    } else {
        format!("YEAR, ELEMENT, {order}")
    };
    measure(&[
        interpreter.to_str().unwrap(),
        script.to_str().unwrap(),
        lake,
        out.to_str().unwrap(),
        &order,
        MEMORY,
        home.to_str().unwrap(),
    ])
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

fn row(name: &str, rows: &Value, cost: &Cost) {
    let count = rows.as_f64().unwrap();
    println!(
        "| {name} | {rows} | {:.2} | {:.2} | {:.0} | {} |",
        cost.wall_seconds,
        cost.cpu_seconds,
        count / cost.wall_seconds,
        cost.peak_rss_bytes / 1_000_000,
    );
}
