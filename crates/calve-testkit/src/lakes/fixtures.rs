use std::path::Path;

use super::{
    Drift, drift, ghcn, hard_partitions, keys_in_any_order, milliseconds, nested, sensors, typed,
    write_bytes,
};

/// Makes the lakes and documents under `fixtures/`, below `dir`; its `README.md` says what each is.
pub fn fixtures(dir: &Path) {
    ghcn(&dir.join("ghcn"), 100, 730, 2023);
    write_bytes(&dir.join("ghcn/_SUCCESS"), b"");
    hard_partitions(&dir.join("hard-partitions/text"));
    typed(&dir.join("hard-partitions/typed"));
    keys_in_any_order(&dir.join("hard-partitions/any-order"));
    nested(&dir.join("nested"));
    milliseconds(&dir.join("milliseconds"));
    for kind in Drift::ALL {
        drift(&dir.join("drift").join(kind.folder()), kind);
    }
    sensors(&dir.join("sensors"), 96, 200, 58_176);
    crate::xml::documents(dir);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    use super::fixtures;
    use crate::workspace_root;

    fn files(root: &Path, below: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs_err::read_dir(root.join(below)).unwrap() {
            let entry = entry.unwrap();
            let path = below.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                files(root, &path, found);
            } else if path != Path::new("README.md") && !path.starts_with("spark") {
                found.insert(path, fs_err::read(entry.path()).unwrap());
            }
        }
    }

    #[test]
    fn the_committed_files_are_what_the_generator_makes() {
        let made = tempfile::tempdir().unwrap();
        fixtures(made.path());
        let (mut expected, mut committed) = (BTreeMap::new(), BTreeMap::new());
        files(made.path(), Path::new(""), &mut expected);
        files(
            &workspace_root().join("fixtures"),
            Path::new(""),
            &mut committed,
        );
        let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&committed), names(&expected));
        let differing: Vec<_> = expected
            .iter()
            .filter(|(path, bytes)| committed[*path] != **bytes)
            .collect();
        let differing: Vec<_> = differing.iter().map(|(path, _)| path).collect();
        assert!(
            differing.is_empty(),
            "run `cargo run -p calve-testkit --bin fixtures`: {differing:?}"
        );
    }
}
