//! Options, by the names and defaults of Spark's `rewrite_data_files` (`SizeBasedFileRewritePlanner`,
//! `BinPackRewriteFilePlanner`, `SparkShufflingFileRewriteRunner`, `SparkZOrderFileRewriteRunner`,
//! `RewriteDataFilesSparkAction`).

use std::collections::BTreeMap;
use std::str::FromStr;

use calve_table::DEFAULT_TARGET_FILE_BYTES;

use crate::{Error, Result, Strategy};

/// The table property that says how large files should be.
const TARGET_PROPERTY: &str = "write.target-file-size-bytes";

/// Every option there is.
pub const NAMES: &[&str] = &[
    "target-file-size-bytes",
    "min-file-size-bytes",
    "max-file-size-bytes",
    "min-input-files",
    "max-file-group-size-bytes",
    "max-file-group-input-files",
    "rewrite-all",
    "delete-file-threshold",
    "delete-ratio-threshold",
    "max-files-to-rewrite",
    "max-concurrent-file-group-rewrites",
    "partial-progress.enabled",
    "partial-progress.max-commits",
    "partial-progress.max-failed-commits",
    "use-starting-sequence-number",
    "rewrite-job-order",
    "output-spec-id",
    "remove-dangling-deletes",
    "compression-factor",
    "shuffle-partitions-per-file",
    "var-length-contribution",
    "max-output-size",
    "row-group-copy.enabled",
    "row-group-copy.min-row-group-bytes",
];

/// From which size on row groups are copied, unless said otherwise (as in Amoro's
/// `self-optimizing.rewrite.use-parquet-row-group-merge`).
const MIN_COPIED_ROW_GROUP_BYTES: u64 = 8 * 1024 * 1024;

/// The table property that says how large delete files should be, and what it is unless said otherwise.
const DELETE_TARGET: (&str, u64) = ("write.delete.target-file-size-bytes", 64 * 1024 * 1024);

/// Those of them that rewriting delete files has.
const OF_DELETES: &[&str] = &[
    "target-file-size-bytes",
    "min-file-size-bytes",
    "max-file-size-bytes",
    "min-input-files",
    "max-file-group-size-bytes",
    "max-file-group-input-files",
    "rewrite-all",
    "partial-progress.enabled",
    "partial-progress.max-commits",
    "partial-progress.max-failed-commits",
];

/// Those of them that mean something only where rows are sorted.
const OF_SORT: &[&str] = &["compression-factor", "shuffle-partitions-per-file"];

/// Those of them that mean something only where rows lie along a Z-order curve.
const OF_Z_ORDER: &[&str] = &["var-length-contribution", "max-output-size"];

/// In which order groups are rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobOrder {
    /// As they are found.
    #[default]
    None,
    /// The smallest first.
    BytesAsc,
    /// The largest first.
    BytesDesc,
    /// Those of the fewest files first.
    FilesAsc,
    /// Those of the most files first.
    FilesDesc,
}

/// How files are chosen, grouped and committed.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own, as in Spark"
)]
pub struct RewriteOptions {
    /// How large new files should be, in bytes. Default: `write.target-file-size-bytes`, 512 MiB.
    pub target_file_size_bytes: u64,
    /// Smaller files are rewritten. Default: 0.75 of the target.
    pub min_file_size_bytes: u64,
    /// Larger files are rewritten. Default: 1.8 times the target.
    pub max_file_size_bytes: u64,
    /// So many files together are worth rewriting, whatever their size. Default: 5.
    pub min_input_files: usize,
    /// The most bytes of one group. Default: 100 GiB.
    pub max_file_group_size_bytes: u64,
    /// The most files of one group. Default: no bound.
    pub max_file_group_input_files: usize,
    /// Rewrites every file. Default: no.
    pub rewrite_all: bool,
    /// A file with so many delete files is rewritten. Default: never.
    pub delete_file_threshold: usize,
    /// A file of which such a part is deleted by delete files of its own is rewritten. Default: 0.3.
    pub delete_ratio_threshold: f64,
    /// The most files that are rewritten. Default: no bound.
    pub max_files_to_rewrite: Option<usize>,
    /// How many groups are rewritten at once. Default: 5.
    pub max_concurrent_file_group_rewrites: usize,
    /// Whether groups are committed as they come, in several commits. Default: no.
    pub partial_progress: bool,
    /// In how many commits. Default: 10.
    pub max_commits: usize,
    /// How many of them may fail. Default: all.
    pub max_failed_commits: usize,
    /// Whether new files carry the sequence number of the snapshot that was read, so that equality
    /// deletes which are committed meanwhile go on applying to them. Default: yes.
    pub use_starting_sequence_number: bool,
    /// In which order groups are rewritten. Default: as they are found.
    pub job_order: JobOrder,
    /// The partition spec that new files are of. Default: the table's current one.
    pub output_spec_id: Option<i32>,
    /// Whether delete files that apply to nothing are removed at the end, in a commit of their own. Default: no.
    pub remove_dangling_deletes: bool,
    /// How many times as large as their files sorted rows are expected to come out. Default: 1.
    pub compression_factor: f64,
    /// How many bytes of a text or a binary count on a Z-order curve. Default: 8.
    pub var_length_contribution: usize,
    /// The most bytes of a place on a Z-order curve. Default: 2147483647.
    pub max_output_size: usize,
    /// Whether large row groups are put together as they are, without decoding, where nothing else is to be done to
    /// their rows. No option of Spark's. Default: yes.
    pub row_group_copy: bool,
    /// How large, in bytes, they have to be on average. Default: 8 MiB.
    pub min_copied_row_group_bytes: u64,
}

impl RewriteOptions {
    /// Reads options; those that are not given come from the table's properties or are Spark's defaults.
    ///
    /// # Errors
    /// When an option is not known, or a value makes no sense.
    pub fn new(
        given: &BTreeMap<String, String>,
        table: &std::collections::HashMap<String, String>,
    ) -> Result<Self> {
        let target = (TARGET_PROPERTY, DEFAULT_TARGET_FILE_BYTES);
        Self::with_target((given, NAMES), table, target)
    }

    /// The same for rewriting delete files, which has fewer options.
    ///
    /// # Errors
    /// As [`RewriteOptions::new`].
    pub(crate) fn for_deletes(
        given: &BTreeMap<String, String>,
        table: &std::collections::HashMap<String, String>,
    ) -> Result<Self> {
        Self::with_target((given, OF_DELETES), table, DELETE_TARGET)
    }

    fn with_target(
        (given, names): (&BTreeMap<String, String>, &'static [&'static str]),
        table: &std::collections::HashMap<String, String>,
        (property, default): (&str, u64),
    ) -> Result<Self> {
        if let Some(name) = given.keys().find(|name| !names.contains(&name.as_str())) {
            let name = name.clone();
            return Err(Error::NoSuchOption { name, names });
        }
        let given = Given(given);
        let target = match table.get(property) {
            Some(text) => parse(property, text)?,
            None => default,
        };
        let target = given.number("target-file-size-bytes", target)?;
        let max_commits = given.number("partial-progress.max-commits", 10)?;
        let options = Self {
            target_file_size_bytes: target,
            min_file_size_bytes: given.number("min-file-size-bytes", part(target, 75))?,
            max_file_size_bytes: given.number("max-file-size-bytes", part(target, 180))?,
            min_input_files: given.number("min-input-files", 5)?,
            max_file_group_size_bytes: given.number("max-file-group-size-bytes", 100 << 30)?,
            max_file_group_input_files: given.number("max-file-group-input-files", usize::MAX)?,
            rewrite_all: given.number("rewrite-all", false)?,
            delete_file_threshold: given.number("delete-file-threshold", usize::MAX)?,
            delete_ratio_threshold: given.number("delete-ratio-threshold", 0.3)?,
            max_files_to_rewrite: given.optional("max-files-to-rewrite")?,
            max_concurrent_file_group_rewrites: given
                .number("max-concurrent-file-group-rewrites", 5)?,
            partial_progress: given.number("partial-progress.enabled", false)?,
            max_commits,
            max_failed_commits: given.number("partial-progress.max-failed-commits", max_commits)?,
            use_starting_sequence_number: given.number("use-starting-sequence-number", true)?,
            job_order: given.number("rewrite-job-order", JobOrder::None)?,
            output_spec_id: given.optional("output-spec-id")?,
            remove_dangling_deletes: given.number("remove-dangling-deletes", false)?,
            compression_factor: given.number("compression-factor", 1.0)?,
            var_length_contribution: given.number("var-length-contribution", 8)?,
            max_output_size: given.number("max-output-size", 2_147_483_647)?,
            row_group_copy: given.number("row-group-copy.enabled", true)?,
            min_copied_row_group_bytes: given.number(
                "row-group-copy.min-row-group-bytes",
                MIN_COPIED_ROW_GROUP_BYTES,
            )?,
        };
        if given.number("shuffle-partitions-per-file", 1_u32)? != 1 {
            tracing::warn!("shuffle-partitions-per-file has no effect: rows are not shuffled");
        }
        options.check()?;
        Ok(options)
    }

    /// Refuses options of other strategies than the one that is chosen.
    ///
    /// # Errors
    /// When there is one.
    pub(crate) fn check_strategy(
        given: &BTreeMap<String, String>,
        strategy: &Strategy,
    ) -> Result<()> {
        for (name, value) in given {
            let problem = if OF_SORT.contains(&name.as_str()) && !strategy.sorts() {
                "it is an option of sorting and Z-order only"
            } else if OF_Z_ORDER.contains(&name.as_str())
                && !matches!(strategy, Strategy::ZOrder(_))
            {
                "it is an option of Z-order only"
            } else {
                continue;
            };
            return Err(Error::Option {
                name: name.clone(),
                value: value.clone(),
                problem: problem.to_owned(),
            });
        }
        Ok(())
    }

    /// How many files so many bytes of input become, rows sorted.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an expectation need not be exact"
    )]
    pub(crate) fn expected_of_input(&self, input_bytes: u64) -> u64 {
        self.expected_output_files((input_bytes as f64 * self.compression_factor) as u64)
    }

    fn check(&self) -> Result<()> {
        let (min, max) = (self.min_file_size_bytes, self.max_file_size_bytes);
        let target = self.target_file_size_bytes;
        let wrong = |name: &str, value: String, problem: &str| {
            Err(Error::Option {
                name: name.to_owned(),
                value,
                problem: problem.to_owned(),
            })
        };
        if target == 0 || target <= min {
            return wrong(
                "target-file-size-bytes",
                target.to_string(),
                &format!("it must be above min-file-size-bytes, {min}"),
            );
        }
        if target >= max {
            return wrong(
                "target-file-size-bytes",
                target.to_string(),
                &format!("it must be below max-file-size-bytes, {max}"),
            );
        }
        let ratio = self.delete_ratio_threshold;
        if !(ratio > 0.0 && ratio <= 1.0) {
            return wrong(
                "delete-ratio-threshold",
                ratio.to_string(),
                "it must be above 0 and up to 1",
            );
        }
        let factor = self.compression_factor;
        if !(factor > 0.0 && factor.is_finite()) {
            return wrong(
                "compression-factor",
                factor.to_string(),
                "it must be above 0",
            );
        }
        let positive = [
            ("var-length-contribution", self.var_length_contribution),
            ("max-output-size", self.max_output_size),
            ("min-input-files", self.min_input_files),
            ("delete-file-threshold", self.delete_file_threshold),
            (
                "max-file-group-input-files",
                self.max_file_group_input_files,
            ),
            (
                "max-concurrent-file-group-rewrites",
                self.max_concurrent_file_group_rewrites,
            ),
            ("partial-progress.max-commits", self.max_commits),
            (
                "max-files-to-rewrite",
                self.max_files_to_rewrite.unwrap_or(1),
            ),
        ];
        if let Some((name, value)) = positive.iter().find(|(_, value)| *value == 0) {
            return wrong(name, value.to_string(), "it must be above 0");
        }
        if self.max_file_group_size_bytes == 0 {
            return wrong(
                "max-file-group-size-bytes",
                "0".to_owned(),
                "it must be above 0",
            );
        }
        Ok(())
    }

    /// How large a new file may be at most: above the target, so that a little that is left goes with the
    /// others instead of into a small file of its own.
    pub fn write_max_file_size(&self) -> u64 {
        let target = self.target_file_size_bytes;
        target + (self.max_file_size_bytes - target) / 2
    }

    /// How many files so many bytes become: what is left over makes one more where it is large enough, or is
    /// spread over the others where that makes none of them too large.
    pub fn expected_output_files(&self, input_bytes: u64) -> u64 {
        let target = self.target_file_size_bytes;
        if input_bytes < target {
            return 1;
        }
        let (without, with) = (input_bytes / target, input_bytes.div_ceil(target));
        if input_bytes % target > self.min_file_size_bytes {
            return with;
        }
        if input_bytes / without < part(target, 110).min(self.write_max_file_size()) {
            without
        } else {
            with
        }
    }
}

/// A percentage of a number, rounded down.
fn part(number: u64, percent: u64) -> u64 {
    u64::try_from(u128::from(number) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

struct Given<'a>(&'a BTreeMap<String, String>);

impl Given<'_> {
    fn number<T: FromStr<Err: std::fmt::Display>>(&self, name: &str, default: T) -> Result<T> {
        Ok(self.optional(name)?.unwrap_or(default))
    }

    fn optional<T: FromStr<Err: std::fmt::Display>>(&self, name: &str) -> Result<Option<T>> {
        let text = self.0.get(name);
        text.map(|text| parse(name, text)).transpose()
    }
}

fn parse<T: FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T> {
    text.trim()
        .parse()
        .map_err(|problem: T::Err| Error::Option {
            name: name.to_owned(),
            value: text.to_owned(),
            problem: problem.to_string(),
        })
}

impl FromStr for JobOrder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text.to_lowercase().as_str() {
            "none" => Self::None,
            "bytes-asc" => Self::BytesAsc,
            "bytes-desc" => Self::BytesDesc,
            "files-asc" => Self::FilesAsc,
            "files-desc" => Self::FilesDesc,
            _ => {
                return Err("write none, bytes-asc, bytes-desc, files-asc or files-desc".to_owned());
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn options(given: &[(&str, &str)]) -> Result<RewriteOptions> {
        let given = given.iter();
        let given = given.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        RewriteOptions::new(&given.collect(), &HashMap::new())
    }

    #[test]
    fn defaults_are_sparks() {
        let found = options(&[]).unwrap();
        assert_eq!(found.target_file_size_bytes, 536_870_912);
        assert_eq!(found.min_file_size_bytes, 402_653_184);
        assert_eq!(found.max_file_size_bytes, 966_367_641);
        assert_eq!(found.write_max_file_size(), 751_619_276);
        let table = HashMap::from([(TARGET_PROPERTY.to_owned(), "1000".to_owned())]);
        let found = RewriteOptions::new(&BTreeMap::new(), &table).unwrap();
        assert_eq!(
            (found.min_file_size_bytes, found.max_file_size_bytes),
            (750, 1800)
        );
    }

    #[track_caller]
    fn check_refused(given: (&str, &str), expected: &str) {
        assert_eq!(options(&[given]).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        check_refused(("no-such", "1"), "there is no option `no-such`");
        check_refused(
            ("partial-progress.max-commits", "0"),
            "option partial-progress.max-commits=0: it must be above 0",
        );
        check_refused(
            ("max-concurrent-file-group-rewrites", "0"),
            "option max-concurrent-file-group-rewrites=0: it must be above 0",
        );
        check_refused(
            ("rewrite-job-order", "best"),
            "option rewrite-job-order=best: write none, bytes-asc, bytes-desc, files-asc or files-desc",
        );
        check_refused(
            ("target-file-size-bytes", "many"),
            "option target-file-size-bytes=many: invalid digit found in string",
        );
        check_refused(
            ("min-file-size-bytes", "536870912"),
            "option target-file-size-bytes=536870912: it must be above min-file-size-bytes, 536870912",
        );
        check_refused(
            ("max-file-size-bytes", "536870912"),
            "option target-file-size-bytes=536870912: it must be below max-file-size-bytes, 536870912",
        );
        check_refused(
            ("delete-ratio-threshold", "0"),
            "option delete-ratio-threshold=0: it must be above 0 and up to 1",
        );
    }

    /// The cases of Iceberg's `testExpectedOutputFiles`: target 500, minimum 100, maximum 1000 (MB).
    #[test]
    fn expected_files() {
        let found = options(&[
            ("target-file-size-bytes", "500"),
            ("min-file-size-bytes", "100"),
            ("max-file-size-bytes", "1000"),
        ]);
        let found = found.unwrap();
        for (input, expected) in [
            (1, 1),
            (499, 1),
            (500, 1),
            // The rest is too small for a file of its own, and is spread.
            (530, 1),
            (1_010, 2),
            (1_099, 2),
            (1_150, 3),
            (1_601, 4),
            (1_650, 4),
        ] {
            assert_eq!(found.expected_output_files(input), expected, "{input}");
        }
    }
}
