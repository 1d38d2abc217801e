//! Files that `PyArrow` wrote, whole, damaged, and changed into what other writers write.

use arrow::array::AsArray;
use arrow::datatypes::{Date32Type, TimestampMicrosecondType, TimestampNanosecondType};
use bytes::Bytes;
use calve_base::Properties;
use calve_storage::{ObjectInfo, Storage};
use calve_testkit::python;
use orc_rust::proto::{CalendarKind, Encryption, Footer, PostScript, StripeFooter, r#type};
use prost::Message;
use tokio::runtime::Handle;

use super::*;

/// All kinds of columns in `all-CODEC.orc`; `times.orc` and `days.orc` for what depends on the writer.
const WRITE: &str = r#"
import datetime, decimal, sys
import pyarrow as pa, pyarrow.orc as orc
rows = 30
def some(value): return [None if i % 7 == 3 else value(i) for i in range(rows)]
table = pa.table({
    "id": pa.array(range(rows), pa.int64()),
    "small": pa.array(some(lambda i: i - 30), pa.int16()),
    "tiny": pa.array(some(lambda i: i - 30), pa.int8()),
    "name": pa.array(some(lambda i: "name" + str(i % 5))),
    "text": pa.array([str(i * 7919) for i in range(rows)]),
    "amount": pa.array(some(lambda i: decimal.Decimal(i - 30).scaleb(-2)), pa.decimal128(10, 2)),
    "day": pa.array(some(lambda i: datetime.date(1600 + i * 14, 2, 28))),
    "at": pa.array(some(lambda i: datetime.datetime(1960 + i, 1, 2, 3, 4, 5, 678901)), pa.timestamp("us")),
    "seen": pa.array(some(lambda i: i * 10**15), pa.timestamp("us", "UTC")),
    "flag": pa.array(some(lambda i: i % 2 == 0)),
    "x": pa.array(some(lambda i: i / 3), pa.float64()),
    "y": pa.array(some(lambda i: i / 4), pa.float32()),
    "tags": pa.array(some(lambda i: ["t" + str(k) if k != 1 else None for k in range(i % 4)])),
    "attributes": pa.array(some(lambda i: [("k" + str(k), k) for k in range(i % 3)]), pa.map_(pa.string(), pa.int32())),
    "s": pa.array(some(lambda i: {"a": i, "b": [i] * (i % 3)}), pa.struct([("a", pa.int32()), ("b", pa.list_(pa.int64()))])),
    "bin": pa.array(some(lambda i: bytes([i]) * (i % 5))),
})
for codec in ["uncompressed", "zlib", "snappy", "lz4", "zstd"]:
    orc.write_table(table, f"{sys.argv[1]}/all-{codec}.orc", compression=codec, dictionary_key_size_threshold=0.5)
winter, summer = datetime.datetime(2020, 1, 15, 12), datetime.datetime(2020, 7, 15, 12)
orc.write_table(pa.table({"at": pa.array([winter, summer], pa.timestamp("us"))}), f"{sys.argv[1]}/times.orc")
orc.write_table(pa.table({"at": pa.array([1_000_000_001], pa.timestamp("ns"))}), f"{sys.argv[1]}/nanos.orc")
orc.write_table(pa.table({
    "day": [datetime.date(1500, 3, 11), datetime.date(2020, 1, 1)],
    "name": ["a ", "b"],
    "at": pa.array([datetime.datetime(1500, 3, 11, 6), datetime.datetime(2020, 1, 1, 6)], pa.timestamp("us")),
}), f"{sys.argv[1]}/days.orc")
print("true")
"#;

const MICROS: OrcTimestamps = OrcTimestamps::Microseconds(Nanoseconds::Check);

fn written() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    python::run(WRITE, &[folder.path().to_str().unwrap()]);
    folder
}

fn file(folder: &tempfile::TempDir, name: &str) -> Vec<u8> {
    fs_err::read(folder.path().join(name)).unwrap()
}

/// Runs something with the runtime's handle, on a thread that may wait.
fn waiting<T: Send + 'static>(work: impl FnOnce(Handle) -> T + Send + 'static) -> T {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let handle = runtime.handle().clone();
    let done = runtime.block_on(runtime.spawn_blocking(move || work(handle)));
    done.unwrap()
}

/// Reads all rows of a file.
fn read(
    handle: &Handle,
    bytes: &[u8],
    timestamps: OrcTimestamps,
    wanted: Option<&[String]>,
) -> Result<Vec<RecordBatch>, String> {
    let storage = Storage::new(Properties::new());
    let location = Location::parse("memory://test/f.orc").unwrap();
    let written = storage.write(&location, Bytes::copy_from_slice(bytes));
    handle.block_on(written).unwrap();
    let source = Source {
        storage,
        object: ObjectInfo {
            location,
            size: bytes.len() as u64,
            last_modified_ms: 0,
            etag: None,
            storage_class: None,
        },
        handle: handle.clone(),
    };
    let names = Names {
        wanted,
        names: None,
    };
    let opened = open(source, timestamps, names).map_err(|error| error.to_string())?;
    let batches: Result<Vec<_>, _> = opened.batches.collect();
    batches.map_err(|error| error.to_string())
}

fn read_alone(bytes: Vec<u8>, timestamps: OrcTimestamps) -> Result<Vec<RecordBatch>, String> {
    waiting(move |handle| read(&handle, &bytes, timestamps, None))
}

fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

/// What can be changed of a file that has one stripe and is not compressed.
struct Parts {
    stripe: StripeFooter,
    footer: Footer,
    postscript: PostScript,
}

fn changed(bytes: &[u8], change: impl FnOnce(&mut Parts)) -> Vec<u8> {
    let length = usize::from(bytes[bytes.len() - 1]);
    let end = bytes.len() - 1 - length;
    let postscript = PostScript::decode(&bytes[end..bytes.len() - 1]).unwrap();
    let start = end - usize::try_from(postscript.footer_length()).unwrap();
    let footer = Footer::decode(&bytes[start..end]).unwrap();
    let stripe = &footer.stripes[0];
    let data_end = stripe.offset() + stripe.index_length() + stripe.data_length();
    let data_end = usize::try_from(data_end).unwrap();
    let stripe_end = data_end + usize::try_from(stripe.footer_length()).unwrap();
    let stripe = StripeFooter::decode(&bytes[data_end..stripe_end]).unwrap();
    let mut parts = Parts {
        stripe,
        footer,
        postscript,
    };
    change(&mut parts);
    let stripe = parts.stripe.encode_to_vec();
    parts.footer.stripes[0].footer_length = Some(stripe.len() as u64);
    let footer = parts.footer.encode_to_vec();
    parts.postscript.footer_length = Some(footer.len() as u64);
    let postscript = parts.postscript.encode_to_vec();
    let length = [u8::try_from(postscript.len()).unwrap()];
    let metadata = &bytes[stripe_end..start];
    [
        &bytes[..data_end],
        &stripe,
        metadata,
        &footer,
        &postscript,
        &length,
    ]
    .concat()
}

#[test]
fn a_file_that_is_cut_off_is_an_error() {
    let folder = written();
    for codec in ["uncompressed", "zlib"] {
        let whole = file(&folder, &format!("all-{codec}.orc"));
        waiting(move |handle| {
            assert_eq!(rows(&read(&handle, &whole, MICROS, None).unwrap()), 30);
            for end in 0..whole.len() {
                let outcome = read(&handle, &whole[..end], MICROS, None);
                assert!(outcome.is_err(), "{codec}: {end} of {}", whole.len());
            }
        });
    }
}

/// Whatever a flipped bit does, no row is lost without a word, and nothing panics beyond the decoder.
#[test]
fn a_damaged_file_loses_no_rows() {
    let folder = written();
    for (codec, flips, step) in [
        ("uncompressed", [0x01, 0x80].as_slice(), 4),
        ("zlib", &[0x10], 8),
        ("snappy", &[0x10], 8),
        ("lz4", &[0x10], 8),
        ("zstd", &[0x10], 8),
    ] {
        let whole = file(&folder, &format!("all-{codec}.orc"));
        let flips = flips.to_vec();
        waiting(move |handle| {
            let all = read(&handle, &whole, MICROS, None).unwrap();
            let (mut unseen, mut count) = (0, 0);
            for at in (0..whole.len()).step_by(step) {
                for flip in &flips {
                    let mut damaged = whole.clone();
                    damaged[at] ^= flip;
                    count += 1;
                    if let Ok(batches) = read(&handle, &damaged, MICROS, None) {
                        assert_eq!(rows(&batches), 30, "{codec}: byte {at}");
                        unseen += usize::from(batches != all);
                    }
                }
            }
            // Values of floats, texts and timestamps, and names of columns, may be others.
            assert!(unseen * 4 < count, "{codec}: {unseen} of {count}");
        });
    }
}

#[test]
fn only_the_wanted_columns_are_read() {
    let folder = written();
    let whole = file(&folder, "all-zstd.orc");
    waiting(move |handle| {
        let all = read(&handle, &whole, MICROS, None).unwrap();
        let wanted = ["s".to_owned(), "name".to_owned()];
        let some = read(&handle, &whole, MICROS, Some(&wanted)).unwrap();
        for name in &wanted {
            let of = |batches: &[RecordBatch]| batches[0].column_by_name(name).cloned();
            assert_eq!(of(&some), of(&all), "{name}");
        }
        assert_eq!(some[0].num_columns(), 2);
        let none = read(&handle, &whole, MICROS, Some(&[])).unwrap();
        assert_eq!((rows(&none), none[0].num_columns()), (30, 0));
    });
}

/// Timestamps, in microseconds, of a file whose writer says that its clocks are those of a zone.
#[track_caller]
fn check_zone(zone: Option<&str>, expected: Result<[&str; 2], &str>) {
    let times = file(&written(), "times.orc");
    let times = changed(&times, |parts| {
        parts.stripe.writer_timezone = zone.map(str::to_owned);
    });
    let outcome = read_alone(times, MICROS);
    match (outcome, expected) {
        (Ok(batches), Ok(expected)) => {
            let times = batches[0].column(0);
            let times = times.as_primitive::<TimestampMicrosecondType>();
            let shown = [0, 1].map(|row| times.value_as_datetime(row).unwrap().to_string());
            assert_eq!(shown, expected);
        }
        (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
        (outcome, expected) => panic!("{outcome:?}, not {expected:?}"),
    }
}

#[test]
fn timestamps_show_the_clocks_of_their_writer() {
    let as_written = ["2020-01-15 12:00:00", "2020-07-15 12:00:00"];
    check_zone(None, Ok(as_written));
    check_zone(Some("UTC"), Ok(as_written));
    check_zone(Some("Asia/Kolkata"), Ok(as_written));
    // Seconds are counted from midnight of January 1, 2015, and clocks are an hour ahead in summer.
    check_zone(
        Some("America/New_York"),
        Ok(["2020-01-15 12:00:00", "2020-07-15 13:00:00"]),
    );
    check_zone(Some("Mars/Olympus"), Err("the clocks of `Mars/Olympus`"));
}

#[test]
fn a_zone_that_no_column_needs_may_be_unknown() {
    let days = file(&written(), "days.orc");
    let days = changed(&days, |parts| {
        parts.stripe.writer_timezone = Some("Mars/Olympus".to_owned());
    });
    waiting(move |handle| {
        let read = |wanted: &str| read(&handle, &days, MICROS, Some(&[wanted.to_owned()]));
        assert_eq!(rows(&read("day").unwrap()), 2);
        read("at").unwrap_err();
    });
}

#[test]
fn nanoseconds() {
    let nanos = file(&written(), "nanos.orc");
    let error = read_alone(nanos.clone(), MICROS).unwrap_err();
    assert!(
        error.contains("column `at`: 1000000001 ns has digits"),
        "{error}"
    );
    let cut = OrcTimestamps::Microseconds(Nanoseconds::Truncate);
    let cut = read_alone(nanos.clone(), cut).unwrap();
    let cut = cut[0].column(0).as_primitive::<TimestampMicrosecondType>();
    assert_eq!(cut.value(0), 1_000_000);
    let kept = read_alone(nanos, OrcTimestamps::Nanoseconds).unwrap();
    let kept = kept[0].column(0).as_primitive::<TimestampNanosecondType>();
    assert_eq!(kept.value(0), 1_000_000_001);
}

/// The first day and the first timestamp of a file by another writer, in another calendar.
#[track_caller]
fn check_calendar(writer: Option<u32>, calendar: Option<CalendarKind>, expected: &str) {
    let days = file(&written(), "days.orc");
    let days = changed(&days, |parts| {
        parts.footer.writer = writer;
        parts.footer.calendar = calendar.map(i32::from);
    });
    let batches = read_alone(days, MICROS).unwrap();
    let days = batches[0].column(0).as_primitive::<Date32Type>();
    assert_eq!(days.value_as_date(0).unwrap().to_string(), expected);
    assert_eq!(days.value_as_date(1).unwrap().to_string(), "2020-01-01");
    let times = batches[0].column(2);
    let times = times.as_primitive::<TimestampMicrosecondType>();
    let shown = times.value_as_datetime(0).unwrap().to_string();
    assert_eq!(shown, format!("{expected} 06:00:00"));
}

#[test]
fn days_before_today_s_calendar() {
    use CalendarKind::{JulianGregorian, ProlepticGregorian, UnknownCalendar};
    let (as_written, julian) = ("1500-03-11", "1500-03-01");
    check_calendar(Some(1), None, as_written);
    check_calendar(Some(1), Some(ProlepticGregorian), as_written);
    check_calendar(Some(1), Some(JulianGregorian), julian);
    check_calendar(Some(0), None, julian);
    check_calendar(None, Some(UnknownCalendar), julian);
    check_calendar(Some(0), Some(ProlepticGregorian), as_written);
}

/// Hive 1 wrote no names.
#[test]
fn names_that_a_file_lacks_are_given() {
    let days = file(&written(), "days.orc");
    let numbered = changed(&days, |parts| {
        let names = ["_col0", "_col1", "_col2"].map(str::to_owned);
        parts.footer.types[0].field_names = names.to_vec();
    });
    let given = ["a", "b", "c", "d"].map(str::to_owned);
    for (file, given, expected) in [
        (&numbered, Some(&given[..]), ["a", "b", "c"]),
        (&numbered, Some(&given[..2]), ["_col0", "_col1", "_col2"]),
        (&numbered, None, ["_col0", "_col1", "_col2"]),
        (&days, Some(&given[..]), ["day", "name", "at"]),
    ] {
        let mut types = Vec::new();
        changed(file, |parts| types.clone_from(&parts.footer.types));
        let mut found = columns(&types).unwrap();
        let names = Names {
            wanted: None,
            names: given,
        };
        names.give(&mut found);
        let found: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn padded_and_bounded_texts() {
    let folder = written();
    for kind in [r#type::Kind::Char, r#type::Kind::Varchar] {
        let texts = changed(&file(&folder, "days.orc"), |parts| {
            parts.footer.types[2].kind = Some(kind.into());
            parts.footer.types[2].maximum_length = Some(2);
        });
        let batches = read_alone(texts, MICROS).unwrap();
        assert_eq!(batches[0].column(1).as_string::<i32>().value(0), "a ");
    }
}

#[track_caller]
fn check_refused(folder: &tempfile::TempDir, change: impl FnOnce(&mut Parts), expected: &str) {
    let refused = changed(&file(folder, "days.orc"), change);
    let error = read_alone(refused, MICROS).unwrap_err();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn what_is_refused() {
    let folder = written();
    let encrypted = |parts: &mut Parts| parts.footer.encryption = Some(Encryption::default());
    check_refused(&folder, encrypted, "it is encrypted, which is not read");
    let lzo = |parts: &mut Parts| parts.postscript.compression = Some(3);
    check_refused(&folder, lzo, "compressed with LZO");
    let fewer = |parts: &mut Parts| parts.footer.number_of_rows = Some(1);
    check_refused(&folder, fewer, "its footer makes no sense");
    let fewer = |parts: &mut Parts| {
        parts.footer.number_of_rows = Some(1);
        parts.footer.stripes[0].number_of_rows = Some(1);
    };
    check_refused(&folder, fewer, "the file tells 2 values, and 1 was read");
    let other = |parts: &mut Parts| {
        let statistics = &mut parts.footer.statistics[1];
        statistics.date_statistics.as_mut().unwrap().maximum = Some(7);
    };
    check_refused(&folder, other, "the file tells 7 as the last day");
    let unknown = |parts: &mut Parts| parts.footer.types[1].kind = Some(19);
    check_refused(&folder, unknown, "column `day`: it is of a type");
}
