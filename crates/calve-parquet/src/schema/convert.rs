//! Parquet's tree of groups → structs, lists, maps and leaves.

use iceberg::spec::PrimitiveType;
use parquet::basic::Repetition;
use parquet::schema::types::{Type, TypePtr};

use super::leaf::{Annotation, Leaf};
use super::{FileField, FileType, Physical};
use crate::policy::{Finding, FindingCode, Severity, TypePolicy};

/// Groups nested deeper than this are refused: no reader gets that far.
const MAX_DEPTH: usize = 64;

/// Converts the fields of a root group. Returns the fields, the findings, and the number of leaves.
pub(super) fn convert(root: &Type, policy: &TypePolicy) -> (Vec<FileField>, Vec<Finding>, usize) {
    let mut converter = Converter {
        policy,
        findings: Vec::new(),
        path: Vec::new(),
        next_leaf: 0,
    };
    let fields = converter.fields(children(root));
    if fields.is_empty() {
        converter.find(
            Severity::Refused,
            FindingCode::NoColumns,
            "the file has no columns".into(),
        );
    }
    (fields, converter.findings, converter.next_leaf)
}

struct Converter<'a> {
    policy: &'a TypePolicy,
    findings: Vec<Finding>,
    path: Vec<String>,
    next_leaf: usize,
}

impl Converter<'_> {
    fn fields(&mut self, types: &[TypePtr]) -> Vec<FileField> {
        types
            .iter()
            .map(|parquet| self.field(parquet, parquet.name()))
            .collect()
    }

    /// A field of a group, or the element, key or value of a list or map, under its Iceberg name.
    fn field(&mut self, parquet: &Type, name: &str) -> FileField {
        self.path.push(name.to_owned());
        let kind = if repetition(parquet) == Some(Repetition::REPEATED) {
            let column = self.column();
            self.find(
                Severity::Refused,
                FindingCode::UnannotatedRepeated,
                format!(
                    "`{column}` is repeated outside of a list or a map, which Iceberg has no type for; `ctas` makes it a list"
                ),
            );
            FileType::List(Box::new(self.repeated_element(parquet, None)))
        } else {
            self.kind(parquet)
        };
        self.path.pop();
        FileField {
            name: name.to_owned(),
            group_name: None,
            field_id: field_id(parquet),
            required: repetition(parquet) != Some(Repetition::OPTIONAL),
            kind,
        }
    }

    /// A repeated field that is itself the element of a list.
    fn repeated_element(&mut self, parquet: &Type, field_id: Option<i32>) -> FileField {
        self.path.push("element".into());
        let kind = self.kind(parquet);
        self.path.pop();
        FileField {
            name: "element".into(),
            group_name: None,
            field_id,
            required: true,
            kind,
        }
    }

    fn kind(&mut self, parquet: &Type) -> FileType {
        if parquet.is_primitive() {
            return self.leaf(parquet);
        }
        if self.path.len() > MAX_DEPTH {
            let message = format!("is nested deeper than {MAX_DEPTH} levels");
            return self.opaque(parquet, FindingCode::TooDeep, &message);
        }
        match Annotation::of(parquet.get_basic_info(), 0, 0) {
            Annotation::List => self.list(parquet),
            Annotation::Map => self.map(parquet),
            Annotation::Variant => {
                let message =
                    "is a VARIANT, which needs a type of format version 3 that is not supported";
                self.opaque(parquet, FindingCode::Variant, message)
            }
            Annotation::None => self.group(parquet),
            other => {
                let column = self.column();
                self.find(
                    Severity::Refused,
                    FindingCode::UndefinedAnnotation,
                    format!(
                        "`{column}` is a group annotated as {other:?}, which a group cannot be"
                    ),
                );
                FileType::Struct(self.fields(children(parquet)))
            }
        }
    }

    fn leaf(&mut self, parquet: &Type) -> FileType {
        let column = self.column();
        let leaf = Leaf::of(parquet, &column, self.policy);
        if let Some((severity, code, message)) = leaf.finding {
            self.find(severity, code, message);
        }
        FileType::Primitive {
            iceberg: leaf.iceberg,
            physical: leaf.physical,
            leaf: self.take_leaves(1),
        }
    }

    fn group(&mut self, parquet: &Type) -> FileType {
        if children(parquet).is_empty() {
            let column = self.column();
            self.find(
                Severity::Refused,
                FindingCode::EmptyGroup,
                format!("`{column}` is a group without fields, which readers refuse; `ctas` can leave it out"),
            );
        }
        FileType::Struct(self.fields(children(parquet)))
    }

    fn list(&mut self, parquet: &Type) -> FileType {
        let Some(repeated) = only_repeated_child(parquet) else {
            return self.malformed(parquet, FindingCode::MalformedList, "list");
        };
        let inner = children(repeated);
        if repeated.is_group() && inner.is_empty() {
            return self.malformed(parquet, FindingCode::MalformedList, "list");
        }
        if is_element(repeated, parquet.name()) {
            let column = self.column();
            self.find(
                Severity::Unsafe,
                FindingCode::LegacyList,
                format!(
                    "`{column}` is a list of two levels, which the Iceberg specification does not allow and readers take in different ways; rewrite it with `ctas`, or allow it"
                ),
            );
            let id = field_id(repeated);
            return FileType::List(Box::new(self.repeated_element(repeated, id)));
        }
        let mut element = self.field(&inner[0], "element");
        element.group_name = Some(repeated.name().to_owned()).filter(|name| name != "list");
        FileType::List(Box::new(element))
    }

    fn map(&mut self, parquet: &Type) -> FileType {
        let entries = only_repeated_child(parquet).filter(|entries| entries.is_group());
        match entries.map(children) {
            Some([key, value]) => {
                let column = self.column();
                if key.name() == "value" && value.name() == "key" {
                    self.find(
                        Severity::Refused,
                        FindingCode::MapSwitched,
                        format!(
                            "map `{column}` has its value before its key, which readers take in different ways; rewrite it with `ctas`"
                        ),
                    );
                } else if repetition(key) == Some(Repetition::OPTIONAL) {
                    self.find(
                        Severity::Unsafe,
                        FindingCode::MapOptionalKey,
                        format!(
                            "map `{column}` allows null keys, which Iceberg does not and some readers refuse; rewrite it with `ctas`, or allow it"
                        ),
                    );
                }
                let key = self.field(key, "key");
                let value = self.field(value, "value");
                FileType::Map(Box::new(key), Box::new(value))
            }
            Some([key]) => {
                let column = self.column();
                self.find(
                    Severity::Refused,
                    FindingCode::MapNoValue,
                    format!(
                        "map `{column}` has keys only, which Iceberg has no type for; `ctas` makes it a list"
                    ),
                );
                FileType::List(Box::new(self.field(key, "element")))
            }
            _ => self.malformed(parquet, FindingCode::MalformedMap, "map"),
        }
    }

    fn malformed(&mut self, parquet: &Type, code: FindingCode, what: &str) -> FileType {
        let column = self.column();
        self.find(
            Severity::Refused,
            code,
            format!("`{column}` is annotated as a {what} but is not shaped like one"),
        );
        FileType::Struct(self.fields(children(parquet)))
    }

    /// A group that is not looked into.
    fn opaque(&mut self, parquet: &Type, code: FindingCode, message: &str) -> FileType {
        let column = self.column();
        self.find(Severity::Refused, code, format!("`{column}` {message}"));
        FileType::Primitive {
            iceberg: PrimitiveType::Binary,
            physical: Physical::Unreadable,
            leaf: self.take_leaves(count_leaves(parquet)),
        }
    }

    /// Returns the index of the next leaf, and goes on behind that many.
    fn take_leaves(&mut self, count: usize) -> usize {
        let leaf = self.next_leaf;
        self.next_leaf += count;
        leaf
    }

    fn column(&self) -> String {
        self.path.join(".")
    }

    fn find(&mut self, severity: Severity, code: FindingCode, message: String) {
        self.findings.push(Finding {
            severity,
            code,
            column: self.column(),
            message,
        });
    }
}

/// Whether the repeated field of a list is the element itself (two levels), by the Parquet format's
/// rules for old files.
fn is_element(repeated: &Type, list_name: &str) -> bool {
    match children(repeated) {
        [only] => {
            repetition(only) == Some(Repetition::REPEATED)
                || repeated.name() == "array"
                || repeated
                    .name()
                    .strip_suffix("_tuple")
                    .is_some_and(|name| name == list_name)
        }
        // None: a primitive; several: a group whose fields belong together.
        _ => true,
    }
}

fn only_repeated_child(parquet: &Type) -> Option<&Type> {
    match children(parquet) {
        [child] if repetition(child) == Some(Repetition::REPEATED) => Some(child),
        _ => None,
    }
}

fn children(parquet: &Type) -> &[TypePtr] {
    match parquet {
        Type::GroupType { fields, .. } => fields,
        Type::PrimitiveType { .. } => &[],
    }
}

fn repetition(parquet: &Type) -> Option<Repetition> {
    let info = parquet.get_basic_info();
    info.has_repetition().then(|| info.repetition())
}

fn field_id(parquet: &Type) -> Option<i32> {
    let info = parquet.get_basic_info();
    info.has_id().then(|| info.id())
}

/// Counts without recursion, for trees too deep for it.
fn count_leaves(parquet: &Type) -> usize {
    let mut count = 0;
    let mut open = vec![parquet];
    while let Some(next) = open.pop() {
        match next {
            Type::PrimitiveType { .. } => count += 1,
            Type::GroupType { fields, .. } => open.extend(fields.iter().map(AsRef::as_ref)),
        }
    }
    count
}
