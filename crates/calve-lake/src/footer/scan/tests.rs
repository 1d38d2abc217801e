use super::*;

/// A structure in Thrift's compact encoding, field by field.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    last: i16,
}

impl Writer {
    fn field(mut self, id: i16, wire: u8, value: &[u8]) -> Self {
        let delta = u8::try_from(id - self.last).unwrap();
        self.bytes.push(delta << 4 | wire);
        self.bytes.extend_from_slice(value);
        self.last = id;
        self
    }

    fn number(self, id: i16, value: u8) -> Self {
        self.field(id, wire::INT32, &[value * 2])
    }

    fn binary(self, id: i16, value: &[u8]) -> Self {
        let value = [&[u8::try_from(value.len()).unwrap()], value].concat();
        self.field(id, wire::BINARY, &value)
    }

    fn structure(self, id: i16, value: Self) -> Self {
        self.field(id, wire::STRUCT, &value.end())
    }

    fn list(self, id: i16, elements: Vec<Self>) -> Self {
        let header = u8::try_from(elements.len()).unwrap() << 4 | wire::STRUCT;
        let elements: Vec<u8> = elements.into_iter().flat_map(Self::end).collect();
        self.field(id, wire::LIST, &[vec![header], elements].concat())
    }

    fn names(self, id: i16, names: &[&str]) -> Self {
        let header = u8::try_from(names.len()).unwrap() << 4 | wire::BINARY;
        let names = names
            .iter()
            .flat_map(|name| [&[u8::try_from(name.len()).unwrap()], name.as_bytes()].concat());
        let value = std::iter::once(header).chain(names).collect::<Vec<u8>>();
        self.field(id, wire::LIST, &value)
    }

    fn end(mut self) -> Vec<u8> {
        self.bytes.push(wire::STOP);
        self.bytes
    }
}

fn element(name: &str, children: u8) -> Writer {
    let element = Writer::default().binary(4, name.as_bytes());
    if children == 0 {
        element
    } else {
        element.number(schema_element::NUM_CHILDREN, children)
    }
}

fn file(schema: Vec<Writer>, chunks: Vec<Writer>) -> Vec<u8> {
    let group = Writer::default().list(row_group::COLUMNS, chunks);
    Writer::default()
        .number(1, 1)
        .list(file_meta_data::SCHEMA, schema)
        .list(file_meta_data::ROW_GROUPS, vec![group])
        .end()
}

fn meta_data(kind: u8, path: &[&str]) -> Writer {
    Writer::default()
        .number(column_meta_data::TYPE, kind)
        .names(column_meta_data::PATH, path)
}

fn plain_chunk(path: &[&str]) -> Writer {
    Writer::default().structure(column_chunk::META_DATA, meta_data(1, path))
}

#[test]
fn encrypted_columns_are_named() {
    let key = |path: &[&str]| {
        Writer::default().structure(
            crypto_meta_data::COLUMN_KEY,
            Writer::default().names(encryption_with_column_key::PATH, path),
        )
    };
    let footer_key = Writer::default().structure(1, Writer::default());
    let chunks = vec![
        plain_chunk(&["a"]),
        plain_chunk(&["b", "c"]).structure(column_chunk::CRYPTO_META_DATA, footer_key),
        Writer::default()
            .structure(column_chunk::CRYPTO_META_DATA, key(&["d", "e"]))
            .binary(column_chunk::ENCRYPTED_META_DATA, b"hidden"),
    ];
    let scan = scan(&file(vec![element("root", 1), element("a", 0)], chunks)).unwrap();
    assert_eq!(scan.encrypted_columns, ["b.c", "d.e"]);
}

#[test]
fn the_schema_is_found() {
    let schema = || {
        vec![
            element("root", 2),
            element("a", 1),
            element("b", 0),
            element("c", 0),
        ]
    };
    let bytes = file(
        schema(),
        vec![plain_chunk(&["a", "b"]), plain_chunk(&["c"])],
    );
    let scan = scan(&bytes).unwrap();
    assert_eq!(scan.encrypted_columns, [""; 0]);
    let list = Writer::default().list(1, schema()).bytes;
    assert_eq!(bytes[scan.schema], list[1..]);
}

#[test]
fn malformed() {
    #[track_caller]
    fn check(bytes: &[u8], malformed: Malformed) {
        assert_eq!(scan(bytes), Err(malformed));
    }
    let tree = |schema| file(schema, vec![]);
    check(
        &tree(vec![element("root", 2), element("a", 0)]),
        Malformed::SchemaTree,
    );
    check(
        &tree(vec![element("root", 0), element("a", 0)]),
        Malformed::SchemaTree,
    );
    check(&tree(vec![]), Malformed::SchemaTree);
    check(
        &tree(vec![element("root", 60), element("a", 0)]),
        Malformed::SchemaTree,
    );
    let int96 = meta_data(3, &["a"]).structure(
        column_meta_data::STATISTICS,
        Writer::default().binary(5, &[0; 13]),
    );
    let chunk = Writer::default().structure(column_chunk::META_DATA, int96);
    check(
        &file(vec![element("root", 1), element("a", 0)], vec![chunk]),
        Malformed::Int96,
    );
    let good = file(
        vec![element("root", 1), element("a", 0)],
        vec![plain_chunk(&["a"])],
    );
    for end in 0..good.len() {
        assert!(scan(&good[..end]).is_err(), "cut at {end}");
    }
    // A schema that is a number, and a row group before its schema.
    check(&Writer::default().number(2, 1).end(), Malformed::FieldType);
    check(
        &Writer::default().list(4, vec![]).end(),
        Malformed::SchemaTree,
    );
    // A number that does not end, a list longer than the footer, and unknown fields in each other.
    check(
        &[
            0x15, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0,
        ],
        Malformed::Number,
    );
    check(&[0x29, 0xFC, 0xFF, 0x7F, 0], Malformed::List);
    check(&[0xFC; 100], Malformed::Depth);
}
