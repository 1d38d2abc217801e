//! Keeps the house in order: who may depend on whom, how long files are, what is written down.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use calve_testkit::workspace_root;
use serde_json::Value;

/// The longest a source file may be before its tests begin.
const MAXIMUM_LINES: usize = 600;

/// Which rooms a room may depend on. What is not here is not allowed.
const LAYERS: &[(&str, &[&str])] = &[
    ("calve-base", &[]),
    ("calve-parquet", &["base"]),
    ("calve-xml", &["base"]),
    ("calve-storage", &["base"]),
    ("calve-catalog", &["base", "storage"]),
    ("calve-engines", &["base", "catalog"]),
    ("calve-lake", &["base", "parquet", "storage", "catalog"]),
    ("calve-table", &["base", "parquet", "storage", "catalog"]),
    (
        "calve-query",
        &["base", "parquet", "storage", "catalog", "lake", "table"],
    ),
    (
        "calve-migrate",
        &[
            "base", "parquet", "storage", "catalog", "lake", "table", "query",
        ],
    ),
    (
        "calve-compact",
        &["base", "storage", "catalog", "table", "query"],
    ),
    (
        "calve-verify",
        &[
            "base", "parquet", "storage", "catalog", "lake", "table", "query", "engines",
        ],
    ),
    (
        "calve",
        &[
            "base", "parquet", "storage", "catalog", "lake", "table", "query", "migrate",
            "compact", "verify", "engines", "xml",
        ],
    ),
    ("calve-cli", &[""]),
    ("calve-testkit", &[]),
];

/// The packages of the workspace, as `cargo metadata` tells of them.
fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(workspace_root())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo metadata failed");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

/// The text of a field.
fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// The paths of all files that git keeps, or would.
fn files(extensions: &[&str]) -> Vec<PathBuf> {
    let root = workspace_root();
    let mut files = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !matches!(name, "target" | "warehouse" | ".git" | "fixtures") {
                    folders.push(path);
                }
            } else if extensions.iter().any(|it| name.ends_with(it)) {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The path as it is said in a message.
fn relative(path: &Path) -> String {
    let root = workspace_root();
    path.strip_prefix(&root).unwrap().display().to_string()
}

#[test]
fn dependencies_point_downward_only() {
    let layers: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    for package in packages() {
        let name = text(&package, "name").to_owned();
        let allowed = layers
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} has no place in LAYERS"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let needed = text(dependency, "name");
            let Some(room) = needed.strip_prefix("calve") else {
                continue;
            };
            let room = room.trim_start_matches('-');
            // Tests of verification need tables to verify.
            let for_tests: &[&str] = match name.as_str() {
                "calve-verify" => &["testkit", "migrate"],
                "calve-compact" => &["testkit", "migrate", "lake"],
                _ => &["testkit"],
            };
            let in_tests = text(dependency, "kind") == "dev";
            assert!(
                allowed.contains(&room) || (in_tests && for_tests.contains(&room)),
                "{name} must not depend on {needed}"
            );
        }
    }
}

#[test]
fn folders_carry_the_names_of_their_crates() {
    for package in packages() {
        let manifest = PathBuf::from(text(&package, "manifest_path"));
        let folder = manifest.parent().unwrap();
        assert_eq!(folder.file_name().unwrap(), text(&package, "name"));
        assert_eq!(folder.parent().unwrap(), workspace_root().join("crates"));
    }
}

#[test]
fn every_crate_is_in_the_map() {
    let map = fs_err::read_to_string(workspace_root().join("ARCHITECTURE.md")).unwrap();
    for package in packages() {
        let name = text(&package, "name");
        assert!(
            map.contains(&format!("| `{name}` |")),
            "ARCHITECTURE.md does not tell what {name} is"
        );
    }
}

#[test]
fn files_are_not_long() {
    for path in files(&[".rs"]) {
        let content = fs_err::read_to_string(&path).unwrap();
        let lines = content
            .lines()
            .take_while(|line| !line.starts_with("#[cfg(test)]"))
            .count();
        let name = relative(&path);
        let is_test = name.ends_with("tests.rs") || name.contains("tests/");
        assert!(
            lines <= MAXIMUM_LINES || is_test,
            "{name} has {lines} lines before its tests, more than {MAXIMUM_LINES}"
        );
    }
}

#[test]
fn only_the_settings_read_the_environment() {
    for path in files(&[".rs"]) {
        let name = relative(&path);
        let may_read = name.starts_with("crates/calve-cli/src/settings")
            || name.starts_with("crates/calve-testkit/")
            || name.contains("tests/");
        let content = fs_err::read_to_string(&path).unwrap();
        assert!(
            may_read || !content.contains(concat!("env::", "var")),
            "{name} reads the environment"
        );
    }
}

#[test]
fn only_the_driver_draws() {
    for package in packages() {
        for dependency in package["dependencies"].as_array().unwrap() {
            let draws = matches!(text(dependency, "name"), "indicatif" | "clap");
            assert!(
                !draws || text(&package, "name") == "calve-cli",
                "{} draws or reads flags",
                text(&package, "name")
            );
        }
    }
}

#[test]
fn no_path_of_any_machine_is_written_down() {
    let home = workspace_root();
    let here = home.to_str().unwrap();
    for path in files(&[
        ".rs", ".md", ".toml", ".ipynb", ".py", ".json", "run", "justfile",
    ]) {
        let content = fs_err::read_to_string(&path).unwrap();
        for forbidden in [here, concat!("/root", "/."), concat!("/Users", "/")] {
            assert!(
                !content.contains(forbidden),
                "{} holds the path {forbidden}",
                relative(&path)
            );
        }
    }
}

/// Where `tests/SCENARIOS.md` says that a scenario is tested, there is a test of that name.
#[test]
fn scenarios_have_their_tests() {
    let folders = BTreeMap::from([
        ("it", "tests/it"),
        ("migrate", "crates/calve-migrate/tests/add_files"),
        ("lake", "crates/calve-lake/tests/it"),
        ("catalog", "crates/calve-catalog/tests/contract"),
        ("plan", "crates/calve-compact/src/plan"),
        ("compact", "crates/calve-compact/tests/compact"),
        ("upkeep", "crates/calve-compact/tests/upkeep"),
        ("table", "crates/calve-table/tests/it"),
    ]);
    let root = workspace_root();
    let table = fs_err::read_to_string(root.join("tests/SCENARIOS.md")).unwrap();
    let mut count = 0;
    for name in table
        .split('`')
        .filter(|name| name.matches("::").count() == 2)
    {
        let [room, module, test]: [&str; 3] =
            name.split("::").collect::<Vec<_>>().try_into().unwrap();
        let file = root.join(folders[room]).join(format!("{module}.rs"));
        let code = fs_err::read_to_string(file).unwrap();
        assert!(code.contains(&format!("fn {test}(")), "there is no {name}");
        count += 1;
    }
    assert!(count > 90, "{count}");
}
