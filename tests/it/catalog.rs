//! `tables`, `show`, `register`, `drop` where there is nothing.

use insta::assert_snapshot;

use crate::support::Sandbox;

#[test]
fn an_empty_catalog_has_no_tables() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["tables"]), @"
    exit 0
    --- stdout ---
    --- stderr ---
    note: there are no tables
    ");
    assert_snapshot!(sandbox.run(&["tables", "-q", "--output-format", "json"]), @r#"
    exit 0
    --- stdout ---
    {
      "catalog": "default",
      "tables": []
    }
    --- stderr ---
    "#);
    assert_snapshot!(sandbox.run(&["tables", "nowhere"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: namespace nowhere not found in catalog default
    hint: create the namespace, or check its spelling
    ");
}

#[test]
fn what_is_not_there_is_named() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["show", "noaa.ghcn"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: table noaa.ghcn not found in catalog default
    hint: list the catalog's tables to see what it holds
    ");
    assert_snapshot!(sandbox.run(&["show", "ghcn"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: `ghcn` is not a table name: expected `db.table`
    ");
    assert_snapshot!(sandbox.run(&["drop", "noaa.ghcn"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: table noaa.ghcn not found in catalog default
    hint: list the catalog's tables to see what it holds
    ");
    assert_snapshot!(sandbox.run(&["drop", "noaa.ghcn", "--dry-run"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: table noaa.ghcn not found in catalog default
    hint: list the catalog's tables to see what it holds
    ");
    assert_snapshot!(sandbox.run(&["register", "noaa.ghcn", "none.metadata.json"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: [DIR]/none.metadata.json: not found
    ");
    sandbox.write("not.metadata.json", b"{}");
    assert_snapshot!(sandbox.run(&["register", "noaa.ghcn", "not.metadata.json"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: [DIR]/not.metadata.json: not usable as Iceberg table metadata
      caused by: data did not match any variant of untagged enum TableMetadataEnum
    hint: check that this is the metadata file of an Iceberg table
    ");
}

#[test]
fn a_wrong_catalog_is_named() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["tables", "--set", "type=hive"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: catalog default: property `type`: `hive` is unknown: expected sql, glue or memory
    hint: correct the catalog's configuration
    ");
    assert_snapshot!(sandbox.run(&["tables", "--set", "warehouse=ftp://somewhere"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: `ftp://somewhere`: unknown scheme `ftp`: expected s3://, s3a://, s3n://, file:// or a path
    ");
}
