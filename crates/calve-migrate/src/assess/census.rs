//! Counts what a plan of `add-files` finds, file by file: nothing here judges anew.
//!
//! What is held grows with the number of distinct schemas, rules and partitions that stand out, each up to
//! a limit, and not with the number of files.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use calve_base::Location;
use calve_lake::{Lake, LakeFile};
use calve_parquet::{Finding, Severity};
use calve_query::CureCheck;
use iceberg::spec::{PrimitiveType, Type};
use parquet::file::metadata::ParquetMetaData;

use super::partitions::Partitions;
use super::report::{
    Amount, Census, EXAMPLES_LIMIT, FoundFinding, InPlace, Key, SeenSchema, SkippedKind,
    StorageClass,
};
use super::sizes::Sizes;
use crate::add_files::{Judged, Observer, Prepared, Verdict, code_name};
use crate::{Error, Plan, REPORT_LIST_LIMIT, Result};

/// Counts files while they are planned.
#[derive(Debug)]
pub(super) struct Counter(Mutex<Counts>);

#[derive(Debug)]
struct Counts {
    target_bytes: u64,
    cures: Option<CureCheck>,
    all: Amount,
    sizes: Sizes,
    small: Amount,
    records: u64,
    row_groups: u64,
    in_place: InPlace,
    rewritable: Amount,
    schemas: Groups<u128, SeenSchema>,
    /// Whether rows of a schema can be rewritten, for those in `schemas`.
    rewrites: HashMap<u128, bool>,
    findings: Groups<(String, String), FoundFinding>,
    skipped_count: u64,
    skipped: BTreeMap<String, SkippedKind>,
    classes: BTreeMap<String, Amount>,
    partitions: Partitions,
}

/// Entries by key, in the order in which they came, up to a limit.
#[derive(Debug)]
struct Groups<K, V> {
    places: HashMap<K, usize>,
    list: Vec<V>,
    /// Whether entries beyond the limit came.
    overflows: bool,
}

impl<K: Eq + std::hash::Hash, V> Groups<K, V> {
    fn new() -> Self {
        Self {
            places: HashMap::new(),
            list: Vec::new(),
            overflows: false,
        }
    }

    /// The entry of a key, made where it is new and there is room.
    fn entry(&mut self, key: K, make: impl FnOnce() -> V) -> Option<&mut V> {
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None if self.list.len() < REPORT_LIST_LIMIT => {
                self.places.insert(key, self.list.len());
                self.list.push(make());
                self.list.len() - 1
            }
            None => {
                self.overflows = true;
                return None;
            }
        };
        self.list.get_mut(place)
    }
}

/// What becomes of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is added in place.
    Stays,
    /// It holds no rows.
    NoRows,
    /// It is refused.
    Refused,
}

impl Counter {
    /// Starts; files below `target_bytes` count as small.
    pub(super) fn new(target_bytes: u64) -> Self {
        Self(Mutex::new(Counts {
            target_bytes,
            cures: None,
            all: Amount::default(),
            sizes: Sizes::default(),
            small: Amount::default(),
            records: 0,
            row_groups: 0,
            in_place: InPlace::default(),
            rewritable: Amount::default(),
            schemas: Groups::new(),
            rewrites: HashMap::new(),
            findings: Groups::new(),
            skipped_count: 0,
            skipped: BTreeMap::new(),
            classes: BTreeMap::new(),
            partitions: Partitions::default(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was counted.
    pub(super) fn finish(&self, lake: &Lake, plan: &Plan) -> Census {
        let mut counts = self.lock();
        let types: Vec<Type> = lake.partition_keys().iter().map(key_type).collect();
        let except = std::mem::take(&mut counts.partitions).finish(&types);
        let mut findings = std::mem::take(&mut counts.findings.list);
        findings.sort_by_key(|it| rank(&it.severity));
        let is_warning = |note: &&String| lake.warnings().iter().any(|it| it.to_string() == **note);
        let mut notes: Vec<String> = plan
            .notes
            .iter()
            .filter(|it| !is_warning(it))
            .cloned()
            .collect();
        for (what, overflows) in [
            ("schemas", counts.schemas.overflows),
            ("findings", counts.findings.overflows),
        ] {
            if overflows {
                notes.push(format!(
                    "there are more than {REPORT_LIST_LIMIT} distinct {what}: the others are not told apart"
                ));
            }
        }
        Census {
            files: counts.all.files,
            bytes: counts.all.bytes,
            records: counts.records,
            row_groups: counts.row_groups,
            partitions: lake.totals().partitions,
            partition_keys: lake.partition_keys().iter().map(key).collect(),
            columns: plan.columns.clone(),
            sizes: counts.sizes.buckets(),
            target_file_bytes: counts.target_bytes,
            small_files: counts.small,
            in_place: counts.in_place,
            rewritable: counts.rewritable,
            schemas_count: counts.schemas.list.len() as u64,
            schemas: std::mem::take(&mut counts.schemas.list),
            findings_count: findings.len() as u64,
            findings,
            skipped_count: counts.skipped_count,
            skipped: std::mem::take(&mut counts.skipped).into_values().collect(),
            storage_classes: std::mem::take(&mut counts.classes)
                .into_iter()
                .map(|(class, amount)| StorageClass { class, amount })
                .collect(),
            except,
            notes,
        }
    }
}

impl Observer for Counter {
    fn opened(&self, lake: &Lake) -> Result<()> {
        let cures = CureCheck::new(lake).map_err(|source| Error::SourceSchema {
            source_name: lake.root().to_string(),
            source,
        })?;
        self.lock().cures = Some(cures);
        Ok(())
    }

    fn skipped(&self, file: &Location, reason: &str) {
        let mut counts = self.lock();
        counts.skipped_count += 1;
        let kind = counts.skipped.entry(reason.to_owned());
        let kind = kind.or_insert_with(|| SkippedKind {
            reason: reason.to_owned(),
            objects: 0,
            examples: Vec::new(),
        });
        kind.objects += 1;
        push_example(&mut kind.examples, file);
    }

    fn judged(&self, judged: Judged<'_>) {
        self.lock().take(&judged);
    }
}

impl Counts {
    fn take(&mut self, judged: &Judged<'_>) {
        let file = judged.file;
        self.all.add(file.size);
        self.sizes.add(file.size);
        if file.size < self.target_bytes {
            self.small.add(file.size);
        }
        if let Some(class) = &file.storage_class {
            self.classes
                .entry(class.clone())
                .or_default()
                .add(file.size);
        }
        let rewritable = match judged.read {
            Some((footer, prepared)) => {
                self.count_rows(footer);
                self.take_schema(file, prepared)
                    && judged.own.iter().all(|it| it.severity < Severity::Refused)
            }
            None => false,
        };
        if rewritable {
            self.rewritable.add(file.size);
        }
        let fate = match judged.verdict {
            Verdict::Fits(_) => {
                self.in_place.safe.add(file.size);
                Fate::Stays
            }
            Verdict::NoRows => {
                self.in_place.no_rows.add(file.size);
                Fate::NoRows
            }
            Verdict::Refused(refusals) => {
                let is_only_unsafe = refusals.iter().all(|it| it.is_only_unsafe);
                let amount = if is_only_unsafe {
                    &mut self.in_place.only_if_allowed
                } else {
                    &mut self.in_place.refused
                };
                amount.add(file.size);
                Fate::Refused
            }
        };
        self.partitions.take(&file.partition, file.size, fate);
        self.take_findings(judged, rewritable);
    }

    fn count_rows(&mut self, footer: &ParquetMetaData) {
        for group in footer.row_groups() {
            self.row_groups += 1;
            let rows = u64::try_from(group.num_rows()).unwrap_or(0);
            self.records = self.records.saturating_add(rows);
        }
    }

    /// Counts the file with its schema. Tells whether rows of this schema can be rewritten.
    fn take_schema(&mut self, file: &LakeFile, prepared: &Prepared) -> bool {
        let schema = &prepared.schema;
        let seen = self.schemas.entry(schema.fingerprint, || SeenSchema {
            amount: Amount::default(),
            example: file.location.clone(),
            columns_count: schema.leaf_count as u64,
            differs: prepared.drift.iter().map(ToString::to_string).collect(),
        });
        let is_listed = seen.is_some();
        if let Some(seen) = seen {
            seen.amount.add(file.size);
        }
        if let Some(known) = self.rewrites.get(&schema.fingerprint) {
            return *known;
        }
        let cures = self.cures.as_mut();
        let rewritable = cures.is_some_and(|cures| cures.absorb(schema).is_ok());
        if is_listed {
            self.rewrites.insert(schema.fingerprint, rewritable);
        }
        rewritable
    }

    fn take_findings(&mut self, judged: &Judged<'_>, rewritable: bool) {
        let schema = judged.read.map(|(_, prepared)| &prepared.schema);
        let of_schema = schema.map_or(&[][..], |schema| schema.findings.as_slice());
        let found = of_schema.iter().chain(judged.own);
        for finding in found.clone() {
            let code = code_name(finding.code);
            let severity = severity_name(finding.severity);
            let about = (severity, code, finding.column.clone(), &*finding.message);
            self.note(about, judged.file, rewritable);
        }
        let Verdict::Refused(refusals) = judged.verdict else {
            return;
        };
        for refusal in refusals {
            let column = refusal.column.clone().unwrap_or_default();
            let is_it = |it: &Finding| it.column == column && code_name(it.code) == refusal.reason;
            if !found.clone().any(is_it) {
                let about = ("refused", refusal.reason.clone(), column, &*refusal.message);
                self.note(about, judged.file, rewritable);
            }
        }
    }

    fn note(
        &mut self,
        (severity, code, column, message): (&'static str, String, String, &str),
        file: &LakeFile,
        rewritable: bool,
    ) {
        let key = (code.clone(), column.clone());
        let found = self.findings.entry(key, || FoundFinding {
            severity: severity.to_owned(),
            code,
            column,
            message: message.to_owned(),
            amount: Amount::default(),
            not_rewritable_files: 0,
            examples: Vec::new(),
        });
        if let Some(found) = found {
            // One rule may be worse in one file than in another.
            if rank(severity) < rank(&found.severity) {
                severity.clone_into(&mut found.severity);
                message.clone_into(&mut found.message);
            }
            found.amount.add(file.size);
            found.not_rewritable_files += u64::from(!rewritable);
            push_example(&mut found.examples, &file.location);
        }
    }
}

fn push_example(examples: &mut Vec<Location>, file: &Location) {
    if examples.len() < EXAMPLES_LIMIT {
        examples.push(file.clone());
    }
}

/// The worst first.
fn rank(severity: &str) -> u8 {
    match severity {
        "refused" => 0,
        "unsafe" => 1,
        _ => 2,
    }
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Refused => "refused",
        Severity::Unsafe => "unsafe",
        Severity::Note => "note",
    }
}

fn key(key: &calve_lake::PartitionKey) -> Key {
    Key {
        name: key.name.clone(),
        key_type: key.primitive_type.to_string(),
    }
}

fn key_type(key: &calve_lake::PartitionKey) -> Type {
    let primitive: &PrimitiveType = &key.primitive_type;
    Type::Primitive(primitive.clone())
}
