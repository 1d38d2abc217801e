//! What the fuzz targets check, on their seeds, on hostile documents, and on thousands of changes of both.
//! The changes are the same in every run.

use std::path::Path;

use calve_testkit::lakes::Random;

use super::{checks, peak};

/// How often each target's seeds are changed.
const CHANGES: u32 = 3000;

/// The longest document that comes of changes, in bytes.
const LONGEST: usize = 4096;

/// More than any check may take, in bytes.
const MOST_MEMORY: usize = 64_000_000;

/// What makes the most of a change.
const PIECES: &[&str] = &[
    "<row>",
    "</row>",
    "<row/>",
    "<row a='1'>",
    "<",
    ">",
    "/>",
    "</",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?p ",
    "?>",
    "<!DOCTYPE a [",
    "<!ENTITY e 'x&e;'>",
    "<!ENTITY % p 'q'>%p;",
    "]>",
    "&e;",
    "&amp;",
    "&#0;",
    "&#x10FFFF;",
    "&#xFFFFFFFFF;",
    "&",
    ";",
    "'",
    "\"",
    "=",
    " ",
    "\r\n",
    "\t",
    "\0",
    "\u{FFFE}",
    "\u{FEFF}",
    "é",
    "xmlns='u'",
    "xmlns:p='u'",
    "p:",
    "xml:space='preserve'",
    "1",
    "-1.5e300",
    "9999999999999999999999",
    "true",
    "2024-02-30",
    "2024-01-01T00:00:00Z",
    "NaN",
    "<?xml version='1.0' encoding='utf-16'?>",
];

/// Pieces of schemas.
const WORDS: &[&str] = &[
    "ARRAY<",
    "STRUCT<",
    "MAP<",
    ">",
    "a:",
    "a ",
    "INT",
    "DECIMAL(38,18)",
    "DECIMAL(",
    ",",
    "`",
    "{",
    "}",
    "[",
    "]",
    "\"type\":",
    "\"struct\"",
    "\"fields\":",
    "\"name\":",
    "null",
    "yyyy",
    "MM",
    "'",
    "''",
    "[",
    "G",
    "XXX",
    "SSS",
    "<xs:element name='row' type='xs:string'/>",
    "<xs:complexType>",
    "</xs:complexType>",
    "<xs:sequence>",
    "</xs:sequence>",
    "ref='row'",
    "base='row'",
    "maxOccurs='unbounded'",
    "minOccurs='-1'",
    "type='row'",
    "<xs:pattern value='(a*)*b'/>",
    "$.",
    "a.b",
    "[]",
    "*",
];

/// The files of a folder, sorted by name.
fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs_err::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    paths.sort();
    paths
        .iter()
        .map(|path| fs_err::read(path).unwrap())
        .collect()
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    files(
        &calve_testkit::workspace_root()
            .join("fuzz/seeds")
            .join(target),
    )
}

/// The documents that others broke on, where they are at hand.
fn hostile() -> Vec<Vec<u8>> {
    let Some(data) = calve_testkit::shared_data() else {
        println!("skipped: the hostile documents of others are not at hand");
        return Vec::new();
    };
    let security = data.join("xml/security");
    ["", "test/errors", "test/errors10", "test/recurse"]
        .iter()
        .flat_map(|folder| files(&security.join(folder)))
        .filter(|bytes| bytes.len() <= 20_000)
        .collect()
}

/// One change of a document.
fn change(document: &mut Vec<u8>, others: &[Vec<u8>], pieces: &[&str], random: &mut Random) {
    let place = |random: &mut Random, length: usize| {
        random.below(u32::try_from(length + 1).unwrap()) as usize
    };
    let (one, two) = (place(random, document.len()), place(random, document.len()));
    let (from, to) = (one.min(two), one.max(two));
    match random.below(8) {
        0 => {
            document.drain(from..to);
        }
        1 => document.truncate(from),
        2 => {
            let copy = document[from..to].to_vec();
            document.splice(from..from, copy);
        }
        3 => {
            let other = random.pick(others);
            let end = place(random, other.len());
            document.splice(from..to, other[..end].iter().copied());
        }
        4 if from < document.len() => document[from] = u8::try_from(random.below(256)).unwrap(),
        5 if from < document.len() => document[from] ^= 1 << random.below(8),
        _ => {
            let piece = random.pick(pieces).bytes();
            document.splice(from..from, piece);
        }
    }
    document.truncate(LONGEST);
}

/// Runs a check on seeds and on changes of them.
#[track_caller]
fn check(seeds: &[Vec<u8>], pieces: &[&str], check: impl Fn(u8, &[u8])) {
    assert!(!seeds.is_empty());
    let run = |bits: u8, document: &[u8]| {
        let (most, ()) = peak(|| check(bits, document));
        assert!(most < MOST_MEMORY, "{most} bytes for {document:?}");
    };
    for seed in seeds {
        for bits in [0, 7, 63, 255] {
            run(bits, seed);
        }
    }
    let mut random = Random::new(seeds.len() as u64);
    for _ in 0..CHANGES {
        let mut document = random.pick(seeds).clone();
        for _ in 0..=random.below(4) {
            change(&mut document, seeds, pieces, &mut random);
        }
        run(u8::try_from(random.below(256)).unwrap(), &document);
    }
}

/// A check of text, for bytes.
fn text(check: impl Fn(&str)) -> impl Fn(u8, &[u8]) {
    move |_, bytes| check(&String::from_utf8_lossy(bytes))
}

#[test]
fn lexer() {
    let seeds = [seeds("xml_lexer"), hostile()].concat();
    check(&seeds, PIECES, text(checks::lexer::check));
}

#[test]
fn rows() {
    let seeds = [seeds("xml_rows"), hostile()].concat();
    check(&seeds, PIECES, checks::rows::check);
}

#[test]
fn columns() {
    let seeds = [seeds("xml_columns"), seeds("xml_rows"), hostile()].concat();
    check(&seeds, PIECES, checks::columns::check);
}

#[test]
fn schemas() {
    check(&seeds("xml_schemas"), WORDS, text(checks::schemas::check));
}
