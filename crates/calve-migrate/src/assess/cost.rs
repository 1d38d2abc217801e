//! What each way costs: requests, and dollars at list prices.

use serde::{Deserialize, Serialize};

use super::report::Census;

/// How many objects a page of a listing has, at the most.
const LIST_PAGE: u64 = 1_000;
/// How many partitions a page of Glue has, at the most.
const GLUE_PAGE: u64 = 1_000;
/// How often a lake is listed: to check its folders, and to work through its files.
const LISTINGS: u64 = 2;
/// About how many bytes a file takes in a manifest, beside those for each of its columns.
const ENTRY_BYTES: u64 = 160;
const ENTRY_BYTES_OF_COLUMN: u64 = 12;
/// The rest of a commit: the manifest list, and the metadata file.
const COMMIT_PUTS: u64 = 2;
/// How often a batch of `ctas` writes into its journal.
const BATCH_PUTS: u64 = 5;
/// How many partitions one query of Athena writes, at the most.
const ATHENA_PARTITIONS: u64 = 100;
/// What Athena counts for a query at the least.
const ATHENA_LEAST_BYTES: u64 = 10_000_000;
const TERABYTE: f64 = 1e12;
const MILLION: f64 = 1e6;

/// What requests cost, in dollars.
///
/// The defaults are the list prices of us-east-1: S3 Standard (<https://aws.amazon.com/s3/pricing/>, "Requests and
/// data retrievals"), the Glue Data Catalog (<https://aws.amazon.com/glue/pricing/>, "Requests") and Athena
/// (<https://aws.amazon.com/athena/pricing/>, "SQL queries").
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// A thousand LIST requests.
    pub list_per_thousand: f64,
    /// A thousand PUT requests, parts of uploads among them.
    pub put_per_thousand: f64,
    /// A thousand GET or HEAD requests.
    pub get_per_thousand: f64,
    /// A million requests to Glue, beyond those that are free.
    pub glue_per_million: f64,
    /// How many requests to Glue are free: 1,000,000 a month.
    pub glue_free_requests: u64,
    /// A terabyte (10^12 bytes) that Athena scans.
    pub athena_per_terabyte: f64,
}

impl Default for Prices {
    fn default() -> Self {
        Self {
            list_per_thousand: 0.005,
            put_per_thousand: 0.005,
            get_per_thousand: 0.0004,
            glue_per_million: 1.0,
            glue_free_requests: 1_000_000,
            athena_per_terabyte: 5.0,
        }
    }
}

/// What each way costs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ways {
    /// All files stay where they are (`add-files`, `migrate`).
    pub in_place: Cost,
    /// All rows are rewritten by `calve ctas`.
    pub ctas: Cost,
    /// All rows are rewritten by Athena's `CREATE TABLE AS` and `INSERT INTO`.
    pub ctas_by_athena: Cost,
    /// At which prices.
    pub prices: Prices,
}

/// What one way costs. Requests are estimates: footers of more than 64 KiB take a second read, and what is
/// read of a file to rewrite it is counted as one request for each row group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cost {
    /// LIST requests to S3; 0 where the lake lies elsewhere, as for all requests to S3.
    pub list_requests: u64,
    /// GET and HEAD requests to S3.
    pub get_requests: u64,
    /// PUT requests to S3.
    pub put_requests: u64,
    /// Requests to Glue.
    pub glue_requests: u64,
    /// What is read of data files.
    pub scanned_bytes: u64,
    /// What is written of data files, in the size that they have now; it is kept twice until the source is gone.
    pub written_bytes: u64,
    /// How many queries Athena needs, at a hundred partitions each.
    pub athena_queries: u64,
    /// All of it, in dollars, rounded to a millionth.
    pub dollars: f64,
}

/// Where the lake lies, as far as it costs something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) is_s3: bool,
    pub(crate) is_glue: bool,
}

/// Estimates the ways.
pub(crate) fn ways(census: &Census, place: Place, prices: Prices) -> Ways {
    let listed = LISTINGS * pages(census, place);
    let partitions_asked = if place.is_glue && !census.partition_keys.is_empty() {
        LISTINGS * census.partitions.div_ceil(GLUE_PAGE).max(1)
    } else {
        0
    };
    // GetTable, and the change of the entry.
    let glue = if place.is_glue {
        2 + partitions_asked
    } else {
        0
    };
    let columns = census.columns.len() as u64;
    let entries = census.files * (ENTRY_BYTES + ENTRY_BYTES_OF_COLUMN * columns);
    let manifests = entries.div_ceil(calve_table::DEFAULT_MANIFEST_TARGET_BYTES as u64);
    let in_place = Cost {
        list_requests: listed,
        get_requests: census.files,
        put_requests: manifests + COMMIT_PUTS,
        glue_requests: glue,
        ..Cost::default()
    };
    let written = census.bytes.div_ceil(census.target_file_bytes.max(1));
    let parts = census.bytes.div_ceil(calve_storage::PART_BYTES as u64);
    let batches = census
        .bytes
        .div_ceil(crate::ctas::DEFAULT_BATCH_BYTES)
        .max(1);
    let puts = parts + 2 * written + batches * (BATCH_PUTS + COMMIT_PUTS + 1);
    let ctas = Cost {
        list_requests: listed,
        // Footers, a look whether each file is still the same, and the rows.
        get_requests: 2 * census.files + census.row_groups,
        put_requests: puts,
        glue_requests: glue + batches,
        scanned_bytes: census.bytes,
        written_bytes: census.bytes,
        ..Cost::default()
    };
    let queries = census.partitions.div_ceil(ATHENA_PARTITIONS).max(1);
    let by_athena = Cost {
        list_requests: listed,
        get_requests: census.files + census.row_groups,
        put_requests: parts + 2 * written + queries * (COMMIT_PUTS + 1),
        glue_requests: 2 * queries + partitions_asked,
        scanned_bytes: census.bytes,
        written_bytes: census.bytes,
        athena_queries: queries,
        ..Cost::default()
    };
    let priced = |cost: Cost| cost.priced(place, &prices);
    Ways {
        in_place: priced(in_place),
        ctas: priced(ctas),
        // Athena reads what lies in S3 only; elsewhere it is what it would cost there.
        ctas_by_athena: by_athena.priced(
            Place {
                is_s3: true,
                ..place
            },
            &prices,
        ),
        prices,
    }
}

/// How many pages one listing takes.
fn pages(census: &Census, place: Place) -> u64 {
    let objects = census.files + census.skipped_count;
    let least = if place.is_glue { census.partitions } else { 0 };
    objects.div_ceil(LIST_PAGE).max(least).max(1)
}

impl Cost {
    /// What a look at all rows costs, by Athena.
    pub(crate) fn of_scan(requests: u64, bytes: u64, is_s3: bool, prices: &Prices) -> Self {
        let cost = Self {
            get_requests: requests,
            scanned_bytes: bytes,
            athena_queries: u64::from(is_s3),
            ..Self::default()
        };
        let place = Place {
            is_s3,
            is_glue: false,
        };
        cost.priced(place, prices)
    }

    fn priced(mut self, place: Place, prices: &Prices) -> Self {
        if !place.is_s3 {
            (self.list_requests, self.get_requests, self.put_requests) = (0, 0, 0);
        }
        if !place.is_glue && self.athena_queries == 0 {
            self.glue_requests = 0;
        }
        let each = |count: u64, price: f64, of: f64| as_number(count) / of * price;
        let glue = self.glue_requests.saturating_sub(prices.glue_free_requests);
        let athena = match self.athena_queries {
            0 => 0,
            queries => self.scanned_bytes.max(queries * ATHENA_LEAST_BYTES),
        };
        let dollars = each(self.list_requests, prices.list_per_thousand, 1e3)
            + each(self.put_requests, prices.put_per_thousand, 1e3)
            + each(self.get_requests, prices.get_per_thousand, 1e3)
            + each(glue, prices.glue_per_million, MILLION)
            + each(athena, prices.athena_per_terabyte, TERABYTE);
        self.dollars = (dollars * MILLION).round() / MILLION;
        self
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "prices have fewer digits than a double"
)]
fn as_number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assess::report::Key;

    #[test]
    fn a_million_files_on_s3() {
        let census = Census {
            files: 1_000_000,
            bytes: 10_000_000_000_000,
            row_groups: 2_000_000,
            partitions: 5_000,
            partition_keys: vec![Key {
                name: "day".to_owned(),
                key_type: "date".to_owned(),
            }],
            target_file_bytes: 512 << 20,
            columns: vec!["c: int".to_owned(); 20],
            ..Census::default()
        };
        let s3 = Place {
            is_s3: true,
            is_glue: true,
        };
        let ways = ways(&census, s3, Prices::default());
        let in_place = ways.in_place;
        assert_eq!(
            (in_place.list_requests, in_place.get_requests),
            (10_000, 1_000_000)
        );
        assert_eq!(in_place.glue_requests, 2 + 2 * 5);
        // 400 bytes a file in manifests of 8 MiB, and two more.
        assert_eq!(in_place.put_requests, 48 + 2);
        // 0.05 to list, 0.40 to read, 0.00025 to write; Glue's are free.
        assert!((in_place.dollars - 0.450_25).abs() < 1e-9, "{in_place:?}");
        assert_eq!(ways.ctas.get_requests, 4_000_000);
        assert_eq!(ways.ctas.scanned_bytes, census.bytes);
        assert!(ways.ctas.dollars > in_place.dollars);
        assert_eq!(ways.ctas_by_athena.athena_queries, 50);
        let athena = ways.ctas_by_athena.dollars;
        assert!((50.0..60.0).contains(&athena), "{athena}");
    }

    #[test]
    fn what_lies_on_disk_costs_nothing() {
        let census = Census {
            files: 10,
            bytes: 1_000,
            target_file_bytes: 100,
            ..Census::default()
        };
        let disk = Place {
            is_s3: false,
            is_glue: false,
        };
        let ways = ways(&census, disk, Prices::default());
        for cost in [ways.in_place, ways.ctas] {
            assert_eq!((cost.get_requests, cost.glue_requests), (0, 0));
            assert!(cost.dollars.abs() < f64::EPSILON);
        }
        // A query counts for ten megabytes at the least.
        assert!(ways.ctas_by_athena.dollars >= 0.000_05);
    }
}
