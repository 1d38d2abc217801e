//! Entries and partitions of Glue read and written whole.

use std::time::Duration;

use aws_sdk_glue::types::{BatchUpdatePartitionRequestEntry, PartitionError, PartitionValueList};
use calve_base::TableIdent;

use super::error::{Failed, Kind};
use super::{Glue, convert, entry};
use crate::backend::{Entry, MoveError};
use crate::{EntryRecord, Error, PartitionRecord, Result};

/// Glue's limits on the partitions of one request.
const CREATE_AT_ONCE: usize = 100;
const DELETE_AT_ONCE: usize = 25;
/// How often an unclear answer is looked into.
const LOOKS: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(500);

impl Glue {
    /// Puts a pointer in the place of an entry that is still as `base` says.
    pub(super) async fn replace_record(
        &self,
        ident: &TableIdent,
        base: &EntryRecord,
        to: Entry<'_>,
    ) -> Result<(), MoveError> {
        let refused = MoveError::Refused;
        let found = self.get(ident).await.map_err(refused)?;
        let table = found.ok_or_else(|| refused(self.not_found(ident)))?;
        let conflict = || {
            refused(Error::CommitConflict {
                ident: ident.clone(),
            })
        };
        if convert::entry_record(&table) != *base {
            return Err(conflict());
        }
        let input =
            entry::replacement_input(&table, to).map_err(|error| self.unusable(ident, error))?;
        let answer = self.update(ident, input, table.version_id).await;
        let Err(failed) = answer else {
            return Ok(());
        };
        Err(match failed.kind {
            Kind::Concurrent => conflict(),
            Kind::NotFound => refused(self.not_found(ident)),
            _ => failed.into_move_error(&self.catalog, format!("glue:UpdateTable of {ident}")),
        })
    }

    pub(super) async fn create_record(
        &self,
        ident: &TableIdent,
        record: &EntryRecord,
    ) -> Result<()> {
        let mut table = record.table_input.clone();
        ident.name().clone_into(&mut table.name);
        let action = format!("glue:CreateTable of {ident}");
        let input = convert::table_input(&table).map_err(|error| self.wrong(&action, error))?;
        let answer = self
            .client
            .create_table()
            .set_catalog_id(self.settings.catalog_id.clone())
            .database_name(ident.namespace_text())
            .table_input(input)
            .send()
            .await
            .map_err(Failed::new);
        match answer {
            Ok(_) => Ok(()),
            Err(failed) if failed.kind == Kind::Exists => Err(Error::TableExists {
                catalog: self.catalog.clone(),
                ident: ident.clone(),
            }),
            Err(failed) => Err(failed.into_error(&self.catalog, action)),
        }
    }

    /// Puts an entry back. An unclear answer is settled by reading the entry again.
    pub(super) async fn restore_record(
        &self,
        ident: &TableIdent,
        expected: Option<&str>,
        record: &EntryRecord,
    ) -> Result<()> {
        let action = format!("glue:UpdateTable of {ident}");
        let mut wait = FIRST_WAIT;
        let mut unclear = None;
        for _ in 0..LOOKS {
            let table = self
                .get(ident)
                .await?
                .ok_or_else(|| self.not_found(ident))?;
            let current = convert::entry_record(&table);
            if current.table_input == record.table_input {
                return Ok(());
            }
            if expected.is_some() && current.version_id.as_deref() != expected {
                return Err(Error::CommitConflict {
                    ident: ident.clone(),
                });
            }
            let input = convert::table_input(&record.table_input)
                .map_err(|error| self.wrong(&action, error))?;
            let answer = self.update(ident, input, current.version_id).await;
            match answer {
                Ok(()) => return Ok(()),
                Err(failed) if failed.kind == Kind::Concurrent => {
                    return Err(Error::CommitConflict {
                        ident: ident.clone(),
                    });
                }
                Err(failed) if matches!(failed.kind, Kind::Unavailable | Kind::Busy) => {
                    unclear = Some(failed);
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                Err(failed) => return Err(failed.into_error(&self.catalog, action)),
            }
        }
        match unclear {
            Some(failed) => Err(failed.into_error(&self.catalog, action)),
            None => Ok(()),
        }
    }

    pub(super) async fn put_records(
        &self,
        ident: &TableIdent,
        partitions: &[PartitionRecord],
    ) -> Result<()> {
        let action = format!("glue:BatchCreatePartition of {ident}");
        for chunk in partitions.chunks(CREATE_AT_ONCE) {
            let inputs = chunk
                .iter()
                .map(convert::partition_input)
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| self.wrong(&action, error))?;
            let answer = self
                .client
                .batch_create_partition()
                .set_catalog_id(self.settings.catalog_id.clone())
                .database_name(ident.namespace_text())
                .table_name(ident.name())
                .set_partition_input_list(Some(inputs))
                .send()
                .await
                .map_err(|error| Failed::new(error).into_error(&self.catalog, action.clone()))?;
            let mut there = Vec::new();
            for error in answer.errors() {
                let values = error.partition_values().to_vec();
                if code(error) != "AlreadyExistsException" {
                    return Err(self.partition_failed(&action, error));
                }
                there.push(values);
            }
            let again = chunk.iter().filter(|one| there.contains(&one.values));
            self.update_records(ident, again).await?;
        }
        Ok(())
    }

    async fn update_records(
        &self,
        ident: &TableIdent,
        partitions: impl Iterator<Item = &PartitionRecord>,
    ) -> Result<()> {
        let action = format!("glue:BatchUpdatePartition of {ident}");
        let entries = partitions
            .map(|record| {
                BatchUpdatePartitionRequestEntry::builder()
                    .set_partition_value_list(Some(record.values.clone()))
                    .partition_input(convert::partition_input(record)?)
                    .build()
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.wrong(&action, error))?;
        if entries.is_empty() {
            return Ok(());
        }
        let answer = self
            .client
            .batch_update_partition()
            .set_catalog_id(self.settings.catalog_id.clone())
            .database_name(ident.namespace_text())
            .table_name(ident.name())
            .set_entries(Some(entries))
            .send()
            .await
            .map_err(|error| Failed::new(error).into_error(&self.catalog, action.clone()))?;
        match answer
            .errors()
            .first()
            .and_then(|failure| failure.error_detail())
        {
            None => Ok(()),
            Some(detail) => Err(Error::Refused {
                catalog: self.catalog.clone(),
                action,
                source: detail.error_message().unwrap_or("no message").into(),
            }),
        }
    }

    pub(super) async fn delete_records(
        &self,
        ident: &TableIdent,
        values: &[Vec<String>],
    ) -> Result<()> {
        let action = format!("glue:BatchDeletePartition of {ident}");
        for chunk in values.chunks(DELETE_AT_ONCE) {
            let lists = chunk
                .iter()
                .map(|values| {
                    PartitionValueList::builder()
                        .set_values(Some(values.clone()))
                        .build()
                })
                .collect::<Result<Vec<_>, _>>()
                .map_err(|error| self.wrong(&action, error))?;
            let answer = self
                .client
                .batch_delete_partition()
                .set_catalog_id(self.settings.catalog_id.clone())
                .database_name(ident.namespace_text())
                .table_name(ident.name())
                .set_partitions_to_delete(Some(lists))
                .send()
                .await
                .map_err(|error| Failed::new(error).into_error(&self.catalog, action.clone()))?;
            let mut errors = answer.errors().iter();
            if let Some(error) = errors.find(|error| code(error) != "EntityNotFoundException") {
                return Err(self.partition_failed(&action, error));
            }
        }
        Ok(())
    }

    fn partition_failed(&self, action: &str, error: &PartitionError) -> Error {
        let detail = error.error_detail();
        let message = detail.and_then(|detail| detail.error_message());
        let values = error.partition_values().join("/");
        Error::Refused {
            catalog: self.catalog.clone(),
            action: format!("{action}: partition {values}"),
            source: message.unwrap_or("no message").into(),
        }
    }

    fn wrong(&self, action: &str, error: aws_sdk_glue::error::BuildError) -> Error {
        Error::Refused {
            catalog: self.catalog.clone(),
            action: action.to_owned(),
            source: error.into(),
        }
    }
}

fn code(error: &PartitionError) -> &str {
    error
        .error_detail()
        .and_then(|detail| detail.error_code())
        .unwrap_or_default()
}
