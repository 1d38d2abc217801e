//! Spark's DDL text: `id BIGINT NOT NULL, items ARRAY<STRUCT<sku: STRING>> COMMENT 'in order'`.
//!
//! What DDL cannot say is not written: metadata beside the comment, and whether elements of lists and
//! values of maps may be null (in DDL they always may).

use std::fmt::Write as _;

use arrow::datatypes::{DataType, Field, Fields, Schema};

use super::MAXIMUM_DEPTH;
use super::choice::alternatives;
use super::types::{COMMENT, Typed, map_entries, map_type, scalar_name, with_parameters};
use crate::{Error, Result};

/// Reads a schema: a list of columns, or one `STRUCT<…>`.
///
/// # Errors
/// When the text is no such list; the error says at which character.
pub fn parse_ddl(text: &str) -> Result<Schema> {
    let mut parser = Parser::new(text);
    let fields = if parser.at_struct() {
        match parser.data_type()?.data_type {
            DataType::Struct(fields) => fields,
            _ => return Err(parser.error("a schema is a list of columns")),
        }
    } else {
        parser.columns(None)?
    };
    parser.end()?;
    Ok(Schema::new(fields))
}

/// Reads one type, such as `array<decimal(12,2)>`. Names of types are read in any case, in the
/// spellings of Spark, Hive and Glue (`bigint`, `long`).
///
/// # Errors
/// When the text is no type; the error says at which character.
pub fn parse_type(text: &str) -> Result<DataType> {
    Ok(parse_typed(text)?.data_type)
}

/// Reads one type together with what only a field can carry of it.
pub(crate) fn parse_typed(text: &str) -> Result<Typed> {
    let mut parser = Parser::new(text);
    let typed = parser.data_type()?;
    parser.end()?;
    Ok(typed)
}

/// Writes a schema as a list of columns.
///
/// # Errors
/// When a column has a type that Spark has not, or is a choice.
pub fn to_ddl(schema: &Schema) -> Result<String> {
    let mut text = String::new();
    write_fields(&mut text, schema.fields(), " ", "")?;
    Ok(text)
}

/// Writes one type.
///
/// # Errors
/// When Spark has no such type.
pub fn type_to_ddl(data_type: &DataType) -> Result<String> {
    let mut text = String::new();
    write_type(&mut text, &Field::new("", data_type.clone(), true), "")?;
    Ok(text)
}

fn write_fields(text: &mut String, fields: &Fields, separator: &str, path: &str) -> Result<()> {
    for (index, field) in fields.iter().enumerate() {
        if index > 0 {
            text.push_str(", ");
        }
        let path = if path.is_empty() {
            field.name().clone()
        } else {
            format!("{path}.{}", field.name())
        };
        text.push_str(&identifier(field.name()));
        text.push_str(separator);
        write_type(text, field, &path)?;
        if !field.is_nullable() {
            text.push_str(" NOT NULL");
        }
        if let Some(comment) = field.metadata().get(COMMENT) {
            let comment = comment.replace('\\', "\\\\").replace('\'', "\\'");
            let _ = write!(text, " COMMENT '{comment}'");
        }
    }
    Ok(())
}

fn write_type(text: &mut String, field: &Field, path: &str) -> Result<()> {
    let fail = |problem: String| Error::Column {
        column: path.to_owned(),
        problem,
    };
    if alternatives(field).is_some() {
        return Err(fail(
            "a choice of types cannot be written as DDL".to_owned(),
        ));
    }
    let data_type = field.data_type();
    match data_type {
        DataType::Struct(fields) => {
            text.push_str("STRUCT<");
            write_fields(text, fields, ": ", path)?;
            text.push('>');
        }
        DataType::List(element) => {
            text.push_str("ARRAY<");
            write_type(text, element, path)?;
            text.push('>');
        }
        DataType::Map(entries, _) => {
            let (key, value) =
                map_entries(entries).ok_or_else(|| fail("a map of another shape".to_owned()))?;
            text.push_str("MAP<");
            write_type(text, key, path)?;
            text.push_str(", ");
            write_type(text, value, path)?;
            text.push('>');
        }
        _ => text.push_str(
            &scalar_name(data_type, field.metadata(), true)
                .ok_or_else(|| fail(format!("Spark has no type `{data_type}`")))?,
        ),
    }
    Ok(())
}

/// A name as DDL writes it: in backticks unless it is plain.
fn identifier(name: &str) -> String {
    let is_plain = name
        .bytes()
        .enumerate()
        .all(|(at, it)| it == b'_' || it.is_ascii_alphabetic() || (at > 0 && it.is_ascii_digit()));
    if is_plain && !name.is_empty() {
        name.to_owned()
    } else {
        format!("`{}`", name.replace('`', "``"))
    }
}

/// A recursive-descent parser over the characters of the text.
struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    fn error(&self, problem: impl Into<String>) -> Error {
        let character = self.text[..self.at].chars().count() + 1;
        Error::SchemaText {
            format: "DDL",
            place: format!("character {character}"),
            problem: problem.into(),
        }
    }

    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let trimmed = rest.trim_start();
        self.at += rest.len() - trimmed.len();
        trimmed
    }

    fn end(&mut self) -> Result<()> {
        match self.rest().chars().next() {
            None => Ok(()),
            Some(next) => Err(self.error(format!("`{next}` is not expected here"))),
        }
    }

    /// Takes a character when it comes next.
    fn take(&mut self, wanted: char) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn expect(&mut self, wanted: char) -> Result<()> {
        if self.take(wanted) {
            Ok(())
        } else {
            Err(self.error(format!("`{wanted}` is missing")))
        }
    }

    /// The plain word that comes next, without taking it; empty when there is none.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest
            .find(|it: char| !(it.is_alphanumeric() || it == '_'))
            .unwrap_or(rest.len());
        &rest[..end]
    }

    /// Takes a word when it comes next, in any case.
    fn take_word(&mut self, wanted: &str) -> bool {
        let word = self.word();
        let found = word.eq_ignore_ascii_case(wanted);
        if found {
            self.at += word.len();
        }
        found
    }

    fn at_struct(&mut self) -> bool {
        let word = self.word();
        let after = &self.text[self.at + word.len()..];
        word.eq_ignore_ascii_case("struct") && after.trim_start().starts_with('<')
    }

    fn name(&mut self) -> Result<String> {
        if self.take('`') {
            let mut name = String::new();
            loop {
                let rest = &self.text[self.at..];
                let Some(end) = rest.find('`') else {
                    return Err(self.error("a backtick is not closed"));
                };
                name.push_str(&rest[..end]);
                self.at += end + 1;
                // A doubled backtick stands for one; white space between two ends the name.
                if self.text[self.at..].starts_with('`') {
                    self.at += 1;
                    name.push('`');
                } else {
                    return Ok(name);
                }
            }
        }
        let word = self.word();
        if word.is_empty() {
            return Err(self.error("a name is missing"));
        }
        self.at += word.len();
        Ok(word.to_owned())
    }

    /// Columns up to `closing`, or to the end of the text.
    fn columns(&mut self, closing: Option<char>) -> Result<Fields> {
        let mut fields: Vec<Field> = Vec::new();
        loop {
            match closing {
                Some(closing) if self.take(closing) => break,
                None if self.rest().is_empty() => break,
                _ => {}
            }
            if !fields.is_empty() {
                self.expect(',')?;
            }
            let field = self.column()?;
            if fields.iter().any(|it| it.name() == field.name()) {
                return Err(self.error(format!("the name `{}` stands twice", field.name())));
            }
            fields.push(field);
        }
        Ok(fields.into())
    }

    /// `name[:] type [NOT NULL] [COMMENT 'text']`.
    fn column(&mut self) -> Result<Field> {
        let name = self.name()?;
        self.take(':');
        let mut typed = self.data_type()?;
        let mut nullable = true;
        if self.take_word("not") {
            if !self.take_word("null") {
                return Err(self.error("after `NOT` comes `NULL`"));
            }
            nullable = false;
        }
        if self.take_word("comment") {
            let comment = self.string()?;
            typed.metadata.insert(COMMENT.to_owned(), comment);
        }
        Ok(typed.into_field(&name, nullable))
    }

    /// A text in single or double quotes, with backslash escapes.
    fn string(&mut self) -> Result<String> {
        let Some(quote @ ('\'' | '"')) = self.rest().chars().next() else {
            return Err(self.error("a text in quotes is missing"));
        };
        self.at += 1;
        let mut text = String::new();
        let mut characters = self.text[self.at..].char_indices();
        while let Some((at, next)) = characters.next() {
            match next {
                '\\' => match characters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, other)) => text.push(other),
                    None => break,
                },
                _ if next == quote => {
                    self.at += at + 1;
                    return Ok(text);
                }
                _ => text.push(next),
            }
        }
        Err(self.error("a quote is not closed"))
    }

    fn data_type(&mut self) -> Result<Typed> {
        self.depth += 1;
        if self.depth > MAXIMUM_DEPTH {
            return Err(self.error(format!("types nest deeper than {MAXIMUM_DEPTH}")));
        }
        let start = self.at;
        let word = self.word();
        let name = word.to_ascii_lowercase();
        if name.is_empty() {
            return Err(self.error("a type is missing"));
        }
        self.at += word.len();
        let typed = match name.as_str() {
            "struct" => {
                self.expect('<')?;
                DataType::Struct(self.columns(Some('>'))?).into()
            }
            "array" => {
                self.expect('<')?;
                let element = self.data_type()?;
                self.expect('>')?;
                element.into_list(true).into()
            }
            "map" => {
                self.expect('<')?;
                let key = self.data_type()?;
                self.expect(',')?;
                let value = self.data_type()?;
                self.expect('>')?;
                map_type(key, value, true).into()
            }
            _ => {
                let parameters = self.parameters()?;
                with_parameters(&name, &parameters).map_err(|problem| {
                    self.at = start;
                    self.rest();
                    self.error(problem)
                })?
            }
        };
        self.depth -= 1;
        Ok(typed)
    }

    /// `(1, 2)`, or nothing.
    fn parameters(&mut self) -> Result<Vec<u32>> {
        let mut parameters = Vec::new();
        if !self.take('(') {
            return Ok(parameters);
        }
        loop {
            let word = self.word();
            let number = word
                .parse()
                .map_err(|_| self.error("a number is missing"))?;
            self.at += word.len();
            parameters.push(number);
            if self.take(')') {
                return Ok(parameters);
            }
            self.expect(',')?;
        }
    }
}

#[cfg(test)]
mod tests;
