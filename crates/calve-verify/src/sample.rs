//! A part of the rows that is the same on both sides, because hashes choose it.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::error::Result as DataFusionResult;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::prelude::SessionContext;
use xxhash_rust::xxh3::xxh3_64;

use crate::aggregate::Depth;
use crate::canonical::Ticks;
use crate::columns::{Column, Pair};
use crate::hash::{Factor, hash_cells_into, row_hash};
use crate::partition::Value;
use crate::side::{Side, named};
use crate::{Error, Result};

/// Chooses what is compared.
pub(crate) struct Sample<'a> {
    pub(crate) context: &'a SessionContext,
    pub(crate) source: &'a Side,
    pub(crate) table: &'a Side,
    pub(crate) pairs: &'a [Pair],
}

impl Sample<'_> {
    /// Adds to the filters of both sides what leaves this fraction: whole partitions where there are
    /// several, one at the least, or else rows.
    ///
    /// # Errors
    /// When the fraction is none, or a side's partitions cannot be read.
    pub(crate) async fn narrow(
        &self,
        fraction: f64,
        filters: &mut (Vec<Expr>, Vec<Expr>),
    ) -> Result<()> {
        if fraction.partial_cmp(&0.0) != Some(Ordering::Greater) || fraction > 1.0 {
            return Err(Error::Sample { fraction });
        }
        if !self.source.keys.is_empty() {
            let partitions = self.partitions(filters).await?;
            let wanted = chosen(partitions, fraction);
            let of = |side: &Side| side.in_partitions(&wanted);
            if let (Some(source), Some(table)) = (of(self.source), of(self.table)) {
                filters.0.push(source);
                filters.1.push(table);
                return Ok(());
            }
        }
        filters
            .0
            .push(self.rows(fraction, |pair| pair.source.as_ref()));
        filters
            .1
            .push(self.rows(fraction, |pair| pair.table.as_ref()));
        Ok(())
    }

    /// The partitions that either side has.
    async fn partitions(&self, filters: &(Vec<Expr>, Vec<Expr>)) -> Result<BTreeSet<Vec<Value>>> {
        let depth = Depth::Checksums;
        let (source, table) = tokio::try_join!(
            Box::pin(
                self.source
                    .groups(self.context, filters.0.clone(), &[], depth)
            ),
            Box::pin(
                self.table
                    .groups(self.context, filters.1.clone(), &[], depth)
            ),
        )?;
        Ok(source.into_keys().chain(table.into_keys()).collect())
    }

    fn rows(&self, fraction: f64, side: fn(&Pair) -> Option<&Column>) -> Expr {
        let pairs = self.pairs.iter().filter(|pair| pair.look().in_rows);
        let (ticks, columns): (Vec<Ticks>, Vec<Expr>) = pairs
            .filter_map(|pair| Some((pair.ticks(), named(&side(pair)?.name))))
            .unzip();
        ScalarUDF::new_from_impl(SampledFunction {
            signature: Signature::any(ticks.len(), Volatility::Immutable),
            ticks: ticks.into(),
            below: threshold(fraction),
        })
        .call(columns)
    }
}

/// The hash below which so much of all hashes lie.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a fraction of 2^64, cut off at its ends"
)]
fn threshold(fraction: f64) -> u64 {
    (fraction * u64::MAX as f64) as u64
}

/// So many of the partitions, rounded up, in the order of their hashes.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a part of a number of partitions"
)]
fn chosen(partitions: BTreeSet<Vec<Value>>, fraction: f64) -> Vec<Vec<Value>> {
    let count = (partitions.len() as f64 * fraction).ceil() as usize;
    let mut partitions: Vec<Vec<Value>> = partitions.into_iter().collect();
    partitions.sort_by_cached_key(|values| {
        let mut bytes = Vec::new();
        for value in values {
            bytes.push(u8::from(value.0.is_some()));
            bytes.extend_from_slice(value.0.as_deref().unwrap_or_default().as_bytes());
            bytes.push(0);
        }
        xxh3_64(&bytes)
    });
    partitions.truncate(count);
    partitions
}

/// `calve_sampled(column, …)`: whether a row belongs to the sample.
#[derive(Debug, PartialEq, Eq, Hash)]
struct SampledFunction {
    signature: Signature,
    ticks: Arc<[Ticks]>,
    below: u64,
}

impl ScalarUDFImpl for SampledFunction {
    fn name(&self) -> &'static str {
        "calve_sampled"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> DataFusionResult<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DataFusionResult<ColumnarValue> {
        let mut rows = vec![0_u128; args.number_rows];
        let mut cells = Vec::new();
        for (index, (column, ticks)) in args.args.iter().zip(self.ticks.iter()).enumerate() {
            hash_cells_into(&column.to_array(args.number_rows)?, *ticks, &mut cells)?;
            let factor = Factor::of(index);
            for (row, cell) in rows.iter_mut().zip(&cells) {
                factor.add(row, *cell);
            }
        }
        let wanted = |row: u128| (row_hash(row) >> 64) <= u128::from(self.below);
        let wanted: BooleanArray = rows.into_iter().map(|row| Some(wanted(row))).collect();
        let wanted: ArrayRef = Arc::new(wanted);
        Ok(ColumnarValue::Array(wanted))
    }
}
