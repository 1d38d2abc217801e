//! The whole way on Glue and S3: what a user does with `calve.toml` and credentials in the environment.

use calve_testkit::lakes::{self, Drift};
use calve_testkit::moto::Moto;
use calve_testkit::python;
use calve_testkit::s3::{Operation, S3Server};
use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::support::{Sandbox, files_below, ghcn};

pub(crate) const PARQUET: &str = "org.apache.hadoop.hive.ql.io.parquet";

/// A sandbox whose default catalog is Glue, with its warehouse on S3. The file holds no secret.
fn sandbox(server: &S3Server, moto: &Moto) -> Sandbox {
    let sandbox = Sandbox::new();
    let file = format!(
        r#"
        default-catalog = "lakehouse"
        [catalog.lakehouse]
        type = "glue"
        warehouse = "s3://lake/warehouse"
        client.region = "us-east-1"
        glue.endpoint = "{}"
        s3.endpoint = "{}"
        s3.path-style-access = true
        "#,
        moto.endpoint(),
        server.endpoint()
    );
    sandbox.write("calve.toml", file.as_bytes());
    sandbox.with_variable("AWS_EC2_METADATA_DISABLED", "true")
}

/// The same, with credentials as a user has them in the environment.
pub(crate) fn sandbox_with_keys(server: &S3Server, moto: &Moto) -> Sandbox {
    sandbox(server, moto)
        .with_variable("AWS_ACCESS_KEY_ID", "test-key")
        .with_variable("AWS_SECRET_ACCESS_KEY", "test-secret")
}

/// Puts the bundled lake on the server, as `s3://lake/ghcn`.
fn put_ghcn(server: &S3Server) {
    let root = ghcn();
    for (path, content) in files_below(root.as_ref()) {
        let name = path.strip_prefix(&root).unwrap();
        server.put("lake", &format!("ghcn/{}", name.display()), content);
    }
}

/// What PyIceberg's own Glue catalog finds in a table.
pub(crate) fn read_with_pyiceberg(server: &S3Server, moto: &Moto, table: &str) -> Value {
    let mut properties = moto.properties();
    properties.extend(server.properties());
    properties.insert("type".to_owned(), "glue".to_owned());
    let properties: Vec<String> = properties
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut arguments = vec!["--catalog", "lakehouse", "--table", table, "--rows"];
    for pair in &properties {
        arguments.extend(["--property", pair]);
    }
    python::run_file("read_table.py", &arguments)
}

/// The entries of a database, without what changes from run to run.
pub(crate) fn entries(moto: &Moto, database: &str) -> Value {
    moto.glue("GetTables", &json!({"DatabaseName": database}))["TableList"].clone()
}

#[test]
fn a_lake_on_s3_becomes_a_table_in_glue() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    put_ghcn(&server);
    let sandbox = sandbox_with_keys(&server, moto);
    let source = files_below(&server.root().join("lake/ghcn"));
    let add = ["add-files", "s3://lake/ghcn", "--table", "noaa_s3.ghcn"];

    let plan = sandbox.json(&[&add[..], &["--dry-run"]].concat());
    assert_eq!(
        (&plan["dry_run"], &plan["added_files_count"]),
        (&json!(true), &json!(100))
    );
    let of_glue = sandbox.json(&["tables"])["tables"].clone();
    assert!(!of_glue.as_array().unwrap().contains(&json!("noaa_s3.ghcn")));
    assert_eq!(server.count(Operation::Put), 0, "a dry run wrote something");

    let report = sandbox.json(&[&add[..], &["--verify"]].concat());
    assert_eq!(report["added_files_count"], 100);
    assert_eq!(report["added_records_count"], 73_000);
    assert_eq!(report["changed_partition_count"], 25);
    assert_eq!(report["refused"], json!([]));
    assert_eq!(report["verify"]["equal"], true);
    assert!(report["snapshot_id"].is_i64());
    assert_eq!(files_below(&server.root().join("lake/ghcn")), source);

    assert_eq!(
        sandbox.json(&["tables", "noaa_s3"])["tables"],
        json!(["noaa_s3.ghcn"])
    );
    let shown = sandbox.json(&["show", "noaa_s3.ghcn"]);
    assert_eq!(shown["counts"]["records"], 73_000);
    assert_eq!(shown["metadata_location"], report["metadata_location"]);
    let shown = sandbox.run(&["show", "noaa_s3.ghcn"]);
    assert!(
        shown.contains("s3://lake/warehouse/noaa_s3.db/ghcn"),
        "{shown}"
    );

    let found = read_with_pyiceberg(&server, moto, "noaa_s3.ghcn");
    assert_eq!(found["count"], 73_000);
    assert_eq!(found["aggregates"]["YEAR"]["nulls"], 0);
    assert_eq!(found["aggregates"]["ELEMENT"]["nulls"], 0);

    let again = sandbox.run(&add);
    let message =
        "error: 100 files of the source are already in table noaa_s3.ghcn, among them s3://lake/";
    assert!(
        again.starts_with("exit 2") && again.contains(message),
        "{again}"
    );
}

#[test]
fn a_table_in_glue_is_queried_and_verified() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    lakes::drift(&server.root().join("lake/days"), Drift::Widened);
    let sandbox = sandbox_with_keys(&server, moto);
    let add = ["add-files", "s3a://lake/days/", "--table", "whole_way.days"];
    let report = sandbox.json(&add);
    assert_eq!(report["added_files_count"], 3);
    let metadata = report["metadata_location"].as_str().unwrap();
    assert!(metadata.starts_with("s3://lake/warehouse/"), "{metadata}");

    assert_snapshot!(sandbox.run(&["sql", "SELECT day, count(*) AS rows FROM whole_way.days GROUP BY day ORDER BY day"]), @"
    exit 0
    --- stdout ---
    day         rows
    ----------  ----
    2024-01-01     2
    2024-01-02     2
    2024-01-03     2
    (3 rows)
    --- stderr ---
    ");
    let files = sandbox.json(&[
        "sql",
        "SELECT file_path, record_count FROM whole_way.days.files ORDER BY 1",
    ]);
    assert_eq!(
        files,
        json!([1, 2, 3].map(|day| json!({
            "file_path": format!("s3://lake/days/day=2024-01-0{day}/part-0.parquet"),
            "record_count": 2,
        })))
    );
    let lake = sandbox.json(&["sql", "SELECT count(*) AS n FROM 's3://lake/days'"]);
    assert_eq!(lake, json!([{"n": 6}]));

    let verify = ["verify", "s3://lake/days", "--table", "whole_way.days"];
    assert_eq!(sandbox.json(&verify)["equal"], true);
    let counts = sandbox.json(&[&verify[..], &["--level", "counts"]].concat());
    assert_eq!(
        (&counts["equal"], &counts["rows_table"]),
        (&json!(true), &json!(6))
    );
}

#[test]
fn a_table_in_glue_is_dropped_and_registered() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    lakes::drift(&server.root().join("lake/days"), Drift::Widened);
    let sandbox = sandbox_with_keys(&server, moto);
    let add = ["add-files", "s3://lake/days", "--table", "way_back.days"];
    let report = sandbox.json(&add);
    let metadata = report["metadata_location"].as_str().unwrap();
    let before = files_below(&server.root().join("lake"));
    assert_snapshot!(sandbox.run(&["drop", "way_back.days", "--purge"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: table way_back.days does not own its files (gc.enabled=false), so they cannot be purged
    hint: drop the table without purging it: its files stay where they are
    ");
    assert_eq!(
        sandbox.json(&["drop", "way_back.days", "--dry-run"])["dry_run"],
        true
    );
    assert_eq!(
        sandbox.json(&["tables", "way_back"])["tables"],
        json!(["way_back.days"])
    );
    sandbox.json(&["drop", "way_back.days"]);
    assert_eq!(sandbox.json(&["tables", "way_back"])["tables"], json!([]));
    assert_eq!(files_below(&server.root().join("lake")), before);

    let register = ["register", "way_back.again", metadata];
    sandbox.json(&[&register[..], &["--dry-run"]].concat());
    assert_eq!(sandbox.json(&["tables", "way_back"])["tables"], json!([]));
    assert_eq!(sandbox.json(&register)["total_records_count"], 6);
    assert_snapshot!(sandbox.run(&register), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: table way_back.again already exists in catalog lakehouse
    hint: choose another name, or drop the table first
    ");
    let found = read_with_pyiceberg(&server, moto, "way_back.again");
    assert_eq!(found["count"], 6);
    assert_eq!(found["aggregates"]["day"]["min"], "2024-01-01");
    assert_eq!(files_below(&server.root().join("lake")), before);

    let content = fs_err::read(
        server
            .root()
            .join("lake/days/day=2024-01-01/part-0.parquet"),
    );
    server.put(
        "lake",
        "days/day=2024-01-01/part-1.parquet",
        content.unwrap(),
    );
    let verify = ["verify", "s3://lake/days", "--table", "way_back.again"];
    let (code, report) = sandbox.json_with_code(&verify);
    assert_eq!((code, &report["equal"]), (1, &json!(false)));
    assert_eq!(
        report["differences"][0]["partition"],
        json!({"day": "2024-01-01"})
    );
}

/// A storage descriptor of a Hive table.
pub(crate) fn storage(location: &str, format: &str) -> Value {
    let columns = [
        ("userid", "int"),
        ("name", "string"),
        ("score", "float"),
        ("price", "decimal(9,2)"),
    ];
    json!({
        "Columns": columns.map(|(name, of)| json!({"Name": name, "Type": of})),
        "Location": location,
        "InputFormat": format!("{format}.MapredParquetInputFormat"),
        "OutputFormat": format!("{format}.MapredParquetOutputFormat"),
        "SerdeInfo": {"SerializationLibrary": format!("{format}.serde.ParquetHiveSerDe")},
    })
}

/// Enters a table into Glue. Its partitions are registered by day; the third lies elsewhere, in a
/// folder that says nothing of its day, and the fourth has nothing in it.
pub(crate) fn make_hive_table(server: &S3Server, moto: &Moto, database: &str) {
    let root = server.root().join("lake");
    lakes::drift(&root.join("hive"), Drift::Reordered);
    fs_err::create_dir_all(root.join("elsewhere")).unwrap();
    fs_err::rename(
        root.join("hive/day=2024-01-03"),
        root.join("elsewhere/third"),
    )
    .unwrap();
    moto.glue(
        "CreateDatabase",
        &json!({"DatabaseInput": {"Name": database}}),
    );
    create_entry(moto, database, "days", &json!({}));
    let partitions = [
        ("2024-01-01", "s3://lake/hive/day=2024-01-01"),
        ("2024-01-02", "s3://lake/hive/day=2024-01-02"),
        ("2024-01-03", "s3://lake/elsewhere/third"),
        ("2024-01-04", "s3://lake/hive/day=2024-01-04"),
    ]
    .map(
        |(day, location)| json!({"Values": [day], "StorageDescriptor": storage(location, PARQUET)}),
    );
    moto.glue(
        "BatchCreatePartition",
        &json!({"DatabaseName": database, "TableName": "days", "PartitionInputList": partitions}),
    );
}

/// Enters a table into Glue, with fields that are other than those of a Parquet table.
pub(crate) fn create_entry(moto: &Moto, database: &str, name: &str, other: &Value) {
    let mut table = json!({
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "PartitionKeys": [{"Name": "day", "Type": "date"}],
        "StorageDescriptor": storage("s3://lake/hive/", PARQUET),
        "Parameters": {"classification": "parquet"},
    });
    let fields = table.as_object_mut().unwrap();
    fields.extend(other.as_object().unwrap().clone());
    moto.glue(
        "CreateTable",
        &json!({"DatabaseName": database, "TableInput": table}),
    );
}

#[test]
fn a_hive_table_of_glue_becomes_an_iceberg_table() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    make_hive_table(&server, moto, "hive_way");
    let sandbox = sandbox_with_keys(&server, moto);
    let before = entries(moto, "hive_way");
    let first = ["--partition-filter", "day=2024-01-01"];
    let add = [
        "add-files",
        "glue:hive_way.days",
        "--table",
        "hive_way.iceberg",
    ];
    let plan = sandbox.json(&[&add[..], &["--dry-run"]].concat());
    assert_eq!(plan["added_files_count"], 3);
    assert_eq!(entries(moto, "hive_way"), before);

    let report = sandbox.json(&[&add[..], &first].concat());
    assert_eq!(report["added_files_count"], 1);
    let report = sandbox.json(&[&add[..], &["--on-duplicate", "skip"]].concat());
    assert_eq!(report["added_files_count"], 2);
    assert_eq!(report["changed_partition_count"], 2);
    let verify = [
        "verify",
        "glue:hive_way.days",
        "--table",
        "hive_way.iceberg",
    ];
    let proof = sandbox.json(&verify);
    assert_eq!(
        (&proof["equal"], &proof["rows_source"]),
        (&json!(true), &json!(6))
    );
    let found = read_with_pyiceberg(&server, moto, "hive_way.iceberg");
    assert_eq!(found["count"], 6);
    assert_eq!(found["aggregates"]["day"]["max"], "2024-01-03");
    assert_eq!(found["aggregates"]["userid"]["nulls"], 0);

    let hive = entries(moto, "hive_way");
    let hive = hive
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["Name"] == "days");
    assert_eq!(hive, before.as_array().unwrap().first());
}

#[test]
pub(crate) fn entries_that_are_no_parquet_tables_are_refused() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    make_hive_table(&server, moto, "odd_entries");
    let orc = "org.apache.hadoop.hive.ql.io.orc";
    let view = json!({"TableType": "VIRTUAL_VIEW", "ViewOriginalText": "SELECT 1", "StorageDescriptor": {}});
    create_entry(moto, "odd_entries", "view", &view);
    let of_orc = json!({"Parameters": {"classification": "orc"}, "StorageDescriptor": {
        "Columns": [{"Name": "id", "Type": "int"}],
        "Location": "s3://lake/hive/",
        "InputFormat": format!("{orc}.OrcInputFormat"),
        "OutputFormat": format!("{orc}.OrcOutputFormat"),
        "SerdeInfo": {"SerializationLibrary": format!("{orc}.OrcSerde")},
    }});
    create_entry(moto, "odd_entries", "orc", &of_orc);
    let sandbox = sandbox_with_keys(&server, moto);
    let before = entries(moto, "odd_entries");
    let add = |source: &str, table: &str| sandbox.run(&["add-files", source, "--table", table]);
    assert_snapshot!(add("glue:odd_entries.view", "odd_entries.t"), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: odd_entries.view is a view, not a Hive-style Parquet table
    hint: name the table that the view reads
    ");
    assert_snapshot!(add("glue:odd_entries.orc", "odd_entries.t"), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: odd_entries.orc is of format ORC, not a Hive-style Parquet table
    hint: rewrite it with `calve ctas glue:odd_entries.orc --format orc`
    ");
    assert_snapshot!(add("glue:odd_entries.none", "odd_entries.t"), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: table odd_entries.none not found in catalog lakehouse
    hint: list the catalog's tables to see what it holds
    ");
    assert_snapshot!(add("glue:odd_entries.days", "odd_entries.days"), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: odd_entries.days in catalog lakehouse is not an Iceberg table, but a Hive table of format MapredParquetInputFormat
    hint: migrate it first, or name it as a source
    ");
    assert_eq!(entries(moto, "odd_entries"), before);
    assert_eq!(server.count(Operation::Put), 0);
}

#[test]
fn what_is_not_there_is_named() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    make_hive_table(&server, moto, "odd_places");
    let sandbox = sandbox_with_keys(&server, moto);
    let before = entries(moto, "odd_places");
    let add = |source: &str, table: &str| sandbox.run(&["add-files", source, "--table", table]);
    assert_snapshot!(add("s3://lake/nowhere", "odd_places.t"), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: s3://lake/nowhere: no such file or folder
    hint: check the address; nothing has this prefix
    ");
    assert_snapshot!(add("s3://no-such-bucket/lake", "odd_places.t"), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: s3://no-such-bucket/lake: there is no bucket `no-such-bucket`
    hint: check the bucket's name, and s3.endpoint if it is not on AWS
    ");
    assert_snapshot!(sandbox.run(&["show", "odd_places.days"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: odd_places.days in catalog lakehouse is not an Iceberg table, but a Hive table of format MapredParquetInputFormat
    hint: migrate it first, or name it as a source
    ");
    assert_snapshot!(sandbox.run(&["add-files", "glue:odd_places.days", "--table", "odd_places.t", "--partition-type", "hour=int"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: s3://lake/hive/: a partition type is given for `hour`, which is no partition key
    hint: the partition keys are day
    ");
    assert_eq!(entries(moto, "odd_places"), before);
    assert_eq!(server.count(Operation::Put), 0);
}

#[test]
fn credentials_come_from_where_users_keep_them() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    lakes::drift(&server.root().join("lake/days"), Drift::Added);
    let add = |sandbox: &Sandbox, table: &str| {
        sandbox.run(&["add-files", "s3://lake/days", "--table", table])
    };

    let profile = sandbox(&server, moto).with_variable("AWS_PROFILE", "lake");
    let keys = b"[lake]\naws_access_key_id = test-key\naws_secret_access_key = test-secret\n";
    profile.write(".aws/credentials", keys);
    assert!(add(&profile, "secrets.by_profile").starts_with("exit 0"));

    let set = sandbox(&server, moto);
    let mut flags = vec!["add-files", "s3://lake/days", "--table", "secrets.by_flag"];
    for pair in [
        "s3.access-key-id=test-key",
        "s3.secret-access-key=test-secret",
        "glue.access-key-id=test-key",
        "glue.secret-access-key=test-secret",
    ] {
        flags.extend(["--set", pair]);
    }
    assert!(set.run(&flags).starts_with("exit 0"));

    let wrong = sandbox(&server, moto)
        .with_variable("AWS_ACCESS_KEY_ID", "test-key")
        .with_variable("AWS_SECRET_ACCESS_KEY", "not-the-secret");
    assert_snapshot!(add(&wrong, "secrets.by_mistake"), @r#"
    exit 2
    --- stdout ---
    --- stderr ---
    error: s3://lake/days: access denied (SignatureDoesNotMatch)
      caused by: Generic S3 error: after 1 attempts, status code: 403: <?xml version="1.0" encoding="UTF-8"?><Error><Code>SignatureDoesNotMatch</Code></Error>
    hint: check s3.access-key-id and s3.secret-access-key, or the AWS profile
    "#);
    let none = sandbox(&server, moto);
    assert_snapshot!(add(&none, "secrets.by_luck"), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: catalog lakehouse: no AWS credentials were found
      caused by: dispatch failure
      caused by: other
      caused by: the credential provider was not enabled
      caused by: no credentials found in chain. Attempted:
        Environment: the credential provider was not enabled: environment variable not set
        Profile: the credential provider was not enabled
        WebIdentityToken: the credential provider was not enabled: $AWS_WEB_IDENTITY_TOKEN_FILE was not set
        EcsContainer: the credential provider was not enabled: ECS provider not configured
        Ec2InstanceMetadata: the credential provider was not enabled: IMDS disabled by AWS_EC2_METADATA_DISABLED env var set to `true`
    hint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a profile with AWS_PROFILE, or set glue.access-key-id and glue.secret-access-key
    ");
    let tables = sandbox_with_keys(&server, moto).json(&["tables", "secrets"]);
    assert_eq!(
        tables["tables"],
        json!(["secrets.by_flag", "secrets.by_profile"])
    );
}

/// The names and types of columns.
fn columns(of: &Value) -> Vec<String> {
    let columns = of.as_array().unwrap().iter();
    columns
        .map(|it| {
            format!(
                "{} {}",
                it["Name"].as_str().unwrap(),
                it["Type"].as_str().unwrap()
            )
        })
        .collect()
}

/// The values of a table's partitions, sorted.
fn partitions(moto: &Moto, database: &str, table: &str) -> Vec<Value> {
    let request = json!({"DatabaseName": database, "TableName": table});
    let answer = moto.glue("GetPartitions", &request);
    let mut partitions = answer["Partitions"].as_array().unwrap().clone();
    partitions.sort_by_key(|it| it["Values"].to_string());
    partitions
}

#[test]
fn a_lake_that_changed_is_crawled_again() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    let root = server.root().join("lake");
    lakes::drift(&root.join("all"), Drift::Added);
    let (days, third) = (root.join("days"), "day=2024-01-03");
    fs_err::create_dir_all(&days).unwrap();
    for day in ["day=2024-01-01", "day=2024-01-02"] {
        fs_err::rename(root.join("all").join(day), days.join(day)).unwrap();
    }
    let sandbox = sandbox_with_keys(&server, moto);
    let crawl = ["crawl", "s3://lake/days", "--table", "crawled_again.days"];
    assert_eq!(sandbox.json(&crawl)["partitions_added"], 2);
    let before = entries(moto, "crawled_again");

    // The third day brings a column: that is for the user to want.
    fs_err::rename(root.join("all").join(third), days.join(third)).unwrap();
    let refused = sandbox.run(&crawl);
    assert!(refused.starts_with("exit 2"), "{refused}");
    assert!(
        refused.contains("crawled_again.days is in the catalog already, and differs: column `"),
        "{refused}"
    );
    assert!(
        refused.contains("hint: bring the entry up to date with --update"),
        "{refused}"
    );
    assert_eq!(entries(moto, "crawled_again"), before);

    let updated = sandbox.json(&[&crawl[..], &["--update"]].concat());
    assert_eq!(updated["changes"][0]["change"], "column_added");
    assert_eq!(
        (&updated["partitions_added"], &updated["partitions_updated"]),
        (&json!(1), &json!(2))
    );
    let again = sandbox.json(&crawl);
    assert_eq!(
        (&again["changes"], &again["partitions_unchanged"]),
        (&json!([]), &json!(3))
    );

    // The same folder under other keys is another table.
    let below = [
        "crawl",
        "s3://lake/days/day=2024-01-01",
        "--table",
        "crawled_again.days",
    ];
    let refused = sandbox.run(&below);
    assert!(
        refused.contains("it lies in s3://lake/days/, not in"),
        "{refused}"
    );
}

/// Glue gives each partition its folder, and may give it another: then the files are as they were, and their rows not.
#[test]
fn a_copy_of_a_table_in_glue_is_kept_in_step() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    lakes::drift(&server.root().join("lake/days"), Drift::Added);
    let sandbox = sandbox_with_keys(&server, moto);
    let crawl = ["crawl", "s3://lake/days", "--table", "followed.days"];
    assert_eq!(sandbox.json(&crawl)["partitions_added"], 3);
    let update = [
        "ctas",
        "glue:followed.days",
        "--table",
        "followed.copy",
        "--batch-by",
        "day",
        "--update",
    ];
    let update = [&update[..], &["--on-changed", "replace"]].concat();
    assert_eq!(sandbox.json(&update)["batches"], 3);
    assert_eq!(sandbox.json(&update)["batches"], 0);

    let place = |partition: &Value, location: &Value| {
        let mut input = partition.as_object().unwrap().clone();
        for key in ["DatabaseName", "TableName", "CatalogId", "CreationTime"] {
            input.remove(key);
        }
        input["StorageDescriptor"]["Location"] = location.clone();
        let request = json!({
            "DatabaseName": "followed",
            "TableName": "days",
            "PartitionValueList": partition["Values"],
            "PartitionInput": input,
        });
        moto.glue("UpdatePartition", &request);
    };
    let known = partitions(moto, "followed", "days");
    let location = |at: usize| &known[at]["StorageDescriptor"]["Location"];
    place(&known[0], location(1));
    place(&known[1], location(0));
    let report = sandbox.json(&update);
    assert_eq!(report["replaced_files_count"], 2, "{report:#}");
    let verify = ["verify", "glue:followed.days", "--table", "followed.copy"];
    let proof = sandbox.json(&verify);
    assert_eq!(proof["equal"], json!(true), "{proof:#}");

    // Files that are there twice have rows of two partitions, and one name.
    place(&known[0], location(0));
    let refused = sandbox.run(&update);
    assert!(
        refused.contains("two partitions of its source have"),
        "{refused}"
    );
}

/// Rows in the shape of Socrata's exports.
const VEHICLES: &str = "<response><row>\
    <row _id='r1'><County>King</County><year>2019</year><spot><x>1.5</x></spot></row>\
    <row _id='r2'><County>Kitsap</County><year>2021</year></row>\
    <row _id='r3'><County>King</County><year>2021</year><spot><x>2</x></spot></row>\
    </row></response>";

#[test]
fn xml_is_entered_and_read_from_its_entry() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    server.put("lake", "xml/a.xml", VEHICLES.as_bytes());
    let sandbox = sandbox_with_keys(&server, moto);
    let crawl = [
        "crawl",
        "s3://lake/xml",
        "--format",
        "xml",
        "--table",
        "crawled_xml.raw",
    ];
    assert!(sandbox.run(&crawl).contains("--row-tag is missing"));
    let crawl = [&crawl[..], &["--row-tag", "response/row/row"]].concat();
    let report = sandbox.json(&crawl);
    assert_eq!(
        (&report["records"], &report["partition_keys"]),
        (&json!(3), &json!([]))
    );
    let entry = entries(moto, "crawled_xml")[0].clone();
    assert_eq!(
        columns(&entry["StorageDescriptor"]["Columns"]),
        [
            "county string",
            "__id string",
            "spot struct<x:double>",
            "year bigint"
        ]
    );
    for (key, value) in [
        ("classification", "xml"),
        ("rowTag", "response/row/row"),
        ("xmlRowTag", "response/row/row"),
    ] {
        assert_eq!(entry["Parameters"][key], value);
    }
    assert_eq!(sandbox.json(&crawl)["changes"], json!([]));
    assert_eq!(entries(moto, "crawled_xml")[0], entry);

    // From the entry: where, which rows, which columns. What is new is in none of them.
    server.put(
        "lake",
        "xml/b.xml",
        b"<response><row><row _id='r4'><new>1</new></row></row></response>",
    );
    let convert = [
        "xml",
        "convert",
        "glue:crawled_xml.raw",
        "--out",
        "v.parquet",
    ];
    let report = sandbox.json(&convert);
    assert_eq!(
        (&report["rows"], &report["unknown"]),
        (&json!(4), &json!({"new": 1}))
    );
    let rows = sandbox.json(&[
        "sql",
        "SELECT county, year, v.spot.x AS x FROM 'v.parquet' v ORDER BY __id",
    ]);
    assert_eq!(rows[0], json!({"county": "King", "year": 2019, "x": 1.5}));
    let not_xml = sandbox.run(&["xml", "convert", "glue:crawled_xml.none", "--out", "w"]);
    assert!(
        not_xml.contains("table crawled_xml.none not found"),
        "{not_xml}"
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one way, step by step")]
fn converted_files_are_registered() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    server.put("lake", "xml/a.xml", VEHICLES.as_bytes());
    let sandbox = sandbox_with_keys(&server, moto);
    let convert = [
        "xml",
        "convert",
        "s3://lake/xml",
        "--row-tag",
        "response/row/row",
        "--out",
        "s3://lake/out",
        "--register",
        "registered.vehicles",
    ];
    let by = ["--if-exists", "replace", "--partition-by", "County,year"];
    let report = sandbox.json(&[&convert[..], &by[..]].concat());
    assert_eq!(
        (
            &report["registered"]["creates_table"],
            &report["registered"]["partitions_added"]
        ),
        (&json!(true), &json!(3))
    );
    let entry = entries(moto, "registered")[0].clone();
    assert_eq!(
        columns(&entry["StorageDescriptor"]["Columns"]),
        ["__id string", "spot struct<x:double>"]
    );
    assert_eq!(
        columns(&entry["PartitionKeys"]),
        ["county string", "year bigint"]
    );
    let found = partitions(moto, "registered", "vehicles");
    assert_eq!(found[0]["Values"], json!(["King", "2019"]));
    assert_eq!(
        found[0]["StorageDescriptor"]["Location"],
        "s3://lake/out/County=King/year=2019/"
    );

    // Again: new files in the same places, the same entry.
    let again = sandbox.json(&[&convert[..], &by[..]].concat());
    assert_eq!(again["replaced_files"], 3);
    assert_eq!(
        (
            &again["registered"]["changes"],
            &again["registered"]["partitions_unchanged"]
        ),
        (&json!([]), &json!(3))
    );
    assert_eq!(entries(moto, "registered")[0], entry);
    let add = [
        "add-files",
        "glue:registered.vehicles",
        "--table",
        "registered.iceberg",
    ];
    assert_eq!(sandbox.json(&add)["added_records_count"], 3);

    // What does not fit is refused before anything is written.
    let files = files_below(&server.root().join("lake"));
    let unpartitioned = sandbox.run(&[&convert[..], &by[..2]].concat());
    assert!(
        unpartitioned.contains("it is partitioned by county, year, not by nothing"),
        "{unpartitioned}"
    );
    let other = [&convert[..8], &["registered.iceberg"], &by[..]].concat();
    assert!(sandbox.run(&other).contains("it is an Iceberg table"));
    assert_eq!(files_below(&server.root().join("lake")), files);
    let plain = Sandbox::new();
    plain.write("a.xml", VEHICLES.as_bytes());
    let convert = [
        "xml",
        "convert",
        "a.xml",
        "--row-tag",
        "response/row/row",
        "--out",
        "out",
        "--register",
        "db.t",
    ];
    assert_snapshot!(plain.run(&convert), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: catalog default has no Hive-style tables, so db.t cannot be entered
    hint: choose a catalog of type glue, or put the data into an Iceberg table with --table
    ");
    assert!(!plain.path().join("out").exists());
}

/// Files of a Hive-style table that lie in the folder of an Iceberg table are the Hive table's; where it is the other way
/// round, nobody can tell whose they are.
#[test]
fn folders_of_hive_tables_are_no_orphans() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    let sandbox = sandbox_with_keys(&server, moto);
    let database = "orphans_hive";
    let table = format!("{database}.t");
    moto.glue(
        "CreateDatabase",
        &json!({"DatabaseInput": {"Name": database}}),
    );
    sandbox.write("a.xml", b"<r><i><n>1</n></i></r>");
    let xml = ["xml", "convert", "a.xml", "--row-tag", "i", "--table"];
    sandbox.json(&[&xml[..], &[&table]].concat());
    let shown = sandbox.json(&["show", &table]);
    let root = shown["location"].as_str().unwrap();
    let key = root.strip_prefix("s3://lake/").unwrap();
    for name in ["data/lost.parquet", "hive/day=2024-01-01/a.parquet"] {
        server.put("lake", &format!("{key}/{name}"), b"rows");
    }
    let below = storage(&format!("{root}/hive/"), PARQUET);
    create_entry(
        moto,
        database,
        "below",
        &json!({"StorageDescriptor": below}),
    );
    let forced = ["remove-orphans", &table, "--older-than", "0s", "--force"];
    let report = sandbox.json(&forced);
    assert_eq!(report["deleted_files_count"], 1, "{report:#}");
    assert_eq!(report["kept"]["other_table"], 1, "{report:#}");
    let rows = sandbox.json(&["sql", &format!("SELECT count(*) AS n FROM {table}")]);
    assert_eq!(rows, json!([{"n": 1}]));

    let around = storage(root.rsplit_once('/').unwrap().0, PARQUET);
    create_entry(
        moto,
        database,
        "around",
        &json!({"StorageDescriptor": around}),
    );
    let refused = sandbox.run(&["remove-orphans", &table]);
    assert!(refused.starts_with("exit 2"), "{refused}");
    assert!(refused.contains("orphans_hive.around"), "{refused}");
}
