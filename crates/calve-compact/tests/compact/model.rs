//! Whatever writers do, in whatever order and however old what they saw of the table is: no row is lost, none comes
//! twice, none comes back.

use std::sync::Arc;

use calve_base::Progress;
use calve_compact::{Compact, Error, RewriteDeletes, Strategy};
use iceberg::spec::FormatVersion;
use proptest::prelude::{ProptestConfig, any, prop, prop_oneof, proptest};
use proptest::strategy::Strategy as _;

use crate::lineage::lineage;
use crate::races::meanwhile;
use crate::world::{Change, World};
use crate::{check_fixed, ident};

/// A compaction, and what others do while it runs.
#[derive(Debug, Clone)]
struct Run {
    strategy: &'static str,
    options: Vec<(&'static str, &'static str)>,
    others: Vec<Change>,
}

#[derive(Debug, Clone)]
enum Step {
    Change(Change),
    Run(Run),
    /// Delete files are rewritten, and others do something meanwhile.
    Deletes(Vec<Change>),
}

fn change() -> impl proptest::strategy::Strategy<Value = Change> {
    prop_oneof![
        3 => (1_usize..40).prop_map(Change::Append),
        2 => (0_i64..5, 2_i64..6, 0_usize..4, any::<bool>()).prop_map(|(rest, of, age, by_file)| {
            Change::Positions { rest: rest % of, of, age, by_file }
        }),
        1 => (0_i64..11).prop_map(Change::Equality),
    ]
}

fn run() -> impl proptest::strategy::Strategy<Value = Run> {
    let options = prop::sample::subsequence(
        vec![
            ("rewrite-all", "true"),
            ("delete-file-threshold", "1"),
            ("partial-progress.enabled", "true"),
            ("remove-dangling-deletes", "true"),
            ("use-starting-sequence-number", "false"),
            ("target-file-size-bytes", "1500"),
            ("max-file-group-input-files", "3"),
        ],
        0..5,
    );
    let strategy = prop::sample::select(vec!["", "k, id desc", "zorder(k, id)"]);
    let others = prop::collection::vec(change(), 0..3);
    (strategy, options, others).prop_map(|(strategy, options, others)| Run {
        strategy,
        options,
        others,
    })
}

fn deletes() -> impl proptest::strategy::Strategy<Value = Step> {
    prop::collection::vec(change(), 0..2).prop_map(Step::Deletes)
}

/// Lets others do something when the first work is done.
fn beside(world: &Arc<World>, others: &[Change]) -> Arc<dyn Progress> {
    let (others, world) = (others.to_vec(), Arc::clone(world));
    meanwhile(move || async move {
        for change in &others {
            world.change(change).await;
        }
    })
}

fn with(mut compact: Compact, run: &Run, keeps: impl Fn(&str) -> bool) -> Compact {
    for (name, value) in run.options.iter().filter(|(name, _)| keeps(name)) {
        compact = compact.with_option(*name, *value);
    }
    if run.strategy.is_empty() {
        return compact;
    }
    compact.with_strategy(Strategy::parse(run.strategy).unwrap())
}

/// The rows that were there before have the ids that they had.
async fn check_lineage(world: &World, before: &[String]) {
    let after = lineage(&world.catalog).await;
    let id = |line: &String| line.split('|').nth(1).unwrap().trim().to_owned();
    let known: std::collections::HashMap<String, &String> =
        before.iter().map(|line| (id(line), line)).collect();
    for line in &after {
        if let Some(known) = known.get(&id(line)) {
            assert_eq!(line, *known);
        }
    }
}

/// A conflict is an outcome, too: the rows are what they were. Anything else is none.
#[track_caller]
fn check_conflict(error: &Error) {
    let is_conflict = matches!(
        error,
        Error::TooManyFailures { .. }
            | Error::Table(
                calve_table::Error::FilesGone { .. }
                    | calve_table::Error::NewDeletes { .. }
                    | calve_table::Error::BaseChanged { .. }
            )
    );
    assert!(is_conflict, "{error}");
}

async fn play(world: Arc<World>, steps: Vec<Step>) {
    for (number, step) in steps.iter().enumerate() {
        let before = lineage(&world.catalog).await;
        match step {
            Step::Change(change) => world.change(change).await,
            Step::Deletes(_) => {}
            Step::Run(run) => {
                let progress = beside(&world, &run.others);
                let compact = with(world.compact(), run, |_| true).with_progress(progress);
                match compact.await {
                    Ok(report) => assert_eq!(
                        report.failed_data_files_count > 0,
                        !report.failures.is_empty()
                    ),
                    Err(error) => check_conflict(&error),
                }
            }
        }
        if let Step::Deletes(others) = step {
            let rewrite = RewriteDeletes::new(Arc::clone(&world.catalog), ident())
                .with_option("min-input-files", "2")
                .with_progress(beside(&world, others));
            if let Err(error) = rewrite.await {
                check_conflict(&error);
            }
        }
        world.check(&format!("step {number}: {step:?}")).await;
        check_lineage(&world, &before).await;
    }
    let deletes = || {
        RewriteDeletes::new(Arc::clone(&world.catalog), ident()).with_option("min-input-files", "2")
    };
    deletes().await.unwrap();
    world.check("deletes").await;
    assert_eq!(deletes().await.unwrap().snapshot_ids, [0_i64; 0]);
    // In peace, there is an end to it; with groups of few files it takes as many runs as they need to become one.
    let ends = |name: &str| !["rewrite-all", "max-file-group-input-files"].contains(&name);
    for step in steps {
        let Step::Run(run) = step else { continue };
        let compact = || with(world.compact(), &run, ends);
        compact().await.unwrap();
        world.check("at the end").await;
        check_fixed(compact).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 60, ..ProptestConfig::default() })]

    #[test]
    fn rows_are_what_was_committed(
        is_partitioned in any::<bool>(),
        steps in prop::collection::vec(
            prop_oneof![3 => change().prop_map(Step::Change), 2 => run().prop_map(Step::Run), 1 => deletes()],
            1..9,
        ),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let world = World::new(FormatVersion::V2, is_partitioned).await;
            play(Arc::new(world), steps).await;
        });
    }

    /// Position deletes are deletion vectors there.
    #[test]
    fn rows_of_version_3_keep_their_ids(
        is_partitioned in any::<bool>(),
        steps in prop::collection::vec(
            prop_oneof![3 => change().prop_map(Step::Change), 2 => run().prop_map(Step::Run), 1 => deletes()],
            1..7,
        ),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let world = World::new(FormatVersion::V3, is_partitioned).await;
            play(Arc::new(world), steps).await;
        });
    }
}
