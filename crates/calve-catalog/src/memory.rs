//! A catalog in the process's own memory, for tests and trials.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use calve_base::{Location, Properties, TableIdent};

use crate::backend::{Backend, Entry, MoveError};
use crate::{Error, Result};

/// Pointers in a map.
#[derive(Debug)]
pub(crate) struct Memory {
    catalog: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    namespaces: BTreeMap<Vec<String>, Properties>,
    tables: BTreeMap<TableIdent, String>,
}

impl Memory {
    pub(crate) fn new(catalog: &str) -> Self {
        Self {
            catalog: catalog.to_owned(),
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics in between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_found(&self, ident: &TableIdent) -> Error {
        Error::TableNotFound {
            catalog: self.catalog.clone(),
            ident: ident.clone(),
        }
    }
}

#[async_trait]
impl Backend for Memory {
    async fn list_namespaces(&self) -> Result<Vec<Vec<String>>> {
        let state = self.state();
        let used = state.tables.keys().map(TableIdent::namespace);
        let all: BTreeSet<Vec<String>> = state
            .namespaces
            .keys()
            .map(Vec::as_slice)
            .chain(used)
            .map(<[String]>::to_vec)
            .collect();
        Ok(all.into_iter().collect())
    }

    async fn namespace_exists(&self, namespace: &[String]) -> Result<bool> {
        Ok(self.state().namespaces.contains_key(namespace))
    }

    async fn namespace_location(&self, namespace: &[String]) -> Result<Option<String>> {
        let state = self.state();
        let properties = state.namespaces.get(namespace);
        Ok(properties.and_then(|properties| properties.get("location").cloned()))
    }

    async fn create_namespace(&self, namespace: &[String], properties: &Properties) -> Result<()> {
        let mut state = self.state();
        if state.namespaces.contains_key(namespace) {
            return Err(Error::NamespaceExists {
                catalog: self.catalog.clone(),
                namespace: namespace.join("."),
            });
        }
        state
            .namespaces
            .insert(namespace.to_vec(), properties.clone());
        Ok(())
    }

    async fn list_tables(&self, namespace: &[String]) -> Result<Vec<TableIdent>> {
        let state = self.state();
        let tables = state.tables.keys();
        Ok(tables
            .filter(|ident| ident.namespace() == namespace)
            .cloned()
            .collect())
    }

    async fn find(&self, ident: &TableIdent) -> Result<String> {
        let found = self.state().tables.get(ident).cloned();
        found.ok_or_else(|| self.not_found(ident))
    }

    async fn insert(&self, ident: &TableIdent, entry: Entry<'_>) -> Result<(), MoveError> {
        let mut state = self.state();
        if state.tables.contains_key(ident) {
            return Err(MoveError::Refused(Error::TableExists {
                catalog: self.catalog.clone(),
                ident: ident.clone(),
            }));
        }
        state
            .tables
            .insert(ident.clone(), entry.location.to_string());
        Ok(())
    }

    async fn swap(
        &self,
        ident: &TableIdent,
        base: &Location,
        entry: Entry<'_>,
    ) -> Result<(), MoveError> {
        match self.state().tables.get_mut(ident) {
            Some(pointer) if pointer == base.as_str() => {
                *pointer = entry.location.to_string();
                Ok(())
            }
            Some(_) => Err(MoveError::Refused(Error::CommitConflict {
                ident: ident.clone(),
            })),
            None => Err(MoveError::Refused(self.not_found(ident))),
        }
    }

    async fn remove(&self, ident: &TableIdent) -> Result<()> {
        let removed = self.state().tables.remove(ident);
        removed.map(drop).ok_or_else(|| self.not_found(ident))
    }
}
