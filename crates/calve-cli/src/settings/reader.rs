use std::path::PathBuf;
use std::time::Duration;

use calve::base::units::parse_duration;
use calve::engines::AthenaOptions;
use calve::verify::{DEFAULT_READER_TIMEOUT, PythonPackage};

use super::{Error, Settings};
use crate::flags::{ReaderFlag, ReaderFlags};

/// The Python that is started unless told otherwise.
const DEFAULT_PYTHON: &str = "python3";

/// Who reads the table.
#[derive(Debug, Clone)]
pub(crate) enum ReaderSettings {
    /// A package of Python.
    Python {
        package: PythonPackage,
        python: PathBuf,
        timeout: Duration,
    },
    /// Amazon Athena.
    Athena(AthenaOptions),
}

impl ReaderSettings {
    /// Decides what the flags mean; `None` where calve itself reads.
    ///
    /// # Errors
    /// When a duration is none, or a flag would do nothing.
    pub(crate) fn resolve(flags: ReaderFlags, settings: &Settings) -> Result<Option<Self>, Error> {
        check_useful(&flags)?;
        let timeout = flags.reader_timeout.map(duration).transpose()?;
        let python = |package| Self::Python {
            package,
            python: flags.python.unwrap_or_else(|| DEFAULT_PYTHON.into()),
            timeout: timeout.unwrap_or(DEFAULT_READER_TIMEOUT),
        };
        Ok(flags.reader.map(|reader| match reader {
            ReaderFlag::PyIceberg => python(PythonPackage::PyIceberg),
            ReaderFlag::DuckDb => python(PythonPackage::DuckDb),
            ReaderFlag::Athena => {
                let property = |name: &str| settings.catalog.properties.get(name).cloned();
                let default = AthenaOptions::default();
                let workgroup = flags.athena_workgroup;
                let output = flags.athena_output;
                let database = flags.athena_database;
                Self::Athena(AthenaOptions {
                    workgroup: workgroup.or_else(|| property("athena.workgroup")),
                    output_location: output.or_else(|| property("athena.output-location")),
                    data_catalog: property("athena.data-catalog"),
                    database: database.or_else(|| property("athena.database")),
                    timeout: timeout.unwrap_or(default.timeout),
                })
            }
        }))
    }
}

/// Refuses flags that would do nothing.
fn check_useful(flags: &ReaderFlags) -> Result<(), Error> {
    let is_athena = flags.reader == Some(ReaderFlag::Athena);
    let is_python = flags.reader.is_some() && !is_athena;
    let without = "calve reads the table itself unless --reader is given";
    let given = [
        (
            "--reader-timeout",
            flags.reader_timeout.is_some(),
            flags.reader.is_some(),
            without,
        ),
        (
            "--python",
            flags.python.is_some(),
            is_python,
            "only the readers pyiceberg and duckdb are packages of Python",
        ),
        (
            "--athena-workgroup",
            flags.athena_workgroup.is_some(),
            is_athena,
            NOT_ATHENA,
        ),
        (
            "--athena-output",
            flags.athena_output.is_some(),
            is_athena,
            NOT_ATHENA,
        ),
        (
            "--athena-database",
            flags.athena_database.is_some(),
            is_athena,
            NOT_ATHENA,
        ),
    ];
    for (flag, is_given, is_useful, reason) in given {
        if is_given && !is_useful {
            return Err(Error::Useless { flag, reason });
        }
    }
    Ok(())
}

const NOT_ATHENA: &str = "it is for --reader athena";

fn duration(text: String) -> Result<Duration, Error> {
    parse_duration(&text).map_err(|_| Error::Value {
        place: "--reader-timeout".to_owned(),
        text,
        expected: "a duration such as 30m",
    })
}
