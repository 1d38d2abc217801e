//! `sql`: rows of tables, metadata tables and lakes, in every format.

use insta::assert_snapshot;
use serde_json::json;

use crate::support::{Sandbox, fixture, ghcn};

/// A sandbox with the table `noaa.ghcn` over the bundled lake.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.json(&["add-files", &ghcn(), "--table", "noaa.ghcn"]);
    sandbox
}

#[test]
fn rows_of_a_table() {
    let sandbox = sandbox();
    let query = "SELECT element, count(*) AS rows, min(data_value) AS low, max(data_value) AS high \
                 FROM noaa.ghcn WHERE year = 2023 GROUP BY element ORDER BY element";
    assert_snapshot!(sandbox.run(&["sql", query]), @"
    exit 0
    --- stdout ---
    ELEMENT  rows   low  high
    -------  ----  ----  ----
    PRCP     2920     0   398
    SNOW     2920     0   399
    SNWD     2920     0   399
    TMAX     2920  -197   313
    TMIN     2920  -282   223
    (5 rows)
    --- stderr ---
    ");
    assert_snapshot!(sandbox.run(&["sql", query, "--format", "csv"]), @"
    exit 0
    --- stdout ---
    ELEMENT,rows,low,high
    PRCP,2920,0,398
    SNOW,2920,0,399
    SNWD,2920,0,399
    TMAX,2920,-197,313
    TMIN,2920,-282,223
    --- stderr ---
    ");
    assert_eq!(
        sandbox.json(&["sql", "SELECT count(*) AS n FROM noaa.ghcn"]),
        json!([{"n": 73_000}])
    );
}

#[test]
fn table_and_lake_agree() {
    let sandbox = sandbox();
    let query = |source: &str| {
        format!(
            "SELECT \"YEAR\", \"ELEMENT\", count(*) AS n, sum(\"DATA_VALUE\") AS total, \
             count(\"OBS_TIME\") AS times FROM {source} GROUP BY 1, 2 ORDER BY 1, 2"
        )
    };
    let table = sandbox.json(&["sql", &query("noaa.ghcn")]);
    let lake = sandbox.json(&["sql", &query(&format!("'{}'", ghcn()))]);
    assert_eq!(table.as_array().unwrap().len(), 25);
    assert_eq!(table, lake);
}

#[test]
fn nested_columns_come_back_whole() {
    let sandbox = Sandbox::new();
    sandbox.json(&["add-files", &fixture("nested"), "--table", "db.nested"]);
    let lake = format!("SELECT * FROM '{}' ORDER BY id", fixture("nested"));
    let table = sandbox.json(&["sql", "SELECT * FROM db.nested ORDER BY id"]);
    assert_eq!(table, sandbox.json(&["sql", &lake]));
    assert_snapshot!("nested", format!("{table:#}"));
}

#[test]
fn queries_come_from_stdin_and_plans_are_shown() {
    let sandbox = sandbox();
    assert_snapshot!(sandbox.run_with_input(&["sql", "-"], "SELECT 1 AS one"), @"
    exit 0
    --- stdout ---
    one
    ---
      1
    (1 row)
    --- stderr ---
    ");
    let plan = sandbox.run(&[
        "sql",
        "--explain",
        "SELECT id FROM noaa.ghcn WHERE year = 2023",
    ]);
    assert!(plan.contains("\nphysical_plan\n"), "{plan}");
}

#[test]
fn parquet_can_be_read_back() {
    let sandbox = sandbox();
    let query = "SELECT id, year FROM noaa.ghcn WHERE element = 'TMAX'";
    let output = sandbox.output(&["sql", query, "--format", "parquet"]);
    assert!(output.status.success());
    sandbox.write("copy/rows.parquet", &output.stdout);
    assert_eq!(
        sandbox.json(&["sql", "SELECT count(*) AS n FROM './copy'"]),
        sandbox.json(&[
            "sql",
            "SELECT count(*) AS n FROM noaa.ghcn WHERE element = 'TMAX'"
        ])
    );
}

#[test]
fn mistakes_are_named() {
    let sandbox = sandbox();
    assert_snapshot!(sandbox.run(&["sql", "SELEC 1"]), @r#"
    exit 2
    --- stdout ---
    --- stderr ---
    error: SQL error: ParserError("Expected: an SQL statement, found: SELEC at Line: 1, Column: 1")
      caused by: sql parser error: Expected: an SQL statement, found: SELEC at Line: 1, Column: 1
    "#);
    assert_snapshot!(sandbox.run(&["sql", "SELECT * FROM noaa.nothing"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: Error during planning: table 'default.noaa.nothing' not found
    ");
    assert_snapshot!(sandbox.run(&["sql", "SELECT nothing FROM noaa.ghcn"]), @r#"
    exit 2
    --- stdout ---
    --- stderr ---
    error: Schema error: No field named nothing. Valid fields are noaa.ghcn."ID", noaa.ghcn."DATE", noaa.ghcn."DATA_VALUE", noaa.ghcn."M_FLAG", noaa.ghcn."Q_FLAG", noaa.ghcn."S_FLAG", noaa.ghcn."OBS_TIME", noaa.ghcn."YEAR", noaa.ghcn."ELEMENT".
    "#);
    assert_snapshot!(sandbox.run(&["sql", "DROP TABLE noaa.ghcn"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: Error during planning: DDL not supported: DropTable
    ");
    assert_snapshot!(sandbox.run(&["sql", "SELECT * FROM './nowhere'"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: [DIR]/nowhere: no such file or folder
    hint: check the address; nothing has this prefix
    ");
}
