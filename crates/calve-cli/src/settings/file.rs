use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use calve::base::Properties;
use toml::{Table, Value};

use super::{Environment, Error};

/// The file that is read when no other is named.
const FILE_NAME: &str = "calve.toml";

/// What a configuration file says.
#[derive(Debug, Default)]
pub(crate) struct ConfigFile {
    /// The catalog that is used when none is named.
    pub(crate) default_catalog: Option<String>,
    /// How many requests or files are in flight at once.
    pub(crate) concurrency: Option<usize>,
    /// How much memory queries may take, as it is written.
    pub(crate) memory: Option<String>,
    /// Where queries spill to.
    pub(crate) spill_dir: Option<PathBuf>,
    /// The catalogs, by name.
    pub(crate) catalogs: BTreeMap<String, Properties>,
}

impl ConfigFile {
    /// Reads `path`, or `calve.toml` in the working directory, which may be absent.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or holds a key that means nothing.
    pub(crate) fn load(path: Option<PathBuf>, environment: &Environment) -> Result<Self, Error> {
        let directory = Path::new(&environment.working_directory);
        let (path, must_exist) = match path {
            Some(path) => (directory.join(path), true),
            None => (directory.join(FILE_NAME), false),
        };
        match fs_err::read_to_string(&path) {
            Ok(text) => Self::parse(&text, &path),
            Err(error) if !must_exist && error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(source) => Err(Error::Unreadable { source }),
        }
    }

    /// Reads the text of the file at `path`.
    pub(crate) fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let table: Table = text.parse().map_err(|source| Error::Syntax {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let wrong = |key: &str, problem: &str| Error::Key {
            path: path.to_owned(),
            key: key.to_owned(),
            problem: problem.to_owned(),
        };
        let mut file = Self::default();
        for (key, value) in table {
            match (key.as_str(), value) {
                ("default-catalog", Value::String(name)) => file.default_catalog = Some(name),
                ("concurrency", Value::Integer(number)) => {
                    file.concurrency = Some(
                        usize::try_from(number)
                            .ok()
                            .filter(|number| *number > 0)
                            .ok_or_else(|| wrong(&key, "expected a whole number above 0"))?,
                    );
                }
                ("memory", Value::String(size)) => file.memory = Some(size),
                ("spill-dir", Value::String(path)) => file.spill_dir = Some(PathBuf::from(path)),
                ("catalog", Value::Table(catalogs)) => {
                    file.catalogs = read_catalogs(catalogs, &wrong)?;
                }
                ("default-catalog" | "memory" | "spill-dir", _) => {
                    return Err(wrong(&key, "expected a text in quotes"));
                }
                ("concurrency", _) => return Err(wrong(&key, "expected a whole number above 0")),
                ("catalog", _) => return Err(wrong(&key, "expected a section [catalog.NAME]")),
                _ => return Err(wrong(&key, "no such setting")),
            }
        }
        Ok(file)
    }
}

/// Reads the sections `[catalog.NAME]`.
fn read_catalogs(
    catalogs: Table,
    wrong: &impl Fn(&str, &str) -> Error,
) -> Result<BTreeMap<String, Properties>, Error> {
    let mut result = BTreeMap::new();
    for (name, value) in catalogs {
        let place = format!("catalog.{name}");
        let Value::Table(table) = value else {
            return Err(wrong(&place, "expected a section of properties"));
        };
        let mut properties = Properties::new();
        flatten("", table, &mut properties).map_err(|key| {
            wrong(
                &format!("{place}.{key}"),
                "expected a text, number or boolean",
            )
        })?;
        result.insert(name, properties);
    }
    Ok(result)
}

/// Joins nested keys with dots: `s3.endpoint = "…"` is TOML for a table `s3`.
fn flatten(prefix: &str, table: Table, properties: &mut Properties) -> Result<(), String> {
    for (key, value) in table {
        let key = if prefix.is_empty() {
            key
        } else {
            format!("{prefix}.{key}")
        };
        let text = match value {
            Value::String(text) => text,
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(truth) => truth.to_string(),
            Value::Table(table) => {
                flatten(&key, table, properties)?;
                continue;
            }
            Value::Datetime(_) | Value::Array(_) => return Err(key),
        };
        properties.insert(key, text);
    }
    Ok(())
}
