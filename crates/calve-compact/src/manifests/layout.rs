//! Which manifests are worth writing anew: a pure function of what a manifest list says.

use std::cmp::Ordering;

use calve_table::{ManifestGroup, manifest_target_bytes, partition_value_types};
use iceberg::spec::{
    Datum, FieldSummary, ManifestContentType, ManifestFile, PartitionSpec, PrimitiveType,
    TableMetadata,
};

use crate::{Error, Result};

/// The summary entry of a snapshot that says which size its manifests were written for.
pub(super) const TARGET_SUMMARY: &str = "rewrite-manifests.target-size-bytes";
/// The summary entry of a snapshot that says which partition fields its manifests were brought together by.
pub(super) const SORT_BY_SUMMARY: &str = "rewrite-manifests.sort-by";

/// What every manifest takes beside its entries and the table's schema, in bytes: the schema of its entries, more or
/// less.
const FRAME_BYTES: u64 = 6 * 1024;
/// What an entry takes at least, in bytes.
const ENTRY_BYTES: u64 = 64;

/// Why manifests are written anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RewriteReason {
    /// There are more than need be, since several are small.
    Small,
    /// Some are far too large.
    Large,
    /// Files of the same partitions are in several.
    NotClustered,
}

impl std::fmt::Display for RewriteReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Small => "small manifests",
            Self::Large => "manifests that are too large",
            Self::NotClustered => "partitions that are in several manifests",
        })
    }
}

/// Manifests that are written anew together.
#[derive(Debug, Clone, serde::Serialize)]
pub struct ManifestSet {
    /// The partition spec of their files.
    pub spec_id: i32,
    /// `data` or `deletes`.
    pub content: &'static str,
    /// How many manifests there are.
    pub manifests_count: usize,
    /// Their size together, in bytes.
    pub bytes: u64,
    /// How many live files they list.
    pub files_count: u64,
    /// How many manifests they are expected to become.
    pub expected_manifests: u64,
    /// Why.
    pub reasons: Vec<RewriteReason>,
    /// Them.
    #[serde(skip)]
    pub(super) group: ManifestGroup,
}

/// What the caller asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) spec_id: Option<i32>,
    pub(super) sort_by: Vec<String>,
}

impl Wanted {
    /// The spec whose manifests are looked at.
    fn spec<'a>(&self, metadata: &'a TableMetadata) -> Result<&'a PartitionSpec> {
        let id = self
            .spec_id
            .unwrap_or_else(|| metadata.default_partition_spec_id());
        let spec = metadata.partition_spec_by_id(id);
        spec.map(AsRef::as_ref).ok_or_else(|| Error::Option {
            name: "spec_id".to_owned(),
            value: id.to_string(),
            problem: "the table has no such partition spec".to_owned(),
        })
    }

    /// The places of the fields that files are brought together by: all, unless told otherwise.
    fn sort_by(&self, spec: &PartitionSpec) -> Result<Vec<usize>> {
        let fields = spec.fields();
        if self.sort_by.is_empty() {
            return Ok((0..fields.len()).collect());
        }
        let names = self.sort_by.iter();
        names
            .map(|name| {
                let place = fields.iter().position(|field| field.name == *name);
                place.ok_or_else(|| Error::Option {
                    name: "sort_by".to_owned(),
                    value: name.clone(),
                    problem: format!(
                        "partition spec {} has no field of that name",
                        spec.spec_id()
                    ),
                })
            })
            .collect()
    }

    /// The names of the fields, as a snapshot's summary has them.
    pub(super) fn sort_by_text(&self, metadata: &TableMetadata) -> Result<String> {
        let spec = self.spec(metadata)?;
        let places = self.sort_by(spec)?.into_iter();
        let names: Vec<&str> = places.map(|at| spec.fields()[at].name.as_str()).collect();
        Ok(names.join(","))
    }
}

/// Decides which manifests of a snapshot are written anew.
///
/// # Errors
/// When there is no such spec, or it has no such field.
pub(super) fn choose(
    metadata: &TableMetadata,
    manifests: &[ManifestFile],
    wanted: &Wanted,
) -> Result<Vec<ManifestSet>> {
    let spec = wanted.spec(metadata)?;
    let sort_by = wanted.sort_by(spec)?;
    let sort_text = wanted.sort_by_text(metadata)?;
    let kinds = [ManifestContentType::Data, ManifestContentType::Deletes].into_iter();
    let sets = kinds.filter_map(|content| {
        let of_kind: Vec<ManifestFile> = manifests
            .iter()
            .filter(|manifest| {
                manifest.content == content
                    && manifest.partition_spec_id == spec.spec_id()
                    && (manifest.has_added_files() || manifest.has_existing_files())
            })
            .cloned()
            .collect();
        let is_done = written_for(metadata, &of_kind, &sort_text);
        (!is_done).then(|| judge(metadata, spec, of_kind, &sort_by))?
    });
    Ok(sets.collect())
}

/// Whether all of them came of one rewrite for the same size and order: then another one changes nothing.
fn written_for(metadata: &TableMetadata, manifests: &[ManifestFile], sort_by: &str) -> bool {
    let Some(first) = manifests.first() else {
        return true;
    };
    let is_one = |manifest: &ManifestFile| manifest.added_snapshot_id == first.added_snapshot_id;
    let Some(snapshot) = metadata.snapshot_by_id(first.added_snapshot_id) else {
        return false;
    };
    let target = manifest_target_bytes(metadata).to_string();
    let summary = &snapshot.summary().additional_properties;
    let says = |name: &str, value: &str| summary.get(name).is_some_and(|it| it == value);
    manifests.iter().all(is_one) && says(TARGET_SUMMARY, &target) && says(SORT_BY_SUMMARY, sort_by)
}

fn judge(
    metadata: &TableMetadata,
    spec: &PartitionSpec,
    manifests: Vec<ManifestFile>,
    sort_by: &[usize],
) -> Option<ManifestSet> {
    let target = manifest_target_bytes(metadata) as u64;
    let header = header_bytes(metadata);
    let files = |manifest: &ManifestFile| {
        u64::from(manifest.added_files_count.unwrap_or(1))
            + u64::from(manifest.existing_files_count.unwrap_or(1))
    };
    let length = |manifest: &ManifestFile| manifest.manifest_length.unsigned_abs();
    let payload = |manifest: &ManifestFile| {
        let without_header = length(manifest).saturating_sub(header);
        without_header.max(files(manifest) * ENTRY_BYTES)
    };
    let bytes: u64 = manifests.iter().map(payload).sum();
    let expected = bytes.div_ceil(target).max(1);
    let small = manifests.iter().filter(|it| payload(it) < target / 2);
    let is_large = |it: &ManifestFile| payload(it) > target * 2 && files(it) > 1;
    let mut reasons = Vec::new();
    if small.count() >= 2 && manifests.len() as u64 > expected {
        reasons.push(RewriteReason::Small);
    }
    if manifests.iter().any(is_large) {
        reasons.push(RewriteReason::Large);
    }
    let types = partition_value_types(metadata, spec);
    if !is_clustered(&manifests, &types, sort_by) {
        reasons.push(RewriteReason::NotClustered);
    }
    let content = match manifests.first()?.content {
        ManifestContentType::Data => "data",
        ManifestContentType::Deletes => "deletes",
    };
    (!reasons.is_empty()).then(|| ManifestSet {
        spec_id: spec.spec_id(),
        content,
        manifests_count: manifests.len(),
        bytes: manifests.iter().map(length).sum(),
        files_count: manifests.iter().map(files).sum(),
        expected_manifests: expected,
        reasons,
        group: ManifestGroup {
            manifests,
            sort_by: sort_by.to_vec(),
        },
    })
}

/// What every manifest takes beside its entries, in bytes.
fn header_bytes(metadata: &TableMetadata) -> u64 {
    let schema = serde_json::to_string(metadata.current_schema());
    FRAME_BYTES + schema.map_or(0, |schema| schema.len() as u64)
}

/// The least and the greatest value of a field in a manifest. Null is less than any other.
type Range = (Option<Datum>, Option<Datum>);

/// Whether manifests follow one another by the values of some partition fields, in that order: the first in which
/// two neighbours are not both of one and the same value decides.
fn is_clustered(
    manifests: &[ManifestFile],
    types: &[Option<PrimitiveType>],
    sort_by: &[usize],
) -> bool {
    if manifests.len() < 2 || sort_by.is_empty() {
        return true;
    }
    let mut ranges = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        let summaries = manifest.partitions.as_deref().unwrap_or_default();
        let known = sort_by.iter().map(|at| {
            let primitive = types.get(*at)?.as_ref()?;
            range(summaries.get(*at)?, primitive)
        });
        match known.collect::<Option<Vec<Range>>>() {
            Some(known) => ranges.push(known),
            // What its list does not tell, it will tell of new ones.
            None => return false,
        }
    }
    ranges.sort_by(|left, right| {
        let fields = left.iter().zip(right);
        fields
            .map(|(left, right)| {
                order(left.0.as_ref(), right.0.as_ref())
                    .then(order(left.1.as_ref(), right.1.as_ref()))
            })
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    });
    ranges.windows(2).all(|pair| {
        let mut fields = pair[0].iter().zip(&pair[1]);
        fields
            .find(|(left, right)| !(left.0 == left.1 && right.0 == right.1 && left.0 == right.0))
            .is_none_or(|(left, right)| order(left.1.as_ref(), right.0.as_ref()).is_le())
    })
}

/// `None` where the summary does not tell.
fn range(summary: &FieldSummary, primitive: &PrimitiveType) -> Option<Range> {
    let datum = |bytes: &[u8]| Datum::try_from_bytes(bytes, primitive.clone()).ok();
    let upper = match &summary.upper_bound {
        Some(bytes) => Some(datum(bytes)?),
        None if summary.contains_null => None,
        None => return None,
    };
    let lower = match &summary.lower_bound {
        _ if summary.contains_null => None,
        Some(bytes) => Some(datum(bytes)?),
        None => return None,
    };
    Some((lower, upper))
}

fn order(left: Option<&Datum>, right: Option<&Datum>) -> Ordering {
    match (left, right) {
        (Some(left), Some(right)) => left.partial_cmp(right).unwrap_or(Ordering::Equal),
        (left, right) => left.is_some().cmp(&right.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Manifests of one field, by least and greatest value; 0 stands for null.
    #[track_caller]
    fn check(ranges: &[&[(i32, i32)]], expected: bool) {
        let bound = |value: i32| (value != 0).then(|| value.to_le_bytes().to_vec().into());
        let manifests: Vec<ManifestFile> = ranges
            .iter()
            .map(|fields| {
                let fields = fields.iter();
                let summaries = fields.map(|(lower, upper)| FieldSummary {
                    contains_null: *lower == 0,
                    contains_nan: Some(false),
                    // The least that is not null.
                    lower_bound: bound(if *lower == 0 { *upper } else { *lower }),
                    upper_bound: bound(*upper),
                });
                manifest(summaries.collect())
            })
            .collect();
        let fields = ranges[0].len();
        let types = vec![Some(PrimitiveType::Int); fields];
        let sort_by: Vec<usize> = (0..fields).collect();
        assert_eq!(is_clustered(&manifests, &types, &sort_by), expected);
    }

    fn manifest(partitions: Vec<FieldSummary>) -> ManifestFile {
        ManifestFile {
            manifest_path: String::new(),
            manifest_length: 0,
            partition_spec_id: 0,
            content: ManifestContentType::Data,
            sequence_number: 0,
            min_sequence_number: 0,
            added_snapshot_id: 0,
            added_files_count: None,
            existing_files_count: None,
            deleted_files_count: None,
            added_rows_count: None,
            existing_rows_count: None,
            deleted_rows_count: None,
            partitions: Some(partitions),
            key_metadata: None,
            first_row_id: None,
        }
    }

    #[test]
    fn neighbours_may_touch_and_not_overlap() {
        check(&[&[(1, 5)]], true);
        check(&[&[(1, 5)], &[(6, 9)]], true);
        check(&[&[(6, 9)], &[(1, 6)]], true);
        check(&[&[(1, 5)], &[(4, 9)]], false);
        check(&[&[(1, 9)], &[(3, 3)]], false);
        check(&[&[(0, 5)], &[(5, 9)]], true);
        check(&[&[(0, 5)], &[(0, 9)]], false);
        check(&[&[(0, 0)], &[(0, 9)]], true);
        // One value in both: the next field decides.
        check(&[&[(3, 3), (1, 4)], &[(3, 3), (5, 9)]], true);
        check(&[&[(3, 3), (1, 6)], &[(3, 3), (5, 9)]], false);
        check(&[&[(2, 3), (1, 6)], &[(3, 4), (1, 9)]], true);
        check(&[&[(3, 3), (1, 1)], &[(3, 3), (1, 1)]], true);
    }
}
