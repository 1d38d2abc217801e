//! Whether one file fits the table, and what manifest entry it becomes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use calve_base::Location;
use calve_lake::LakeFile;
use calve_parquet::{
    ColumnMapping, Drift, FileMetrics, FileSchema, Finding, FindingCode, MetricsConfig,
    SchemaCache, SchemaUnion, Severity, UnprovenField, file_findings, file_metrics,
    writes_int96_instants,
};
use iceberg::spec::{
    DataContentType, DataFile, DataFileBuilder, DataFileFormat, SchemaRef, Struct,
};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::statistics::Statistics;

use super::partition::{PartitionRules, WrongValue};
use super::{Int96, OnUnsafe};

/// Judges files one by one, in order; the schema of a new table grows with them.
#[derive(Debug)]
pub(super) struct Judge {
    union: SchemaUnion,
    rules: Rules,
    /// What each distinct file schema means for the table, by fingerprint.
    prepared: HashMap<u128, Arc<Prepared>>,
    /// Where columns that no table or metastore declares came from: the first file that has them, in
    /// lower case.
    first_files: HashMap<String, Location>,
    /// Whether the union may have changed since the schema was last taken.
    grown: bool,
}

/// What does not change from file to file.
#[derive(Debug)]
pub(super) struct Rules {
    /// The schemas of files whose INT96 columns are instants.
    pub(super) instants: SchemaCache,
    /// The schemas of files whose INT96 columns are wall-clock times.
    pub(super) local_times: SchemaCache,
    pub(super) int96: Int96,
    pub(super) on_unsafe: OnUnsafe,
    /// The table's properties, for `write.metadata.metrics.*`.
    pub(super) properties: HashMap<String, String>,
    pub(super) spec_id: i32,
    pub(super) partition: PartitionRules,
    /// The columns that the table or a metastore declares, in lower case.
    pub(super) declared: HashSet<String>,
}

/// What became of a file.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// It is added.
    Fits(Box<DataFile>),
    /// It holds no rows.
    NoRows,
    /// It cannot be added, for these reasons.
    Refused(Vec<Refusal>),
}

/// Why a file cannot be added.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) column: Option<String>,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// Whether the file would be added if unsafe files were allowed.
    pub(crate) is_only_unsafe: bool,
}

/// A file schema, understood once.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) schema: Arc<FileSchema>,
    pub(crate) drift: Arc<[Drift]>,
    outcome: Result<Usable, Vec<Refusal>>,
}

/// What turns a footer of this schema into a manifest entry.
#[derive(Debug)]
struct Usable {
    mapping: Arc<ColumnMapping>,
    metrics: MetricsConfig,
}

impl Judge {
    pub(super) fn new(union: SchemaUnion, rules: Rules) -> Self {
        Self {
            union,
            rules,
            prepared: HashMap::new(),
            first_files: HashMap::new(),
            grown: true,
        }
    }

    /// Judges one file. Returns also what its schema has to say, and what the file itself has.
    pub(super) fn judge(
        &mut self,
        file: &LakeFile,
        footer: &ParquetMetaData,
    ) -> (Verdict, Arc<Prepared>, Vec<Finding>) {
        let cache = if self.is_instant(footer) {
            &self.rules.instants
        } else {
            &self.rules.local_times
        };
        let own = file_findings(footer, cache.policy());
        let schema = cache.get(footer);
        let prepared = match self.prepared.get(&schema.fingerprint) {
            Some(prepared) => Arc::clone(prepared),
            None => self.prepare(&schema, &file.location),
        };
        let verdict = self
            .verdict(file, footer, &prepared, &own)
            .unwrap_or_else(Verdict::Refused);
        (verdict, prepared, own)
    }

    /// The union of all schemas so far.
    pub(super) fn union(&self) -> &SchemaUnion {
        &self.union
    }

    /// The partition spec that the files go into.
    pub(super) fn spec_id(&self) -> i32 {
        self.rules.spec_id
    }

    /// Whether the columns of any file are known.
    pub(super) fn has_schema(&self) -> bool {
        self.prepared
            .values()
            .any(|prepared| prepared.outcome.is_ok())
    }

    /// The schema so far, if it may have changed since this was last asked.
    pub(super) fn take_grown_schema(&mut self) -> calve_table::Result<Option<SchemaRef>> {
        if !std::mem::take(&mut self.grown) {
            return Ok(None);
        }
        let schema = self.union.schema().map_err(calve_table::Error::rejected)?;
        Ok(Some(SchemaRef::new(schema)))
    }

    fn is_instant(&self, footer: &ParquetMetaData) -> bool {
        match self.rules.int96 {
            Int96::Instant => true,
            Int96::Local => false,
            Int96::ByWriter => writes_int96_instants(footer).unwrap_or(true),
        }
    }

    fn prepare(&mut self, schema: &Arc<FileSchema>, file: &Location) -> Arc<Prepared> {
        let refusals = self.refusals(&schema.findings);
        let (drift, outcome) = if refusals.is_empty() {
            match self.usable(schema) {
                Ok((drift, usable)) => {
                    self.remember_columns(schema, file);
                    (drift, Ok(usable))
                }
                Err(error) => (Arc::from([]), Err(vec![self.refusal(&error)])),
            }
        } else {
            (Arc::from([]), Err(refusals))
        };
        let prepared = Arc::new(Prepared {
            schema: Arc::clone(schema),
            drift,
            outcome,
        });
        self.prepared
            .insert(schema.fingerprint, Arc::clone(&prepared));
        prepared
    }

    fn usable(&mut self, schema: &FileSchema) -> calve_parquet::Result<(Arc<[Drift]>, Usable)> {
        let (mapping, drift) = self.union.absorb(schema)?;
        self.grown = true;
        let metrics = MetricsConfig::new(&self.rules.properties, &self.union.schema()?)?;
        self.rules.partition.bind(&self.union.schema()?);
        Ok((drift, Usable { mapping, metrics }))
    }

    fn remember_columns(&mut self, schema: &FileSchema, file: &Location) {
        for field in &schema.fields {
            let name = field.name.to_lowercase();
            if !self.rules.declared.contains(&name) {
                self.first_files.entry(name).or_insert_with(|| file.clone());
            }
        }
    }

    /// Why a schema does not fit. Where files contradict each other, the one that came first is named.
    fn refusal(&self, error: &calve_parquet::Error) -> Refusal {
        let mut refusal = Refusal::of(error);
        if let calve_parquet::Error::TypeConflict {
            column,
            file_type,
            table_type,
        } = error
        {
            let column_of_table = column.to_lowercase();
            let names = column_of_table.match_indices('.').map(|(end, _)| end);
            let first = names
                .chain([column_of_table.len()])
                .find_map(|end| self.first_files.get(&column_of_table[..end]));
            if let Some(first) = first {
                refusal.message = format!(
                    "column `{column}` is `{file_type}` in the file, but `{table_type}` in the files before it, \
                     of which {first} is the first"
                );
            }
        }
        refusal
    }

    /// The findings that keep a file out.
    fn refusals(&self, findings: &[Finding]) -> Vec<Refusal> {
        let worst_allowed = match self.rules.on_unsafe {
            OnUnsafe::Refuse => Severity::Note,
            OnUnsafe::Allow => Severity::Unsafe,
        };
        findings
            .iter()
            .filter(|finding| finding.severity > worst_allowed)
            .map(|finding| Refusal {
                column: (!finding.column.is_empty()).then(|| finding.column.clone()),
                reason: code_name(finding.code),
                message: finding.message.clone(),
                is_only_unsafe: finding.severity == Severity::Unsafe,
            })
            .collect()
    }

    fn verdict(
        &self,
        file: &LakeFile,
        footer: &ParquetMetaData,
        prepared: &Prepared,
        own: &[Finding],
    ) -> Result<Verdict, Vec<Refusal>> {
        let usable = prepared.outcome.as_ref().map_err(Clone::clone)?;
        let refusals = self.refusals(own);
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let metrics = file_metrics(footer, &usable.mapping, &usable.metrics)
            .map_err(|error| vec![Refusal::of(&error)])?;
        if metrics.record_count == 0 {
            return Ok(Verdict::NoRows);
        }
        let nulls: Vec<Refusal> = usable
            .mapping
            .unproven
            .iter()
            .filter(|field| !is_proven(footer, field))
            .map(Refusal::null_in_required)
            .collect();
        if !nulls.is_empty() {
            return Err(nulls);
        }
        let partition = self
            .rules
            .partition
            .value(file, footer, &usable.mapping)
            .map_err(|wrong| vec![Refusal::of_partition(wrong)])?;
        Ok(Verdict::Fits(Box::new(
            self.data_file(file, metrics, partition)?,
        )))
    }

    fn data_file(
        &self,
        file: &LakeFile,
        metrics: FileMetrics,
        partition: Struct,
    ) -> Result<DataFile, Vec<Refusal>> {
        let mut described = DataFileBuilder::default();
        described
            .content(DataContentType::Data)
            .file_path(file.location.canonical())
            .file_format(DataFileFormat::Parquet)
            .file_size_in_bytes(file.size)
            .partition(partition)
            .partition_spec_id(self.rules.spec_id);
        metrics.describe(&mut described).build().map_err(|error| {
            vec![Refusal {
                column: None,
                reason: "manifest_entry".to_owned(),
                message: error.to_string(),
                is_only_unsafe: false,
            }]
        })
    }
}

impl Refusal {
    fn of(error: &calve_parquet::Error) -> Self {
        Self {
            column: error.column().map(ToOwned::to_owned),
            reason: error.code().to_owned(),
            message: error.to_string(),
            is_only_unsafe: false,
        }
    }

    fn null_in_required(field: &UnprovenField) -> Self {
        Self {
            column: Some(field.column.clone()),
            reason: "null_in_required".to_owned(),
            message: format!(
                "column `{}` of the table is required, and the file does not prove that it has no nulls",
                field.column
            ),
            is_only_unsafe: false,
        }
    }

    fn of_partition(wrong: WrongValue) -> Self {
        Self {
            column: Some(wrong.column),
            reason: "partition_value".to_owned(),
            message: wrong.problem,
            is_only_unsafe: false,
        }
    }
}

/// Whether some leaf in the field is without nulls in every row group.
fn is_proven(footer: &ParquetMetaData, field: &UnprovenField) -> bool {
    field.leaves.iter().any(|leaf| {
        footer.row_groups().iter().all(|group| {
            let statistics = group.column(*leaf).statistics();
            statistics.and_then(Statistics::null_count_opt) == Some(0)
        })
    })
}

/// The name of a rule as reports print it.
pub(crate) fn code_name(code: FindingCode) -> String {
    match serde_json::to_value(code) {
        Ok(serde_json::Value::String(name)) => name,
        _ => format!("{code:?}"),
    }
}
