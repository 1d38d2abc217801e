use std::fmt::Write;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::lexer::{Event, Lexer, StartTag};
use crate::options::Mode;
use crate::row_reader::RowError;

/// Writes rows down as text, one line each.
struct Writing {
    mode: Mode,
    rows: String,
}

impl RowReader for Writing {
    type Output = String;

    fn read_row<'a>(
        &mut self,
        lexer: &mut Lexer<'a>,
        start: StartTag<'a>,
    ) -> std::result::Result<(), RowError> {
        let mut row = String::new();
        for (name, attributes) in lexer.open_elements() {
            write!(row, "/{name}").unwrap();
            if attributes.contains("xml:space") {
                row.push('!');
            }
        }
        for attribute in lexer.attributes() {
            let value = attribute.unescape(lexer.entities());
            write!(row, " {}={value:?}", attribute.name).unwrap();
        }
        let depth = lexer.depth();
        assert_eq!(
            &lexer.text()[start.start + 1..][..start.name.len()],
            start.name
        );
        while lexer.depth() >= depth {
            match lexer.next_event()? {
                Event::Start(tag) => write!(row, "({}", tag.name).unwrap(),
                Event::End(_) => row.push(')'),
                Event::Text(text) => write!(row, "{:?}", lexer.unescape(text)).unwrap(),
                Event::CData(text) => write!(row, "[{text:?}]").unwrap(),
                Event::Eof => panic!("the text ends in a row"),
            }
        }
        writeln!(self.rows, "{row}").unwrap();
        Ok(())
    }

    fn reject_row(&mut self, raw: &str, place: &Place, error: RowError) -> Result<()> {
        let reason = error.reason;
        if self.mode == Mode::FailFast {
            return Err(Error::Malformed {
                place: place.clone(),
                reason: reason.to_string(),
            });
        }
        writeln!(self.rows, "rejected {raw:?} at {place}: {reason}").unwrap();
        Ok(())
    }

    fn finish_segment(&mut self) -> Result<String> {
        Ok(std::mem::take(&mut self.rows))
    }
}

/// The rows of documents and how the run ends; of the report, what does not depend on cuts.
fn run(reading: &ReadRows<'_>, documents: &[&[u8]], mode: Mode) -> (String, String) {
    let mut rows = String::new();
    let inputs = documents.iter().enumerate().map(|(index, document)| {
        Ok(Input::new(
            index.to_string(),
            std::io::Cursor::new(document.to_vec()),
        ))
    });
    let report = reading.run(
        inputs,
        || {
            Ok(Writing {
                mode,
                rows: String::new(),
            })
        },
        |document, output| {
            for line in output.lines() {
                writeln!(rows, "{document} {line}").unwrap();
            }
            Ok(())
        },
    );
    let report = report.map(|report| Report {
        segments: 0,
        segments_read_again: 0,
        ..report
    });
    (rows, format!("{report:?}"))
}

/// Reading documents in segments of several sizes, on one thread and on several, is as reading them in
/// one go.
#[track_caller]
fn check_cuts(row_tag: &str, documents: &[&[u8]], sizes: &[usize], pool: &rayon::ThreadPool) {
    for mode in [Mode::Permissive, Mode::FailFast] {
        let options = XmlOptions {
            mode,
            ..XmlOptions::new(row_tag)
        };
        let whole = ReadRows::new(&options).with_segment_bytes(1 << 30);
        let expected = run(&whole, documents, mode);
        for size in sizes {
            let reading = ReadRows::new(&options).with_segment_bytes(*size);
            let on_one = run(&reading, documents, mode);
            assert_same(&on_one, &expected, *size, documents);
            let on_many = run(&reading.with_pool(pool), documents, mode);
            assert_same(&on_many, &expected, *size, documents);
        }
    }
}

#[track_caller]
fn assert_same(
    actual: &(String, String),
    expected: &(String, String),
    size: usize,
    documents: &[&[u8]],
) {
    // A run that ends with an error may have given other rows of the segment before.
    let is_error = expected.1.starts_with("Err");
    assert_eq!(actual.1, expected.1, "segments of {size}: {documents:?}");
    assert!(
        is_error || actual.0 == expected.0,
        "segments of {size}:\n{}\nin one go:\n{}\n{}",
        actual.0,
        expected.0,
        String::from_utf8_lossy(documents[0]),
    );
}

fn pool() -> &'static rayon::ThreadPool {
    static POOL: LazyLock<rayon::ThreadPool> = LazyLock::new(|| {
        let builder = rayon::ThreadPoolBuilder::new().num_threads(3);
        builder.build().unwrap()
    });
    &POOL
}

#[track_caller]
fn check_rows(row_tag: &str, document: &str, expected: &[&str]) {
    let options = XmlOptions::new(row_tag);
    let (rows, _) = run(
        &ReadRows::new(&options),
        &[document.as_bytes()],
        Mode::Permissive,
    );
    let rows: Vec<&str> = rows.lines().map(|row| &row[2..]).collect();
    assert_eq!(rows, expected, "{document}");
}

#[test]
fn rows_are_found_by_name_and_by_path() {
    check_rows(
        "r",
        "<a><r/><r>1</r><b><r x='2'/></b></a>",
        &["/a/r)", "/a/r\"1\")", "/a/b/r x=\"2\")"],
    );
    check_rows("r", "<r><r>1</r></r>", &["/r(r\"1\"))"]);
    check_rows(
        "a/r/r",
        "<a><r><r>1</r><r/></r><r/></a>",
        &["/a/r/r\"1\")", "/a/r/r)"],
    );
    check_rows(
        "/a/r",
        "<a><r><r>1</r></r><b><r/></b></a>",
        &["/a/r(r\"1\"))"],
    );
    check_rows(
        "r",
        "<a><!-- <r/> --><![CDATA[<r/>]]><?x <r/> ?><r2/><r-/><s><r/></s></a>",
        &["/a/s/r)"],
    );
    check_rows("r", "", &[]);
}

#[test]
fn malformed_rows_are_rejected_and_reading_goes_on() {
    check_rows(
        "r",
        "<a>\n<r><b></r>\n<r a=1></r><r>2</r></a>",
        &[
            "rejected \"<r><b></r>\" at 0: line 2, byte 10, in a/r/b: `</r>` closes `<b>`",
            "rejected \"<r a=1></r>\" at 0: line 3, byte 20, in a: a quoted value is expected here",
            "/a/r\"2\")",
        ],
    );
    check_rows(
        "r",
        "<a><r>1<r>2</r></a>",
        &[
            "rejected \"<r>1\" at 0: line 1, byte 15, in a/r: `</a>` closes `<r>`",
            "/a/r\"2\")",
        ],
    );
    check_rows(
        "r",
        "<a><r>1</b></c></r></a></a><r/>",
        &[
            "rejected \"<r>1</b></c></r>\" at 0: line 1, byte 7, in a/r: `</b>` closes `<r>`",
            "/r)",
        ],
    );
}

/// Pieces of documents, sound and broken.
const PIECES: &[&str] = &[
    "<row>",
    "<row>",
    "</row>",
    "</row>",
    "<row/>",
    "<row a='1'>",
    "<rows>",
    "</rows>",
    "<b>",
    "</b>",
    "<b c=\"<\"/>",
    "<b c='x &lt; y'/>",
    "<!-- <row> -->",
    "<!--",
    "-->",
    "<![CDATA[</row><row>]]>",
    "<![CDATA[",
    "]]>",
    "<?p <row> ?>",
    "<?",
    "?>",
    "text",
    "é\n",
    "&amp;",
    "&",
    "&e;",
    "<row",
    ">",
    "<row a=",
    "'",
    "\"",
    "\r\n",
    "<b xml:space='preserve'>",
];

fn sound_rows() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("x"),
        Just("<b/>"),
        Just("<row>i</row>"),
        Just("<!-- <row>\n -->"),
        Just("<![CDATA[<row></row>]]>"),
        Just("<?p <row>?>"),
        Just("&e;"),
        Just("<b xmlns:p='q'><row a='b'/></b>"),
    ];
    let content = proptest::collection::vec(leaf, 0..6).prop_map(|leaves| leaves.concat());
    let row = (content, 0..6_u8).prop_map(|(content, around)| match around {
        0 => format!("<c xml:space='preserve'><row>{content}</row></c>\n"),
        1 => format!("<!-- <row> -->{content}"),
        2 => "<row/>".to_owned(),
        _ => format!("<row>{content}</row>\n"),
    });
    proptest::collection::vec(row, 0..30).prop_map(|rows| {
        format!(
            "<!DOCTYPE a [<!ENTITY e 'entity'>]><a>{}</a>",
            rows.concat()
        )
    })
}

fn broken_rows() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(PIECES);
    (proptest::collection::vec(piece, 0..60), any::<bool>()).prop_map(|(pieces, is_in_root)| {
        let body = pieces.concat();
        if is_in_root {
            format!("<a>{body}</a>")
        } else {
            body
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn sound_documents_are_the_same_however_they_are_cut(
        one in sound_rows(),
        two in sound_rows(),
        size in 1_usize..200,
    ) {
        let pool = pool();
        check_cuts("row", &[one.as_bytes(), two.as_bytes()], &[1, size], pool);
        check_cuts("a/c/row", &[one.as_bytes(), two.as_bytes()], &[1, size], pool);
    }

    #[test]
    fn broken_documents_are_the_same_however_they_are_cut(
        one in broken_rows(),
        two in broken_rows(),
        size in 1_usize..100,
    ) {
        let pool = pool();
        check_cuts("row", &[one.as_bytes(), two.as_bytes()], &[1, size], pool);
    }
}

/// The files below a folder of the shared data that are not larger than `most` bytes, folders before.
fn shared(folder: &str, most: u64) -> Vec<(String, Vec<u8>)> {
    let Some(data) = calve_testkit::shared_data() else {
        println!("skipped: there is no shared data");
        return Vec::new();
    };
    let mut files = Vec::new();
    let mut folders = vec![data.join("xml").join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.metadata().unwrap().len() <= most {
                let bytes = fs_err::read(&path).unwrap();
                files.push((path.to_string_lossy().into_owned(), bytes));
            }
        }
    }
    files.sort();
    files
}

/// An XML declaration is one at the start of the document, not at that of a segment. Found by fuzzing.
#[test]
fn declarations_are_misplaced_however_they_are_cut() {
    let sizes: Vec<usize> = (1..120).collect();
    for document in [
        "?xml <?xml v\">]><a><!-- <row></a>\"1.0\"?><!E [<!ENTITY \"x\" e>]>-<><!a- <row></a>",
        "x<?xml version='1.0'?><row/><row>1</row>",
        "<!-- c --><?xml version='1.0'?><a><row/></a>",
        "<?xml version='1.0'?><a><row/></a>",
    ] {
        check_cuts("row", &[document.as_bytes()], &sizes, pool());
    }
}

#[test]
fn hostile_documents_are_the_same_however_they_are_cut() {
    for (name, bytes) in shared("security", 200_000) {
        let tag = if name.contains("lol") { "lolz" } else { "a" };
        check_cuts(tag, &[&bytes], &[64, 1000, 40_000], pool());
    }
}

#[test]
fn real_documents_are_the_same_however_they_are_cut() {
    for (name, bytes) in shared("real", 400_000) {
        let tag = [
            "pkg",
            "entry",
            "Article",
            "node",
            "clade",
            "wpt",
            "trkpt",
            "iso_3166_entry",
            "CdtTrfTxInf",
        ]
        .into_iter()
        .find(|tag| memchr::memmem::find(&bytes, format!("<{tag} ").as_bytes()).is_some())
        .unwrap_or("clade");
        println!("{name}: {tag}");
        check_cuts(tag, &[&bytes], &[997, 50_000], pool());
    }
}

/// A document with something huge in it is read, or refused by the limits, on a small stack.
#[test]
fn huge_and_deep_documents_are_read_or_refused() {
    let options = XmlOptions::new("row");
    let huge = "x".repeat(10 << 20);
    for body in [
        format!("<row a='{huge}'/>"),
        format!("<row>{huge}</row>"),
        format!("<row><!--{huge}--></row><row/>"),
        format!("<row><![CDATA[{huge}]]></row>"),
        format!("<!--{huge}--><row/>"),
        format!("<?p {huge}?><row/>"),
    ] {
        let document = format!("<a><row/>{body}</a>");
        let reading = ReadRows::new(&options).with_pool(pool());
        let (rows, report) = run(&reading, &[document.as_bytes()], Mode::Permissive);
        assert!(rows.starts_with("0 /a/row)\n0 /a/row"), "{}", rows.len());
        assert!(report.contains("rejected_rows: 0, faults: 0"), "{report}");
    }
    for body in [
        format!("<{huge}/>"),
        "<row>".repeat(1000),
        format!("<row>{}</row>", "<b>".repeat(100_000)),
        format!("<row{}/>", " b=''".repeat(20_000)),
    ] {
        let document = format!("<a>{body}</a>");
        let (_, report) = run(
            &ReadRows::new(&options),
            &[document.as_bytes()],
            Mode::Permissive,
        );
        assert!(!report.contains("rejected_rows: 0, faults: 0"), "{report}");
    }
}

#[test]
fn a_row_larger_than_the_limit_is_an_error_that_says_so() {
    let mut options = XmlOptions::new("row");
    options.limits.row_bytes = 1000;
    let document = format!("<a><row/>\n<row>{}</row></a>", "y".repeat(2000));
    let comment = format!("<a><row/>\n<!--{}--></a>", "y".repeat(20_000));
    for segment_bytes in [100, 1 << 20] {
        let reading = ReadRows::new(&options).with_segment_bytes(segment_bytes);
        let (_, report) = run(&reading, &[document.as_bytes()], Mode::Permissive);
        assert!(report.contains("RowTooLarge"), "{report}");
        assert!(report.contains("byte: 10, line: 2"), "{report}");
    }
    let reading = ReadRows::new(&options).with_segment_bytes(100);
    let (_, report) = run(&reading, &[comment.as_bytes()], Mode::Permissive);
    assert!(report.contains("MarkupTooLarge"), "{report}");
}

#[test]
fn entities_have_one_budget_for_the_whole_document() {
    let mut options = XmlOptions::new("row");
    options.limits.entity_expansion_bytes = 50;
    let rows = "<row>&e;</row>\n".repeat(20);
    let document = format!("<!DOCTYPE a [<!ENTITY e '0123456789'>]><a>{rows}</a>");
    for segment_bytes in [1, 70, 1 << 20] {
        let reading = ReadRows::new(&options)
            .with_segment_bytes(segment_bytes)
            .with_pool(pool());
        let (_, report) = run(&reading, &[document.as_bytes()], Mode::Permissive);
        assert!(report.contains("rows: 5, rejected_rows: 15"), "{report}");
    }
}
