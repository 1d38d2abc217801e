use std::io::{Cursor, Write};

use super::*;

/// All documents of an input, with their names, read so many bytes at a time.
fn documents(bytes: &[u8], encoding: Option<&str>, step: usize) -> Result<Vec<(String, String)>> {
    let input = Input::new("in", Cursor::new(bytes.to_vec()));
    let mut next = TextReader::open(input, encoding)?;
    let mut documents = Vec::new();
    while let Some(mut reader) = next {
        let mut text = Vec::new();
        loop {
            let target = text.len() + step;
            if reader.fill(&mut text, target)? {
                break;
            }
        }
        let text = String::from_utf8(text).unwrap();
        documents.push((reader.name().as_ref().to_owned(), text));
        next = reader.next_document(encoding)?;
    }
    Ok(documents)
}

#[track_caller]
fn check(bytes: &[u8], encoding: Option<&str>, text: &str) {
    for step in [1, 7, 1 << 20] {
        let expected = vec![("in".to_owned(), text.to_owned())];
        assert_eq!(documents(bytes, encoding, step).unwrap(), expected);
    }
}

#[track_caller]
fn check_error(bytes: &[u8], encoding: Option<&str>, message: &str) {
    let error = documents(bytes, encoding, 100).unwrap_err();
    assert!(error.to_string().starts_with(message), "{error}");
}

fn utf_16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

#[test]
fn encodings_are_told_by_mark_option_and_declaration() {
    let text = "<?xml version='1.0'?><a>Grüße, 😀, €</a>";
    check(text.as_bytes(), None, text);
    check(format!("\u{FEFF}{text}").as_bytes(), None, text);
    check(format!("\u{FEFF}{text}").as_bytes(), Some("latin1"), text);
    check(&utf_16(text, u16::to_le_bytes), None, text);
    check(&utf_16(text, u16::to_be_bytes), None, text);
    let marked = format!("\u{FEFF}{text}");
    check(&utf_16(&marked, u16::to_le_bytes), None, text);
    check(&utf_16(&marked, u16::to_be_bytes), None, text);
    check(b"<a>\xE9\x80</a>", Some("windows-1252"), "<a>é€</a>");
    check(b"<a>\xB3</a>", Some("ISO-8859-2"), "<a>ł</a>");
    let declared = |encoding: &str| format!("<?xml version=\"1.0\" encoding = \"{encoding}\"?>");
    for (encoding, byte, character) in [
        ("ISO-8859-1", 0xE9, 'é'),
        ("iso-8859-15", 0xA4, '€'),
        ("windows-1251", 0xC0, 'А'),
        ("KOI8-R", 0xC1, 'а'),
    ] {
        let mut bytes = declared(encoding).into_bytes();
        bytes.push(byte);
        check(&bytes, None, &format!("{}{character}", declared(encoding)));
    }
    check(declared("UTF-16").as_bytes(), None, &declared("UTF-16"));
    check(b"", None, "");
    check(b"<", None, "<");
}

#[test]
fn what_is_not_of_the_encoding_is_an_error() {
    check_error(
        b"<a/>",
        Some("klingon"),
        "in: the encoding `klingon` is not supported",
    );
    check_error(
        b"<?xml version='1.0' encoding='x-none'?>",
        None,
        "in: the encoding `x-none` is not supported",
    );
    check_error(
        &[0xFF, 0xFE, 0, 0],
        None,
        "in: the encoding `UTF-32` is not supported",
    );
    check_error(
        b"<\0a\0>\0\n\0\0\xD8a\0",
        None,
        "in: line 2, byte 4: the bytes here are not UTF-16LE",
    );
    check_error(
        b"<\0a\0>",
        None,
        "in: line 1, byte 2: the bytes here are not UTF-16LE",
    );
}

const TEXT: &str = "<a>some text that repeats, some text that repeats</a>";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn compressed() -> Vec<(&'static str, Vec<u8>)> {
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    bzip2.write_all(TEXT.as_bytes()).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 3);
    xz.write_all(TEXT.as_bytes()).unwrap();
    vec![
        ("gzip", gzip(TEXT.as_bytes())),
        ("bzip2", bzip2.finish().unwrap()),
        ("zstd", zstd::encode_all(TEXT.as_bytes(), 3).unwrap()),
        ("xz", xz.finish().unwrap()),
    ]
}

#[test]
fn compression_is_told_by_the_first_bytes() {
    for (_, bytes) in compressed() {
        check(&bytes, None, TEXT);
        // Parts that were compressed one by one are one document.
        check(
            &[bytes.as_slice(), &bytes].concat(),
            None,
            &[TEXT, TEXT].concat(),
        );
    }
}

#[test]
fn a_compressed_document_that_is_cut_off_is_an_error() {
    for (name, bytes) in compressed() {
        let cut = &bytes[..bytes.len() - 9];
        let result = documents(cut, None, 1 << 20);
        assert!(
            matches!(result, Err(Error::Read { .. })),
            "{name}: {result:?}"
        );
    }
}

/// An entry of a zip archive as it is written into a file (its sizes before it) or a pipe (behind it).
fn entry(name: &str, text: &str, is_deflated: bool, is_piped: bool) -> Vec<u8> {
    let body = if is_deflated {
        let level = flate2::Compression::default();
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), level);
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    } else {
        text.as_bytes().to_vec()
    };
    let mut trailer = crc32fast::hash(text.as_bytes()).to_le_bytes().to_vec();
    trailer.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
    trailer.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
    let mut bytes = b"PK\x03\x04\x14\0".to_vec();
    bytes.extend([if is_piped { 8 } else { 0 }, 0]);
    bytes.extend([if is_deflated { 8 } else { 0 }, 0]);
    bytes.extend([0; 4]);
    bytes.extend(if is_piped {
        &[0; 12]
    } else {
        trailer.as_slice()
    });
    bytes.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend(name.as_bytes());
    bytes.extend(body);
    if is_piped {
        bytes.extend(b"PK\x07\x08");
        bytes.extend(trailer);
    }
    bytes
}

#[test]
fn each_file_of_a_zip_archive_is_a_document() {
    let archive = [
        entry("folder/", "", false, false),
        entry("folder/one.xml", "<one/>", true, true),
        entry("__MACOSX/one.xml", "nothing", true, false),
        entry("two.xml", TEXT, true, false),
        entry("three.xml", "<three/>", false, false),
        b"PK\x01\x02 what follows is not read".to_vec(),
    ];
    let expected = [
        ("in/folder/one.xml", "<one/>"),
        ("in/two.xml", TEXT),
        ("in/three.xml", "<three/>"),
    ];
    let expected = expected.map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(documents(&archive.concat(), None, 5).unwrap(), expected);
    assert_eq!(documents(b"PK\x05\x06", None, 5).unwrap(), []);
}

#[test]
fn a_damaged_zip_archive_is_an_error() {
    let sound = entry("a.xml", TEXT, false, false);
    let mut wrong = sound.clone();
    *wrong.last_mut().unwrap() = b'!';
    check_error(
        &[wrong.as_slice(), b"PK\x05\x06"].concat(),
        None,
        "in/a.xml: cannot be read",
    );
    check_error(&sound, None, "in/a.xml: cannot be read");
    check_error(&sound[..40], None, "in");
    check_error(b"PK\x03\x04", None, "in: cannot be read");
}
