//! PyIceberg as the second opinion.

use iceberg::spec::FormatVersion;
use serde_json::json;

use crate::support::World;

const SCRIPT: &str = "
import json, sys
from pyiceberg.table import StaticTable
table = StaticTable.from_metadata(sys.argv[1])
tasks = sorted(table.scan().plan_files(), key=lambda task: task.file.file_path)
files = table.inspect.files().to_pylist()
print(json.dumps({
    'paths': [task.file.file_path.rsplit('/', 1)[1] for task in tasks],
    'partitions': [[value if value is None else str(value) for value in task.file.partition] for task in tasks],
    'part_1': [task.file.file_path.rsplit('/', 1)[1] for task in table.scan('part = 1').plan_files()],
    'null_part': [task.file.file_path.rsplit('/', 1)[1] for task in table.scan('part is null').plan_files()],
    'records': sum(task.file.record_count for task in tasks),
    'operation': table.current_snapshot().summary.operation.value,
    'total-records': table.current_snapshot().summary['total-records'],
    'metrics': files[0]['readable_metrics']['id'],
}))
";

#[tokio::test(flavor = "multi_thread")]
async fn pyiceberg_reads_what_we_write() {
    for version in [FormatVersion::V1, FormatVersion::V2] {
        let world = World::new().await;
        world.create(version, &[Some(1), None, Some(3)]).await;
        let report = world.append(&["b0"]).await;
        let metadata = report.table.metadata_location().as_str().to_owned();
        let found =
            tokio::task::spawn_blocking(move || calve_testkit::python::run(SCRIPT, &[&metadata]))
                .await
                .unwrap();
        let mut part_1: Vec<_> = found["part_1"].as_array().unwrap().clone();
        part_1.sort_by_key(ToString::to_string);
        assert_eq!(found["paths"], json!(["a0", "a1", "a2", "b0"]));
        assert_eq!(
            found["partitions"],
            json!([
                ["1", "19000"],
                [null, "19000"],
                ["3", "19000"],
                ["1", "19000"]
            ])
        );
        assert_eq!(part_1, ["a0", "b0"]);
        assert_eq!(found["null_part"], json!(["a1"]));
        assert_eq!(found["records"], 40);
        assert_eq!(found["operation"], "append");
        assert_eq!(found["total-records"], "40");
        assert_eq!(found["metrics"]["lower_bound"], -5);
        assert_eq!(found["metrics"]["upper_bound"], 5_000_000_000_i64);
    }
}
