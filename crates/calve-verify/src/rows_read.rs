//! Tells how many rows the scans of a plan have read, while it runs.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use calve_base::{Progress, Stage};
use datafusion::physical_plan::ExecutionPlan;

/// How often scans are asked how far they are.
const INTERVAL: Duration = Duration::from_millis(100);

/// Does `work`, which runs `plan`, and reports under `stage` what the plan's scans read meanwhile.
pub(crate) async fn with_rows_read<T>(
    plan: &Arc<dyn ExecutionPlan>,
    progress: &dyn Progress,
    stage: &'static str,
    work: impl Future<Output = T>,
) -> T {
    let mut scans = Vec::new();
    collect_scans(plan, &mut scans);
    let total = scans.iter().map(|scan| expected_rows(scan.as_ref())).sum();
    let stage = Stage::start(progress, stage, total);
    let mut told = 0;
    let mut tell = || {
        let read = scans.iter().map(|scan| rows_read(scan.as_ref())).sum();
        if read > told {
            stage.advance(read - told);
            told = read;
        }
    };
    let mut work = pin!(work);
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            result = &mut work => {
                tell();
                return result;
            }
            _ = ticks.tick() => tell(),
        }
    }
}

/// The leaves of a plan.
fn collect_scans(plan: &Arc<dyn ExecutionPlan>, scans: &mut Vec<Arc<dyn ExecutionPlan>>) {
    let children = plan.children();
    if children.is_empty() {
        scans.push(Arc::clone(plan));
    }
    for child in children {
        collect_scans(child, scans);
    }
}

/// How many rows a scan will read, as far as it knows.
fn expected_rows(scan: &dyn ExecutionPlan) -> Option<u64> {
    let statistics = scan.partition_statistics(None).ok()?;
    let rows = statistics.num_rows.get_value()?;
    u64::try_from(*rows).ok()
}

/// How many rows a scan has read.
fn rows_read(scan: &dyn ExecutionPlan) -> u64 {
    let rows = scan.metrics().and_then(|metrics| metrics.output_rows());
    rows.and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0)
}
