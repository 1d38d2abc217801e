use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use calve_table::{ContentFile, DeleteFile};
use iceberg::spec::Literal;

use super::*;

fn options(given: &[(&str, &str)]) -> RewriteOptions {
    let given = [
        ("target-file-size-bytes", "100"),
        ("min-file-size-bytes", "75"),
        ("max-file-size-bytes", "180"),
    ]
    .iter()
    .chain(given)
    .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let given: BTreeMap<String, String> = given.collect();
    RewriteOptions::new(&given, &HashMap::new()).unwrap()
}

fn content(path: String, part: i32, bytes: u64) -> ContentFile {
    ContentFile {
        content: DataContentType::Data,
        path,
        format: DataFileFormat::Parquet,
        partition: Struct::from_iter([Some(Literal::int(part))]),
        record_count: 10,
        size_bytes: bytes,
        column_sizes: None,
        value_counts: None,
        null_value_counts: None,
        nan_value_counts: None,
        lower_bounds: None,
        upper_bounds: None,
        key_metadata: None,
        split_offsets: None,
        equality_ids: None,
        sort_order_id: None,
        first_row_id: None,
        referenced_data_file: None,
        content_offset: None,
        content_size_bytes: None,
    }
}

fn deletes(of: &str, rows: u64) -> Arc<DeleteFile> {
    let mut file = content(format!("{of}-deletes"), 0, 10);
    file.content = DataContentType::PositionDeletes;
    file.referenced_data_file = Some(of.to_owned());
    file.record_count = rows;
    Arc::new(DeleteFile {
        file,
        spec_id: 0,
        sequence_number: 2,
    })
}

/// A file is (partition, bytes, rows that are deleted).
fn candidates(files: &[(i32, u64, u64)]) -> Vec<Candidate> {
    let files = files.iter().enumerate();
    let files = files.map(|(number, (part, bytes, deleted))| {
        let path = format!("file:///{number:03}.parquet");
        let deletes = (*deleted > 0).then(|| deletes(&path, *deleted));
        let scan = ScanFile {
            file: content(path, *part, *bytes),
            spec_id: 0,
            sequence_number: 1,
            file_sequence_number: Some(1),
            deletes: deletes.into_iter().collect(),
        };
        Candidate {
            deletes: count_deletes(&scan),
            scan: Box::new(scan),
            partition: format!("p={part}").into(),
            order: None,
        }
    });
    files.collect()
}

/// A group is (partition, bytes of its files, expected files).
type Group = (&'static str, &'static [u64], u64);

#[track_caller]
fn check(
    files: &[(i32, u64, u64)],
    given: &[(&str, &str)],
    expected: &[Group],
    left: &[LeftAlone],
) {
    let (groups, found_left) = plan(candidates(files), &options(given), 0);
    let found: Vec<(String, Vec<u64>, u64)> = groups
        .iter()
        .map(|group| {
            let sizes = group.files.iter().map(|file| file.file.size_bytes);
            (
                group.partition.clone(),
                sizes.collect(),
                group.expected_output_files,
            )
        })
        .collect();
    let expected: Vec<(String, Vec<u64>, u64)> = expected
        .iter()
        .map(|(partition, sizes, files)| ((*partition).to_owned(), sizes.to_vec(), *files))
        .collect();
    assert_eq!(found, expected);
    let mut reasons: Vec<LeftAlone> = found_left.iter().map(|file| file.reason).collect();
    reasons.sort();
    assert_eq!(reasons, left);
}

#[test]
fn small_files_of_a_partition_become_one() {
    let five = [(1, 10, 0); 5];
    check(&five, &[], &[("p=1", &[10; 5], 1)], &[]);
    check(&five[..4], &[], &[], &[LeftAlone::FewFiles; 4]);
    check(
        &five[..2],
        &[("min-input-files", "2")],
        &[("p=1", &[10; 2], 1)],
        &[],
    );
    // One file alone is never enough.
    check(
        &five[..1],
        &[("min-input-files", "1")],
        &[],
        &[LeftAlone::FewFiles],
    );
    let two_partitions = [(2, 10, 0), (1, 20, 0), (2, 10, 0), (1, 20, 0)];
    check(
        &two_partitions,
        &[("min-input-files", "2")],
        &[("p=1", &[20, 20], 1), ("p=2", &[10, 10], 1)],
        &[],
    );
}

#[test]
fn files_of_a_good_size_stay() {
    check(
        &[(1, 75, 0), (1, 180, 0)],
        &[],
        &[],
        &[LeftAlone::InRange; 2],
    );
    // Too large ones are split.
    check(&[(1, 181, 0)], &[], &[("p=1", &[181], 2)], &[]);
    check(
        &[(1, 100, 0), (1, 120, 0)],
        &[("rewrite-all", "true")],
        &[("p=1", &[100, 120], 3)],
        &[],
    );
}

#[test]
fn enough_content_is_enough() {
    // 70 and 35 are 105: one file, a little over the target.
    check(
        &[(1, 70, 0), (1, 35, 0)],
        &[],
        &[("p=1", &[70, 35], 1)],
        &[],
    );
    check(
        &[(1, 50, 0), (1, 50, 0)],
        &[],
        &[],
        &[LeftAlone::FewFiles; 2],
    );
    // 74 and 74 would be two files again.
    check(
        &[(1, 74, 0), (1, 74, 0)],
        &[],
        &[],
        &[LeftAlone::NothingToGain; 2],
    );
}

#[test]
fn deletes_make_files_candidates() {
    check(&[(1, 100, 3)], &[], &[("p=1", &[100], 1)], &[]);
    check(&[(1, 100, 2)], &[], &[], &[LeftAlone::InRange]);
    check(
        &[(1, 100, 1)],
        &[("delete-file-threshold", "1")],
        &[("p=1", &[100], 1)],
        &[],
    );
}

#[test]
fn groups_have_bounds_and_an_order() {
    let files = [(1, 10, 0), (1, 20, 0), (1, 30, 0), (2, 5, 0), (2, 5, 0)];
    let two = ("min-input-files", "2");
    check(
        &files,
        &[two, ("max-file-group-size-bytes", "30")],
        &[("p=1", &[10, 20], 1), ("p=2", &[5, 5], 1)],
        &[LeftAlone::FewFiles],
    );
    check(
        &files,
        &[two, ("max-file-group-input-files", "2")],
        &[("p=1", &[10, 20], 1), ("p=2", &[5, 5], 1)],
        &[LeftAlone::FewFiles],
    );
    let one: Group = ("p=1", &[10, 20, 30], 1);
    let other: Group = ("p=2", &[5, 5], 1);
    for (order, expected) in [
        ("none", [one, other]),
        ("bytes-asc", [other, one]),
        ("bytes-desc", [one, other]),
        ("files-asc", [other, one]),
        ("files-desc", [one, other]),
    ] {
        check(&files, &[two, ("rewrite-job-order", order)], &expected, &[]);
    }
    check(
        &files,
        &[two, ("max-files-to-rewrite", "4")],
        &[one],
        &[LeftAlone::OverLimit; 2],
    );
    check(
        &files,
        &[two, ("max-files-to-rewrite", "2")],
        &[("p=1", &[10, 20], 1)],
        &[LeftAlone::OverLimit; 3],
    );
}

#[test]
fn neighbours_lie_beside_each_other() {
    let mut files = candidates(&[(1, 10, 0), (1, 20, 0), (1, 30, 0)]);
    for (file, least) in files.iter_mut().zip([7, 9, 8]) {
        file.order = Some(Datum::int(least));
    }
    files[1].order = None;
    let (groups, _) = plan(files, &options(&[("rewrite-all", "true")]), 0);
    let sizes: Vec<u64> = groups[0]
        .files
        .iter()
        .map(|file| file.file.size_bytes)
        .collect();
    assert_eq!(sizes, [10, 30, 20]);
}
