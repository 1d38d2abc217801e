use calve_base::Failure;

/// What can go wrong while a Parquet footer is read and understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file's schema does not fit the table's.
    #[error("column `{column}`: {problem}")]
    Column {
        /// The path of the column, its names joined by dots.
        column: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The footer contradicts itself.
    #[error("footer: {problem}")]
    Footer {
        /// What is wrong with it.
        problem: String,
    },
    /// A table property is wrong.
    #[error("property `{property}`: {problem}")]
    Property {
        /// The property.
        property: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A column of the file cannot be read as the table's type.
    #[error("column `{column}` is `{file_type}` in the file and `{table_type}` in the table")]
    TypeConflict {
        /// The path of the column, its names joined by dots.
        column: String,
        /// The type in the file.
        file_type: String,
        /// The type in the table, or in the files before this one.
        table_type: String,
    },
    /// Two columns of one file are the same field of the table.
    #[error("columns `{first}` and `{second}` of the file are both column `{column}`")]
    SameField {
        /// The path of the column in the table.
        column: String,
        /// The path of the first column in the file.
        first: String,
        /// The path of the second column in the file.
        second: String,
    },
    /// The file lacks a column that the table requires.
    #[error("the file lacks column `{column}`, which the table requires")]
    MissingRequired {
        /// The path of the column.
        column: String,
    },
    /// The file has columns that the table does not have.
    #[error("the file has columns that the table lacks: {}", quoted(columns))]
    ExtraColumns {
        /// The paths of the columns in the file.
        columns: Vec<String>,
    },
    /// The field ids in the file contradict the table or each other.
    #[error("{}{problem}", of_column(column))]
    FieldIds {
        /// The path of the column; empty for the whole file.
        column: String,
        /// What is wrong with the ids.
        problem: String,
    },
    /// A column has a type that cannot be read in place.
    #[error("column `{column}` cannot be read in place")]
    Unreadable {
        /// The path of the column, its names joined by dots.
        column: String,
    },
    /// The text of a Hive type cannot be understood, or has no Iceberg type.
    #[error("Hive type `{text}`: {problem}")]
    HiveType {
        /// The whole text of the type.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A name mapping contradicts itself or is not one.
    #[error("name mapping: {problem}")]
    NameMapping {
        /// What is wrong with it.
        problem: String,
    },
    /// The columns do not make a valid Iceberg schema.
    #[error("the columns make no valid table schema")]
    Schema {
        /// What the `iceberg` crate says of it.
        source: Box<iceberg::Error>,
    },
}

impl Error {
    /// The path of the column that the error is about, if it is about one.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Column { column, .. }
            | Self::TypeConflict { column, .. }
            | Self::SameField { column, .. }
            | Self::MissingRequired { column }
            | Self::FieldIds { column, .. }
            | Self::Unreadable { column } => Some(column.as_str()),
            Self::ExtraColumns { columns } => columns.first().map(String::as_str),
            _ => None,
        }
        .filter(|column| !column.is_empty())
    }

    /// A stable name of the kind of error, for reports.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Column { .. } => "column",
            Self::Footer { .. } => "footer",
            Self::Property { .. } => "property",
            Self::TypeConflict { .. } => "type_conflict",
            Self::SameField { .. } => "same_field",
            Self::MissingRequired { .. } => "missing_required",
            Self::ExtraColumns { .. } => "extra_columns",
            Self::FieldIds { .. } => "field_ids",
            Self::Unreadable { .. } => "unreadable",
            Self::HiveType { .. } => "hive_type",
            Self::NameMapping { .. } => "name_mapping",
            Self::Schema { .. } => "schema",
        }
    }
}

/// What the functions of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Failure for Error {
    fn hint(&self) -> Option<String> {
        match self {
            Self::TypeConflict { .. } => Some(
                "rewrite the files with `ctas`, which casts, or add them to another table".into(),
            ),
            Self::SameField { .. } => Some(
                "rewrite the file with `ctas`, selecting the columns under distinct names".into(),
            ),
            Self::MissingRequired { .. } => Some("make the column of the table optional".into()),
            Self::ExtraColumns { .. } => {
                Some("add the columns to the table first, or let extra columns be ignored".into())
            }
            Self::FieldIds { .. } => {
                Some("rewrite the files with `ctas`, which gives new ids".into())
            }
            Self::Unreadable { .. } => Some("rewrite the files with `ctas`".into()),
            _ => None,
        }
    }
}

fn quoted(columns: &[String]) -> String {
    let quoted: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
    quoted.join(", ")
}

fn of_column(column: &str) -> String {
    if column.is_empty() {
        return String::new();
    }
    format!("column `{column}`: ")
}
