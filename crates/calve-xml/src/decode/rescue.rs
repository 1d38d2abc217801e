//! What no column takes, as JSON: the rescued-data column.
//!
//! The keys are the paths of what did not fit, in the notation of the columns' names with the positions
//! of list elements (`items[2].price`). A value is a string where the element has text only; where it
//! has attributes or children it is an object of them, named as columns would be, with a list for what
//! comes more than once. The document stands under `_file_path`, as in Databricks' rescued data column.

use std::collections::BTreeMap;

use crate::content;
use crate::json_text::write_text;
use crate::lexer::{Event, Lexer};
use crate::row_reader::RowError;

use super::{Reading, Settings, join};

/// The key of the document's name.
const FILE_PATH: &str = "_file_path";

/// Something that no column takes.
#[derive(Debug)]
struct Entry {
    /// The column that it would be in.
    column: String,
    /// The same with the positions of list elements.
    path: String,
    json: String,
}

/// What no column takes of one row.
#[derive(Debug, Default)]
pub(super) struct Rescue {
    entries: Vec<Entry>,
}

impl Rescue {
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The columns, each as often as something of it was rescued.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.column.as_str())
    }

    pub(super) fn add_text(&mut self, column: &str, text: &str) {
        self.add(column.to_owned(), quoted(text));
    }

    fn add(&mut self, column: String, json: String) {
        self.entries.push(Entry {
            path: column.clone(),
            column,
            json,
        });
    }

    /// The document for the column.
    pub(super) fn into_json(self, file: &str) -> String {
        let mut fields = Fields::default();
        for entry in self.entries {
            fields.add(entry.path, entry.json);
        }
        // An attribute may be called like the key, and is kept beside it then.
        let mut file = vec![quoted(file)];
        file.extend(fields.values.remove(FILE_PATH).unwrap_or_default());
        let mut text = fields.into_object();
        text.pop();
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&quoted(FILE_PATH));
        text.push(':');
        push_values(&mut text, &file);
        text.push('}');
        text
    }
}

impl<'a> Reading<'a, '_> {
    /// Whether what no column takes is kept.
    #[inline]
    pub(super) fn rescues(&self) -> bool {
        self.faults.rescue.is_some()
    }

    /// How much was rescued of this row so far.
    #[inline]
    pub(super) fn rescued(&self) -> usize {
        let rescue = self.faults.rescue.as_ref();
        rescue.map_or(0, |rescue| rescue.entries.len())
    }

    /// Says that what was rescued since `since` was in the element at `index` of the list at `path`.
    #[cold]
    pub(super) fn place_in_list(&mut self, since: usize, path: &str, index: usize) {
        if let Some(rescue) = &mut self.faults.rescue {
            for entry in &mut rescue.entries[since..] {
                entry.path.insert_str(path.len(), &format!("[{index}]"));
            }
        }
    }

    /// Says that what was rescued since `since`, as values of the map at `path`, has this key.
    #[cold]
    pub(super) fn place_in_map(&mut self, since: usize, path: &str, key: &str) {
        let values = path.len()..path.len() + super::map::VALUE.len();
        if let Some(rescue) = &mut self.faults.rescue {
            for entry in &mut rescue.entries[since..] {
                if entry.path.get(values.clone()) == Some(super::map::VALUE) {
                    entry.path.replace_range(values.clone(), &format!(".{key}"));
                }
            }
        }
    }

    /// Keeps a text.
    #[cold]
    pub(super) fn rescue_text(&mut self, column: &str, text: &str) {
        if let Some(rescue) = &mut self.faults.rescue {
            rescue.add_text(column, text);
        }
    }

    /// Keeps the element whose start tag was just taken, and goes behind it.
    #[cold]
    pub(super) fn rescue_element(&mut self, column: String) -> Result<(), RowError> {
        let json = element(self.lexer, self.settings, self.keeps_spaces)?;
        if let Some(rescue) = &mut self.faults.rescue {
            rescue.add(column, json);
        }
        Ok(())
    }

    /// The same, where another lexer stands behind the start tag still.
    #[cold]
    pub(super) fn rescue_again(
        &mut self,
        mut lexer: Lexer<'a>,
        column: &str,
    ) -> Result<(), RowError> {
        let json = element(&mut lexer, self.settings, self.keeps_spaces)?;
        if let Some(rescue) = &mut self.faults.rescue {
            rescue.add(column.to_owned(), json);
        }
        Ok(())
    }

    /// Keeps the attributes of an element that is a value.
    #[cold]
    pub(super) fn rescue_attributes(&mut self, lexer: Option<&Lexer<'a>>, column: &str) {
        let Some(rescue) = &mut self.faults.rescue else {
            return;
        };
        let lexer = lexer.unwrap_or(self.lexer);
        for attribute in lexer.attributes() {
            if let Some(name) = self.settings.naming.attribute(attribute.name, lexer) {
                let value = attribute.unescape(lexer.entities());
                rescue.add_text(&join(column, &name), &value);
            }
        }
    }
}

/// Attributes and children by name, each with its values.
#[derive(Debug, Default)]
struct Fields {
    values: BTreeMap<String, Vec<String>>,
}

impl Fields {
    fn add(&mut self, name: String, json: String) {
        self.values.entry(name).or_default().push(json);
    }

    fn into_object(self) -> String {
        let mut text = String::from("{");
        for (name, values) in self.values {
            if text.len() > 1 {
                text.push(',');
            }
            write_text(&mut text, &name);
            text.push(':');
            push_values(&mut text, &values);
        }
        text.push('}');
        text
    }
}

/// One value as it is, several as a list.
fn push_values(text: &mut String, values: &[String]) {
    if let [value] = values {
        text.push_str(value);
        return;
    }
    text.push('[');
    text.push_str(&values.join(","));
    text.push(']');
}

fn quoted(text: &str) -> String {
    let mut json = String::with_capacity(text.len() + 2);
    write_text(&mut json, text);
    json
}

/// An element that is open.
#[derive(Debug)]
struct Open {
    name: String,
    fields: Fields,
    /// The text since the last tag.
    text: String,
}

impl Open {
    fn new(name: String, lexer: &Lexer<'_>, settings: &Settings) -> Self {
        let mut fields = Fields::default();
        for attribute in lexer.attributes() {
            if let Some(name) = settings.naming.attribute(attribute.name, lexer) {
                fields.add(name, quoted(&attribute.unescape(lexer.entities())));
            }
        }
        Self {
            name,
            fields,
            text: String::new(),
        }
    }

    fn trimmed(&self, keeps_spaces: bool) -> &str {
        if keeps_spaces {
            &self.text
        } else {
            content::trim(&self.text)
        }
    }

    /// Ends a piece of text beside children or attributes.
    fn end_text(&mut self, settings: &Settings, keeps_spaces: bool) {
        if !content::is_blank(&self.text) {
            let json = quoted(self.trimmed(keeps_spaces));
            self.fields.add(settings.value_tag.clone(), json);
        }
        self.text.clear();
    }
}

/// The element whose start tag was just taken, through its end tag. Depth costs memory, not stack.
fn element(
    lexer: &mut Lexer<'_>,
    settings: &Settings,
    keeps_spaces: bool,
) -> Result<String, RowError> {
    let mut parents: Vec<Open> = Vec::new();
    let mut open = Open::new(String::new(), lexer, settings);
    loop {
        match lexer.next_event()? {
            Event::Start(tag) => {
                open.end_text(settings, keeps_spaces);
                let name = settings.naming.element(tag.name, lexer).into_owned();
                let child = Open::new(name, lexer, settings);
                parents.push(std::mem::replace(&mut open, child));
            }
            Event::End(_) | Event::Eof => {
                let json = if open.fields.values.is_empty() {
                    quoted(open.trimmed(keeps_spaces))
                } else {
                    open.end_text(settings, keeps_spaces);
                    open.fields.into_object()
                };
                let Some(mut parent) = parents.pop() else {
                    return Ok(json);
                };
                parent.fields.add(open.name, json);
                open = parent;
            }
            event => content::push(lexer, event, &mut open.text),
        }
    }
}
