//! Each limit against hostile documents: what exceeds it is refused, and what is refused costs little.

use std::fmt::Write as _;
use std::io::{Cursor, Read};
use std::sync::Arc;

use calve_xml::convert::Convert;
use calve_xml::infer::{InferSchema, Note};
use calve_xml::options::{Limits, Mode};
use calve_xml::schema::ddl::{parse_ddl, to_ddl};
use calve_xml::write::ParquetSink;
use calve_xml::{Error, Input, XmlOptions};

use super::peak;

/// More than any document of these tests may take, in bytes.
const MOST_MEMORY: usize = 48_000_000;

/// Reads a document to its end or to its first bad row; gives what was wrong.
#[track_caller]
fn refusal(limits: Limits, document: impl Read + Send + 'static) -> String {
    let mut options = XmlOptions::new("row");
    options.limits = limits;
    options.mode = Mode::FailFast;
    let schema = calve_xml::schema::parse_schema("a STRING").unwrap();
    let convert = Convert::new(&schema, options).unwrap();
    let input = Input::new("hostile.xml", document);
    let (most, result) = peak(|| convert.run([Ok(input)], |_| Ok(())));
    assert!(most < MOST_MEMORY, "{most} bytes");
    match result {
        Ok(report) => format!("{} rows", report.rows),
        Err(error) => {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            while let Some(error) = source {
                text = format!("{text}: {error}");
                source = error.source();
            }
            text
        }
    }
}

#[track_caller]
fn check(limits: Limits, document: impl Into<Vec<u8>>, expected: &str) {
    let found = refusal(limits, Cursor::new(document.into()));
    assert!(found.contains(expected), "{found}");
}

/// The limits, changed.
fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}

#[test]
fn depth() {
    let nested = |depth: usize| {
        let (open, close) = ("<a>".repeat(depth), "</a>".repeat(depth));
        format!("<all><row>{open}{close}</row></all>")
    };
    // Two elements are around.
    check(limits(|it| it.depth = 10), nested(8), "1 rows");
    check(
        limits(|it| it.depth = 10),
        nested(9),
        "elements are nested beyond the limit of 10",
    );
    check(
        Limits::default(),
        nested(100_000),
        "beyond the limit of 512",
    );
    // Between rows as well.
    let outer = format!("{}<row/>", "<a>".repeat(600));
    check(Limits::default(), outer, "beyond the limit of 512");
}

#[test]
fn names() {
    let name = |length: usize| format!("<all><row><{}/></row></all>", "n".repeat(length));
    check(limits(|it| it.name_bytes = 20), name(20), "1 rows");
    let expected = "a name is long beyond the limit of 20";
    check(limits(|it| it.name_bytes = 20), name(21), expected);
    let attribute = format!("<all><row {}='1'/></all>", "n".repeat(21));
    check(limits(|it| it.name_bytes = 20), attribute, expected);
    check(Limits::default(), name(10_000_000), "a name is long");
}

#[test]
fn attributes() {
    let document = |count: usize, length: usize| {
        let value = "v".repeat(length);
        let attributes = (0..count)
            .map(|at| format!(" a{at}='{value}'"))
            .collect::<Vec<_>>()
            .concat();
        format!("<all><row{attributes}/></all>")
    };
    check(limits(|it| it.attributes = 30), document(30, 1), "1 rows");
    check(
        limits(|it| it.attributes = 30),
        document(31, 1),
        "there are attributes beyond the limit of 30",
    );
    check(
        limits(|it| it.attribute_bytes = 1000),
        document(2, 600),
        "attributes are long beyond the limit of 1000",
    );
    check(
        Limits::default(),
        document(20_000, 1),
        "beyond the limit of 10000",
    );
    check(Limits::default(), document(1, 5_000_000), "1 rows");
}

/// A document that never ends is refused once a row, or something else, is too large.
#[test]
fn sizes() {
    let small = || limits(|it| it.row_bytes = 1_000_000);
    for start in [
        "<all><row>",
        "<all><row a='",
        "<all><row><![CDATA[",
        "<all><!--",
        "<all><?p ",
        "<all>",
        "<",
        "<!DOCTYPE a [<!ENTITY e '",
    ] {
        let endless = Cursor::new(start).chain(std::io::repeat(b'x'));
        let found = refusal(small(), endless);
        assert!(
            found.contains("is larger than 1000000 bytes"),
            "{start}: {found}"
        );
    }
    let rows = Cursor::new("<all>").chain(Cursor::new("<row/>".repeat(1_000_000)));
    let found = refusal(small(), rows.chain(Cursor::new("</all>")));
    assert_eq!(found, "1000000 rows");
}

#[test]
fn entities() {
    let laughs = |depth: usize| {
        let mut text = String::from("<!DOCTYPE all [<!ENTITY e0 'ha'>");
        for at in 1..=depth {
            let inner = format!("&e{};", at - 1).repeat(10);
            let _ = write!(text, "<!ENTITY e{at} '{inner}'>");
        }
        format!("{text}]><all><row><a>&e{depth};</a></row></all>")
    };
    check(Limits::default(), laughs(3), "1 rows");
    check(
        Limits::default(),
        laughs(9),
        "entities expand to more than 16777216 bytes",
    );
    check(
        Limits::default(),
        laughs(30),
        "entities expand to more than 16777216 bytes",
    );
    let quadratic = format!(
        "<!DOCTYPE all [<!ENTITY e '{}'>]><all><row><a>{}</a></row></all>",
        "x".repeat(50_000),
        "&e;".repeat(50_000)
    );
    check(Limits::default(), quadratic, "entities expand to more than");
    for (declarations, expected) in [
        ("<!ENTITY e '&f;'><!ENTITY f '&e;'>", "refers to itself"),
        (
            "<!ENTITY e SYSTEM 'file:///etc/passwd'>",
            "the entity `&e;` is refused",
        ),
        (
            "<!ENTITY e PUBLIC 'p' 'http://127.0.0.1/'>",
            "the entity `&e;` is refused",
        ),
        (
            "<!ENTITY % p SYSTEM 'http://127.0.0.1/x'> %p;",
            "the entity `&e;` is not declared",
        ),
        ("", "the entity `&e;` is not declared"),
    ] {
        let document = format!("<!DOCTYPE all [{declarations}]><all><row><a>&e;</a></row></all>");
        check(Limits::default(), document, expected);
    }
}

/// Schemas are as deep as their documents, and all that goes through them is on the stack.
#[test]
fn what_is_within_the_limits_is_read_on_a_small_stack() {
    let depth = Limits::default().depth - 2;
    let names: Vec<String> = (0..depth).map(|at| format!("e{at}")).collect();
    let open = names
        .iter()
        .map(|name| format!("<{name}>"))
        .collect::<Vec<_>>()
        .concat();
    let close = names
        .iter()
        .rev()
        .map(|name| format!("</{name}>"))
        .collect::<Vec<_>>()
        .concat();
    let document = format!("<all><row>{open}7{close}</row></all>");
    let read = move || {
        let input = || Input::new("deep.xml", Cursor::new(document.clone()));
        let options = XmlOptions::new("row");
        let inferred = InferSchema::new(options.clone())
            .run([Ok(input())])
            .unwrap();
        // Nothing of what is too deep for columns is lost.
        assert!(
            matches!(&inferred.notes[..], [Note::TooDeep { .. }]),
            "{:?}",
            inferred.notes
        );
        let written = to_ddl(&inferred.schema).unwrap();
        parse_ddl(&written).unwrap();
        let convert = Convert::new(&inferred.schema, options).unwrap();
        let schema = Arc::clone(convert.schema());
        let mut sink = ParquetSink::new(schema, |_| Ok(Box::new(std::io::sink())));
        let report = convert
            .run([Ok(input())], |batch| sink.write(batch))
            .unwrap();
        sink.finish().unwrap();
        report.rows
    };
    // As small as the stacks of threads are by default.
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    assert_eq!(thread.spawn(read).unwrap().join().unwrap(), 1);
}

#[test]
fn there_may_be_only_so_many_columns() {
    let fields = (0..30_000)
        .map(|at| format!("<e{at}/>"))
        .collect::<Vec<_>>()
        .concat();
    let input = Input::new(
        "wide.xml",
        Cursor::new(format!("<all><row>{fields}</row></all>")),
    );
    let infer = InferSchema::new(XmlOptions::new("row"));
    let (most, result) = peak(|| infer.run([Ok(input)]));
    assert!(
        matches!(result, Err(Error::TooManyInferredColumns { .. })),
        "{result:?}"
    );
    assert!(most < MOST_MEMORY, "{most}");
}

/// The text of a schema may be nested as deep as it is long.
#[test]
fn deep_schemas_are_refused() {
    let deep = 100_000;
    for text in [
        format!("a {}", "ARRAY<".repeat(deep)),
        format!("a {}INT{}", "ARRAY<".repeat(deep), ">".repeat(deep)),
        format!("a {}", "STRUCT<a:".repeat(deep)),
        "[".repeat(deep),
        "{\"type\":".repeat(deep),
        format!(
            "<xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'>{}",
            "<xs:element name='a'><xs:complexType><xs:sequence>".repeat(2000)
        ),
    ] {
        super::checks::schemas::check(&text);
    }
}
