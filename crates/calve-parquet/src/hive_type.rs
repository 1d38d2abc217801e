//! Hive's type names (`struct<a:int,b:array<string>>`), as Glue and Hive tables have them.

use iceberg::spec::PrimitiveType;

use crate::error::{Error, Result};
use crate::policy::{Finding, FindingCode, Severity};

/// Types nested deeper than this are refused.
const MAX_DEPTH: usize = 64;
/// What `decimal` without digits means in Hive.
const DEFAULT_DECIMAL: (u32, u32) = (10, 0);

/// A column of a Hive or Glue table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HiveColumn {
    /// Its name.
    pub name: String,
    /// Its type, in Hive's words.
    pub hive_type: String,
    /// What the catalog says about it.
    pub comment: Option<String>,
}

/// A type of a Hive or Glue table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HiveType {
    /// A type that has one Iceberg type.
    Primitive(PrimitiveType),
    /// `char(n)` or `varchar(n)`, as written.
    PaddedText(String),
    /// `timestamp`: with or without a zone, as the files say.
    Timestamp,
    /// `binary`: bytes, whatever the files say they are.
    Binary,
    /// `array<…>`.
    List(Box<Self>),
    /// `map<…,…>`.
    Map(Box<Self>, Box<Self>),
    /// `struct<…>`.
    Struct(Vec<HiveField>),
}

/// A field of a Hive struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiveField {
    /// Its name.
    pub name: String,
    /// Its type.
    pub hive_type: HiveType,
    /// Its comment.
    pub comment: Option<String>,
}

impl HiveType {
    /// Reads the text of a type.
    ///
    /// # Errors
    /// When it is not a type, or one that Iceberg has nothing for (`uniontype`, intervals, `void`).
    pub fn parse(text: &str) -> Result<Self> {
        let mut parser = Parser {
            text,
            rest: text,
            depth: 0,
        };
        let (parsed, comment) = parser.any_type()?;
        if comment.is_some() || !parser.rest.is_empty() {
            return Err(parser.wrong("something follows the type"));
        }
        Ok(parsed)
    }

    /// The Iceberg type of a primitive: `timestamp` is without a zone. `None` for lists, maps and structs.
    pub fn as_primitive(&self) -> Option<PrimitiveType> {
        match self {
            Self::Primitive(primitive) => Some(primitive.clone()),
            Self::PaddedText(_) => Some(PrimitiveType::String),
            Self::Timestamp => Some(PrimitiveType::Timestamp),
            Self::Binary => Some(PrimitiveType::Binary),
            Self::List(_) | Self::Map(..) | Self::Struct(_) => None,
        }
    }

    /// What is worth knowing of a column of this type, when it becomes one of Iceberg's.
    pub fn findings(&self, column: &str) -> Vec<Finding> {
        match self {
            Self::Primitive(_) | Self::Timestamp | Self::Binary => Vec::new(),
            Self::PaddedText(written) => vec![Finding {
                severity: Severity::Note,
                code: FindingCode::PaddedText,
                column: column.to_owned(),
                message: format!(
                    "`{column}` is {written} in the catalog and becomes `string`, which neither pads nor limits its values"
                ),
            }],
            Self::List(element) => element.findings(&format!("{column}.element")),
            Self::Map(key, value) => {
                let mut findings = key.findings(&format!("{column}.key"));
                findings.extend(value.findings(&format!("{column}.value")));
                findings
            }
            Self::Struct(fields) => fields
                .iter()
                .flat_map(|field| {
                    field
                        .hive_type
                        .findings(&format!("{column}.{}", field.name))
                })
                .collect(),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    /// A type, and the comment behind it (only a struct's fields have one).
    fn any_type(&mut self) -> Result<(HiveType, Option<String>)> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.wrong("it is nested too deep"));
        }
        let word = self.word();
        let (name, commented) = match word.strip_suffix(" comment") {
            Some(name) => (name.to_owned(), true),
            None => (word, false),
        };
        let parsed = match name.as_str() {
            "array" => {
                self.expect('<')?;
                let element = self.inner_type()?;
                self.expect('>')?;
                HiveType::List(Box::new(element))
            }
            "map" => {
                self.expect('<')?;
                let key = self.inner_type()?;
                self.expect(',')?;
                let value = self.inner_type()?;
                self.expect('>')?;
                HiveType::Map(Box::new(key), Box::new(value))
            }
            "struct" => self.fields()?,
            _ => self.primitive(&name)?,
        };
        self.depth -= 1;
        let comment = if commented || self.keyword("comment") {
            Some(self.quoted()?)
        } else {
            None
        };
        Ok((parsed, comment))
    }

    fn inner_type(&mut self) -> Result<HiveType> {
        let (parsed, comment) = self.any_type()?;
        if comment.is_some() {
            return Err(self.wrong("only fields of a struct have comments"));
        }
        Ok(parsed)
    }

    fn fields(&mut self) -> Result<HiveType> {
        self.expect('<')?;
        let mut fields = Vec::new();
        loop {
            let name = self.field_name()?;
            let (hive_type, comment) = self.any_type()?;
            fields.push(HiveField {
                name,
                hive_type,
                comment,
            });
            if !self.eat(',') {
                break;
            }
        }
        self.expect('>')?;
        Ok(HiveType::Struct(fields))
    }

    /// A field's name and the colon behind it; in backquotes where it has unusual characters.
    fn field_name(&mut self) -> Result<String> {
        self.rest = self.rest.trim_start();
        if let Some(quoted) = self.rest.strip_prefix('`') {
            let end = self.find(quoted, '`')?;
            self.rest = &quoted[end + 1..];
            self.expect(':')?;
            return Ok(quoted[..end].to_owned());
        }
        let end = self.find(self.rest, ':')?;
        let name = self.rest[..end].trim().to_owned();
        self.rest = &self.rest[end + 1..];
        if name.is_empty() {
            return Err(self.wrong("a field has no name"));
        }
        Ok(name)
    }

    fn primitive(&mut self, name: &str) -> Result<HiveType> {
        let primitive = match name {
            "boolean" => PrimitiveType::Boolean,
            "tinyint" | "smallint" | "int" | "integer" | "byte" | "short" => PrimitiveType::Int,
            "bigint" | "long" => PrimitiveType::Long,
            "float" | "real" => PrimitiveType::Float,
            "double" | "double precision" => PrimitiveType::Double,
            "date" => PrimitiveType::Date,
            "string" => PrimitiveType::String,
            "timestamp with local time zone" | "timestamp_ltz" => PrimitiveType::Timestamptz,
            "timestamp_ntz" => PrimitiveType::Timestamp,
            "timestamp" => return Ok(HiveType::Timestamp),
            "binary" => return Ok(HiveType::Binary),
            "decimal" | "numeric" | "dec" => {
                let (precision, scale) = match self.numbers()?.as_slice() {
                    [] => DEFAULT_DECIMAL,
                    [precision] => (*precision, 0),
                    [precision, scale] => (*precision, *scale),
                    _ => return Err(self.wrong("a decimal has a precision and a scale")),
                };
                if !(1..=38).contains(&precision) || scale > precision {
                    return Err(
                        self.wrong("a decimal has 1 to 38 digits, and its scale is not more")
                    );
                }
                PrimitiveType::Decimal { precision, scale }
            }
            "char" | "varchar" => {
                let written = match self.numbers()?.as_slice() {
                    [] => name.to_owned(),
                    [length] => format!("{name}({length})"),
                    _ => return Err(self.wrong("text has one length")),
                };
                return Ok(HiveType::PaddedText(written));
            }
            "" => return Err(self.wrong("a type is missing")),
            other => {
                let problem = format!("Iceberg has no type for `{other}`");
                return Err(self.wrong(&problem));
            }
        };
        Ok(HiveType::Primitive(primitive))
    }

    /// The numbers in parentheses behind a type, if there are any.
    fn numbers(&mut self) -> Result<Vec<u32>> {
        if !self.eat('(') {
            return Ok(Vec::new());
        }
        let end = self.find(self.rest, ')')?;
        let numbers = self.rest[..end]
            .split(',')
            .map(|number| number.trim().parse())
            .collect::<Result<_, _>>()
            .map_err(|_| self.wrong("what stands in parentheses is no number"))?;
        self.rest = &self.rest[end + 1..];
        Ok(numbers)
    }

    /// Words of letters, digits and underscores, in lower case, with one space between them.
    fn word(&mut self) -> String {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c.is_whitespace();
        let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        let words: Vec<&str> = word.split_whitespace().collect();
        words.join(" ").to_lowercase()
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let rest = self.rest.trim_start();
        let found = rest
            .get(..keyword.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(keyword));
        self.rest = if found { &rest[keyword.len()..] } else { rest };
        found
    }

    fn quoted(&mut self) -> Result<String> {
        let rest = self.rest.trim_start();
        let Some(quote @ ('\'' | '"')) = rest.chars().next() else {
            return Err(self.wrong("a comment is not in quotes"));
        };
        let inner = &rest[1..];
        let end = self.find(inner, quote)?;
        self.rest = inner[end + 1..].trim_start();
        Ok(inner[..end].to_owned())
    }

    fn find(&self, text: &'a str, wanted: char) -> Result<usize> {
        text.find(wanted)
            .ok_or_else(|| self.wrong(&format!("`{wanted}` is missing")))
    }

    fn eat(&mut self, wanted: char) -> bool {
        let rest = self.rest.trim_start();
        let found = rest.strip_prefix(wanted);
        self.rest = found.unwrap_or(rest);
        found.is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<()> {
        if self.eat(wanted) {
            return Ok(());
        }
        Err(self.wrong(&format!("`{wanted}` is missing")))
    }

    fn wrong(&self, problem: &str) -> Error {
        Error::HiveType {
            text: self.text.to_owned(),
            problem: problem.to_owned(),
        }
    }
}
