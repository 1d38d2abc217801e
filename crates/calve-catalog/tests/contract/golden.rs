//! The shape of a table's entry in Glue.

use std::collections::HashMap;
use std::sync::Arc;

use calve_base::TableIdent;
use calve_catalog::Table;
use calve_testkit::moto::Moto;
use iceberg::spec::{
    FormatVersion, ListType, MapType, NestedField, PrimitiveType, Schema, SortOrder, StructType,
    TableMetadataBuilder, Type, UnboundPartitionSpec,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::glue::open;
use crate::laws::ident;

fn entry(ident: &TableIdent) -> Value {
    let request = json!({"DatabaseName": ident.namespace_text(), "Name": ident.name()});
    Moto::start().glue("GetTable", &request)["Table"].clone()
}

fn field(id: i32, name: &str, required: bool, primitive: PrimitiveType) -> NestedField {
    NestedField::new(id, name, Type::Primitive(primitive), required)
}

/// Every kind of type, nested ones too.
fn rich_schema() -> Schema {
    use PrimitiveType as P;
    let list = |id| {
        let element = NestedField::list_element(id, Type::Primitive(P::Timestamptz), true);
        Type::List(ListType::new(Arc::new(element)))
    };
    let map = MapType::new(
        Arc::new(NestedField::map_key_element(33, Type::Primitive(P::String))),
        Arc::new(NestedField::map_value_element(34, list(35), false)),
    );
    let address = StructType::new(vec![
        Arc::new(field(22, "street", false, P::String)),
        Arc::new(field(23, "zip", true, P::Int)),
        Arc::new(NestedField::optional(32, "by_name", Type::Map(map))),
    ]);
    let decimal = P::Decimal {
        precision: 12,
        scale: 2,
    };
    let fields = [
        field(1, "id", true, P::Long).with_doc("the key"),
        field(2, "flag", false, P::Boolean),
        field(3, "small", false, P::Int),
        field(4, "single", false, P::Float),
        field(5, "twice", false, P::Double),
        field(6, "price", false, decimal),
        field(7, "day", false, P::Date),
        field(8, "clock", false, P::Time),
        field(9, "local", false, P::Timestamp),
        field(10, "instant", false, P::Timestamptz),
        field(11, "name", false, P::String).with_doc(""),
        field(12, "key", false, P::Uuid),
        field(13, "hash", false, P::Fixed(16)),
        field(14, "raw", false, P::Binary),
        NestedField::optional(21, "address", Type::Struct(address)),
        NestedField::optional(30, "instants", list(31)),
    ];
    Schema::builder()
        .with_fields(fields.map(Arc::new))
        .build()
        .unwrap()
}

/// The golden files say what Java's `GlueTableOperations` sends for the same table: first when it is
/// created, then after a column was renamed, another dropped and one added, on an entry to which an
/// administrator had added a description, a comment and a parameter.
#[tokio::test(flavor = "multi_thread")]
async fn entries_are_as_java_writes_them() {
    let folder = TempDir::new().unwrap();
    let catalog = open(&folder, &[]).await;
    let name = ident("golden.rich");
    let location = catalog.default_location(&name).await.unwrap();
    assert!(
        location.as_str().ends_with("/warehouse/golden.db/rich"),
        "{location}"
    );
    let properties = HashMap::from([
        ("comment".to_owned(), "All\ntypes".to_owned()),
        ("write.data.path".to_owned(), "s3://b/data".to_owned()),
        ("owner".to_owned(), "ada".to_owned()),
    ]);
    let created = TableMetadataBuilder::new(
        rich_schema(),
        UnboundPartitionSpec::default(),
        SortOrder::unsorted_order(),
        location.to_string(),
        FormatVersion::V2,
        properties,
    )
    .unwrap()
    .build()
    .unwrap();
    let table = catalog.commit(&name, None, created).await.unwrap();
    check_golden(&table, None, "created");

    edit_by_hand(&name);
    let evolved = evolved_schema(&table);
    let build = table
        .metadata()
        .clone()
        .into_builder(Some(table.metadata_location().to_string()))
        .add_schema(evolved)
        .unwrap()
        .set_current_schema(-1)
        .unwrap()
        .remove_properties(&["comment".to_owned()])
        .unwrap()
        .build()
        .unwrap();
    let next = catalog.commit(&name, Some(&table), build).await.unwrap();
    check_golden(&next, Some(&table), "evolved");
}

/// What an administrator does.
fn edit_by_hand(name: &TableIdent) {
    let mut edited = entry(name);
    edited["Parameters"]["owner_team"] = json!("weather");
    edited["StorageDescriptor"]["Columns"][2]["Comment"] = json!("by hand");
    let mut input = serde_json::Map::new();
    for key in [
        "Name",
        "TableType",
        "Description",
        "Parameters",
        "StorageDescriptor",
    ] {
        input.insert(key.to_owned(), edited[key].clone());
    }
    Moto::start().glue(
        "UpdateTable",
        &json!({"DatabaseName": "golden", "TableInput": input}),
    );
}

/// One column renamed, one dropped, one added.
fn evolved_schema(table: &Table) -> Schema {
    let mut fields: Vec<_> = table
        .metadata()
        .current_schema()
        .as_struct()
        .fields()
        .to_vec();
    fields.retain(|field| field.name != "twice");
    let renamed = fields
        .iter()
        .position(|field| field.name == "single")
        .unwrap();
    fields[renamed] = Arc::new(NestedField {
        name: "renamed".to_owned(),
        ..fields[renamed].as_ref().clone()
    });
    let next = table.metadata().last_column_id() + 1;
    fields.push(Arc::new(field(
        next,
        "added",
        false,
        PrimitiveType::Timestamptz,
    )));
    Schema::builder().with_fields(fields).build().unwrap()
}

/// Compares the entry with `golden/glue_NAME.json`, field by field, but for what Glue adds itself.
#[track_caller]
fn check_golden(table: &Table, previous: Option<&Table>, name: &str) {
    let mut found = entry(table.ident());
    let fields = found.as_object_mut().unwrap();
    for own in [
        "CatalogId",
        "CreateTime",
        "DatabaseName",
        "UpdateTime",
        "VersionId",
    ] {
        fields.remove(own);
    }
    let path = calve_testkit::workspace_root()
        .join("crates/calve-catalog/tests/contract/golden")
        .join(format!("glue_{name}.json"));
    let golden = fs_err::read_to_string(path)
        .unwrap()
        .replace("{location}", table.metadata().location())
        .replace("{metadata_location}", table.metadata_location().as_str())
        .replace(
            "{previous_metadata_location}",
            previous.map_or("", |table| table.metadata_location().as_str()),
        );
    let golden: Value = serde_json::from_str(&golden).unwrap();
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
    assert!(
        found == golden,
        "found {}\nexpected {}",
        pretty(&found),
        pretty(&golden)
    );
}
