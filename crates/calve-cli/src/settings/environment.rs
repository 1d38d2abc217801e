use std::collections::BTreeMap;
use std::io::IsTerminal;

use super::Error;

/// What the process was given: variables, working directory, terminals.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    /// The directory that relative paths start from, absolute.
    pub(crate) working_directory: String,
    /// Whether stderr is a terminal.
    pub(crate) stderr_is_terminal: bool,
    /// Whether stdout is a terminal.
    pub(crate) stdout_is_terminal: bool,
}

impl Environment {
    /// Reads the process's environment. Variables that are not UTF-8 are none of calve's.
    ///
    /// # Errors
    /// When the working directory is gone or its name is not UTF-8.
    pub(crate) fn of_process() -> Result<Self, Error> {
        let directory =
            std::env::current_dir().map_err(|source| Error::WorkingDirectory { source })?;
        let working_directory = directory
            .into_os_string()
            .into_string()
            .map_err(|name| Error::NotUtf8 { name })?;
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Ok(Self {
            variables,
            working_directory,
            stderr_is_terminal: std::io::stderr().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
        })
    }

    /// The value of a variable; one that is empty counts as unset.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// All variables, sorted by name.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Sets a variable, in tests.
    #[cfg(test)]
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }
}
