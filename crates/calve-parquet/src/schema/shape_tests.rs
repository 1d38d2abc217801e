//! Schemas that nobody writes: nothing panics, and what is not refused becomes a table.

use std::collections::BTreeSet;
use std::sync::Arc;

use parquet::basic::{ConvertedType, LogicalType, Repetition, Type as PhysicalType};
use parquet::schema::types::{SchemaDescriptor, Type};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::sample::select;

use super::{FileSchema, FileType, walk};
use crate::policy::{Severity, TypePolicy};
use crate::resolve::resolve;
use crate::union::SchemaUnion;

fn repetition() -> impl Strategy<Value = Repetition> {
    select(vec![
        Repetition::REQUIRED,
        Repetition::OPTIONAL,
        Repetition::OPTIONAL,
        Repetition::REPEATED,
    ])
}

fn name() -> impl Strategy<Value = &'static str> {
    select(vec![
        "a", "b", "B", "c", "d.e", "list", "array", "element", "a_tuple", "key", "value", "",
    ])
}

fn id() -> impl Strategy<Value = Option<i32>> {
    prop_oneof![8 => Just(None), 1 => (1..9).prop_map(Some), 1 => any::<i32>().prop_map(Some)]
}

fn leaf() -> impl Strategy<Value = Arc<Type>> {
    let physical = select(vec![
        PhysicalType::BOOLEAN,
        PhysicalType::INT32,
        PhysicalType::INT64,
        PhysicalType::INT96,
        PhysicalType::DOUBLE,
        PhysicalType::BYTE_ARRAY,
        PhysicalType::FIXED_LEN_BYTE_ARRAY,
    ]);
    let logical = select(vec![
        None,
        None,
        Some(LogicalType::String),
        Some(LogicalType::Date),
        Some(LogicalType::Uuid),
        Some(LogicalType::Unknown),
        Some(LogicalType::Decimal {
            scale: 2,
            precision: 9,
        }),
        Some(LogicalType::Integer {
            bit_width: 32,
            is_signed: false,
        }),
        Some(LogicalType::_Unknown { field_id: 40 }),
    ]);
    (name(), repetition(), physical, logical, id()).prop_map(
        |(name, repetition, physical, logical, id)| {
            let build = |logical: Option<LogicalType>| {
                let mut builder = Type::primitive_type_builder(name, physical)
                    .with_repetition(repetition)
                    .with_length(16)
                    .with_id(id);
                if let Some(LogicalType::Decimal { scale, precision }) = logical {
                    builder = builder.with_scale(scale).with_precision(precision);
                }
                builder.with_logical_type(logical).build()
            };
            // Annotations that the format forbids are not even decoded.
            Arc::new(build(logical).or_else(|_| build(None)).unwrap())
        },
    )
}

fn tree() -> impl Strategy<Value = Arc<Type>> {
    leaf().prop_recursive(4, 24, 3, |inner| {
        let annotation = select(vec![
            ConvertedType::NONE,
            ConvertedType::NONE,
            ConvertedType::LIST,
            ConvertedType::MAP,
            ConvertedType::MAP_KEY_VALUE,
            ConvertedType::UTF8,
        ]);
        let fields = proptest::collection::vec(inner, 0..4);
        (name(), repetition(), annotation, id(), fields).prop_map(
            |(name, repetition, annotation, id, fields)| {
                Arc::new(
                    Type::group_type_builder(name)
                        .with_repetition(repetition)
                        .with_converted_type(annotation)
                        .with_id(id)
                        .with_fields(fields)
                        .build()
                        .unwrap(),
                )
            },
        )
    })
}

proptest! {
    #[test]
    fn any_schema(fields in proptest::collection::vec(tree(), 0..5)) {
        let root = Type::group_type_builder("m").with_fields(fields).build().unwrap();
        let schema = FileSchema::from_parquet(&root, &TypePolicy::default());
        let columns = SchemaDescriptor::new(Arc::new(root)).num_columns();
        assert_eq!(schema.leaf_count, columns);
        let mut leaves = BTreeSet::new();
        walk(&schema.fields, &mut |field| {
            if let FileType::Primitive { leaf, .. } = field.kind {
                assert!(leaf < columns && leaves.insert(leaf));
            }
        });
        let mut union = SchemaUnion::for_new_table(&[]);
        let absorbed = union.absorb(&schema);
        if schema.severity() == Some(Severity::Refused) {
            return Ok(());
        }
        let (mapping, _) = absorbed.unwrap();
        assert_eq!(mapping.leaves.iter().flatten().count(), columns);
        let table = union.schema().unwrap();
        assert_eq!(resolve(&schema, &table, Some(&union.name_mapping())).unwrap(), *mapping);
    }
}
