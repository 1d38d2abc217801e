//! The order in which files come does not matter.

use std::collections::BTreeSet;

use iceberg::spec::{PrimitiveType, Schema, Type};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use super::SchemaUnion;
use super::tests::partitions;
use crate::name_mapping::NameMapping;
use crate::resolve::resolve;
use crate::schema::FileSchema;
use crate::schema::tests::file;

/// A column of a file, of a few names in two spellings, whose types can be united by name.
fn column(name: usize, depth: u32) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just(["int32", "int64", "int32"]),
        Just(["int64", "int32", "int32"]),
    ];
    (leaf, any::<bool>(), any::<bool>(), any::<bool>(), 0..3_usize).prop_map(
        move |(integer, required, upper, flag, shape)| {
            let repetition = if required { "required" } else { "optional" };
            let spelled = if upper { format!("C{name}") } else { format!("c{name}") };
            let kinds = if depth == 0 { 4 } else { 7 };
            match name % kinds {
                0 => format!("{repetition} {} {spelled};", integer[shape]),
                1 => format!("{repetition} {} {spelled};", if flag { "float" } else { "double" }),
                2 => format!("{repetition} int64 {spelled} (DECIMAL({},2));", 5 + shape),
                3 => format!("{repetition} binary {spelled}{};", if flag { " (UTF8)" } else { "" }),
                4 => format!(
                    "{repetition} group {spelled} {{ {repetition} {} X; optional float y{shape}; }}",
                    integer[shape]
                ),
                5 => format!(
                    "{repetition} group {spelled} (LIST) {{ repeated group list {{ {repetition} {} element; }} }}",
                    integer[shape]
                ),
                _ => format!(
                    "{repetition} group {spelled} (MAP) {{ repeated group kv {{ required binary key (UTF8); \
                     optional {} value; }} }}",
                    integer[shape]
                ),
            }
        },
    )
}

fn lake() -> impl Strategy<Value = Vec<String>> {
    let columns: Vec<_> = (0..9)
        .map(|name| proptest::option::weighted(0.7, column(name, 1)))
        .collect();
    let one_file = columns.prop_map(|columns| {
        let columns: Vec<String> = columns.into_iter().flatten().collect();
        columns.join(" ")
    });
    let some = one_file.prop_filter("a file has columns", |body| !body.is_empty());
    proptest::collection::vec(some, 1..6)
}

/// The columns without their order, their ids and their spelling.
fn canonical(table: &Schema) -> BTreeSet<String> {
    let names = table.field_id_to_name_map();
    names
        .iter()
        .map(|(id, name)| {
            let field = table.field_by_id(*id).unwrap();
            let kind = match field.field_type.as_ref() {
                Type::Primitive(primitive) => primitive.to_string(),
                Type::Struct(_) => "struct".to_owned(),
                Type::List(_) => "list".to_owned(),
                Type::Map(_) => "map".to_owned(),
            };
            format!("{} {kind} {}", name.to_lowercase(), field.required)
        })
        .collect()
}

fn unite(files: &[FileSchema]) -> (Schema, NameMapping) {
    let mut union = partitions(&[("part", PrimitiveType::Date)]);
    for file in files {
        union.absorb(file).unwrap();
    }
    (union.schema().unwrap(), union.name_mapping())
}

proptest! {
    #[test]
    fn unions_do_not_depend_on_the_order_of_files(lake in lake(), turn in 0..6_usize) {
        let mut files: Vec<FileSchema> = lake.iter().map(|body| file(body)).collect();
        let (table, mapping) = unite(&files);
        // Every file resolves, and the ids are those of 1 to n.
        for file in &files {
            let resolved = resolve(file, &table, Some(&mapping)).unwrap();
            assert!(resolved.extra.is_empty() && resolved.unproven.is_empty());
        }
        let count = i32::try_from(table.field_id_to_name_map().len()).unwrap();
        assert_eq!(table.highest_field_id(), count);
        let turn = turn % files.len();
        files.rotate_left(turn);
        assert_eq!(canonical(&unite(&files).0), canonical(&table));
        files.reverse();
        assert_eq!(canonical(&unite(&files).0), canonical(&table));
        // Once a table, it takes every file and stays as it is.
        let mut again = SchemaUnion::for_table(&table, Some(mapping.clone()), false);
        for file in &files {
            again.absorb(file).unwrap();
        }
        assert_eq!(again.schema().unwrap(), table);
        assert_eq!(again.name_mapping(), mapping);
    }
}
