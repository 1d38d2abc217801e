//! The schemas of many files, united into one table schema.

mod merge;
mod node;
#[cfg(test)]
mod order_tests;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use iceberg::spec::{PrimitiveType, Schema};

use self::merge::{Growth, Merge};
use self::node::{Kind, Node, assign_ids, ids};
use crate::error::{Error, Result};
use crate::hive_type::{HiveColumn, HiveType};
use crate::name_mapping::NameMapping;
use crate::policy::{Finding, same_name, text_columns};
use crate::resolve::{ColumnMapping, resolve_with};
use crate::schema::{FileSchema, IdCoverage};
use crate::types::Growing;

/// How many file schemas a union remembers the mappings of.
const MAX_SEEN: usize = 4_096;

/// Grows a table schema file by file. Ids are given in the order in which columns are first seen and never change.
///
/// The first file numbers its columns and the partition columns as Iceberg itself numbers a new
/// schema (a level of fields first, then what is inside), unless it carries field ids of its own: a new
/// table takes those over, because readers would follow them. Columns of later files get the next ids.
/// So the ids of a lake without drift are those that Iceberg would give; those of a lake with
/// drift are not, and a table made from [`SchemaUnion::schema`] must keep them as they are.
#[derive(Debug)]
pub struct SchemaUnion {
    growth: Growth,
    allow_extra: bool,
    tree: Tree,
    /// Counts the changes of the tree; mappings made before a change are made anew.
    version: u64,
    /// The schema and mapping of `tree`, unless nothing has been absorbed since it changed.
    current: Option<(Arc<Schema>, Arc<NameMapping>)>,
    seen: HashMap<u128, Seen>,
    /// The schema of an existing table and its mapping, as they were given.
    base: Option<(Schema, NameMapping)>,
}

#[derive(Debug)]
struct Seen {
    version: u64,
    mapping: Arc<ColumnMapping>,
    drifts: Arc<[Drift]>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Tree {
    nodes: Vec<Node>,
    /// Columns from paths that no file has had so far; they follow the others.
    unplaced: Vec<Node>,
    /// Whether a file or a catalog has filled it.
    filled: bool,
    next_id: i32,
}

/// How one file's schema differs from the union so far. Reported per file, not an error.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "drift")]
#[non_exhaustive]
pub enum Drift {
    /// The file brings a column that files before it lack.
    Added {
        /// Path of the column.
        column: String,
    },
    /// The file lacks a column that files before it have.
    Missing {
        /// Path of the column.
        column: String,
    },
    /// The file widens a column (`int` → `long`).
    Widened {
        /// Path of the column.
        column: String,
        /// The type so far.
        from: String,
        /// The type from now on.
        to: String,
    },
    /// The file's column is narrower than the union's.
    Narrower {
        /// Path of the column.
        column: String,
        /// The type in the file.
        from: String,
        /// The type of the union.
        to: String,
    },
    /// The file spells a column otherwise (`airport_fee`, `Airport_fee`).
    Respelled {
        /// Path of the column, as the schema spells it.
        column: String,
        /// The file's spelling.
        spelling: String,
    },
    /// The file has a column that the table lacks, and that stays out.
    Ignored {
        /// Path of the column in the file.
        column: String,
    },
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added { column } => write!(f, "column {column} is new"),
            Self::Missing { column } => write!(f, "column {column} is missing"),
            Self::Widened { column, from, to } => {
                write!(f, "column {column} is {to}, {from} before")
            }
            Self::Narrower { column, from, to } => {
                write!(f, "column {column} is {from}, {to} elsewhere")
            }
            Self::Respelled { column, spelling } => {
                write!(f, "column {column} is spelled {spelling}")
            }
            Self::Ignored { column } => write!(f, "column {column} is not in the table"),
        }
    }
}

impl SchemaUnion {
    /// Starts a schema for a new table, with partition columns (name, type) that come from the lake's
    /// paths; they follow the data columns in the final schema unless the files hold them too.
    pub fn for_new_table(partition_columns: &[(String, PrimitiveType)]) -> Self {
        let unplaced = partition_columns
            .iter()
            .map(|(name, primitive)| {
                let growing = Growing::firm(primitive.clone());
                let mut node = Node::new(name, false, Kind::Primitive(growing));
                node.from_path = true;
                node
            })
            .collect();
        Self::start(
            Growth::Open,
            Tree {
                unplaced,
                next_id: 1,
                ..Tree::default()
            },
        )
    }

    /// Starts from an existing table, whose columns are fixed: a file's extra columns are an error
    /// unless `allow_extra` (then they are ignored and noted).
    pub fn for_table(schema: &Schema, mapping: Option<NameMapping>, allow_extra: bool) -> Self {
        let mut mapping = mapping.unwrap_or_default();
        mapping.merge_schema(schema);
        let nodes = schema
            .as_struct()
            .fields()
            .iter()
            .map(|field| Node::of_table(field, &mapping.fields))
            .collect();
        let tree = Tree {
            nodes,
            filled: true,
            next_id: schema.highest_field_id() + 1,
            ..Tree::default()
        };
        Self {
            allow_extra,
            base: Some((schema.clone(), mapping)),
            ..Self::start(Growth::Fixed, tree)
        }
    }

    /// Goes on from what [`SchemaUnion::schema`] gave for other files of a lake: further files add to these columns
    /// and widen them as if they came after those. The values of `path_columns` come from the lake's paths.
    pub fn resume(schema: &Schema, path_columns: &[String]) -> Self {
        let nodes = schema.as_struct().fields().iter().map(|field| {
            let mut node = Node::of_table(field, &[]);
            node.from_path = path_columns.iter().any(|key| same_name(key, &node.name));
            node
        });
        let tree = Tree {
            nodes: nodes.collect(),
            filled: true,
            next_id: schema.highest_field_id() + 1,
            ..Tree::default()
        };
        Self::start(Growth::Open, tree)
    }

    fn start(growth: Growth, tree: Tree) -> Self {
        Self {
            growth,
            allow_extra: false,
            tree,
            version: 0,
            current: None,
            seen: HashMap::new(),
            base: None,
        }
    }

    /// Gives a new table the columns of a Hive or Glue table: its order, names, types and comments. Files
    /// add to them, and widen them; no column is required. Call it before any file is absorbed.
    ///
    /// Returns notes on types whose meaning changes (`char`, `varchar`).
    ///
    /// # Errors
    /// When a type cannot be understood or has no Iceberg type, or when two columns have one name.
    pub fn seed(&mut self, columns: &[HiveColumn]) -> Result<Vec<Finding>> {
        let mut findings = Vec::new();
        let mut tree = self.tree.clone();
        for column in columns {
            let known = tree.nodes.iter().chain(&tree.unplaced);
            if known
                .clone()
                .any(|node| same_name(&node.name, &column.name))
            {
                return Err(Error::Column {
                    column: column.name.clone(),
                    problem: "the catalog's table has it twice".into(),
                });
            }
            let hive_type = HiveType::parse(&column.hive_type)?;
            findings.extend(hive_type.findings(&column.name));
            let mut node = Node::new(&column.name, false, Kind::of_hive(&hive_type));
            node.doc = column.comment.clone().filter(|comment| !comment.is_empty());
            tree.nodes.push(node);
            tree.filled = true;
        }
        self.replace(tree);
        Ok(findings)
    }

    /// Names the columns of an existing table whose values come from the paths of the files (those that
    /// identity partition fields are made of): files may lack them, required or not.
    #[must_use]
    pub fn with_path_columns(mut self, names: &[String]) -> Self {
        for node in &mut self.tree.nodes {
            node.from_path |= names.contains(&node.name);
        }
        self
    }

    /// Takes in one file's schema. Cached by fingerprint: files of one schema cost one lookup.
    ///
    /// A required column of the table that is optional in the file is no error: it is in
    /// [`ColumnMapping::unproven`], and the caller checks null counts.
    ///
    /// # Errors
    /// When a column contradicts the union (`string` beside `int`), when two columns of the file are
    /// one, when its field ids contradict the table's, when it lacks a column that an existing table requires
    /// or has one that it lacks. The union is then as it was before.
    pub fn absorb(&mut self, file: &FileSchema) -> Result<(Arc<ColumnMapping>, Arc<[Drift]>)> {
        if let Some(seen) = self.seen.get(&file.fingerprint)
            && seen.version == self.version
        {
            return Ok((Arc::clone(&seen.mapping), Arc::clone(&seen.drifts)));
        }
        let before = self.version;
        let (tree, drifts) = self.merge(file)?;
        let (schema, names) = match &self.current {
            Some(current) if tree == self.tree => current.clone(),
            _ => (
                Arc::new(self.schema_of(&tree)?),
                Arc::new(self.mapping_of(&tree)),
            ),
        };
        let mapping = Arc::new(resolve_with(file, &schema, Some(&names), &path_ids(&tree))?);
        self.replace(tree);
        self.current = Some((schema, names));
        let drifts: Arc<[Drift]> = drifts.into();
        if self.seen.len() >= MAX_SEEN {
            self.seen.clear();
        }
        self.seen.insert(
            file.fingerprint,
            Seen {
                // A file that changed the union differs from it no more when its schema comes again.
                version: before,
                mapping: Arc::clone(&mapping),
                drifts: Arc::clone(&drifts),
            },
        );
        Ok((mapping, drifts))
    }

    fn merge(&self, file: &FileSchema) -> Result<(Tree, Vec<Drift>)> {
        let mut tree = self.tree.clone();
        let mut used_ids = ids(tree.nodes.iter().chain(&tree.unplaced));
        let mut merge = Merge {
            growth: self.growth,
            first: !tree.filled,
            by_id: file.id_coverage() == IdCoverage::All,
            version: file.format_version,
            used_ids: &mut used_ids,
            drifts: Vec::new(),
            extra: Vec::new(),
            path: Vec::new(),
        };
        merge.fields(&mut tree.nodes, &file.fields, &mut tree.unplaced)?;
        let (mut drifts, extra) = (merge.drifts, merge.extra);
        if !extra.is_empty() && !self.allow_extra {
            return Err(Error::ExtraColumns { columns: extra });
        }
        drifts.extend(extra.into_iter().map(|column| Drift::Ignored { column }));
        tree.filled = true;
        tree.assign();
        Ok((tree, drifts))
    }

    fn replace(&mut self, tree: Tree) {
        if tree != self.tree {
            self.tree = tree;
            self.version += 1;
            self.current = None;
        }
    }

    /// The schema so far, with all partition columns.
    ///
    /// # Errors
    /// When the columns make no valid schema (a column `a.b` beside a struct `a` with a field `b`).
    pub fn schema(&self) -> Result<Schema> {
        match &self.current {
            Some((schema, _)) => Ok(schema.as_ref().clone()),
            None => self.schema_of(&self.tree),
        }
    }

    /// The name mapping so far, with every spelling seen.
    pub fn name_mapping(&self) -> NameMapping {
        self.mapping_of(&self.tree)
    }

    /// The partition columns that the files hold too, as the schema spells them. Their values are to be
    /// those of the paths, or the files contradict themselves.
    pub fn path_columns_in_files(&self) -> Vec<String> {
        let in_files = self.tree.nodes.iter().filter(|node| node.in_files);
        in_files.map(|node| node.name.clone()).collect()
    }

    /// The field ids of the columns whose values come from paths, as [`crate::resolve_with`] wants them.
    pub fn path_field_ids(&self) -> Vec<i32> {
        path_ids(&self.tree)
    }

    /// The paths of all text columns so far, for [`crate::TypePolicy::text_columns`].
    ///
    /// # Errors
    /// As [`SchemaUnion::schema`].
    pub fn text_columns(&self) -> Result<Vec<String>> {
        Ok(text_columns(&self.schema()?))
    }

    fn schema_of(&self, tree: &Tree) -> Result<Schema> {
        if let Some((schema, _)) = &self.base {
            return Ok(schema.clone());
        }
        let mut tree = tree.clone();
        tree.assign();
        let fields = tree.nodes.iter().chain(&tree.unplaced).map(Node::to_field);
        Schema::builder()
            .with_fields(fields)
            .build()
            .map_err(|source| Error::Schema {
                source: Box::new(source),
            })
    }

    fn mapping_of(&self, tree: &Tree) -> NameMapping {
        let mut tree = tree.clone();
        tree.assign();
        let nodes = tree.nodes.iter().chain(&tree.unplaced);
        let Some((_, base)) = &self.base else {
            return NameMapping {
                fields: nodes.map(Node::to_mapped).collect(),
            };
        };
        let mut mapping = base.clone();
        let mut open: Vec<&Node> = nodes.collect();
        while let Some(node) = open.pop() {
            for name in &node.spellings {
                mapping.add_name(node.id.unwrap_or_default(), name);
            }
            open.extend(node.kind.children());
        }
        mapping
    }
}

impl Tree {
    /// Gives ids to what has none.
    fn assign(&mut self) {
        let used = ids(self.nodes.iter().chain(&self.unplaced));
        let next = used
            .into_iter()
            .max()
            .map_or(1, |id| id + 1)
            .max(self.next_id);
        let level = self.nodes.iter_mut().chain(&mut self.unplaced).collect();
        self.next_id = assign_ids(level, next);
    }
}

fn path_ids(tree: &Tree) -> Vec<i32> {
    let nodes = tree.nodes.iter().chain(&tree.unplaced);
    nodes
        .filter(|node| node.from_path)
        .filter_map(|node| node.id)
        .collect()
}
