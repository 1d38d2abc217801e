//! What a reader of XML must be told, with the defaults of the field.

/// What is done with namespace prefixes of element and attribute names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Namespaces {
    /// The prefix goes, `xmlns` attributes stay ordinary attributes (spark-xml's `ignoreNamespace`).
    Strip,
    /// Names stay as they are written.
    #[default]
    Keep,
    /// The prefix becomes the namespace's name: `{http://…}pos`.
    Expand,
}

/// What becomes of rows that are malformed or do not fit the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Values that do not fit are null; the row's text goes into the corrupt-record column.
    #[default]
    Permissive,
    /// The row is dropped and counted.
    DropMalformed,
    /// The run ends with an error.
    FailFast,
}

/// How deep, long and many things may be, against hostile documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The deepest nesting of elements.
    pub depth: usize,
    /// The longest name, in bytes.
    pub name_bytes: usize,
    /// The longest attributes of one tag, together, in bytes.
    pub attribute_bytes: usize,
    /// The most attributes of one tag.
    pub attributes: usize,
    /// How many bytes the document's own entities may add, all replacements together.
    pub entity_expansion_bytes: u64,
    /// The largest row, in bytes; it must fit into memory.
    pub row_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            depth: 512,
            name_bytes: 4 * 1024,
            attribute_bytes: 64 * 1024 * 1024,
            attributes: 10_000,
            entity_expansion_bytes: 16 * 1024 * 1024,
            row_bytes: 256 * 1024 * 1024,
        }
    }
}

/// How a document's rows are found and mapped to columns.
///
/// Names and defaults are Spark's (`XmlOptions`), where Spark has them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of its own"
)]
pub struct XmlOptions {
    /// The element that is a row: a name (`book`) or a path from the root (`response/row/row`). A name may be
    /// `{namespace}name`; others match in any namespace unless names are kept as they are written.
    pub row_tag: String,
    /// Before the names of attributes. Default: `_`.
    pub attribute_prefix: String,
    /// Whether attributes are left out. Default: no.
    pub exclude_attributes: bool,
    /// The name of an element's own text beside attributes or children. Default: `_VALUE`.
    pub value_tag: String,
    /// The text that means null, beside a missing element. Default: none.
    pub null_value: Option<String>,
    /// Whether empty and white-space-only values are null. Default: no.
    pub treat_empty_values_as_nulls: bool,
    /// Whether white space around values is dropped (except below `xml:space="preserve"`). Default: yes,
    /// as Spark 4.
    pub ignore_surrounding_spaces: bool,
    /// What is done with namespace prefixes. Default: kept.
    pub namespaces: Namespaces,
    /// What becomes of bad rows. Default: permissive.
    pub mode: Mode,
    /// The column that takes the text of bad rows, when the schema has it or it is inferred.
    /// Default: `_corrupt_record`.
    pub corrupt_record_column: String,
    /// The column that takes, as JSON, what no other column does and values that do not fit theirs, so
    /// that neither makes a row a bad one (Databricks' `rescuedDataColumn`). Default: none.
    pub rescued_data_column: Option<String>,
    /// Whether columns are found by the exact names only; else a name that differs from a single
    /// column's by case is that column's. Default: no, as in Spark.
    pub case_sensitive: bool,
    /// The column, at any level of a given schema, that takes the elements which no other column does.
    /// Default: `xs_any`.
    pub wildcard_column: String,
    /// The encoding, where the document itself is silent or wrong; a name of the WHATWG encoding
    /// standard. Default: the byte-order mark, then the declaration, then UTF-8.
    pub encoding: Option<String>,
    /// The pattern of dates (Spark's letters), tried first. Default: ISO 8601.
    pub date_format: Option<String>,
    /// The pattern of timestamps with a zone. Default: ISO 8601.
    pub timestamp_format: Option<String>,
    /// The pattern of timestamps without a zone. Default: ISO 8601.
    pub timestamp_ntz_format: Option<String>,
    /// The zone of timestamps that name none, as an offset (`+01:00`) or IANA name. Default: UTC.
    pub time_zone: String,
    /// Limits against hostile documents.
    pub limits: Limits,
}

impl XmlOptions {
    /// The defaults, for this row tag.
    pub fn new(row_tag: impl Into<String>) -> Self {
        Self {
            row_tag: row_tag.into(),
            attribute_prefix: "_".to_owned(),
            exclude_attributes: false,
            value_tag: "_VALUE".to_owned(),
            null_value: None,
            treat_empty_values_as_nulls: false,
            ignore_surrounding_spaces: true,
            namespaces: Namespaces::default(),
            mode: Mode::default(),
            corrupt_record_column: "_corrupt_record".to_owned(),
            rescued_data_column: None,
            case_sensitive: false,
            wildcard_column: "xs_any".to_owned(),
            encoding: None,
            date_format: None,
            timestamp_format: None,
            timestamp_ntz_format: None,
            time_zone: "UTC".to_owned(),
            limits: Limits::default(),
        }
    }
}
