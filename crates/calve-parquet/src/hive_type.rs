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

#[cfg(test)]
mod tests {
    use super::{HiveColumn, HiveType};
    use crate::union::SchemaUnion;

    /// Checks what a column of a Hive type becomes, and the codes of the findings.
    #[track_caller]
    fn check(hive_type: &str, iceberg: &str, findings: &str) {
        let mut union = SchemaUnion::for_new_table(&[]);
        let column = HiveColumn {
            name: "a".into(),
            hive_type: hive_type.into(),
            comment: None,
        };
        let found = union.seed(&[column]).unwrap();
        let schema = union.schema().unwrap();
        let field = &schema.as_struct().fields()[0];
        assert_eq!(crate::types::type_text(&field.field_type), iceberg);
        let found: Vec<String> = found
            .iter()
            .map(|finding| format!("{:?} {}", finding.code, finding.column))
            .collect();
        assert_eq!(found.join(", "), findings);
    }

    #[track_caller]
    fn check_wrong(hive_type: &str, message: &str) {
        let error = HiveType::parse(hive_type).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("Hive type `{hive_type}`: {message}")
        );
    }

    #[test]
    fn primitives() {
        check("boolean", "boolean", "");
        for small in ["tinyint", "smallint", "int", "integer", " INT "] {
            check(small, "int", "");
        }
        check("bigint", "long", "");
        check("float", "float", "");
        check("double", "double", "");
        check("double  precision", "double", "");
        check("date", "date", "");
        check("string", "string", "");
        check("binary", "binary", "");
        check("timestamp", "timestamp", "");
        check("timestamp with local time zone", "timestamptz", "");
        check("decimal", "decimal(10, 0)", "");
        check("decimal(12)", "decimal(12, 0)", "");
        check("decimal(12, 2)", "decimal(12, 2)", "");
        check("DECIMAL(38,38)", "decimal(38, 38)", "");
    }

    #[test]
    fn text_of_limited_length() {
        check("char(10)", "string", "PaddedText a");
        check("varchar(65535)", "string", "PaddedText a");
        check(
            "struct<b:char(1),c:array<varchar(2)>,d:map<string,varchar(3)>>",
            "struct<b:string,c:array<string>,d:map<string,string>>",
            "PaddedText a.b, PaddedText a.c.element, PaddedText a.d.value",
        );
    }

    #[test]
    fn nested_types() {
        check("array<int>", "array<int>", "");
        check(
            "map<string,array<decimal(5,2)>>",
            "map<string,array<decimal(5, 2)>>",
            "",
        );
        check(
            "struct<a:int,b:array<string>,C:struct<d:bigint>>",
            "struct<a:int,b:array<string>,C:struct<d:long>>",
            "",
        );
        check(
            "struct< a : int , b : map< int , int > >",
            "struct<a:int,b:map<int,int>>",
            "",
        );
        check(
            "struct<`a:b,c`:int,my name:int>",
            "struct<a:b,c:int,my name:int>",
            "",
        );
        check("struct<über$x:int>", "struct<über$x:int>", "");
    }

    #[test]
    fn comments_of_fields() {
        let parsed = HiveType::parse(
            "struct<a:int COMMENT 'one, > two',b:array<int> comment \"x\",c:decimal(3,1) comment ''>",
        )
        .unwrap();
        let HiveType::Struct(fields) = parsed else {
            panic!("{parsed:?}");
        };
        let comments: Vec<_> = fields
            .iter()
            .map(|field| field.comment.as_deref())
            .collect();
        assert_eq!(comments, [Some("one, > two"), Some("x"), Some("")]);
        assert_eq!(fields[2].name, "c");
    }

    #[test]
    fn what_is_no_type() {
        check_wrong("", "a type is missing");
        check_wrong(
            "uniontype<int,string>",
            "Iceberg has no type for `uniontype`",
        );
        check_wrong(
            "interval_day_time",
            "Iceberg has no type for `interval_day_time`",
        );
        check_wrong("void", "Iceberg has no type for `void`");
        check_wrong("int>", "something follows the type");
        check_wrong("array<int", "`>` is missing");
        check_wrong("map<int>", "`,` is missing");
        check_wrong("struct<>", "`:` is missing");
        check_wrong("struct<:int>", "a field has no name");
        check_wrong("struct<a:int", "`>` is missing");
        check_wrong(
            "decimal(39,1)",
            "a decimal has 1 to 38 digits, and its scale is not more",
        );
        check_wrong(
            "decimal(3,4)",
            "a decimal has 1 to 38 digits, and its scale is not more",
        );
        check_wrong("decimal(x)", "what stands in parentheses is no number");
        check_wrong("char(1,2)", "text has one length");
        check_wrong("int comment 'x'", "something follows the type");
        check_wrong(
            "struct<a:array<int> comment x>",
            "a comment is not in quotes",
        );
        let deep = format!("{}int{}", "array<".repeat(100_000), ">".repeat(100_000));
        assert!(HiveType::parse(&deep).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a-z<>:,()'`0-9 ]{0,40}") {
            let _ = HiveType::parse(&text);
        }
    }
}
