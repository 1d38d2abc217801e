//! `tables`, `show`, `register` and `drop` over tables that PyIceberg has made.

use calve_testkit::python;
use insta::assert_snapshot;
use serde_json::json;

use crate::support::{Sandbox, files_below};

/// Makes `db.t` with two snapshots, sorted and partitioned, and `a.b.nested` with none.
const MAKE_TABLES: &str = r#"
import json, sys
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table.sorting import SortField, SortOrder
from pyiceberg.transforms import BucketTransform, IdentityTransform
from pyiceberg.types import LongType, NestedField, StringType

folder, gc = sys.argv[1:]
catalog = SqlCatalog("default", uri=f"sqlite:///{folder}/calve.db", warehouse=f"file://{folder}/warehouse")
catalog.create_namespace("db")
catalog.create_namespace("a.b")
schema = Schema(
    NestedField(1, "id", LongType(), required=True),
    NestedField(2, "name", StringType()),
)
catalog.create_table("a.b.nested", schema)
table = catalog.create_table(
    "db.t",
    schema,
    partition_spec=PartitionSpec(
        PartitionField(2, 1000, IdentityTransform(), "name"),
    ),
    sort_order=SortOrder(SortField(1, transform=IdentityTransform())),
    properties={"gc.enabled": gc, "owner": "somebody"},
)
rows = pa.schema([pa.field("id", pa.int64(), False), pa.field("name", pa.string())])
for ids in ([1, 2], [3, 4]):
    table.append(pa.Table.from_pylist([{"id": i, "name": f"n{i % 2}"} for i in ids], schema=rows))
print(json.dumps({"metadata": table.metadata_location}))
"#;

/// A sandbox with these tables.
fn sandbox(gc: &str) -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    let made = python::run(MAKE_TABLES, &[sandbox.path().to_str().unwrap(), gc]);
    let metadata = made["metadata"].as_str().unwrap().to_owned();
    (sandbox, metadata)
}

#[test]
fn tables_of_pyiceberg_are_shown() {
    let (sandbox, _) = sandbox("true");
    assert_snapshot!(sandbox.run(&["tables"]), @"
    exit 0
    --- stdout ---
    a.b.nested
    db.t
    --- stderr ---
    ");
    assert_snapshot!(sandbox.run(&["tables", "a.b"]), @"
    exit 0
    --- stdout ---
    a.b.nested
    --- stderr ---
    ");
    assert_snapshot!(sandbox.run(&["show", "db.t"]), @"
    exit 0
    --- stdout ---
    table           db.t
    location        file://[DIR]/warehouse/db/t
    metadata        file://[DIR]/warehouse/db/t/metadata/00002-[UUID].metadata.json
    uuid            [UUID]
    format version  2
    partitioned by  name
    sorted by       id ascending nulls first
    properties      gc.enabled=true
                    owner=somebody
    snapshot        [SNAPSHOT] (append)
    snapshots       2
    data files      4
    delete files    0
    records         4
    bytes           3672 (3.6 KiB)

    id  column  type
    --  ------  ------  --------
     1  id      long    required
     2  name    string
    --- stderr ---
    ");
    let shown = sandbox.json(&["show", "db.t"]);
    assert_eq!(shown["format_version"], 2);
    assert_eq!(shown["properties"]["owner"], "somebody");
    assert_eq!(
        shown["partition_spec"],
        json!([{"name": "name", "source": "name", "transform": "identity"}])
    );
    assert_eq!(
        shown["sort_order"],
        json!([{"source": "id", "transform": "identity", "direction": "ascending", "null_order": "first"}])
    );
    assert_eq!(shown["current_snapshot"]["operation"], "append");
    assert_eq!(shown["counts"]["snapshots"], 2);
    assert_eq!(shown["counts"]["records"], 4);
    assert_eq!(shown["counts"]["data_files"], 4);
    let empty = sandbox.json(&["show", "a.b.nested"]);
    assert_eq!(empty["current_snapshot"], json!(null));
    assert_eq!(empty["counts"]["records"], 0);
}

#[test]
fn a_dropped_table_can_be_registered_again() {
    let (sandbox, metadata) = sandbox("true");
    let before = files_below(&sandbox.path().join("warehouse"));
    assert_snapshot!(sandbox.run(&["drop", "db.t"]), @"
    exit 0
    --- stdout ---
    dropped        db.t
    files deleted  0
    --- stderr ---
    ");
    assert_eq!(files_below(&sandbox.path().join("warehouse")), before);
    assert_eq!(sandbox.json(&["tables"])["tables"], json!(["a.b.nested"]));

    assert_snapshot!(sandbox.run(&["register", "db.again", &metadata, "--dry-run"]), @"
    exit 0
    --- stdout ---
    table       db.again
    metadata    file://[DIR]/warehouse/db/t/metadata/00002-[UUID].metadata.json
    snapshot    [SNAPSHOT]
    data files  4
    records     4
    --- stderr ---
    note: this was a dry run: nothing was written
    ");
    assert_eq!(sandbox.json(&["tables"])["tables"], json!(["a.b.nested"]));
    assert_snapshot!(sandbox.run(&["register", "db.again", &metadata]), @"
    exit 0
    --- stdout ---
    table       db.again
    metadata    file://[DIR]/warehouse/db/t/metadata/00002-[UUID].metadata.json
    snapshot    [SNAPSHOT]
    data files  4
    records     4
    --- stderr ---
    ");
    assert_eq!(
        sandbox.json(&["tables"])["tables"],
        json!(["a.b.nested", "db.again"])
    );
    assert_snapshot!(sandbox.run(&["register", "db.again", &metadata]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: table db.again already exists in catalog default
    hint: choose another name, or drop the table first
    ");
    assert_eq!(files_below(&sandbox.path().join("warehouse")), before);
}

#[test]
fn a_purge_deletes_every_file_of_the_table() {
    let (sandbox, _) = sandbox("true");
    let warehouse = sandbox.path().join("warehouse");
    let others =
        files_below(&warehouse.join("a.b")).len() + files_below(&warehouse.join("a")).len();
    let before = files_below(&warehouse);
    assert_snapshot!(sandbox.run(&["drop", "db.t", "--purge", "--dry-run"]), @"
    exit 0
    --- stdout ---
    table             db.t
    data files        4
    delete files      0
    manifests         2
    manifest lists    2
    statistics files  0
    metadata files    3
    --- stderr ---
    note: this was a dry run: nothing was written
    ");
    assert_eq!(files_below(&warehouse), before);
    let report = sandbox.json(&["drop", "db.t", "--purge"]);
    assert_eq!(report["failed"], json!([]));
    assert_eq!(report["deleted_files_count"], before.len() - others);
    assert_eq!(files_below(&warehouse).len(), others);
    assert_eq!(sandbox.json(&["tables"])["tables"], json!(["a.b.nested"]));
}

#[test]
fn a_table_that_does_not_own_its_files_is_not_purged() {
    let (sandbox, _) = sandbox("false");
    let before = files_below(&sandbox.path().join("warehouse"));
    assert_snapshot!(sandbox.run(&["drop", "db.t", "--purge"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: table db.t does not own its files (gc.enabled=false), so they cannot be purged
    hint: drop the table without purging it: its files stay where they are
    ");
    assert_snapshot!(sandbox.run(&["drop", "db.t", "--purge", "--dry-run"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: table db.t does not own its files (gc.enabled=false), so they cannot be purged
    hint: drop the table without purging it: its files stay where they are
    ");
    assert_eq!(files_below(&sandbox.path().join("warehouse")), before);
    assert_eq!(sandbox.json(&["show", "db.t"])["counts"]["records"], 4);
}
