use std::fmt;
use std::str::FromStr;

/// The name of a table in a catalog: `db.table`, or `a.b.table` for nested namespaces.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableIdent {
    namespace: Vec<String>,
    name: String,
}

/// Why a text is no table name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a table name: expected `db.table`")]
pub struct IdentError {
    text: String,
}

impl TableIdent {
    /// Makes a name from a namespace of one level and a table name.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: vec![namespace.into()],
            name: name.into(),
        }
    }

    /// Makes a name from a namespace of any depth (at least one level) and a table name.
    ///
    /// # Errors
    /// When the namespace is empty, or any part is.
    pub fn from_parts(namespace: Vec<String>, name: impl Into<String>) -> Result<Self, IdentError> {
        let name = name.into();
        if namespace.is_empty() || name.is_empty() || namespace.iter().any(String::is_empty) {
            return Err(IdentError {
                text: format!("{}.{name}", namespace.join(".")),
            });
        }
        Ok(Self { namespace, name })
    }

    /// The levels of the namespace, outermost first.
    pub fn namespace(&self) -> &[String] {
        &self.namespace
    }

    /// The namespace as one text, its levels joined by dots.
    pub fn namespace_text(&self) -> String {
        self.namespace.join(".")
    }

    /// The name of the table, without its namespace.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for TableIdent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for level in &self.namespace {
            write!(f, "{level}.")?;
        }
        f.write_str(&self.name)
    }
}

impl FromStr for TableIdent {
    type Err = IdentError;

    fn from_str(text: &str) -> Result<Self, IdentError> {
        let mut parts: Vec<String> = text.split('.').map(ToOwned::to_owned).collect();
        let name = parts.pop().unwrap_or_default();
        Self::from_parts(parts, name).map_err(|_| IdentError {
            text: text.to_owned(),
        })
    }
}

impl serde::Serialize for TableIdent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for TableIdent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_printed_alike() {
        for text in ["db.t", "a.b.t"] {
            assert_eq!(text.parse::<TableIdent>().unwrap().to_string(), text);
        }
        for text in ["", "t", ".t", "db.", "a..t"] {
            assert_eq!(
                text.parse::<TableIdent>().unwrap_err().to_string(),
                format!("`{text}` is not a table name: expected `db.table`")
            );
        }
    }
}
