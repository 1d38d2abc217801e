use std::sync::Arc;

use iceberg::spec::{
    FormatVersion, ListType, Literal, MapType, NestedField, NestedFieldRef, PrimitiveType, Schema,
    StructType, Type,
};

use super::{ColumnMapping, FieldMapping, resolve, resolve_with};
use crate::error::{Error, Result};
use crate::name_mapping::NameMapping;
use crate::policy::TypePolicy;
use crate::schema::FileSchema;
use crate::schema::tests::{file, file_with};

/// Reads `1 a!: int, 2 s: struct<3 b: list<4 element: string>>`.
pub(crate) fn schema(text: &str) -> Schema {
    let mut rest = text;
    let fields = fields(&mut rest);
    assert_eq!(rest, "");
    Schema::builder().with_fields(fields).build().unwrap()
}

fn fields(rest: &mut &str) -> Vec<NestedFieldRef> {
    let mut found = Vec::new();
    while !rest.is_empty() && !rest.starts_with('>') {
        let (head, tail) = rest.split_once(": ").unwrap();
        let (id, name) = head.split_once(' ').unwrap();
        *rest = tail;
        let field_type = field_type(rest);
        let required = name.ends_with('!');
        let name = name.trim_end_matches('!');
        let field = NestedField::new(id.parse().unwrap(), name, field_type, required);
        found.push(Arc::new(field));
        *rest = rest.strip_prefix(", ").unwrap_or(rest);
    }
    found
}

fn field_type(rest: &mut &str) -> Type {
    for prefix in ["struct<", "list<", "map<"] {
        let Some(inner) = rest.strip_prefix(prefix) else {
            continue;
        };
        *rest = inner;
        let inner = fields(rest);
        *rest = rest.strip_prefix('>').unwrap();
        return match prefix {
            "struct<" => Type::Struct(StructType::new(inner)),
            "list<" => Type::List(ListType::new(Arc::clone(&inner[0]))),
            _ => Type::Map(MapType::new(Arc::clone(&inner[0]), Arc::clone(&inner[1]))),
        };
    }
    let bracket = rest
        .find('(')
        .filter(|start| !rest[..*start].contains([',', '>']));
    let end = match bracket {
        Some(start) => start + rest[start..].find(')').unwrap() + 1,
        None => rest.find([',', '>']).unwrap_or(rest.len()),
    };
    let (name, tail) = rest.split_at(end);
    *rest = tail;
    let json = name
        .replace("fixed(", "fixed[")
        .replace(')', if name.starts_with("fixed") { "]" } else { ")" });
    Type::Primitive(serde_json::from_str::<PrimitiveType>(&format!("\"{json}\"")).unwrap())
}

/// `id@index(children)` of every field that the file has.
fn render(fields: &[FieldMapping]) -> String {
    let rendered: Vec<String> = fields
        .iter()
        .map(|field| {
            let inner = match field.children.as_slice() {
                [] => String::new(),
                children => format!("({})", render(children)),
            };
            format!("{}@{}{inner}", field.field_id, field.file_index)
        })
        .collect();
    rendered.join(" ")
}

#[track_caller]
fn check(body: &str, table: &str, mapping: Option<&str>, tree: &str) -> ColumnMapping {
    check_file(&file(body), &schema(table), mapping, tree)
}

#[track_caller]
fn check_file(
    file: &FileSchema,
    table: &Schema,
    mapping: Option<&str>,
    tree: &str,
) -> ColumnMapping {
    let mapping = mapping.map(|json| NameMapping::parse(json).unwrap());
    let resolved = resolve(file, table, mapping.as_ref()).unwrap();
    assert_eq!(render(&resolved.root), tree);
    check_agreement(&resolved);
    resolved
}

/// The leaves, the paths and the tree say the same.
#[track_caller]
fn check_agreement(resolved: &ColumnMapping) {
    let mut open: Vec<&FieldMapping> = resolved.root.iter().collect();
    let mut fields = 0;
    while let Some(field) = open.pop() {
        fields += 1;
        let path = &resolved.file_paths[&field.field_id];
        assert_eq!(path.last(), Some(&field.file_name));
        if let Some(leaf) = field.leaf {
            assert_eq!(
                resolved.leaves[leaf].as_ref().unwrap().field_id,
                field.field_id
            );
        }
        open.extend(&field.children);
    }
    assert_eq!(resolved.file_paths.len(), fields);
}

#[track_caller]
fn check_error(body: &str, table: &str, mapping: Option<&str>, message: &str) {
    let mapping = mapping.map(|json| NameMapping::parse(json).unwrap());
    let error = resolve(&file(body), &schema(table), mapping.as_ref()).unwrap_err();
    assert_eq!(error.to_string(), message);
}

#[test]
fn by_own_names() {
    check(
        "optional int32 a; optional int64 b;",
        "1 a: int, 2 b: long",
        None,
        "1@0 2@1",
    );
    check(
        "optional int64 b; optional int32 a;",
        "1 a: int, 2 b: long",
        None,
        "1@1 2@0",
    );
    let resolved = check(
        "optional int32 c; optional int32 A; optional int32 a;",
        "1 a: int, 2 b: long",
        None,
        "1@2",
    );
    assert_eq!(resolved.missing, [2]);
    assert_eq!(resolved.extra, ["c", "A"]);
    assert_eq!(
        resolved.leaves.iter().filter(|leaf| leaf.is_some()).count(),
        1
    );
}

#[test]
fn by_name_mapping() {
    let mapping = r#"[{"field-id":1,"names":["old","a"]},{"field-id":2,"names":["s"],
        "fields":[{"field-id":3,"names":["x"]}]},{"names":["c"]}]"#;
    check("optional int32 old;", "1 a: int", Some(mapping), "1@0");
    // The mapping is case-sensitive, and does not know `b`.
    let resolved = check(
        "optional int32 A; optional int32 b; optional int32 c; optional group s { optional int32 y; optional int32 x; }",
        "1 a: int, 2 s: struct<3 y: int>, 4 b: int, 5 c: int",
        Some(mapping),
        "2@3(3@1)",
    );
    assert_eq!(resolved.missing, [1, 4, 5]);
    assert_eq!(resolved.extra, ["A", "b", "c", "s.y"]);
    assert_eq!(resolved.file_paths[&3], ["s", "x"]);
    // A field that the table no longer has is not one.
    check(
        "optional int32 old; optional int32 z;",
        "9 z: int",
        Some(mapping),
        "",
    );
}

#[test]
fn nested_fields() {
    let body = "optional group l (LIST) { repeated group bag { optional group array_element { \
        optional int32 x; optional int32 y; } } } \
        optional group m (MAP) { repeated group e { required binary k (UTF8); optional int32 v; } }";
    let table = "1 l: list<2 element: struct<3 y: int, 4 z: long>>, 5 m: map<6 key!: string, 7 value: long>";
    let names = NameMapping::of_schema(&schema(table)).to_json();
    for mapping in [None, Some(names.as_str())] {
        let resolved = check(body, table, mapping, "1@0(2@0(3@1)) 5@1(6@0 7@1)");
        assert_eq!(resolved.missing, [4]);
        assert_eq!(resolved.extra, ["l.element.x"]);
        assert_eq!(resolved.file_paths[&3], ["l", "element", "y"]);
        assert!(resolved.leaves[1].as_ref().unwrap().repeated);
        assert_eq!(
            resolved.leaves[3].as_ref().unwrap().table_type,
            PrimitiveType::Long
        );
        assert_eq!(
            resolved.leaves[3].as_ref().unwrap().file_type,
            PrimitiveType::Int
        );
    }
}

#[test]
fn by_field_ids() {
    let table = "1 a: int, 2 s: struct<3 b: int>, 4 l: list<5 element: int>";
    let body = "optional group s = 2 { optional int32 b = 3; } optional int32 A = 1; \
        optional group l (LIST) = 4 { repeated group list { optional int32 element = 5; } }";
    check(body, table, None, "1@1 2@0(3@0) 4@2(5@0)");
    let resolved = check(
        "optional int32 a = 1; optional int32 q = 9;",
        "1 a: int",
        None,
        "1@0",
    );
    assert_eq!(resolved.extra, ["q"]);
    // A renamed column is known by the mapping.
    let renamed = r#"[{"field-id":1,"names":["old"]}]"#;
    check("optional int32 old = 1;", "1 a: int", Some(renamed), "1@0");
    check_error(
        "optional int32 old = 1;",
        "1 a: int",
        None,
        "column `old`: the file gives it field id 1, but its field id is that of column `a`",
    );
    check_error(
        "optional int32 a = 7;",
        "1 a: int",
        None,
        "column `a`: the file gives it field id 7, but its field id is 1 in the table",
    );
    check_error(
        "optional group l (LIST) = 4 { repeated group list { optional int32 element = 6; } }",
        "4 l: list<5 element: int>",
        None,
        "column `l.element`: the file gives it field id 6, but it is 5 in the table",
    );
    check_error(
        "optional int32 a = 1; optional int32 b;",
        "1 a: int",
        None,
        "some columns of the file have field ids and some have none",
    );
}

#[test]
fn two_columns_that_are_one() {
    let mapping = r#"[{"field-id":1,"names":["a","A"]}]"#;
    check_error(
        "optional int32 a; optional int32 A;",
        "1 a: int",
        Some(mapping),
        "columns `a` and `A` of the file are both column `a`",
    );
    check_error(
        "optional group s { optional int32 x; optional int32 x; }",
        "1 s: struct<2 x: int>",
        None,
        "columns `s.x` and `s.x` of the file are both column `s.x`",
    );
}

/// Whether a leaf can be read as a type of the table.
#[track_caller]
fn check_reads(leaf: &str, version: FormatVersion, table_types: &[&str], refused: &[&str]) {
    let policy = TypePolicy {
        format_version: version,
        ..TypePolicy::default()
    };
    let file = file_with(leaf, &policy);
    let read = |table_type: &str| -> Result<ColumnMapping> {
        resolve(&file, &schema(&format!("1 a: {table_type}")), None)
    };
    for table_type in table_types {
        let resolved = read(table_type).unwrap();
        assert_eq!(
            resolved.leaves[0].as_ref().unwrap().table_type.to_string(),
            *table_type
        );
    }
    for table_type in refused {
        let error = read(table_type).unwrap_err();
        let expected = matches!(error, Error::TypeConflict { .. } | Error::Unreadable { .. });
        assert!(expected, "{leaf} as {table_type}: {error}");
    }
}

#[test]
fn promotions() {
    let v2 = FormatVersion::V2;
    check_reads(
        "optional int32 a;",
        v2,
        &["int", "long"],
        &["float", "double", "string", "date", "decimal(9, 0)"],
    );
    check_reads(
        "optional int64 a;",
        v2,
        &["long"],
        &["int", "timestamp", "double"],
    );
    check_reads(
        "optional float a;",
        v2,
        &["float", "double"],
        &["int", "decimal(9, 2)"],
    );
    check_reads("optional double a;", v2, &["double"], &["float"]);
    check_reads(
        "optional int32 a (DECIMAL(5,2));",
        v2,
        &["decimal(5, 2)", "decimal(20, 2)"],
        &["decimal(4, 2)", "decimal(5, 1)", "decimal(6, 3)", "double"],
    );
    check_reads(
        "optional int32 a (DATE);",
        v2,
        &["date"],
        &["timestamp", "timestamptz", "int"],
    );
    check_reads(
        "optional int32 a (DATE);",
        FormatVersion::V3,
        &["date", "timestamp", "timestamp_ns"],
        &["timestamptz", "timestamptz_ns"],
    );
}

#[test]
fn encodings_of_old() {
    let v2 = FormatVersion::V2;
    check_reads(
        "optional int96 a;",
        v2,
        &["timestamp", "timestamptz"],
        &["timestamp_ns", "date", "long"],
    );
    check_reads(
        "optional binary a;",
        v2,
        &["binary", "string"],
        &["uuid", "int"],
    );
    check_reads("optional binary a (UTF8);", v2, &["string"], &["binary"]);
    check_reads("optional binary a (BSON);", v2, &["binary"], &["string"]);
    check_reads("optional binary a (JSON);", v2, &["string"], &["binary"]);
    check_reads(
        "optional fixed_len_byte_array(16) a;",
        v2,
        &["fixed(16)", "uuid"],
        &["fixed(15)", "binary"],
    );
    check_reads(
        "optional fixed_len_byte_array(16) a (UUID);",
        v2,
        &["uuid", "fixed(16)"],
        &["string"],
    );
    check_reads(
        "optional int32 a (UINT_8);",
        v2,
        &["int", "long"],
        &["decimal(3, 0)"],
    );
    check_reads("optional int32 a (UINT_32);", v2, &["long"], &["int"]);
    check_reads(
        "optional int64 a (UINT_64);",
        v2,
        &[],
        &["long", "decimal(20, 0)"],
    );
}

#[test]
fn units_and_zones() {
    let (v2, v3) = (FormatVersion::V2, FormatVersion::V3);
    check_reads(
        "optional int64 a (TIMESTAMP(MILLIS,true));",
        v2,
        &["timestamptz"],
        &["timestamp"],
    );
    check_reads(
        "optional int64 a (TIMESTAMP(MICROS,false));",
        v2,
        &["timestamp"],
        &["timestamptz", "timestamp_ns"],
    );
    check_reads(
        "optional int64 a (TIMESTAMP(NANOS,false));",
        v2,
        &[],
        &["timestamp", "timestamp_ns"],
    );
    check_reads(
        "optional int64 a (TIMESTAMP(NANOS,false));",
        v3,
        &["timestamp_ns"],
        &["timestamp", "timestamptz_ns"],
    );
    check_reads("optional int64 a (TIME(NANOS,false));", v3, &[], &["time"]);
    check_reads("optional int32 a (TIME_MILLIS);", v2, &["time"], &["int"]);
}

#[test]
fn kinds_that_differ() {
    check_error(
        "optional group a { optional int32 b; }",
        "1 a: map<2 key!: int, 3 value: int>",
        None,
        "column `a` is `struct<b:int>` in the file and `map<int,int>` in the table",
    );
    check_error(
        "optional group s { optional int32 b; }",
        "1 s: struct<2 b: list<3 element: int>>",
        None,
        "column `s.b` is `int` in the file and `array<int>` in the table",
    );
    check_error(
        "optional fixed_len_byte_array(2) a (FLOAT16);",
        "1 a: float",
        None,
        "column `a` cannot be read in place",
    );
}

#[test]
fn required_columns() {
    check_error(
        "optional int32 b;",
        "1 a!: int, 2 b: int",
        None,
        "the file lacks column `a`, which the table requires",
    );
    let resolved = check(
        "optional int32 a; optional group s { optional int32 x; required int32 y; } required int32 r;",
        "1 a!: int, 2 s!: struct<3 x!: int, 4 y!: int>, 5 r!: int, 6 q: int",
        None,
        "1@0 2@1(3@0 4@1) 5@2",
    );
    let unproven: Vec<(&str, &[usize])> = resolved
        .unproven
        .iter()
        .map(|field| (field.column.as_str(), field.leaves.as_slice()))
        .collect();
    assert_eq!(unproven, [("a", &[0][..]), ("s", &[1, 2]), ("s.x", &[1])]);
}

#[test]
fn columns_that_files_need_not_have() {
    let table = schema("1 a!: int, 2 b: int");
    let body = file("optional int32 b;");
    assert!(resolve(&body, &table, None).is_err());
    let resolved = resolve_with(&body, &table, None, &[1]).unwrap();
    assert_eq!(resolved.missing, [1]);
    let resolved = resolve_with(&file("optional int32 a;"), &table, None, &[1]).unwrap();
    assert!(resolved.unproven.is_empty());

    let with_default = NestedField::required(1, "a", Type::Primitive(PrimitiveType::Int))
        .with_initial_default(Literal::int(7));
    let table = Schema::builder()
        .with_fields([Arc::new(with_default)])
        .build()
        .unwrap();
    check_file(&body, &table, None, "");
}
