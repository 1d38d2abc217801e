//! Hive-style tables and their partitions in Glue.

use async_trait::async_trait;
use aws_sdk_glue::Client;
use aws_sdk_glue::types::{Column, Partition, Segment, StorageDescriptor, Table};
use calve_base::{Location, Properties, TableIdent};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::error::{Failed, Kind};
use super::{Glue, convert};
use crate::{
    EntryRecord, Error, HiveColumn, HivePartition, HiveTable, Metastore, PartitionRecord, Result,
};

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

    fn entries(&self, namespace: &[String]) -> BoxStream<'static, Result<HiveTable>> {
        let (client, catalog) = (self.client.clone(), self.catalog.clone());
        let request = client
            .get_tables()
            .set_catalog_id(self.settings.catalog_id.clone())
            .database_name(namespace.join("."));
        let database = namespace.join(".");
        let pages = stream::try_unfold(Some(None), move |token: Option<Option<String>>| {
            let (request, catalog) = (request.clone(), catalog.clone());
            let action = format!("glue:GetTables of {database}");
            async move {
                let Some(token) = token else {
                    return Ok(None);
                };
                match request
                    .set_next_token(token)
                    .send()
                    .await
                    .map_err(Failed::new)
                {
                    Ok(page) => {
                        let next = page.next_token.filter(|token| !token.is_empty());
                        let tables = page.table_list.unwrap_or_default();
                        Ok(Some((tables, next.map(Some))))
                    }
                    Err(failed) if failed.kind == Kind::NotFound => Ok(None),
                    Err(failed) => Err(failed.into_error(&catalog, action)),
                }
            }
        });
        let database = namespace.join(".");
        pages
            .map_ok(|tables| stream::iter(tables.into_iter().map(Ok)))
            .try_flatten()
            .and_then(move |table: Table| {
                let ident = TableIdent::new(database.clone(), table.name());
                std::future::ready(hive_table(&ident, &table))
            })
            .boxed()
    }

    fn partitions(
        &self,
        ident: &TableIdent,
        expression: Option<String>,
    ) -> BoxStream<'static, Result<HivePartition>> {
        let pager = self.pager(ident, expression, Detail::Places);
        let of = ident.clone();
        pager
            .stream()
            .map(move |partition| hive_partition(&of, partition?))
            .boxed()
    }

    async fn load_entry(&self, ident: &TableIdent) -> Result<EntryRecord> {
        let table = self.get(ident).await?;
        let table = table.ok_or_else(|| self.not_found(ident))?;
        Ok(convert::entry_record(&table))
    }

    fn partition_records(&self, ident: &TableIdent) -> BoxStream<'static, Result<PartitionRecord>> {
        let pager = self.pager(ident, None, Detail::Whole);
        let partitions = pager.stream();
        partitions
            .map_ok(|partition| convert::partition_record(&partition))
            .boxed()
    }

    async fn create_entry(&self, ident: &TableIdent, record: &EntryRecord) -> Result<()> {
        self.create_record(ident, record).await
    }

    async fn restore_entry(
        &self,
        ident: &TableIdent,
        expected: Option<&str>,
        record: &EntryRecord,
    ) -> Result<()> {
        self.restore_record(ident, expected, record).await
    }

    async fn put_partitions(
        &self,
        ident: &TableIdent,
        partitions: &[PartitionRecord],
    ) -> Result<()> {
        self.put_records(ident, partitions).await
    }

    async fn delete_partitions(&self, ident: &TableIdent, values: &[Vec<String>]) -> Result<()> {
        self.delete_records(ident, values).await
    }

    async fn delete_entry(&self, ident: &TableIdent) -> Result<()> {
        self.delete(ident).await
    }
}

impl Glue {
    fn pager(&self, ident: &TableIdent, expression: Option<String>, detail: Detail) -> Pager {
        Pager {
            client: self.client.clone(),
            catalog: self.catalog.clone(),
            catalog_id: self.settings.catalog_id.clone(),
            ident: ident.clone(),
            expression,
            detail,
        }
    }
}

/// How much of each partition is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// All but the columns, which may be many times the rest.
    Places,
    Whole,
}

/// Asks for the partitions of one table.
#[derive(Debug, Clone)]
struct Pager {
    client: Client,
    catalog: String,
    catalog_id: Option<String>,
    ident: TableIdent,
    expression: Option<String>,
    detail: Detail,
}

#[derive(Debug)]
struct Page {
    partitions: Vec<Partition>,
    next: Option<String>,
}

impl Pager {
    fn stream(self) -> BoxStream<'static, Result<Partition>> {
        stream::once(async move { self.all().await })
            .try_flatten()
            .boxed()
    }

    /// The first page when it is the only one, else all segments, asked for side by side and given
    /// one after another, so that the order is the same each time.
    async fn all(self) -> Result<BoxStream<'static, Result<Partition>>> {
        let first = self.page(None, None).await?;
        if first.next.is_none() {
            return Ok(stream::iter(first.partitions.into_iter().map(Ok)).boxed());
        }
        let segments: Vec<_> = (0..SEGMENTS)
            .map(|number| ahead(self.clone().segment(number)))
            .collect();
        Ok(stream::iter(segments).flatten().boxed())
    }

    fn segment(
        self,
        number: i32,
    ) -> impl futures::Stream<Item = Result<Partition>> + Send + 'static {
        let pages = stream::try_unfold((self, Some(None)), move |(pager, token)| async move {
            let Some(token) = token else {
                return Ok(None);
            };
            let page = pager.page(Some(number), token).await?;
            let partitions = stream::iter(page.partitions.into_iter().map(Ok));
            let next = page.next.map(Some);
            Ok::<_, Error>(Some((partitions, (pager, next))))
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
            .exclude_column_schema(self.detail == Detail::Places)
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
        is_registered_with_lake_formation: table.is_registered_with_lake_formation(),
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
