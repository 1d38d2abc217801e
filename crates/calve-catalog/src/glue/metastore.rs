//! Hive-style tables and their partitions in Glue.

use async_trait::async_trait;
use aws_sdk_glue::Client;
use aws_sdk_glue::types::{Column, Partition, Segment, StorageDescriptor, Table};
use calve_base::{Location, Properties, TableIdent};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Glue;
use super::error::{Failed, Kind};
use crate::{Error, HiveColumn, HivePartition, HiveTable, Metastore, Result};

/// Glue's largest page.
const PAGE: i32 = 1_000;
/// Into how many segments a big table's partitions are split: Glue's limit.
const SEGMENTS: i32 = 10;
/// How many partitions of each segment wait for their turn.
const AHEAD: usize = 1_000;

#[async_trait]
impl Metastore for Glue {
    async fn load_hive_table(&self, ident: &TableIdent) -> Result<HiveTable> {
        let table = self
            .get(ident)
            .await?
            .ok_or_else(|| self.not_found(ident))?;
        hive_table(ident, &table)
    }

    fn partitions(
        &self,
        ident: &TableIdent,
        expression: Option<String>,
    ) -> BoxStream<'static, Result<HivePartition>> {
        let pager = Pager {
            client: self.client.clone(),
            catalog: self.catalog.clone(),
            catalog_id: self.settings.catalog_id.clone(),
            ident: ident.clone(),
            expression,
        };
        stream::once(async move { pager.all().await })
            .try_flatten()
            .boxed()
    }
}

/// Asks for the partitions of one table.
#[derive(Debug, Clone)]
struct Pager {
    client: Client,
    catalog: String,
    catalog_id: Option<String>,
    ident: TableIdent,
    expression: Option<String>,
}

#[derive(Debug)]
struct Page {
    partitions: Vec<Partition>,
    next: Option<String>,
}

impl Pager {
    /// The first page when it is the only one, else all segments, asked for side by side and given
    /// one after another, so that the order is the same each time.
    async fn all(self) -> Result<BoxStream<'static, Result<HivePartition>>> {
        let first = self.page(None, None).await?;
        if first.next.is_none() {
            let ident = self.ident.clone();
            let partitions = first.partitions.into_iter();
            return Ok(
                stream::iter(partitions.map(move |one| hive_partition(&ident, one))).boxed(),
            );
        }
        let segments: Vec<_> = (0..SEGMENTS)
            .map(|number| ahead(self.clone().segment(number)))
            .collect();
        Ok(stream::iter(segments).flatten().boxed())
    }

    fn segment(
        self,
        number: i32,
    ) -> impl futures::Stream<Item = Result<HivePartition>> + Send + 'static {
        let pages = stream::try_unfold((self, Some(None)), move |(pager, token)| async move {
            let Some(token) = token else {
                return Ok(None);
            };
            let page = pager.page(Some(number), token).await?;
            let ident = pager.ident.clone();
            let partitions = page.partitions.into_iter();
            let converted = stream::iter(partitions.map(move |one| hive_partition(&ident, one)));
            let next = page.next.map(Some);
            Ok::<_, Error>(Some((converted, (pager, next))))
        });
        pages.try_flatten()
    }

    async fn page(&self, segment: Option<i32>, token: Option<String>) -> Result<Page> {
        // Both numbers are there, and nothing else can be missing.
        let segment = segment.and_then(|number| {
            let builder = Segment::builder().segment_number(number);
            builder.total_segments(SEGMENTS).build().ok()
        });
        let answer = self
            .client
            .get_partitions()
            .set_catalog_id(self.catalog_id.clone())
            .database_name(self.ident.namespace_text())
            .table_name(self.ident.name())
            .set_expression(self.expression.clone())
            .exclude_column_schema(true)
            .max_results(PAGE)
            .set_segment(segment)
            .set_next_token(token)
            .send()
            .await
            .map_err(Failed::new);
        match answer {
            Ok(answer) => Ok(Page {
                next: answer.next_token.filter(|token| !token.is_empty()),
                partitions: answer.partitions.unwrap_or_default(),
            }),
            Err(failed) if failed.kind == Kind::NotFound => Err(Error::TableNotFound {
                catalog: self.catalog.clone(),
                ident: self.ident.clone(),
            }),
            Err(failed) => {
                let which = match &self.expression {
                    Some(expression) => format!(" where {expression}"),
                    None => String::new(),
                };
                let action = format!("glue:GetPartitions of {}{which}", self.ident);
                Err(failed.into_error(&self.catalog, action))
            }
        }
    }
}

/// Reads a page more of a stream than was asked for, from now on.
fn ahead<T: Send + 'static>(
    items: impl futures::Stream<Item = T> + Send + 'static,
) -> BoxStream<'static, T> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    // Dropping the set stops the work.
    let mut work = JoinSet::new();
    work.spawn(async move {
        let mut items = std::pin::pin!(items);
        while let Some(item) = items.next().await {
            if sender.send(item).await.is_err() {
                break;
            }
        }
    });
    stream::unfold((receiver, work), |(mut receiver, mut work)| async move {
        if let Some(item) = receiver.recv().await {
            return Some((item, (receiver, work)));
        }
        // A panic must not look like the end.
        if let Some(Err(error)) = work.join_next().await
            && let Ok(panic) = error.try_into_panic()
        {
            std::panic::resume_unwind(panic);
        }
        None
    })
    .boxed()
}

fn hive_table(ident: &TableIdent, table: &Table) -> Result<HiveTable> {
    let storage = table.storage_descriptor();
    let parameters: Properties = table
        .parameters()
        .into_iter()
        .flatten()
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Ok(HiveTable {
        ident: ident.clone(),
        table_type: table.table_type().map(ToOwned::to_owned),
        location: location(ident, storage)?,
        columns: storage
            .map(StorageDescriptor::columns)
            .unwrap_or_default()
            .iter()
            .map(hive_column)
            .collect(),
        partition_keys: table.partition_keys().iter().map(hive_column).collect(),
        parameters,
        input_format: input_format(storage),
        serde: storage
            .and_then(StorageDescriptor::serde_info)
            .and_then(|serde| serde.serialization_library())
            .map(ToOwned::to_owned),
        buckets: storage.map_or(0, StorageDescriptor::number_of_buckets),
        version: table.version_id().map(ToOwned::to_owned),
    })
}

fn hive_partition(ident: &TableIdent, partition: Partition) -> Result<HivePartition> {
    let storage = partition.storage_descriptor.as_ref();
    Ok(HivePartition {
        location: location(ident, storage)?,
        input_format: input_format(storage),
        values: partition.values.unwrap_or_default(),
    })
}

fn hive_column(column: &Column) -> HiveColumn {
    HiveColumn {
        name: column.name().to_owned(),
        hive_type: column.r#type().unwrap_or_default().to_owned(),
        comment: column.comment().map(ToOwned::to_owned),
    }
}

fn location(ident: &TableIdent, storage: Option<&StorageDescriptor>) -> Result<Option<Location>> {
    storage
        .and_then(StorageDescriptor::location)
        .filter(|text| !text.is_empty())
        .map(Location::parse)
        .transpose()
        .map_err(|source| Error::Location {
            ident: ident.clone(),
            source,
        })
}

fn input_format(storage: Option<&StorageDescriptor>) -> Option<String> {
    storage
        .and_then(StorageDescriptor::input_format)
        .filter(|text| !text.is_empty())
        .map(ToOwned::to_owned)
}
