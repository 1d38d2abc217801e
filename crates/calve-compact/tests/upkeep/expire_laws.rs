//! Whatever happened to a table before: expiry costs no remaining snapshot a row, and leaves nothing over.

use iceberg::spec::{FormatVersion, SnapshotRetention};
use proptest::prelude::*;

use crate::world::World;

/// One thing that happens to the table. Numbers pick among what there is.
#[derive(Debug, Clone)]
enum Step {
    Append,
    /// Removes one live file of `main`, and adds one where told.
    Replace(usize, bool),
    /// Appends to a branch that begins where `main` is.
    AppendToBranch(usize),
    Tag(usize, Option<i64>),
    /// Takes a branch or tag away.
    Forget(usize),
    /// Sets `main` back.
    Rollback(usize),
    /// Adds a file again that some snapshot has or had.
    AddAgain(usize),
    Expire {
        keep: u64,
        age: i64,
    },
    ExpireOne(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0_usize..16;
    prop_oneof![
        3 => Just(Step::Append),
        3 => (at.clone(), any::<bool>()).prop_map(|(at, adds)| Step::Replace(at, adds)),
        2 => at.clone().prop_map(|at| Step::AppendToBranch(at % 2)),
        1 => (at.clone(), prop::option::of(1_i64..100)).prop_map(|(at, age)| Step::Tag(at, age)),
        1 => at.clone().prop_map(Step::Forget),
        1 => at.clone().prop_map(Step::Rollback),
        1 => at.clone().prop_map(Step::AddAgain),
        2 => (1_u64..4, -5_i64..80).prop_map(|(keep, age)| Step::Expire { keep, age }),
        1 => at.prop_map(Step::ExpireOne),
    ]
}

/// One of several by number; none of none.
fn pick<T: Clone>(all: impl IntoIterator<Item = T>, at: usize) -> Option<T> {
    let all: Vec<T> = all.into_iter().collect();
    (!all.is_empty()).then(|| all[at % all.len()].clone())
}

async fn take(world: &World, number: usize, step: Step) {
    let name = format!("f{number}");
    let current = world.table().await.metadata().current_snapshot_id();
    match step {
        Step::Append => {
            world.append(&[&name]).await;
        }
        Step::Replace(at, adds) => {
            let rows = world.rows().await;
            let live = current.and_then(|id| pick(rows[&id].iter().cloned(), at));
            if let Some(victim) = live {
                let added = if adds {
                    vec![name.as_str()]
                } else {
                    Vec::new()
                };
                world.replace(&[&victim], &added).await;
            }
        }
        Step::AppendToBranch(at) if current.is_some() => {
            let file = world.file(&name, 2).await;
            world.append_to(&format!("branch{at}"), vec![file]).await;
        }
        Step::Tag(at, max_ref_age_ms) => {
            if let Some(id) = pick(world.snapshot_ids().await, at) {
                let retention = SnapshotRetention::Tag { max_ref_age_ms };
                world
                    .set_ref(&format!("tag{}", at % 3), id, retention)
                    .await;
            }
        }
        Step::Forget(at) => {
            let names = world.ref_names().await.into_iter();
            if let Some(name) = pick(names.filter(|name| name != "main"), at) {
                world.remove_ref(&name).await;
            }
        }
        Step::Rollback(at) => {
            if let (Some(_), Some(id)) = (current, pick(world.snapshot_ids().await, at)) {
                world.branch("main", id).await;
            }
        }
        Step::AddAgain(at) => {
            let rows = world.rows().await;
            let live = current.map(|id| rows[&id].clone()).unwrap_or_default();
            let others = rows.into_values().flatten();
            let others = others.filter(|name| !live.contains(name));
            if let Some(name) = pick(others, at) {
                world.append(&[&name]).await;
            }
        }
        Step::Expire { keep, age } => {
            let expire = world.expire().with_retain_last(keep);
            check(world, expire.with_older_than_ms(world.now_ms() - age)).await;
        }
        Step::ExpireOne(at) => {
            let id = pick(world.snapshot_ids().await, at);
            let expire = world.expire().with_older_than_ms(0);
            // Those that a branch or tag names are refused.
            if let Some(expire) = id.map(|id| expire.with_snapshot_id(id))
                && expire.plan().await.is_ok()
            {
                check(world, expire).await;
            }
        }
        Step::AppendToBranch(_) => {}
    }
}

/// Expires, and looks whether rows and files are as they should be.
async fn check(world: &World, expire: calve_compact::ExpireSnapshots) {
    let before = world.rows().await;
    let plan = expire.plan().await.unwrap();
    let report = expire.await.unwrap();
    assert_eq!(report.failed, []);
    let planned: Vec<i64> = plan.snapshots.iter().map(|it| it.snapshot_id).collect();
    assert_eq!(planned, report.expired_snapshot_ids);
    assert!(
        plan.files
            .iter()
            .all(|file| !std::path::Path::new(&file.file).exists())
    );
    for (id, rows) in world.rows().await {
        assert_eq!(rows, before[&id], "snapshot {id}");
    }
    world.check_clean().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn rows_stay_and_nothing_is_left_over(
        steps in prop::collection::vec(step(), 1..24),
        is_v3 in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let version = if is_v3 { FormatVersion::V3 } else { FormatVersion::V2 };
            let world = World::new(version).await;
            for (number, step) in steps.into_iter().enumerate() {
                take(&world, number, step).await;
            }
            let expire = world.expire();
            check(&world, expire).await;
        });
    }
}
