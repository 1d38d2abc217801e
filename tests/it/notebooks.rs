//! Every notebook runs from top to bottom, with the binary and the Python environment of the tests.

use calve_testkit::{python, workspace_root};

#[test]
fn notebooks_run() {
    let notebooks = workspace_root().join("notebooks");
    let mut run = 0;
    for entry in fs_err::read_dir(&notebooks).unwrap() {
        let notebook = entry.unwrap().path();
        if notebook
            .extension()
            .is_none_or(|extension| extension != "ipynb")
        {
            continue;
        }
        let source = fs_err::read_to_string(&notebook).unwrap();
        let cells = serde_json::from_str::<serde_json::Value>(&source).unwrap();
        for cell in cells["cells"].as_array().unwrap() {
            let outputs = cell.get("outputs").and_then(serde_json::Value::as_array);
            assert!(
                outputs.is_none_or(Vec::is_empty),
                "{} is kept with outputs",
                notebook.display()
            );
        }
        let folder = tempfile::tempdir().unwrap();
        let output = python::command()
            .args([
                "-m",
                "nbconvert",
                "--execute",
                "--to",
                "notebook",
                "--output-dir",
            ])
            .arg(folder.path())
            .arg(&notebook)
            .current_dir(&notebooks)
            .env("CALVE", env!("CARGO_BIN_EXE_calve"))
            .env("HOME", folder.path())
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", notebook.display());
        run += 1;
    }
    assert!(run > 0, "no notebook in {}", notebooks.display());
}
