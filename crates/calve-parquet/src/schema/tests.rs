use std::sync::Arc;

use iceberg::spec::FormatVersion;
use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{SchemaDescriptor, Type as ParquetType};

use super::{FileField, FileSchema, FileType, IdCoverage};
use crate::policy::TypePolicy;

pub(super) fn parse(body: &str) -> ParquetType {
    parse_message_type(&format!("message m {{ {body} }}")).unwrap()
}

/// The schema of a file by the default policy, from the fields of a message.
pub(crate) fn file(body: &str) -> FileSchema {
    file_with(body, &TypePolicy::default())
}

pub(crate) fn file_with(body: &str, policy: &TypePolicy) -> FileSchema {
    FileSchema::from_parquet(&parse(body), policy)
}

/// `name:type`, with `!` behind what is required and `#` before a field id.
fn render(fields: &[&FileField]) -> String {
    let rendered: Vec<String> = fields.iter().map(|field| render_field(field)).collect();
    rendered.join(", ")
}

fn render_field(field: &FileField) -> String {
    let id = field
        .field_id
        .map(|id| format!("#{id}"))
        .unwrap_or_default();
    let required = if field.required { "!" } else { "" };
    let kind = match &field.kind {
        FileType::Primitive {
            iceberg,
            physical,
            leaf,
        } => match physical {
            super::Physical::Plain => format!("{iceberg}@{leaf}"),
            physical => format!("{iceberg}@{leaf}/{physical:?}"),
        },
        FileType::Struct(_) => format!("struct<{}>", render(&field.kind.children())),
        FileType::List(_) => format!("list<{}>", render(&field.kind.children())),
        FileType::Map(..) => format!("map<{}>", render(&field.kind.children())),
    };
    format!("{}{id}{required}: {kind}", field.name)
}

fn render_findings(schema: &FileSchema) -> String {
    let findings: Vec<String> = schema
        .findings
        .iter()
        .map(|finding| {
            format!(
                "{:?} {:?} {}",
                finding.severity, finding.code, finding.column
            )
        })
        .collect();
    findings.join(", ")
}

#[track_caller]
fn check_root(root: &ParquetType, policy: &TypePolicy, fields: &str, findings: &str) {
    let schema = FileSchema::from_parquet(root, policy);
    let rendered = render(&schema.fields.iter().collect::<Vec<_>>());
    assert_eq!(rendered, fields);
    assert_eq!(render_findings(&schema), findings);
    let leaves = SchemaDescriptor::new(Arc::new(root.clone())).num_columns();
    assert_eq!(schema.leaf_count, leaves);
}

#[track_caller]
fn check(body: &str, fields: &str, findings: &str) {
    check_root(&parse(body), &TypePolicy::default(), fields, findings);
}

#[track_caller]
fn check_v3(body: &str, fields: &str, findings: &str) {
    let policy = TypePolicy {
        format_version: FormatVersion::V3,
        ..TypePolicy::default()
    };
    check_root(&parse(body), &policy, fields, findings);
}

/// A schema of one optional leaf with an annotation that the text form cannot say.
#[track_caller]
fn check_leaf(
    physical: PhysicalType,
    logical: LogicalType,
    length: i32,
    fields: &str,
    findings: &str,
) {
    let leaf = ParquetType::primitive_type_builder("a", physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(logical))
        .with_length(length)
        .build()
        .unwrap();
    check_root(
        &group_of(vec![leaf]),
        &TypePolicy::default(),
        fields,
        findings,
    );
}

fn group_of(fields: Vec<ParquetType>) -> ParquetType {
    ParquetType::group_type_builder("m")
        .with_fields(fields.into_iter().map(Arc::new).collect())
        .build()
        .unwrap()
}

#[test]
fn plain_leaves() {
    check("required boolean a;", "a!: boolean@0", "");
    check("optional int32 a;", "a: int@0", "");
    check("optional int64 a;", "a: long@0", "");
    check("optional float a;", "a: float@0", "");
    check("optional double a;", "a: double@0", "");
    check("optional fixed_len_byte_array(5) a;", "a: fixed(5)@0", "");
    check("optional int32 a (DATE);", "a: date@0", "");
    check("optional binary a (UTF8);", "a: string@0", "");
    check("optional binary a (STRING);", "a: string@0", "");
    check("optional binary a (ENUM);", "a: string@0", "");
    check("optional binary a (JSON);", "a: string@0", "");
    check("optional binary a (BSON);", "a: binary@0", "");
    check(
        "optional fixed_len_byte_array(16) a (UUID);",
        "a: uuid@0",
        "",
    );
}

#[test]
fn integers() {
    check("optional int32 a (INT_8);", "a: int@0", "");
    check("optional int32 a (INT_16);", "a: int@0", "");
    check("optional int32 a (INTEGER(32,true));", "a: int@0", "");
    check("optional int64 a (INT_64);", "a: long@0", "");
    check("optional int32 a (UINT_8);", "a: int@0/Unsigned(8)", "");
    check(
        "optional int32 a (INTEGER(16,false));",
        "a: int@0/Unsigned(16)",
        "",
    );
    check(
        "optional int32 a (UINT_32);",
        "a: long@0/Unsigned(32)",
        "Unsafe UnsignedInt32 a",
    );
    check(
        "optional int64 a (UINT_64);",
        "a: long@0/Unsigned(64)",
        "Refused UnsignedInt64 a",
    );
}

#[test]
fn times() {
    check("optional int64 a (TIME_MICROS);", "a: time@0", "");
    check("optional int64 a (TIME(MICROS,false));", "a: time@0", "");
    check(
        "optional int64 a (TIME(MICROS,true));",
        "a: time@0",
        "Note TimeUtc a",
    );
    check(
        "optional int32 a (TIME_MILLIS);",
        "a: time@0/Millis",
        "Unsafe Milliseconds a",
    );
    check(
        "optional int64 a (TIME(NANOS,false));",
        "a: time@0/Nanos",
        "Refused Nanoseconds a",
    );
    check_v3(
        "optional int64 a (TIME(NANOS,false));",
        "a: time@0/Nanos",
        "Refused Nanoseconds a",
    );
}

#[test]
fn timestamps() {
    check(
        "optional int64 a (TIMESTAMP_MICROS);",
        "a: timestamptz@0",
        "",
    );
    check(
        "optional int64 a (TIMESTAMP(MICROS,true));",
        "a: timestamptz@0",
        "",
    );
    check(
        "optional int64 a (TIMESTAMP(MICROS,false));",
        "a: timestamp@0",
        "",
    );
    check(
        "optional int64 a (TIMESTAMP_MILLIS);",
        "a: timestamptz@0/Millis",
        "Unsafe Milliseconds a",
    );
    check(
        "optional int64 a (TIMESTAMP(MILLIS,false));",
        "a: timestamp@0/Millis",
        "Unsafe Milliseconds a",
    );
    let nanos =
        "optional int64 a (TIMESTAMP(NANOS,false)); optional int64 b (TIMESTAMP(NANOS,true));";
    check(
        nanos,
        "a: timestamp@0/Nanos, b: timestamptz@1/Nanos",
        "Refused Nanoseconds a, Refused Nanoseconds b",
    );
    check_v3(
        nanos,
        "a: timestamp_ns@0/Nanos, b: timestamptz_ns@1/Nanos",
        "",
    );
    check(
        "optional int96 a;",
        "a: timestamptz@0/Int96",
        "Note Int96 a",
    );
    let wall_clock = TypePolicy {
        int96_is_instant: false,
        ..TypePolicy::default()
    };
    check_root(
        &parse("optional int96 a;"),
        &wall_clock,
        "a: timestamp@0/Int96",
        "Note Int96 a",
    );
}

#[test]
fn decimals() {
    check("optional int32 a (DECIMAL(9,2));", "a: decimal(9, 2)@0", "");
    check(
        "optional int64 a (DECIMAL(18,2));",
        "a: decimal(18, 2)@0",
        "",
    );
    check(
        "optional fixed_len_byte_array(16) a (DECIMAL(38,10));",
        "a: decimal(38, 10)@0",
        "",
    );
    check(
        "optional binary a (DECIMAL(10,2));",
        "a: decimal(10, 2)@0/DecimalBytes",
        "",
    );
    check(
        "optional fixed_len_byte_array(17) a (DECIMAL(38,10));",
        "a: decimal(38, 10)@0/Unreadable",
        "Refused DecimalWidth a",
    );
    check(
        "optional fixed_len_byte_array(32) a (DECIMAL(76,10));",
        "a: decimal(38, 10)@0/Unreadable",
        "Refused DecimalPrecision a",
    );
}

#[test]
fn unreadable_leaves() {
    let byte_array = PhysicalType::BYTE_ARRAY;
    let fixed = PhysicalType::FIXED_LEN_BYTE_ARRAY;
    check_leaf(
        fixed,
        LogicalType::Float16,
        2,
        "a: float@0/Unreadable",
        "Refused Float16 a",
    );
    check_leaf(
        PhysicalType::INT32,
        LogicalType::Unknown,
        -1,
        "a: int@0/Unreadable",
        "Refused NullType a",
    );
    check_leaf(
        byte_array,
        LogicalType::Geometry { crs: None },
        -1,
        "a: binary@0/Unreadable",
        "Refused Geospatial a",
    );
    check_leaf(
        byte_array,
        LogicalType::Geography {
            crs: None,
            algorithm: None,
        },
        -1,
        "a: binary@0/Unreadable",
        "Refused Geospatial a",
    );
    check_leaf(
        PhysicalType::INT64,
        LogicalType::_Unknown { field_id: 99 },
        -1,
        "a: long@0/Unreadable",
        "Refused UndefinedAnnotation a",
    );
    check(
        "optional fixed_len_byte_array(12) a (INTERVAL);",
        "a: fixed(12)@0/Unreadable",
        "Refused Interval a",
    );
}

#[test]
fn text_without_annotation() {
    check(
        "optional binary a;",
        "a: binary@0/Unannotated",
        "Note UnannotatedBinary a",
    );
    let policy = TypePolicy {
        text_columns: vec!["A".into(), "s.element.b".into()],
        ..TypePolicy::default()
    };
    check_root(
        &parse(
            "optional binary a; optional group s (LIST) { repeated group list { \
             optional group element { optional binary b; optional binary c; } } }",
        ),
        &policy,
        "a: string@0/Unannotated, s: list<element: struct<b: string@1/Unannotated, c: binary@2/Unannotated>>",
        "Note UnannotatedBinary a, Note UnannotatedBinary s.element.b, Note UnannotatedBinary s.element.c",
    );
}

#[test]
fn lists_of_three_levels() {
    for (repeated, element) in [("list", "element"), ("bag", "array_element"), ("a", "b")] {
        check(
            &format!(
                "optional group a (LIST) {{ repeated group {repeated} {{ optional int32 {element}; }} }}"
            ),
            "a: list<element: int@0>",
            "",
        );
    }
    check(
        "required group a (LIST) { repeated group list { required group element (LIST) { \
         repeated group list { optional binary element (UTF8); } } } } optional int32 b;",
        "a!: list<element!: list<element: string@0>>, b: int@1",
        "",
    );
}

#[test]
fn lists_of_two_levels() {
    let legacy = "Unsafe LegacyList a";
    check(
        "optional group a (LIST) { repeated int32 element; }",
        "a: list<element!: int@0>",
        legacy,
    );
    check(
        "optional group a (LIST) { repeated group array { optional int32 x; } }",
        "a: list<element!: struct<x: int@0>>",
        legacy,
    );
    check(
        "optional group a (LIST) { repeated group a_tuple { optional int32 x; } }",
        "a: list<element!: struct<x: int@0>>",
        legacy,
    );
    check(
        "optional group a (LIST) { repeated group element { optional int32 x; optional int32 y; } }",
        "a: list<element!: struct<x: int@0, y: int@1>>",
        legacy,
    );
    check(
        "optional group a (LIST) { repeated group array (LIST) { repeated int32 array; } }",
        "a: list<element!: list<element!: int@0>>",
        "Unsafe LegacyList a, Unsafe LegacyList a.element",
    );
}

#[test]
fn lists_that_are_none() {
    check(
        "repeated int32 a; optional group b { repeated group c { optional int32 d; } }",
        "a!: list<element!: int@0>, b: struct<c!: list<element!: struct<d: int@1>>>",
        "Refused UnannotatedRepeated a, Refused UnannotatedRepeated b.c",
    );
    check(
        "optional group a (LIST) { optional int32 b; }",
        "a: struct<b: int@0>",
        "Refused MalformedList a",
    );
    check(
        "optional group a (LIST) { repeated int32 b; repeated int32 c; }",
        "a: struct<b!: list<element!: int@0>, c!: list<element!: int@1>>",
        "Refused MalformedList a, Refused UnannotatedRepeated a.b, Refused UnannotatedRepeated a.c",
    );
}

#[test]
fn maps() {
    for (outer, entries) in [("MAP", "key_value"), ("MAP_KEY_VALUE", "map")] {
        check(
            &format!(
                "optional group a ({outer}) {{ repeated group {entries} {{ required binary k (UTF8); optional int32 v; }} }}"
            ),
            "a: map<key!: string@0, value: int@1>",
            "",
        );
    }
    check(
        "optional group a (MAP) { repeated group map (MAP_KEY_VALUE) { required binary key (UTF8); \
         optional group value (LIST) { repeated group list { optional int32 element; } } } }",
        "a: map<key!: string@0, value: list<element: int@1>>",
        "",
    );
    check(
        "optional group a (MAP) { repeated group m { optional binary key (UTF8); optional int32 value; } }",
        "a: map<key: string@0, value: int@1>",
        "Unsafe MapOptionalKey a",
    );
    check(
        "optional group a (MAP) { repeated group m { required binary key (UTF8); } }",
        "a: list<element!: string@0>",
        "Refused MapNoValue a",
    );
    check(
        "optional group a (MAP) { repeated group m { required int32 value; required int32 key; } }",
        "a: map<key!: int@0, value!: int@1>",
        "Refused MapSwitched a",
    );
    check(
        "optional group a (MAP) { repeated int32 m; }",
        "a: struct<m!: list<element!: int@0>>",
        "Refused MalformedMap a, Refused UnannotatedRepeated a.m",
    );
}

#[test]
fn groups() {
    check(
        "optional group a { required int32 b; optional group c { optional int64 d; } }",
        "a: struct<b!: int@0, c: struct<d: long@1>>",
        "",
    );
    let empty = ParquetType::group_type_builder("a")
        .with_repetition(Repetition::OPTIONAL)
        .build()
        .unwrap();
    check_root(
        &group_of(vec![empty]),
        &TypePolicy::default(),
        "a: struct<>",
        "Refused EmptyGroup a",
    );
    check_root(
        &group_of(Vec::new()),
        &TypePolicy::default(),
        "",
        "Refused NoColumns ",
    );
    let variant = ParquetType::group_type_builder("v")
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(Some(LogicalType::Variant {
            specification_version: Some(1),
        }))
        .with_fields(vec![Arc::new(
            ParquetType::primitive_type_builder("metadata", PhysicalType::BOOLEAN)
                .build()
                .unwrap(),
        )])
        .build()
        .unwrap();
    check_root(
        &group_of(vec![variant]),
        &TypePolicy::default(),
        "v: binary@0/Unreadable",
        "Refused Variant v",
    );
}

#[test]
fn deep_groups() {
    let leaf = |name| {
        let builder = ParquetType::primitive_type_builder(name, PhysicalType::INT32);
        Arc::new(builder.build().unwrap())
    };
    let mut field = leaf("x");
    for _ in 0..200 {
        field = Arc::new(
            ParquetType::group_type_builder("g")
                .with_repetition(Repetition::OPTIONAL)
                .with_converted_type(ConvertedType::NONE)
                .with_fields(vec![field, leaf("y")])
                .build()
                .unwrap(),
        );
    }
    let root = ParquetType::group_type_builder("m")
        .with_fields(vec![field, leaf("last")])
        .build()
        .unwrap();
    let schema = FileSchema::from_parquet(&root, &TypePolicy::default());
    assert_eq!(schema.leaf_count, 202);
    assert!(render_findings(&schema).starts_with("Refused TooDeep g.g."));
    assert!(matches!(
        schema.fields[1].kind,
        FileType::Primitive { leaf: 201, .. }
    ));
}

#[test]
fn names() {
    check(
        "optional int32 a; optional int32 A;",
        "a: int@0, A: int@1",
        "Refused AmbiguousCase A",
    );
    check(
        "optional int32 a; optional int64 a;",
        "a: int@0, a: long@1",
        "Refused DuplicateName a",
    );
    check(
        "optional group s { optional int32 b; } optional int32 s.b;",
        "s: struct<b: int@0>, s.b: int@1",
        "Refused DuplicateName s.b",
    );
    check(
        "optional group s { optional int32 b; } optional group t { optional int32 b; }",
        "s: struct<b: int@0>, t: struct<b: int@1>",
        "",
    );
}

#[test]
fn ids() {
    let coverage = |body: &str| file(body).id_coverage();
    assert_eq!(coverage("optional int32 a;"), IdCoverage::None);
    assert_eq!(coverage("optional int32 a = 1;"), IdCoverage::All);
    assert_eq!(
        coverage("optional int32 a = 1; optional int32 b;"),
        IdCoverage::Some
    );
    check(
        "optional int32 a = 3; optional group l (LIST) = 4 { repeated group list { optional int32 element = 5; } }",
        "a#3: int@0, l#4: list<element#5: int@1>",
        "",
    );
    check(
        "optional int32 a = 1; optional group s { optional int32 b; }",
        "a#1: int@0, s: struct<b: int@1>",
        "Refused MixedIds s",
    );
    check(
        "optional int32 a = 1; optional int32 b = 1;",
        "a#1: int@0, b#1: int@1",
        "Refused DuplicateId b",
    );
    check(
        "optional int32 a = 2147483447; optional int32 b = 2147483446;",
        "a#2147483447: int@0, b#2147483446: int@1",
        "Refused ReservedId a",
    );
}
