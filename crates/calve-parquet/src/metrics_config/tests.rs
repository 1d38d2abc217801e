use std::sync::Arc;

use iceberg::spec::{
    ListType, MapType, NestedField, NestedFieldRef, NullOrder, PrimitiveType, SortDirection,
    SortField, Transform,
};

use super::MetricsMode::{Counts, Full, None as Nothing, Truncate};
use super::*;

fn field(id: i32, name: &str, kind: Type) -> NestedFieldRef {
    Arc::new(NestedField::optional(id, name, kind))
}

fn int(id: i32, name: &str) -> NestedFieldRef {
    field(id, name, Type::Primitive(PrimitiveType::Int))
}

fn structure(id: i32, name: &str, fields: Vec<NestedFieldRef>) -> NestedFieldRef {
    field(id, name, Type::Struct(StructType::new(fields)))
}

fn list(id: i32, name: &str, element: NestedFieldRef) -> NestedFieldRef {
    field(id, name, Type::List(ListType::new(element)))
}

fn map(id: i32, name: &str, key: NestedFieldRef, value: NestedFieldRef) -> NestedFieldRef {
    field(id, name, Type::Map(MapType::new(key, value)))
}

fn schema(fields: Vec<NestedFieldRef>) -> Schema {
    Schema::builder().with_fields(fields).build().unwrap()
}

/// Eight leaves (2, 4, 7, 8, 10, 11, 12, 13), nested in all ways.
fn nested() -> Schema {
    let element = structure(6, "element", vec![int(7, "d"), int(8, "e")]);
    schema(vec![
        structure(
            1,
            "a",
            vec![structure(3, "b", vec![int(4, "c")]), int(2, "f")],
        ),
        list(5, "g", element),
        map(9, "h", int(10, "key"), int(11, "value")),
        int(12, "i"),
        int(13, "j"),
    ])
}

fn properties(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn modes(config: &MetricsConfig, ids: &[i32]) -> Vec<MetricsMode> {
    ids.iter().map(|id| config.mode(*id)).collect()
}

#[test]
fn modes_by_property() {
    let schema = schema(vec![int(1, "a"), structure(2, "b", vec![int(3, "c.d")])]);
    let check = |pairs: &[(&str, &str)], expected: [MetricsMode; 2]| {
        let config = MetricsConfig::new(&properties(pairs), &schema).unwrap();
        assert_eq!(modes(&config, &[1, 3]), expected, "{pairs:?}");
    };
    let default = "write.metadata.metrics.default";
    check(&[], [Truncate(16), Truncate(16)]);
    check(&[(default, "none")], [Nothing, Nothing]);
    check(&[(default, "Counts")], [Counts, Counts]);
    check(&[(default, " FULL ")], [Full, Full]);
    check(&[(default, "truncate(5)")], [Truncate(5), Truncate(5)]);
    check(
        &[
            (default, "counts"),
            ("write.metadata.metrics.column.a", "full"),
        ],
        [Full, Counts],
    );
    check(
        &[("write.metadata.metrics.column.b.c.d", "none")],
        [Truncate(16), Nothing],
    );
}

#[test]
fn wrong_properties() {
    let schema = schema(vec![int(1, "a")]);
    let check = |name: &str, value: &str, message: &str| {
        let error = MetricsConfig::new(&properties(&[(name, value)]), &schema).unwrap_err();
        assert_eq!(error.to_string(), message);
    };
    for wrong in [
        "",
        "truncate",
        "truncate(0)",
        "truncate(-1)",
        "truncate(x)",
        "some",
    ] {
        check(
            "write.metadata.metrics.default",
            wrong,
            &format!(
                "property `write.metadata.metrics.default`: `{wrong}` is none of none, counts, \
                 truncate(length), full"
            ),
        );
    }
    check(
        "write.metadata.metrics.column.b",
        "full",
        "property `write.metadata.metrics.column.b`: the table has no column `b`",
    );
    check(
        "write.metadata.metrics.max-inferred-column-defaults",
        "-1",
        "property `write.metadata.metrics.max-inferred-column-defaults`: `-1` is not a number of \
         columns",
    );
}

#[test]
fn wide_tables() {
    let nested = nested();
    let leaves = [2, 4, 7, 8, 10, 11, 12, 13];
    // As Java counts them, with the two structs that are fields of structs, but not the element.
    assert_eq!(projected_fields(nested.as_struct()), 10);
    let with_metrics = |most: &str| {
        let name = "write.metadata.metrics.max-inferred-column-defaults";
        let config = MetricsConfig::new(&properties(&[(name, most)]), &nested).unwrap();
        let modes = modes(&config, &leaves);
        let mut ids = Vec::new();
        for (id, mode) in leaves.into_iter().zip(modes) {
            match mode {
                Truncate(16) => ids.push(id),
                other => assert_eq!(other, Nothing),
            }
        }
        ids
    };
    assert_eq!(with_metrics("0"), [0_i32; 0]);
    assert_eq!(with_metrics("1"), [12]);
    assert_eq!(with_metrics("2"), [12, 13]);
    assert_eq!(with_metrics("3"), [2, 12, 13]);
    assert_eq!(with_metrics("4"), [2, 4, 12, 13]);
    assert_eq!(with_metrics("5"), [2, 4, 7, 12, 13]);
    assert_eq!(with_metrics("7"), [2, 4, 7, 8, 10, 12, 13]);
    assert_eq!(with_metrics("9"), leaves);
    assert_eq!(with_metrics("10"), leaves);
}

#[test]
fn sorted_columns_have_bounds() {
    let schema = schema(vec![int(1, "a"), int(2, "b"), int(3, "c")]);
    let sorted = |source_id, transform| SortField {
        source_id,
        transform,
        direction: SortDirection::Ascending,
        null_order: NullOrder::First,
    };
    let order = SortOrder {
        order_id: 1,
        fields: vec![
            sorted(1, Transform::Identity),
            sorted(2, Transform::Bucket(4)),
            sorted(3, Transform::Truncate(2)),
        ],
    };
    let check = |pairs: &[(&str, &str)], expected: [MetricsMode; 3]| {
        let config = MetricsConfig::with_sort_order(&properties(pairs), &schema, &order).unwrap();
        assert_eq!(modes(&config, &[1, 2, 3]), expected, "{pairs:?}");
    };
    let default = "write.metadata.metrics.default";
    check(&[(default, "none")], [Truncate(16), Nothing, Truncate(16)]);
    check(&[(default, "counts")], [Truncate(16), Counts, Truncate(16)]);
    check(&[(default, "full")], [Full, Full, Full]);
    check(
        &[
            (default, "none"),
            ("write.metadata.metrics.column.a", "none"),
        ],
        [Nothing, Nothing, Truncate(16)],
    );
}
