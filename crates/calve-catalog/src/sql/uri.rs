//! Database addresses as users write them for Java, PyIceberg and the databases' own tools.

use std::path::PathBuf;
use std::str::FromStr;

use calve_base::Properties;
use sqlx::postgres::PgConnectOptions;

use crate::{Error, Result};

/// Where the database is.
#[derive(Clone)]
pub(crate) enum Target {
    /// A file, or the process's memory where there is none.
    Sqlite {
        /// The file.
        path: Option<PathBuf>,
        /// Whether it may be changed.
        read_only: bool,
    },
    /// A server. The options hold the password.
    Postgres(Box<PgConnectOptions>),
}

/// Reads the `uri` property.
pub(crate) fn parse(catalog: &str, properties: &Properties) -> Result<Target> {
    let wrong = |problem: String| Error::Property {
        catalog: catalog.to_owned(),
        property: "uri".to_owned(),
        problem,
    };
    let Some(uri) = properties.get("uri") else {
        return Err(wrong(
            "missing: expected sqlite:///file.db or postgresql://host/database".to_owned(),
        ));
    };
    let uri = uri.strip_prefix("jdbc:").unwrap_or(uri);
    let (scheme, rest) = uri.split_once(':').unwrap_or((uri, ""));
    // SQLAlchemy names its driver: `postgresql+psycopg2`.
    let dialect = scheme.split('+').next().unwrap_or(scheme);
    match dialect {
        "sqlite" => sqlite(rest).map_err(wrong),
        "postgresql" | "postgres" => {
            let options = PgConnectOptions::from_str(&format!("postgresql:{rest}"))
                .map_err(|error| wrong(format!("not a PostgreSQL address: {error}")))?;
            let options = match properties.get("jdbc.user") {
                Some(user) => options.username(user),
                None => options,
            };
            let options = match properties.get("jdbc.password") {
                Some(password) => options.password(password),
                None => options,
            };
            Ok(Target::Postgres(Box::new(options)))
        }
        // The rest may hold a password, so that only the scheme is told.
        other => Err(wrong(format!(
            "`{other}:` is no database that calve opens: expected sqlite: or postgresql:"
        ))),
    }
}

/// What follows `sqlite:`. With three slashes (as in `SQLAlchemy`) or none a relative path follows, with four
/// or one an absolute path.
fn sqlite(rest: &str) -> Result<Target, String> {
    let (path, options) = rest.split_once('?').unwrap_or((rest, ""));
    let path = path
        .strip_prefix("///")
        .or_else(|| path.strip_prefix("//"))
        .unwrap_or(path);
    let mut read_only = false;
    for option in options.split('&').filter(|option| !option.is_empty()) {
        match option {
            "mode=ro" => read_only = true,
            "mode=rw" | "mode=rwc" => {}
            other => {
                return Err(format!(
                    "unknown option `{other}`: expected mode=ro or mode=rwc"
                ));
            }
        }
    }
    let path = match path {
        "" | ":memory:" => None,
        path => Some(PathBuf::from(path)),
    };
    Ok(Target::Sqlite { path, read_only })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Result<Target> {
        parse("c", &Properties::from([("uri".to_owned(), uri.to_owned())]))
    }

    #[test]
    fn sqlite_addresses() {
        #[track_caller]
        fn check(uri: &str, expected: Option<&str>) {
            let Ok(Target::Sqlite { path, read_only }) = target(uri) else {
                panic!("{uri}");
            };
            assert_eq!(path, expected.map(PathBuf::from), "{uri}");
            assert_eq!(read_only, uri.contains("mode=ro"), "{uri}");
        }
        check("sqlite:///./calve.db", Some("./calve.db"));
        check("sqlite:///calve.db", Some("calve.db"));
        check("sqlite:////abs/calve.db", Some("/abs/calve.db"));
        check("sqlite:rel.db", Some("rel.db"));
        check("sqlite:/abs.db", Some("/abs.db"));
        check("sqlite://rel.db", Some("rel.db"));
        check("sqlite+pysqlite:////abs.db?mode=ro", Some("/abs.db"));
        check("jdbc:sqlite:/abs.db", Some("/abs.db"));
        check("sqlite:///:memory:", None);
        check("sqlite://", None);
    }

    #[test]
    fn postgres_addresses() {
        #[track_caller]
        fn check(uri: &str, host: &str, port: u16, user: &str, database: Option<&str>) {
            let Ok(Target::Postgres(options)) = target(uri) else {
                panic!("{uri}");
            };
            assert_eq!(options.get_host(), host, "{uri}");
            assert_eq!(options.get_port(), port, "{uri}");
            assert_eq!(options.get_username(), user, "{uri}");
            assert_eq!(options.get_database(), database, "{uri}");
        }
        for scheme in [
            "postgresql",
            "postgres",
            "postgresql+psycopg2",
            "jdbc:postgresql",
        ] {
            let uri = format!("{scheme}://u:p%40ss@h:5433/d");
            check(&uri, "h", 5433, "u", Some("d"));
        }
    }

    #[test]
    fn wrong_addresses_do_not_show_passwords() {
        #[track_caller]
        fn check(uri: &str, message: &str) {
            let error = target(uri).err().expect("an error").to_string();
            assert_eq!(error, format!("catalog c: property `uri`: {message}"));
        }
        check(
            "mysql://u:secret@h/d",
            "`mysql:` is no database that calve opens: expected sqlite: or postgresql:",
        );
        check(
            "sqlite:///x.db?cache=shared",
            "unknown option `cache=shared`: expected mode=ro or mode=rwc",
        );
    }
}
