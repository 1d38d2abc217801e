//! Ways into Iceberg that change what stands in the catalog, and the ways back: `snapshot`, `migrate`, `swap`,
//! `rollback`, `finalize`.

use calve_testkit::lakes::{self, Drift};
use calve_testkit::moto::{Loss, Moto, Proxy};
use calve_testkit::python;
use calve_testkit::s3::S3Server;
use serde_json::{Value, json};

use crate::glue::{
    PARQUET, create_entry, entries, make_hive_table, read_with_pyiceberg, sandbox_with_keys,
    storage,
};
use crate::support::{Sandbox, files_below, ghcn};

/// The partitions of an entry, without what changes from run to run.
fn partitions(moto: &Moto, database: &str, table: &str) -> Vec<Value> {
    let request = json!({"DatabaseName": database, "TableName": table});
    let answer = moto.glue("GetPartitions", &request);
    let mut partitions: Vec<Value> = answer["Partitions"].as_array().unwrap().clone();
    for partition in &mut partitions {
        partition.as_object_mut().unwrap().remove("CreationTime");
    }
    partitions.sort_by_key(|partition| partition["Values"].to_string());
    partitions
}

/// One entry, without what Glue itself counts.
fn entry(moto: &Moto, database: &str, table: &str) -> Value {
    let request = json!({"DatabaseName": database, "Name": table});
    let mut entry = moto.glue("GetTable", &request)["Table"].clone();
    let fields = entry.as_object_mut().unwrap();
    for key in ["VersionId", "UpdateTime", "CreateTime"] {
        fields.remove(key);
    }
    entry
}

fn names(moto: &Moto, database: &str) -> Vec<String> {
    let entries = entries(moto, database);
    let mut names: Vec<String> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["Name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// Gives the entry what crawlers, Spark and people write into it.
fn decorate(moto: &Moto, database: &str) {
    let mut table = entry(moto, database, "days");
    table["Owner"] = json!("hadoop");
    table["Retention"] = json!(7);
    table["Description"] = json!("what was signed");
    table["StorageDescriptor"]["Columns"][1]["Comment"] = json!("as signed");
    table["PartitionKeys"][0]["Comment"] = json!("of signing");
    table["Parameters"] = json!({
        "classification": "parquet",
        "EXTERNAL": "TRUE",
        "UPDATED_BY_CRAWLER": "nightly",
        "CrawlerSchemaSerializerVersion": "1.0",
        "recordCount": "6",
        "spark.sql.sources.schema.part.0": "{}",
        "transient_lastDdlTime": "1700000000",
        "team": "archive",
    });
    table.as_object_mut().unwrap().retain(|key, _| {
        !matches!(
            key.as_str(),
            "DatabaseName" | "CreatedBy" | "IsRegisteredWithLakeFormation" | "CatalogId"
        )
    });
    moto.glue(
        "UpdateTable",
        &json!({"DatabaseName": database, "TableInput": table}),
    );
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story, each step of which needs the one before"
)]
fn an_entry_of_glue_becomes_iceberg_and_hive_again() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    make_hive_table(&server, moto, "migrated");
    decorate(moto, "migrated");
    let sandbox = sandbox_with_keys(&server, moto);
    let before = (
        entry(moto, "migrated", "days"),
        partitions(moto, "migrated", "days"),
    );
    let source = files_below(&server.root().join("lake"));
    let migrate = ["migrate", "glue:migrated.days", "--verify", "aggregates"];

    let plan = sandbox.json(&[&migrate[..], &["--dry-run"]].concat());
    assert_eq!(
        (
            &plan["added_files_count"],
            &plan["partitions_count"],
            &plan["backup"]
        ),
        (&json!(3), &json!(4), &json!("migrated.days_backup_"))
    );
    assert_eq!(files_below(&server.root().join("lake")), source);
    assert_eq!(names(moto, "migrated"), ["days"]);

    let report = sandbox.json(&migrate);
    assert_eq!(report["migrated_files_count"], 3);
    assert_eq!(report["migrated_records_count"], 6);
    let id = report["migration_id"].as_str().unwrap();
    assert!(id.starts_with("migrate-migrated.days-"), "{id}");
    let told = sandbox.json(&["report", id, "--level", "aggregates"]);
    assert_eq!(
        (&told["before"]["files"], &told["after"]["files"]),
        (&json!(3), &json!(3))
    );
    assert!(told["checks"].as_array().unwrap().len() > 3, "{told:#}");
    assert!(
        told["cost"]["glue_requests"].as_u64().unwrap() > 0,
        "{told:#}"
    );

    let after = entry(moto, "migrated", "days");
    assert_eq!(after["Parameters"]["table_type"], "ICEBERG");
    let mut parameters: Vec<&String> = after["Parameters"].as_object().unwrap().keys().collect();
    parameters.sort();
    assert_eq!(parameters, ["metadata_location", "table_type", "team"]);
    assert_eq!(
        (&after["Owner"], &after["Retention"], &after["Description"]),
        (&json!("hadoop"), &json!(7), &json!("what was signed"))
    );
    assert!(
        after["PartitionKeys"].as_array().is_none_or(Vec::is_empty),
        "{after}"
    );
    let storage = &after["StorageDescriptor"];
    assert!(
        storage.get("InputFormat").is_none_or(|it| it == ""),
        "{storage}"
    );
    assert!(
        storage.get("SerdeInfo").is_none_or(|it| it == &json!({})),
        "{storage}"
    );
    let columns = storage["Columns"].as_array().unwrap();
    let comments: Vec<&Value> = columns.iter().map(|column| &column["Comment"]).collect();
    assert_eq!(comments[1], "as signed");
    assert_eq!(comments.last().unwrap(), &"of signing");
    assert_eq!(names(moto, "migrated"), ["days", "days_backup_"]);
    let mut copy = entry(moto, "migrated", "days_backup_");
    copy["Name"] = json!("days");
    assert_eq!(copy, before.0);
    assert_eq!(partitions(moto, "migrated", "days_backup_").len(), 4);

    let found = read_with_pyiceberg(&server, moto, "migrated.days");
    assert_eq!(found["count"], 6);
    assert_eq!(found["aggregates"]["day"]["max"], "2024-01-03");
    for (path, content) in &source {
        assert_eq!(fs_err::read(path).unwrap(), *content, "{}", path.display());
    }
    let again = sandbox.run(&migrate);
    assert!(again.contains("it is an Iceberg table already"), "{again}");
    let shown = sandbox.json(&["show", "migrated.days", "--migrations"]);
    assert_eq!(shown["migrations"][0]["state"], "done");

    let rolled_back = sandbox.json(&["rollback", id]);
    assert_eq!(rolled_back["migration_id"], id);
    assert_eq!(entry(moto, "migrated", "days"), before.0);
    assert_eq!(partitions(moto, "migrated", "days"), before.1);
    assert_eq!(names(moto, "migrated"), ["days"]);
    let twice = sandbox.run(&["rollback", id]);
    assert!(
        twice.starts_with("exit 2") && twice.contains("rolled back already"),
        "{twice}"
    );

    // And once more, for good.
    let report = sandbox.json(&migrate);
    let id = report["migration_id"].as_str().unwrap();
    let plan = sandbox.json(&["finalize", id, "--drop-backup", "--dry-run"]);
    assert_eq!(plan["removed_partitions_count"], 4);
    sandbox.json(&["finalize", id, "--drop-backup"]);
    assert_eq!(names(moto, "migrated"), ["days"]);
    let shown = sandbox.json(&["show", "migrated.days"]);
    assert_eq!(shown["properties"]["gc.enabled"], "true");
    assert_eq!(partitions(moto, "migrated", "days"), Vec::<Value>::new());
    let late = sandbox.run(&["rollback", id]);
    assert!(late.contains("it was finalized"), "{late}");
}

/// A process that ends at any step leaves the old table or the new one, and the next run brings it to its end.
#[test]
fn a_migration_that_was_cut_off_is_taken_up_again() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    for (number, step) in ["undo_saved", "staged", "backed_up", "replaced"]
        .iter()
        .enumerate()
    {
        let database = format!("cut_off_{number}");
        make_hive_table(&server, moto, &database);
        let sandbox = sandbox_with_keys(&server, moto);
        let before = (
            entry(moto, &database, "days"),
            partitions(moto, &database, "days"),
        );
        let source = format!("glue:{database}.days");
        let table = format!("{database}.days");
        let killed = sandbox.output(&["migrate", &source, "--fail-point", step]);
        assert!(!killed.status.success(), "{step}");
        assert_eq!(killed.stdout, b"", "{step}");
        if *step == "replaced" {
            assert_eq!(read_with_pyiceberg(&server, moto, &table)["count"], 6);
        } else {
            assert_eq!(entry(moto, &database, "days"), before.0, "{step}");
        }
        let report = sandbox.json(&["migrate", &source]);
        assert_eq!(report["migrated_files_count"], 3, "{step}");
        assert_eq!(
            read_with_pyiceberg(&server, moto, &table)["count"],
            6,
            "{step}"
        );
        let shown = sandbox.json(&["show", &table, "--migrations"]);
        let states: Vec<&Value> = shown["migrations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|migration| &migration["state"])
            .collect();
        assert_eq!(
            states.iter().filter(|state| **state == "done").count(),
            1,
            "{step}"
        );
        assert!(
            states.iter().all(|state| *state != "running"),
            "{step}: {states:?}"
        );

        let id = report["migration_id"].as_str().unwrap();
        for step in ["partitions_restored", "restored"] {
            let killed = sandbox.output(&["rollback", id, "--fail-point", step]);
            assert!(!killed.status.success(), "{step}");
        }
        assert_eq!(entry(moto, &database, "days"), before.0, "{step}");
        assert_eq!(partitions(moto, &database, "days"), before.1, "{step}");
        // The next database uses the same files.
        fs_err::remove_dir_all(server.root().join("lake/hive")).unwrap();
        fs_err::remove_dir_all(server.root().join("lake/elsewhere")).unwrap();
    }
}

#[track_caller]
fn check_refused(sandbox: &Sandbox, moto: &Moto, name: &str, other: &Value, reason: &str) {
    create_entry(moto, "unfit", name, other);
    let before = entry(moto, "unfit", name);
    let refused = sandbox.run(&["migrate", &format!("glue:unfit.{name}")]);
    assert!(
        refused.starts_with("exit 2") && refused.contains(reason),
        "{refused}"
    );
    assert_eq!(entry(moto, "unfit", name), before);
}

#[test]
fn what_would_not_be_the_same_table_is_refused() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    make_hive_table(&server, moto, "unfit");
    let sandbox = sandbox_with_keys(&server, moto);
    let mut bucketed = storage("s3://lake/hive/", PARQUET);
    bucketed["NumberOfBuckets"] = json!(8);
    bucketed["BucketColumns"] = json!(["userid"]);
    let bucketed = json!({"StorageDescriptor": bucketed});
    check_refused(
        &sandbox,
        moto,
        "bucketed",
        &bucketed,
        "it is bucketed (8 buckets)",
    );
    let acid = json!({"Parameters": {"transactional": "true"}});
    check_refused(&sandbox, moto, "acid", &acid, "is a transactional table");
    let delta = json!({"Parameters": {"spark.sql.sources.provider": "delta"}});
    check_refused(
        &sandbox,
        moto,
        "delta",
        &delta,
        "not a Hive-style Parquet table",
    );
    let mut orc = storage("s3://lake/hive/", PARQUET);
    orc["InputFormat"] = json!("org.apache.hadoop.hive.ql.io.orc.OrcInputFormat");
    let orc = json!({"StorageDescriptor": orc});
    check_refused(
        &sandbox,
        moto,
        "orc",
        &orc,
        "not a Hive-style Parquet table",
    );
    let view = json!({"TableType": "VIRTUAL_VIEW", "ViewOriginalText": "SELECT 1"});
    check_refused(
        &sandbox,
        moto,
        "view",
        &view,
        "not a Hive-style Parquet table",
    );
    let taken = json!({"Parameters": {"classification": "parquet", "team": "another"}});
    create_entry(moto, "unfit", "days_backup_", &taken);
    let refused = sandbox.run(&["migrate", "glue:unfit.days"]);
    assert!(refused.contains("days_backup_ already exists"), "{refused}");
    assert_eq!(entry(moto, "unfit", "days")["TableType"], "EXTERNAL_TABLE");
    assert!(
        sandbox
            .run(&["migrate", "/some/where"])
            .contains("an entry of Glue")
    );
}

#[test]
fn what_others_committed_is_not_lost_by_a_rollback() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    make_hive_table(&server, moto, "committed");
    let sandbox = sandbox_with_keys(&server, moto);
    let report = sandbox.json(&["migrate", "glue:committed.days", "--drop-backup"]);
    assert_eq!(names(moto, "committed"), ["days"]);
    let id = report["migration_id"].as_str().unwrap();
    lakes::drift(&server.root().join("lake/more"), Drift::Reordered);
    sandbox.json(&["add-files", "s3://lake/more", "--table", "committed.days"]);
    let refused = sandbox.run(&["rollback", id]);
    assert!(
        refused.contains("1 snapshots were committed to the table since"),
        "{refused}"
    );
    sandbox.json(&["rollback", id, "--force"]);
    assert_eq!(
        entry(moto, "committed", "days")["Parameters"],
        json!({"classification": "parquet"})
    );
}

#[test]
fn a_table_takes_the_name_of_an_entry_of_glue() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    make_hive_table(&server, moto, "swapped");
    let sandbox = sandbox_with_keys(&server, moto);
    sandbox.json(&[
        "add-files",
        "glue:swapped.days",
        "--table",
        "swapped.shadow",
    ]);
    let before = (
        entry(moto, "swapped", "days"),
        partitions(moto, "swapped", "days"),
    );
    let report = sandbox.json(&["swap", "swapped.days", "swapped.shadow"]);
    let id = report["migration_id"].as_str().unwrap();
    assert_eq!(names(moto, "swapped"), ["days", "days_backup_"]);
    assert_eq!(
        read_with_pyiceberg(&server, moto, "swapped.days")["count"],
        6
    );
    assert_eq!(partitions(moto, "swapped", "days_backup_").len(), 4);
    sandbox.json(&["rollback", id]);
    assert_eq!(names(moto, "swapped"), ["days", "shadow"]);
    assert_eq!(entry(moto, "swapped", "days"), before.0);
    assert_eq!(partitions(moto, "swapped", "days"), before.1);
    assert_eq!(
        read_with_pyiceberg(&server, moto, "swapped.shadow")["count"],
        6
    );
    for step in ["undo_saved", "backed_up", "replaced", "shadow_dropped"] {
        let killed = sandbox.output(&[
            "swap",
            "swapped.days",
            "swapped.shadow",
            "--fail-point",
            step,
        ]);
        assert!(!killed.status.success(), "{step}");
        let report = sandbox.json(&["swap", "swapped.days", "swapped.shadow"]);
        assert_eq!(names(moto, "swapped"), ["days", "days_backup_"], "{step}");
        sandbox.json(&["rollback", report["migration_id"].as_str().unwrap()]);
        assert_eq!(entry(moto, "swapped", "days"), before.0, "{step}");
    }
}

#[test]
fn two_tables_of_a_database_change_names() {
    let sandbox = Sandbox::new();
    let lake = ghcn();
    for (table, element) in [("noaa.old", "TMAX"), ("noaa.new", "TMIN")] {
        let filter = format!("ELEMENT={element}");
        sandbox.json(&[
            "add-files",
            &lake,
            "--table",
            table,
            "--partition-filter",
            &filter,
        ]);
    }
    let element = |table: &str| {
        let query = format!("SELECT DISTINCT \"ELEMENT\" FROM {table}");
        sandbox.json(&["sql", &query])[0]["ELEMENT"].clone()
    };
    let plan = sandbox.json(&["swap", "noaa.old", "noaa.new", "--dry-run"]);
    assert_eq!(plan["backup"], "noaa.old_backup_");
    let report = sandbox.json(&[
        "swap",
        "noaa.old",
        "noaa.new",
        "--backup-name",
        "noaa.before",
    ]);
    assert_eq!(
        sandbox.json(&["tables"])["tables"],
        json!(["noaa.before", "noaa.old"])
    );
    assert_eq!(
        (element("noaa.old"), element("noaa.before")),
        (json!("TMIN"), json!("TMAX"))
    );
    sandbox.json(&["rollback", report["migration_id"].as_str().unwrap()]);
    assert_eq!(
        sandbox.json(&["tables"])["tables"],
        json!(["noaa.new", "noaa.old"])
    );
    assert_eq!(
        (element("noaa.old"), element("noaa.new")),
        (json!("TMAX"), json!("TMIN"))
    );
    let missing = sandbox.run(&["swap", "noaa.old", "noaa.nothing"]);
    assert!(
        missing.contains("table noaa.nothing not found"),
        "{missing}"
    );
    let taken = sandbox.run(&["swap", "noaa.old", "noaa.new", "--backup-name", "noaa.new"]);
    assert!(taken.starts_with("exit 2"), "{taken}");
    assert_eq!(
        sandbox.json(&["tables"])["tables"],
        json!(["noaa.new", "noaa.old"])
    );
}

#[test]
fn a_trial_table_leaves_the_source_alone() {
    let sandbox = Sandbox::new();
    let lake = sandbox.path().join("lake");
    let made = lakes::ghcn(&lake, 6, 10, 1);
    let source = files_below(&lake);
    let snapshot = ["snapshot", "lake", "--table", "db.trial"];
    for (location, overlaps) in [
        ("lake", true),
        ("lake/YEAR=2023", true),
        (".", true),
        ("lake2", false),
    ] {
        let arguments = [&snapshot[..], &["--location", location, "--dry-run"]].concat();
        let said = sandbox.run(&arguments);
        assert_eq!(said.contains("overlap"), overlaps, "{location}: {said}");
    }
    let property = [
        "--property",
        "gc.enabled=true",
        "--property",
        "team=archive",
    ];
    let report = sandbox.json(&[&snapshot[..], &property].concat());
    assert_eq!(report["imported_files_count"], made.files);
    let shown = sandbox.json(&["show", "db.trial"]);
    let properties = &shown["properties"];
    assert_eq!(
        (
            &properties["gc.enabled"],
            &properties["snapshot"],
            &properties["team"]
        ),
        (&json!("false"), &json!("true"), &json!("archive"))
    );
    let exists = sandbox.run(&snapshot);
    assert!(exists.contains("table db.trial exists"), "{exists}");
    sandbox.json(&["rollback", report["migration_id"].as_str().unwrap()]);
    assert_eq!(sandbox.json(&["tables"])["tables"], json!([]));
    assert_eq!(files_below(&lake), source);
    let left: Vec<String> = files_below(&sandbox.path().join("warehouse"))
        .into_iter()
        .map(|(path, _)| path.display().to_string())
        .filter(|path| !path.contains("/metadata/calve/"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

/// Rows that go into a trial table, and its end, are nothing to the source.
#[test]
fn a_trial_table_goes_and_the_source_stays() {
    let sandbox = Sandbox::new();
    let lake = sandbox.path().join("lake");
    let made = lakes::ghcn(&lake, 6, 10, 1);
    let source = files_below(&lake);
    sandbox.json(&["snapshot", "lake", "--table", "db.trial"]);
    let script = "
import json, sys
from pyiceberg.catalog import load_catalog
folder = sys.argv[1]
catalog = load_catalog('default', type='sql', uri=f'sqlite:///{folder}/calve.db', warehouse=f'{folder}/warehouse')
table = catalog.load_table('db.trial')
table.append(table.scan(limit=5).to_arrow())
print(json.dumps(table.scan().to_arrow().num_rows))
";
    let rows = python::run(script, &[sandbox.path().to_str().unwrap()]);
    assert_eq!(rows, json!(made.rows + 5));
    let verify = sandbox.json_with_code(&["verify", "lake", "--table", "db.trial"]);
    assert_eq!((verify.0, &verify.1["equal"]), (1, &json!(false)));
    let purge = sandbox.run(&["drop", "db.trial", "--purge"]);
    assert!(purge.contains("gc.enabled"), "{purge}");
    sandbox.json(&["drop", "db.trial"]);
    assert_eq!(sandbox.json(&["tables"])["tables"], json!([]));
    assert_eq!(files_below(&lake), source);
    let query = format!("SELECT count(*) AS n FROM '{}'", lake.display());
    assert_eq!(sandbox.json(&["sql", &query]), json!([{"n": made.rows}]));
}

/// Spark answers (0, 0) for a table without files, and so does calve where an entry says what its columns are.
#[test]
fn an_entry_without_files_is_an_empty_table() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    make_hive_table(&server, moto, "nothing");
    let keys = json!({"PartitionKeys": [{"Name": "day", "Type": "date"}]});
    create_entry(moto, "nothing", "empty", &keys);
    let sandbox = sandbox_with_keys(&server, moto);
    let report = sandbox.json(&[
        "add-files",
        "glue:nothing.empty",
        "--table",
        "nothing.added",
    ]);
    assert_eq!(
        (
            &report["added_files_count"],
            &report["changed_partition_count"]
        ),
        (&json!(0), &json!(0))
    );
}

/// A writer that adds a file to a partition that is there, after the listing and before the replacement.
#[test]
fn a_file_that_appears_meanwhile_is_not_lost() {
    let (server, moto) = (S3Server::with_buckets(&["lake"]), Moto::start());
    make_hive_table(&server, moto, "meanwhile");
    let sandbox = sandbox_with_keys(&server, moto);
    let before = (
        entry(moto, "meanwhile", "days"),
        partitions(moto, "meanwhile", "days"),
    );
    let proxy = Proxy::start(moto);
    let endpoint = format!("glue.endpoint={}", proxy.endpoint());
    let migrate = ["migrate", "glue:meanwhile.days", "--set", &endpoint];
    let partition = server.root().join("lake/hive/day=2024-01-01");
    let deeds: [fn(&std::path::Path); 3] = [
        |partition| {
            let files = files_below(partition);
            fs_err::write(partition.join("late.parquet"), &files[0].1).unwrap();
        },
        |partition| {
            let files = files_below(partition);
            fs_err::write(&files[0].0, [&files[0].1[..], b"more"].concat()).unwrap();
        },
        |partition| fs_err::remove_file(partition.join("late.parquet")).unwrap(),
    ];
    let changes = [
        "late.parquet appeared",
        "was written anew",
        "1 of its files vanished",
    ];
    for (deed, change) in deeds.into_iter().zip(changes) {
        // The copy of the entry is made after the files were listed.
        proxy.lose("CreateTable", &[Loss::Throttled]);
        let place = partition.clone();
        let content = files_below(&partition);
        proxy.after_loss(move || deed(&place));
        let refused = sandbox.run(&migrate);
        assert!(refused.starts_with("exit 2"), "{refused}");
        assert!(
            refused.contains("glue:meanwhile.days changed meanwhile"),
            "{refused}"
        );
        assert!(refused.contains(change), "{change}: {refused}");
        assert_eq!(entry(moto, "meanwhile", "days"), before.0);
        assert_eq!(partitions(moto, "meanwhile", "days"), before.1);
        assert_eq!(names(moto, "meanwhile"), ["days"]);
        if change.contains("anew") {
            for (path, content) in content {
                fs_err::write(path, content).unwrap();
            }
        }
    }
    proxy.lose("CreateTable", &[]);
    let report = sandbox.json(&migrate);
    assert_eq!(report["migrated_files_count"], 3);
    assert_eq!(
        read_with_pyiceberg(&server, moto, "meanwhile.days")["count"],
        6
    );
}
