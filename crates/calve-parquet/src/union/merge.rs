//! One file's schema merged into the tree.

use std::collections::HashSet;

use iceberg::spec::FormatVersion;

use super::Drift;
use super::node::{Kind, Node};
use crate::error::{Error, Result};
use crate::policy::same_name;
use crate::schema::{FileField, FileType};
use crate::types::{Certainty, Growing, is_unreadable, reads_as, type_text};

/// How a file may change the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Growth {
    /// The columns are those of an existing table; only spellings are added.
    Fixed,
    /// Files add columns, widen types, make columns optional.
    Open,
}

pub(super) struct Merge<'a> {
    pub(super) growth: Growth,
    /// Whether this part of the tree is empty because nothing has filled it yet.
    pub(super) first: bool,
    /// Whether the file's columns carry field ids, all of them.
    pub(super) by_id: bool,
    pub(super) version: FormatVersion,
    /// The ids in use, for those that a file brings.
    pub(super) used_ids: &'a mut HashSet<i32>,
    pub(super) drifts: Vec<Drift>,
    pub(super) extra: Vec<String>,
    /// Where we are, in the tree's names.
    pub(super) path: Vec<String>,
}

impl Merge<'_> {
    /// Merges one level of fields. `unplaced`: columns from paths that no file has had so far.
    pub(super) fn fields(
        &mut self,
        nodes: &mut Vec<Node>,
        file: &[FileField],
        unplaced: &mut Vec<Node>,
    ) -> Result<()> {
        let known = nodes.len();
        let mut taken: Vec<Option<&str>> = vec![None; known];
        for field in file {
            let index = match self.position(nodes, field)? {
                Some(index) => index,
                None if self.growth == Growth::Fixed => {
                    self.extra.push(self.column(&field.name));
                    continue;
                }
                None => self.add(nodes, field, unplaced)?,
            };
            taken.resize(nodes.len().max(taken.len()), None);
            if let Some(first) = taken[index].replace(&field.name) {
                return Err(Error::SameField {
                    column: self.column(&nodes[index].name),
                    first: self.column(first),
                    second: self.column(&field.name),
                });
            }
            // What is inside a new column is not new by itself.
            let first = self.first;
            self.first |= index >= known;
            self.field(&mut nodes[index], field)?;
            self.first = first;
        }
        for index in (0..known).filter(|index| taken[*index].is_none()) {
            self.missing(&mut nodes[index])?;
        }
        Ok(())
    }

    /// The node that a column is: the one that goes by exactly its name, else the one whose name differs in case only.
    fn position(&self, nodes: &[Node], field: &FileField) -> Result<Option<usize>> {
        if self.by_id
            && let Some(index) = nodes
                .iter()
                .position(|node| node.id.is_some() && node.id == field.field_id)
        {
            let node = &nodes[index];
            if node
                .spellings
                .iter()
                .any(|name| same_name(name, &field.name))
            {
                return Ok(Some(index));
            }
            return Err(Error::FieldIds {
                column: self.column(&field.name),
                problem: format!(
                    "the file gives it field id {}, which is that of column `{}`",
                    field.field_id.unwrap_or_default(),
                    node.name
                ),
            });
        }
        let exact = nodes
            .iter()
            .position(|node| node.spellings.contains(&field.name));
        if exact.is_some() {
            return Ok(exact);
        }
        let mut alike = nodes.iter().enumerate().filter(|(_, node)| {
            node.spellings
                .iter()
                .any(|name| same_name(name, &field.name))
        });
        match (alike.next(), alike.next()) {
            (Some((_, first)), Some((_, second))) => Err(Error::Column {
                column: self.column(&field.name),
                problem: format!(
                    "it may be `{}` or `{}` of the table, whose names differ only in case",
                    first.name, second.name
                ),
            }),
            (one, _) => Ok(one.map(|(index, _)| index)),
        }
    }

    fn add(
        &mut self,
        nodes: &mut Vec<Node>,
        field: &FileField,
        unplaced: &mut Vec<Node>,
    ) -> Result<usize> {
        if let Some(index) = unplaced
            .iter()
            .position(|node| same_name(&node.name, &field.name))
        {
            nodes.push(unplaced.remove(index));
            return Ok(nodes.len() - 1);
        }
        self.check_readable(field)?;
        if !self.first {
            self.drifts.push(Drift::Added {
                column: self.column(&field.name),
            });
        }
        nodes.push(Node::of_file(field, !self.first));
        Ok(nodes.len() - 1)
    }

    /// A column that cannot be read in place cannot be a column of a table.
    fn check_readable(&mut self, field: &FileField) -> Result<()> {
        if let FileType::Primitive {
            iceberg, physical, ..
        } = &field.kind
            && is_unreadable(iceberg, *physical)
        {
            return Err(Error::Unreadable {
                column: self.column(&field.name),
            });
        }
        self.path.push(field.name.clone());
        for inner in field.kind.children() {
            self.check_readable(inner)?;
        }
        self.path.pop();
        Ok(())
    }

    fn missing(&mut self, node: &mut Node) -> Result<()> {
        if node.from_path {
            return Ok(());
        }
        let column = self.column(&node.name);
        match self.growth {
            Growth::Fixed if node.required => return Err(Error::MissingRequired { column }),
            Growth::Fixed => {}
            Growth::Open => node.required = false,
        }
        self.drifts.push(Drift::Missing { column });
        Ok(())
    }

    fn field(&mut self, node: &mut Node, field: &FileField) -> Result<()> {
        if field.name != node.name {
            self.drifts.push(Drift::Respelled {
                column: self.column(&node.name),
                spelling: field.name.clone(),
            });
        }
        if !node.spellings.contains(&field.name) {
            node.spellings.push(field.name.clone());
        }
        // DuckDB 1.5 finds an element by the name of the group around it, and no other reader minds that name.
        if let Some(group) = &field.group_name
            && !node.spellings.contains(group)
        {
            node.spellings.push(group.clone());
        }
        node.in_files |= node.from_path;
        if self.growth == Growth::Open && !node.from_path {
            node.required &= field.required;
        }
        self.path.push(node.name.clone());
        self.adopt_id(node, field)?;
        self.kind(node, field)?;
        self.path.pop();
        Ok(())
    }

    /// Ids of a file are taken over by a new table, and must agree with those it has.
    fn adopt_id(&mut self, node: &mut Node, field: &FileField) -> Result<()> {
        let Some(id) = field.field_id.filter(|_| self.by_id) else {
            return Ok(());
        };
        let problem = match node.id {
            Some(known) if known == id => return Ok(()),
            Some(known) => {
                format!("the file gives it field id {id}, but it is {known} in the table")
            }
            None if self.used_ids.insert(id) => {
                node.id = Some(id);
                return Ok(());
            }
            None => format!("the file gives it field id {id}, which another column has"),
        };
        Err(Error::FieldIds {
            column: self.path.join("."),
            problem,
        })
    }

    fn kind(&mut self, node: &mut Node, field: &FileField) -> Result<()> {
        let from_path = node.from_path;
        match (&mut node.kind, &field.kind) {
            (
                Kind::Primitive(growing),
                FileType::Primitive {
                    iceberg, physical, ..
                },
            ) => {
                if is_unreadable(iceberg, *physical) {
                    return Err(Error::Unreadable {
                        column: self.path.join("."),
                    });
                }
                if self.growth == Growth::Fixed || from_path {
                    if !reads_as(iceberg, *physical, &growing.primitive, self.version) {
                        return Err(self.conflict(node, field));
                    }
                    let firm = Growing::of_file(iceberg, *physical).certainty == Certainty::Firm;
                    if growing.primitive != *iceberg && firm {
                        self.narrower(iceberg.to_string(), growing.primitive.to_string());
                    }
                    return Ok(());
                }
                let leaf = Growing::of_file(iceberg, *physical);
                match growing.unite(&leaf, self.version) {
                    Some(united) => self.grow(growing, &leaf, united),
                    None => return Err(self.conflict(node, field)),
                }
                Ok(())
            }
            (Kind::Struct(nodes), FileType::Struct(fields)) => {
                self.fields(nodes, fields, &mut Vec::new())
            }
            (Kind::List(node), FileType::List(element)) => self.field(node, element),
            (Kind::Map(key_node, value_node), FileType::Map(key, value)) => {
                self.field(key_node, key)?;
                key_node.required = true;
                self.field(value_node, value)
            }
            _ => Err(self.conflict(node, field)),
        }
    }

    fn grow(&mut self, growing: &mut Growing, leaf: &Growing, united: Growing) {
        let (from, to) = (growing.primitive.to_string(), united.primitive.to_string());
        if from != to {
            self.drifts.push(Drift::Widened {
                column: self.path.join("."),
                from,
                to,
            });
        } else if leaf.primitive != united.primitive && leaf.certainty == Certainty::Firm {
            self.narrower(leaf.primitive.to_string(), to);
        }
        *growing = united;
    }

    fn narrower(&mut self, from: String, to: String) {
        self.drifts.push(Drift::Narrower {
            column: self.path.join("."),
            from,
            to,
        });
    }

    fn conflict(&self, node: &Node, field: &FileField) -> Error {
        Error::TypeConflict {
            column: self.path.join("."),
            file_type: field.kind.to_string(),
            table_type: type_text(&node.kind.to_type()),
        }
    }

    fn column(&self, name: &str) -> String {
        let mut path = self.path.clone();
        path.push(name.to_owned());
        path.join(".")
    }
}
