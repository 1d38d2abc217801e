//! Where settings come from.

use insta::assert_snapshot;

use crate::support::Sandbox;

#[test]
fn an_unknown_catalog_is_named_with_a_way_out() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["tables", "--catalog", "prod"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: catalog `prod` is not configured
    hint: add a section [catalog.prod] to calve.toml, or give its `type` or `uri` with --set
    ");
}

#[test]
fn mistakes_in_the_configuration_are_named() {
    let sandbox = Sandbox::new();
    sandbox.write("calve.toml", b"memory = \n");
    assert_snapshot!(sandbox.run(&["tables"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: [DIR]/calve.toml is not valid TOML
      caused by: TOML parse error at line 1, column 10
        |
      1 | memory =
        |          ^
      string values must be quoted, expected literal string
    ");
    sandbox.write("calve.toml", b"memroy = \"4GB\"\n");
    assert_snapshot!(sandbox.run(&["tables"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: [DIR]/calve.toml: `memroy`: no such setting
    hint: known keys are default-catalog, concurrency, memory, spill-dir, and sections [catalog.NAME] with Iceberg's property names
    ");
    assert_snapshot!(sandbox.run(&["tables", "--config", "none.toml"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: the configuration cannot be read
      caused by: failed to open file `[DIR]/none.toml`: No such file or directory (os error 2)
    ");
}

#[test]
fn a_wrong_log_filter_is_an_error() {
    let sandbox = Sandbox::new().with_variable("RUST_LOG", "calve=loud");
    assert_snapshot!(sandbox.run(&["tables"]), @r#"
    exit 2
    --- stdout ---
    --- stderr ---
    error: RUST_LOG: `calve=loud` is no log filter
      caused by: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5
    "#);
}
