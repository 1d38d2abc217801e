use iceberg::spec::{FormatVersion, NestedFieldRef, PrimitiveType, Schema, Type};

use super::{Drift, SchemaUnion};
use crate::hive_type::HiveColumn;
use crate::name_mapping::{NameMapping, children};
use crate::policy::TypePolicy;
use crate::resolve::resolve_with;
use crate::resolve::tests::schema;
use crate::schema::tests::{file, file_with};

/// Writes a schema as [`schema`] reads it.
fn render(table: &Schema) -> String {
    render_fields(table.as_struct().fields())
}

fn render_fields(fields: &[NestedFieldRef]) -> String {
    let rendered: Vec<String> = fields
        .iter()
        .map(|field| {
            let required = if field.required { "!" } else { "" };
            let inner = render_fields(&children(&field.field_type));
            let kind = match field.field_type.as_ref() {
                Type::Primitive(primitive) => primitive.to_string(),
                Type::Struct(_) => format!("struct<{inner}>"),
                Type::List(_) => format!("list<{inner}>"),
                Type::Map(_) => format!("map<{inner}>"),
            };
            format!("{} {}{required}: {kind}", field.id, field.name)
        })
        .collect();
    rendered.join(", ")
}

fn render_drifts(drifts: &[Drift]) -> String {
    let rendered: Vec<String> = drifts
        .iter()
        .map(|drift| match drift {
            Drift::Added { column } => format!("+{column}"),
            Drift::Missing { column } => format!("-{column}"),
            Drift::Widened { column, from, to } => format!("{column}: {from} => {to}"),
            Drift::Narrower { column, from, to } => format!("{column}: {from} of {to}"),
            Drift::Respelled { column, spelling } => format!("{column} ~ {spelling}"),
            Drift::Ignored { column } => format!("({column})"),
        })
        .collect();
    rendered.join(", ")
}

/// Absorbs files one by one; checks the drift of each and the schema at the end.
#[track_caller]
fn check(files: &[(&str, &str)], table: &str) -> SchemaUnion {
    check_union(SchemaUnion::for_new_table(&[]), files, table)
}

#[track_caller]
fn check_union(mut union: SchemaUnion, files: &[(&str, &str)], table: &str) -> SchemaUnion {
    for (body, drifts) in files {
        let file = file(body);
        let (_, found) = union.absorb(&file).unwrap();
        assert_eq!(render_drifts(&found), *drifts, "{body}");
    }
    let schema = union.schema().unwrap();
    assert_eq!(render(&schema), table);
    let mapping = union.name_mapping();
    for (body, _) in files {
        resolve_with(
            &file(body),
            &schema,
            Some(&mapping),
            &union.path_field_ids(),
        )
        .unwrap();
    }
    union
}

/// Absorbs the first file; the second is an error and changes nothing.
#[track_caller]
fn check_error(first: &str, second: &str, message: &str) {
    check_union_error(SchemaUnion::for_new_table(&[]), first, second, message);
}

#[track_caller]
fn check_union_error(mut union: SchemaUnion, first: &str, second: &str, message: &str) {
    if !first.is_empty() {
        union.absorb(&file(first)).unwrap();
    }
    let before = (render(&union.schema().unwrap()), union.name_mapping());
    let error = union.absorb(&file(second)).unwrap_err();
    assert_eq!(error.to_string(), message);
    let after = (render(&union.schema().unwrap()), union.name_mapping());
    assert_eq!(before, after);
}

pub(super) fn partitions(columns: &[(&str, PrimitiveType)]) -> SchemaUnion {
    let columns: Vec<(String, PrimitiveType)> = columns
        .iter()
        .map(|(name, primitive)| ((*name).to_owned(), primitive.clone()))
        .collect();
    SchemaUnion::for_new_table(&columns)
}

#[test]
fn one_file() {
    check(&[], "");
    check(
        &[("required int32 a; optional binary b (UTF8);", "")],
        "1 a!: int, 2 b: string",
    );
    // A level of fields first, then what is inside each, as Iceberg numbers a new schema.
    check(
        &[(
            "optional group s { required int32 x; optional group t { optional int32 y; } } optional int32 a; \
             optional group m (MAP) { repeated group e { required group key { optional int32 k; } \
             optional group value (LIST) { repeated group list { optional int32 element; } } } }",
            "",
        )],
        "1 s: struct<4 x!: int, 5 t: struct<6 y: int>>, 2 a: int, \
         3 m: map<7 key!: struct<8 k: int>, 9 value: list<10 element: int>>",
    );
}

#[test]
fn columns_come_and_go() {
    check(
        &[
            ("required int32 a; required int32 b;", ""),
            ("required int32 a; required int64 c;", "+c, -b"),
            ("required int32 a; required int32 b;", "-c"),
            ("optional int32 a; required int32 b;", "-c"),
        ],
        "1 a: int, 2 b: int, 3 c: long",
    );
    check(
        &[
            ("required group s { required int32 a; }", ""),
            (
                "required group s { required int32 b; optional group t { required int32 c; } } required int32 d;",
                "+s.b, +s.t, -s.a, +d",
            ),
        ],
        "1 s!: struct<2 a: int, 4 b: int, 5 t: struct<6 c!: int>>, 3 d: int",
    );
}

#[test]
fn types_widen() {
    check(
        &[
            (
                "optional int32 a; optional float b; optional int32 c (DECIMAL(5,2));",
                "",
            ),
            (
                "optional int64 a; optional double b; optional int64 c (DECIMAL(18,2));",
                "a: int => long, b: float => double, c: decimal(5, 2) => decimal(18, 2)",
            ),
            (
                "optional int32 a; optional float b; optional int32 c (DECIMAL(5,2));",
                "a: int of long, b: float of double, c: decimal(5, 2) of decimal(18, 2)",
            ),
        ],
        "1 a: long, 2 b: double, 3 c: decimal(18, 2)",
    );
    check(
        &[
            (
                "optional group l (LIST) { repeated group list { required int32 element; } }",
                "",
            ),
            (
                "optional group l (LIST) { repeated group bag { optional int64 array_element; } }",
                "l.element: int => long",
            ),
        ],
        "1 l: list<2 element: long>",
    );
}

#[test]
fn encodings_that_do_not_say_what_they_are() {
    let unannotated = "optional binary a;";
    let text = "optional binary a (UTF8);";
    check(&[(unannotated, "")], "1 a: binary");
    check(
        &[
            (unannotated, ""),
            (text, "a: binary => string"),
            (unannotated, ""),
        ],
        "1 a: string",
    );
    check(&[(text, ""), (unannotated, "")], "1 a: string");
    check(
        &[(unannotated, ""), ("optional binary a (BSON);", "")],
        "1 a: binary",
    );
    let int96 = "optional int96 a;";
    let local = "optional int64 a (TIMESTAMP(MICROS,false));";
    check(
        &[
            (int96, ""),
            (local, "a: timestamptz => timestamp"),
            (int96, ""),
        ],
        "1 a: timestamp",
    );
    check(&[(local, ""), (int96, "")], "1 a: timestamp");
    // Where writers of two conventions meet, instants win, whoever comes first.
    let wall_clock = TypePolicy {
        int96_is_instant: false,
        ..TypePolicy::default()
    };
    let files = [file(int96), file_with(int96, &wall_clock)];
    for order in [[0, 1], [1, 0]] {
        let mut union = SchemaUnion::for_new_table(&[]);
        for index in order {
            union.absorb(&files[index]).unwrap();
        }
        assert_eq!(render(&union.schema().unwrap()), "1 a: timestamptz");
    }
    let fixed = "optional fixed_len_byte_array(16) a;";
    let uuid = "optional fixed_len_byte_array(16) a (UUID);";
    check(&[(fixed, ""), (uuid, "a: fixed(16) => uuid")], "1 a: uuid");
}

#[test]
fn dates_become_timestamps_in_version_3_only() {
    let (date, timestamp) = (
        "optional int32 a (DATE);",
        "optional int64 a (TIMESTAMP(MICROS,false));",
    );
    let conflict = "column `a` is `timestamp` in the file and `date` in the table";
    check_error(date, timestamp, conflict);
    let policy = TypePolicy {
        format_version: FormatVersion::V3,
        ..TypePolicy::default()
    };
    let mut union = SchemaUnion::for_new_table(&[]);
    union.absorb(&file_with(date, &policy)).unwrap();
    union.absorb(&file_with(timestamp, &policy)).unwrap();
    assert_eq!(render(&union.schema().unwrap()), "1 a: timestamp");
}

#[test]
fn types_that_contradict() {
    check_error(
        "optional int32 a;",
        "optional binary a (UTF8);",
        "column `a` is `string` in the file and `int` in the table",
    );
    check_error(
        "optional int32 a (DECIMAL(5,2));",
        "optional int32 a (DECIMAL(5,1));",
        "column `a` is `decimal(5, 1)` in the file and `decimal(5, 2)` in the table",
    );
    check_error(
        "optional group s { optional int32 x; }",
        "optional int32 b; optional group s { optional group x { optional int32 y; } }",
        "column `s.x` is `struct<y:int>` in the file and `int` in the table",
    );
    check_error(
        "optional int32 a;",
        "optional int64 a (UINT_64);",
        "column `a` cannot be read in place",
    );
    check_error(
        "",
        "optional int64 a (UINT_64);",
        "column `a` cannot be read in place",
    );
}

#[test]
fn spellings() {
    let union = check(
        &[
            (
                "optional int32 userId; optional group S { optional int32 X; }",
                "",
            ),
            (
                "optional int32 userid; optional group s { optional int32 x; }",
                "userId ~ userid, S ~ s, S.X ~ x",
            ),
            ("optional int32 USERID;", "userId ~ USERID, -S"),
        ],
        "1 userId: int, 2 S: struct<3 X: int>",
    );
    assert_eq!(
        union.name_mapping().to_json(),
        concat!(
            r#"[{"field-id":1,"names":["userId","userid","USERID"]},{"field-id":2,"names":["S","s"],"#,
            r#""fields":[{"field-id":3,"names":["X","x"]}]}]"#
        )
    );
    let list = |group, element| {
        let element = format!("optional int32 {element};");
        format!("optional group a (LIST) {{ repeated group {group} {{ {element} }} }}")
    };
    let lists = [list("list", "element"), list("bag", "array_element")];
    let files = [(lists[0].as_str(), ""), (lists[1].as_str(), "")];
    let union = check(&files, "1 a: list<2 element: int>");
    assert_eq!(
        union.name_mapping().to_json(),
        r#"[{"field-id":1,"names":["a"],"fields":[{"field-id":2,"names":["element","bag"]}]}]"#
    );
    check_error(
        "optional int32 a;",
        "optional int32 A; optional int32 a;",
        "columns `A` and `a` of the file are both column `a`",
    );
    check_error(
        "",
        "optional group s { optional int32 b; optional int32 B; }",
        "columns `s.b` and `s.B` of the file are both column `s.b`",
    );
}

#[test]
fn ids_in_files() {
    check(
        &[
            (
                "optional int32 a = 7; optional group s = 3 { optional int32 b = 9; }",
                "",
            ),
            (
                "optional int64 a; optional int32 c;",
                "a: int => long, +c, -s",
            ),
            (
                "optional int32 A = 7; optional int32 d = 12;",
                "a ~ A, a: int of long, +d, -s, -c",
            ),
        ],
        "7 a: long, 3 s: struct<9 b: int>, 10 c: int, 12 d: int",
    );
    check_error(
        "optional int32 a; optional int32 b;",
        "optional int32 a = 1; optional int32 b = 3;",
        "column `b`: the file gives it field id 3, but it is 2 in the table",
    );
    check_error(
        "optional int32 a = 1;",
        "optional int32 a = 1; optional int32 b = 1;",
        "column `b`: the file gives it field id 1, which is that of column `a`",
    );
    check_error(
        "optional int32 a = 1;",
        "optional int32 b = 1;",
        "column `b`: the file gives it field id 1, which is that of column `a`",
    );
    check_error(
        "optional int32 a = 1;",
        "optional int32 a = 1; optional group s = 5 { optional int32 c = 1; }",
        "column `s.c`: the file gives it field id 1, which another column has",
    );
    check_error(
        "optional int32 a;",
        "optional int32 a = 1; optional int32 b;",
        "some columns of the file have field ids and some have none",
    );
}

#[test]
fn partition_columns_follow() {
    let parts = || {
        partitions(&[
            ("year", PrimitiveType::Int),
            ("dept", PrimitiveType::String),
        ])
    };
    check_union(parts(), &[], "1 year: int, 2 dept: string");
    let union = check_union(
        parts(),
        &[
            (
                "required int32 a; optional group s { optional int32 b; }",
                "",
            ),
            ("required int32 a; required int32 c;", "+c, -s"),
        ],
        "1 a!: int, 2 s: struct<5 b: int>, 6 c: int, 3 year: int, 4 dept: string",
    );
    assert!(union.path_columns_in_files().is_empty());
}

#[test]
fn partition_columns_in_files() {
    let parts = || {
        partitions(&[
            ("year", PrimitiveType::Long),
            ("dept", PrimitiveType::String),
        ])
    };
    let union = check_union(
        parts(),
        &[
            (
                "required int32 a; required int32 YEAR; required int32 b;",
                "year ~ YEAR, year: int of long",
            ),
            ("required int32 a; required int32 b;", ""),
        ],
        "1 a!: int, 2 year: long, 3 b!: int, 4 dept: string",
    );
    assert_eq!(union.path_columns_in_files(), ["year"]);
    let late = check_union(
        parts(),
        &[
            ("required int32 a;", ""),
            ("required int32 a; optional binary dept (UTF8);", ""),
        ],
        "1 a!: int, 3 dept: string, 2 year: long",
    );
    assert_eq!(late.path_columns_in_files(), ["dept"]);
    check_union_error(
        partitions(&[("year", PrimitiveType::Int)]),
        "",
        "optional binary year (UTF8);",
        "column `year` is `string` in the file and `int` in the table",
    );
}

fn seeded(columns: &[(&str, &str)]) -> SchemaUnion {
    let columns: Vec<HiveColumn> = columns
        .iter()
        .map(|(name, hive_type)| HiveColumn {
            name: (*name).to_owned(),
            hive_type: (*hive_type).to_owned(),
            comment: Some(format!("about {name}")),
        })
        .collect();
    let mut union = partitions(&[("p", PrimitiveType::String)]);
    union.seed(&columns).unwrap();
    union
}

#[test]
fn columns_of_a_catalog() {
    let columns = [
        ("userid", "bigint"),
        ("s", "struct<a:int,b:array<string>>"),
        ("at", "timestamp"),
        ("raw", "binary"),
    ];
    let union = check_union(
        seeded(&columns),
        &[
            (
                "required int64 extra; required int32 userId; required int96 at; optional binary raw (UTF8);",
                "+extra, userid ~ userId, userid: int of long, at: timestamp => timestamptz, \
                 raw: binary => string, -s",
            ),
            (
                "optional group s { optional group B (LIST) { repeated group bag { optional binary array_element; } } }",
                "s.b ~ B, -s.a, -userid, -at, -raw, -extra",
            ),
        ],
        "1 userid: long, 2 s: struct<7 a: int, 8 b: list<9 element: string>>, 3 at: timestamptz, \
         4 raw: string, 5 extra: long, 6 p: string",
    );
    let schema = union.schema().unwrap();
    assert_eq!(
        schema.field_by_name("userid").unwrap().doc.as_deref(),
        Some("about userid")
    );
    check_union_error(
        seeded(&columns),
        "",
        "optional binary userid (UTF8);",
        "column `userid` is `string` in the file and `long` in the table",
    );
}

#[test]
fn columns_of_a_catalog_twice() {
    let column = |name: &str| HiveColumn {
        name: name.into(),
        hive_type: "int".into(),
        comment: None,
    };
    let mut union = partitions(&[("p", PrimitiveType::Int)]);
    assert!(union.seed(&[column("a"), column("A")]).is_err());
    assert!(union.seed(&[column("P")]).is_err());
    assert_eq!(render(&union.schema().unwrap()), "1 p: int");
}

#[track_caller]
fn check_table(table: &str, mapping: Option<&str>, files: &[(&str, &str)], names: &str) {
    let mapping = mapping.map(|json| NameMapping::parse(json).unwrap());
    let union = SchemaUnion::for_table(&schema(table), mapping, true);
    let union = check_union(union, files, table);
    assert_eq!(union.name_mapping().to_json(), names);
}

#[test]
fn existing_tables() {
    check_table(
        "1 a!: int, 2 b: long",
        None,
        &[
            ("required int32 a;", "-b"),
            (
                "required int32 A; optional int32 b; optional int32 c;",
                "a ~ A, b: int of long, (c)",
            ),
        ],
        r#"[{"field-id":1,"names":["a","A"]},{"field-id":2,"names":["b"]}]"#,
    );
    check_table(
        "3 s: struct<4 x: int>, 9 at: timestamp",
        Some(
            r#"[{"field-id":3,"names":["old"],"fields":[{"field-id":4,"names":["x","ex"]}]},{"field-id":7,"names":["gone"]}]"#,
        ),
        &[(
            "optional group Old { optional int32 EX; optional int32 y; } optional int96 at;",
            "s ~ Old, s.x ~ EX, (s.y)",
        )],
        concat!(
            r#"[{"field-id":3,"names":["old","Old"],"fields":[{"field-id":4,"names":["x","ex","EX"]}]},"#,
            r#"{"field-id":7,"names":["gone"]},{"field-id":9,"names":["at"]}]"#
        ),
    );
}

#[test]
fn files_that_do_not_fit_a_table() {
    let table = || SchemaUnion::for_table(&schema("1 a!: int, 2 b: int, 3 B: int"), None, false);
    check_union_error(
        table(),
        "",
        "required int32 a; optional int32 c; optional group d { optional int32 e; }",
        "the file has columns that the table lacks: `c`, `d`",
    );
    check_union_error(
        table(),
        "required int32 a;",
        "optional int32 b;",
        "the file lacks column `a`, which the table requires",
    );
    check_union_error(
        table(),
        "",
        "optional int64 a;",
        "column `a` is `long` in the file and `int` in the table",
    );
    check_union_error(
        SchemaUnion::for_table(&schema("1 bb: int, 2 Bb: int"), None, false),
        "optional int32 Bb; optional int32 bb;",
        "optional int32 BB;",
        "column `BB`: it may be `bb` or `Bb` of the table, whose names differ only in case",
    );
    check_union_error(
        SchemaUnion::for_table(&schema("1 a: int"), None, false),
        "",
        "optional int32 a = 2;",
        "column `a`: the file gives it field id 2, but it is 1 in the table",
    );
}

#[test]
fn path_columns_of_a_table() {
    let table = schema("1 a: int, 2 p!: string");
    let union = SchemaUnion::for_table(&table, None, false).with_path_columns(&["p".to_owned()]);
    let union = check_union(
        union,
        &[("optional int32 a;", "")],
        "1 a: int, 2 p!: string",
    );
    assert!(union.path_columns_in_files().is_empty());
    let union = SchemaUnion::for_table(&table, None, false).with_path_columns(&["p".to_owned()]);
    let union = check_union(
        union,
        &[("optional binary P (UTF8);", "p ~ P, -a")],
        "1 a: int, 2 p!: string",
    );
    assert_eq!(union.path_columns_in_files(), ["p"]);
}

#[test]
fn files_of_one_schema_share_their_mapping() {
    let mut union = SchemaUnion::for_new_table(&[]);
    let first = file("optional int32 a;");
    union.absorb(&first).unwrap();
    let (one, _) = union.absorb(&first).unwrap();
    let (two, _) = union.absorb(&first).unwrap();
    assert!(std::sync::Arc::ptr_eq(&one, &two));
    // Another file widens the column: the mapping of the first is another from now on.
    union.absorb(&file("optional int64 a;")).unwrap();
    let (three, drifts) = union.absorb(&first).unwrap();
    assert_eq!(
        three.leaves[0].as_ref().unwrap().table_type,
        PrimitiveType::Long
    );
    assert_eq!(render_drifts(&drifts), "a: int of long");
}

#[test]
fn columns_that_make_no_schema() {
    let mut union = SchemaUnion::for_new_table(&[]);
    let error = union
        .absorb(&file(
            "optional group a { optional int32 b; } optional int32 a.b;",
        ))
        .unwrap_err();
    assert_eq!(error.to_string(), "the columns make no valid table schema");
}
