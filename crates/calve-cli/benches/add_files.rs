//! `calve add-files` as a whole process, beside PyIceberg on the same files in the same run.
//!
//! ```text
//! cargo bench -p calve-cli --bench add_files -- [ghcn|memory|s3|duplicates|unchanged] [--files N]
//! ```
//!
//! Prints one Markdown table for each section, as they stand in `BENCHMARKS.md`.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::path::Path;
use std::time::{Duration, Instant};

use calve::base::Location;
use calve::lake::footer::read_footers;
use calve::lake::{Lake, LakeEntry, LakeOptions, Source};
use calve::storage::Storage;
use calve_testkit::{lakes, python, s3};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

const CALVE: &str = env!("CARGO_BIN_EXE_calve");

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    let files = arguments
        .iter()
        .position(|a| a == "--files")
        .map_or(20_000, |at| arguments[at + 1].parse::<usize>().unwrap());
    let named: Vec<&str> = arguments
        .iter()
        .map(String::as_str)
        .filter(|a| ["ghcn", "memory", "s3", "duplicates", "unchanged"].contains(a))
        .collect();
    let wanted = |section: &str| named.is_empty() || named.contains(&section);
    let work = tempfile::tempdir().unwrap();
    if wanted("ghcn") {
        ghcn(work.path(), files);
    }
    if wanted("memory") {
        memory(work.path(), files);
    }
    if wanted("duplicates") {
        duplicates(work.path(), files);
    }
    if wanted("unchanged") {
        unchanged(work.path(), files);
    }
    if wanted("s3") {
        s3_footers(files.min(2_000));
    }
}

/// What a command cost.
struct Cost {
    wall_seconds: f64,
    cpu_seconds: f64,
    peak_rss_bytes: u64,
    stdout: Value,
}

/// Runs a command to its end in a folder of its own.
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

/// Runs `calve add-files` against a SQLite catalog in `home`.
fn add_files(home: &Path, source: &str, table: &str, more: &[&str]) -> Cost {
    let command = ["add-files", source, "--table", table];
    calve(home, &[&command, more].concat())
}

/// Runs calve against a SQLite catalog in `home`.
fn calve(home: &Path, arguments: &[&str]) -> Cost {
    fs_err::create_dir_all(home).unwrap();
    let uri = format!("uri=sqlite:///{}/calve.db", home.display());
    let warehouse = format!("warehouse={}/warehouse", home.display());
    let mut command = vec![CALVE, "--set", &uri, "--set", &warehouse];
    command.extend(["--output-format", "json", "--no-progress"]);
    command.extend(arguments);
    measure(&command)
}

fn row(name: &str, files: usize, cost: &Cost) {
    #[expect(clippy::cast_precision_loss, reason = "printed with one decimal")]
    let rate = files as f64 / cost.wall_seconds;
    println!(
        "| {name} | {files} | {:.2} | {:.2} | {rate:.0} | {} |",
        cost.wall_seconds,
        cost.cpu_seconds,
        cost.peak_rss_bytes / 1_000_000,
    );
}

fn header(title: &str) {
    println!(
        "\n### {title}\n\n| | files | wall s | CPU s | files/s | peak MB |\n|---|---|---|---|---|---|"
    );
}

/// The main job beside its peer.
fn ghcn(work: &Path, files: usize) {
    let lake = lake(work, files);
    header("add-files, local disk");
    let ours = add_files(&work.join("ghcn-ours"), &lake, "noaa.ghcn", &[]);
    assert_eq!(ours.stdout["added_files_count"], files);
    row("calve add-files", files, &ours);
    let peer_work = work.join("ghcn-peer");
    let script = python::scripts().join("peer_add_files.py");
    let interpreter = python::interpreter();
    let peer = measure(&[
        interpreter.to_str().unwrap(),
        script.to_str().unwrap(),
        &lake,
        peer_work.to_str().unwrap(),
    ]);
    row("PyIceberg Table.add_files", files, &peer);
    println!(
        "\nRatio of wall times: {:.1}",
        peer.wall_seconds / ours.wall_seconds
    );
}

/// Peak memory at a tenth of the files and at all of them.
fn memory(work: &Path, files: usize) {
    header("add-files, peak memory by number of files");
    let mut peaks = Vec::new();
    for count in [files / 10, files] {
        let lake = lake(work, count);
        let cost = add_files(
            &work.join(format!("memory-{count}")),
            &lake,
            "noaa.ghcn",
            &[],
        );
        row("calve add-files", count, &cost);
        peaks.push(cost.peak_rss_bytes);
    }
    #[expect(clippy::cast_precision_loss, reason = "printed with two decimals")]
    let ratio = peaks[1] as f64 / peaks[0] as f64;
    println!("\nRatio of peaks: {ratio:.2}");
}

/// What the duplicate check costs: 100 files into a table that has 100,000 (or five times `files`).
fn duplicates(work: &Path, files: usize) {
    let rounds = 5;
    let home = work.join("duplicates");
    header(&format!(
        "add-files of 100 files into a table that has {}",
        files * rounds
    ));
    let lake = lake(work, files);
    for round in 0..rounds {
        let more: &[&str] = if round == 0 {
            &[]
        } else {
            &["--no-check-duplicates"]
        };
        add_files(&home, &lake, "noaa.ghcn", more);
    }
    let few = work.join("lake-few");
    lakes::ghcn(&few, 100, 20, 99);
    let few = few.to_str().unwrap();
    let unchecked = add_files(
        &home,
        few,
        "noaa.ghcn",
        &["--no-check-duplicates", "--dry-run"],
    );
    row("without the check (dry run)", 100, &unchecked);
    let checked = add_files(&home, few, "noaa.ghcn", &["--dry-run"]);
    row("with the check (dry run)", 100, &checked);
    println!(
        "\nCPU of the check: {:.2} s",
        checked.cpu_seconds - unchecked.cpu_seconds
    );
}

/// `assess` and `sync` of files that are as they were: a listing each, and no footer.
fn unchanged(work: &Path, files: usize) {
    let home = work.join("unchanged");
    let lake = lake(work, files);
    header("assess and sync of files that are as they were");
    let cache = home.join("cache").display().to_string();
    let assess = || calve(&home, &["assess", &lake, "--cache", &cache]);
    let sync = || calve(&home, &["sync", &lake, "--table", "noaa.ghcn"]);
    fs_err::create_dir_all(&home).unwrap();
    row("calve assess, the first time", files, &assess());
    row("calve assess, again", files, &assess());
    row("calve sync, the first time", files, &sync());
    let again = sync();
    assert_eq!(again.stdout["up_to_date"], true);
    row("calve sync, again", files, &again);
}

/// Footers a second from a server that answers 30 ms late.
fn s3_footers(files: usize) {
    const LATENCY_MS: u64 = 30;
    println!("\n### Footers from S3, {LATENCY_MS} ms added to each request\n");
    println!("| concurrency | files | footers/s | of concurrency ÷ latency |\n|---|---|---|---|");
    let server = s3::S3Server::with_buckets(&["lake"]);
    lakes::ghcn(&server.root().join("lake/in"), files, 20, 7);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for concurrency in [8_usize, 16, 32] {
        let storage = Storage::new(server.properties());
        let root = Location::parse("s3://lake/in").unwrap();
        let source = Source::Location(root);
        let seconds = runtime.block_on(async {
            let lake = Lake::open(&storage, source, LakeOptions::default())
                .await
                .unwrap();
            let entries: Vec<LakeEntry> = lake.files().try_collect().await.unwrap();
            let listed = entries.into_iter().filter_map(|entry| match entry {
                LakeEntry::File(file) => Some(file),
                LakeEntry::Skipped(_) => None,
            });
            server.set_latency(Duration::from_millis(LATENCY_MS));
            let start = Instant::now();
            let read = read_footers(&storage, stream::iter(listed), concurrency)
                .filter(|(_, footer)| std::future::ready(footer.is_ok()))
                .count()
                .await;
            let seconds = start.elapsed().as_secs_f64();
            server.set_latency(Duration::ZERO);
            assert_eq!(read, files);
            seconds
        });
        #[expect(clippy::cast_precision_loss, reason = "printed with two decimals")]
        let (rate, limit) = (
            files as f64 / seconds,
            concurrency as f64 * 1000.0 / LATENCY_MS as f64,
        );
        println!(
            "| {concurrency} | {files} | {rate:.0} | {:.2} |",
            rate / limit
        );
    }
}

/// The lake of that many files, made once.
fn lake(work: &Path, files: usize) -> String {
    let folder = work.join(format!("lake-{files}"));
    if !folder.exists() {
        lakes::ghcn(&folder, files, 20, 7);
    }
    folder.to_str().unwrap().to_owned()
}
