//! Lists the folders that a projection may reach, and takes those that it does reach.

use std::sync::Arc;

use calve_base::Location;
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::spec::PrimitiveLiteral;
use regex::Regex;

use super::{Kind, Projection, Token};
use crate::filter::PartitionFilter;
use crate::folder::{FolderReader, Reading};
use crate::folders::{Values, file, skipped};
use crate::hive_path::{NULL_PARTITION, same_name};
use crate::metastore::Reader;
use crate::tree::{Found, Tree};
use crate::{Error, LakeEntry, PartitionKey, Recursive, Result, SkipReason};

impl Projection {
    /// Everything in the projected partitions that the filter lets through.
    pub(in crate::metastore) fn entries(
        self: Arc<Self>,
        reader: Reader,
    ) -> BoxStream<'static, Result<LakeEntry>> {
        let matcher = match self.matcher(&reader) {
            Ok(matcher) => matcher,
            Err(error) => return futures::stream::once(std::future::ready(Err(error))).boxed(),
        };
        let tree = Tree {
            storage: reader.storage.clone(),
            root: matcher.base.clone(),
            filter: Arc::default(),
            recursive: reader.options.recursive,
            concurrency: reader.options.concurrency,
        };
        let mut walk = Walk {
            folders: reader.folder_reader(&matcher.base, Recursive::True),
            projection: self,
            matcher,
            reader,
            last: None,
        };
        tree.list()
            .filter_map(move |found| {
                let entry = found.and_then(|found| walk.entry(found)).transpose();
                std::future::ready(entry)
            })
            .boxed()
    }

    /// What the folders of files look like, and the longest folder that they share.
    fn matcher(&self, reader: &Reader) -> Result<Matcher> {
        let keys = reader.source.keys();
        let mut pattern = "^".to_owned();
        let mut groups = Vec::new();
        for token in &self.template {
            match token {
                Token::Text(text) => pattern.push_str(&regex::escape(text)),
                Token::Key(index) => {
                    pattern.push('(');
                    pattern.push_str(&self.kinds[*index].regex());
                    pattern.push(')');
                    groups.push(*index);
                }
            }
        }
        let texts = self.template.iter().map(|token| match token {
            Token::Text(text) => Some(text.clone()),
            Token::Key(index) => self.fixed(*index, &keys[*index], &reader.filter),
        });
        let known: String = texts.map_while(|text| text).collect();
        let base = &known[..known.rfind('/').map_or(0, |slash| slash + 1)];
        let invalid = |problem: String| Error::Projection {
            ident: reader.source.table().ident.clone(),
            property: "storage.location.template".to_owned(),
            problem,
        };
        Ok(Matcher {
            base: Location::parse(base).map_err(|error| invalid(error.to_string()))?,
            regex: Regex::new(&pattern).map_err(|error| invalid(error.to_string()))?,
            groups,
        })
    }

    /// The text of a key in all paths, where the filter allows one only.
    fn fixed(&self, index: usize, key: &PartitionKey, filter: &PartitionFilter) -> Option<String> {
        let (_, literal) = filter
            .typed()
            .find(|(name, _)| same_name(name, &key.name))?;
        match (&self.kinds[index], literal?.as_primitive_literal()?) {
            (_, PrimitiveLiteral::String(text)) => Some(text),
            (Kind::Integer { digits, .. }, PrimitiveLiteral::Int(number)) => {
                Some(format!("{number:0width$}", width = digits.unwrap_or(0)))
            }
            (Kind::Integer { digits, .. }, PrimitiveLiteral::Long(number)) => {
                Some(format!("{number:0width$}", width = digits.unwrap_or(0)))
            }
            _ => None,
        }
    }
}

/// What the folders of files look like.
#[derive(Debug)]
struct Matcher {
    /// All of them lie below.
    base: Location,
    regex: Regex,
    /// The keys of the pattern's groups.
    groups: Vec<usize>,
}

/// What a folder of the listing is.
#[derive(Debug, Clone)]
enum Verdict {
    Partition(Values),
    LeftOut,
    Skip(SkipReason),
}

struct Walk {
    folders: FolderReader,
    projection: Arc<Projection>,
    matcher: Matcher,
    reader: Reader,
    last: Option<(String, Verdict)>,
}

impl Walk {
    fn entry(&mut self, found: Found) -> Result<Option<LakeEntry>> {
        let object = match found {
            Found::Object(object) => object,
            Found::Partition(..) => return Ok(None),
            Found::Skipped(skipped) => return Ok(Some(LakeEntry::Skipped(skipped))),
        };
        if let Reading::Skip(reason) = self.folders.read(&object)? {
            return Ok(Some(skipped(object, reason)));
        }
        let location = object.location.as_str();
        let folder = location.rfind('/').map_or("", |slash| &location[..=slash]);
        let verdict = match &self.last {
            Some((last, verdict)) if last == folder => verdict.clone(),
            _ => {
                let verdict = self.verdict(folder, &object.location)?;
                self.last = Some((folder.to_owned(), verdict.clone()));
                verdict
            }
        };
        Ok(match verdict {
            Verdict::Partition(values) => Some(file(object, values)),
            Verdict::LeftOut => None,
            Verdict::Skip(reason) => Some(skipped(object, reason)),
        })
    }

    fn verdict(&self, folder: &str, file: &Location) -> Result<Verdict> {
        let keys = self.reader.source.keys();
        let Some((texts, end)) = self.texts(folder, keys.len()) else {
            return Ok(Verdict::Skip(SkipReason::OutsideProjection));
        };
        let is_projected = |(kind, text): (&Kind, &String)| kind.contains(text);
        if !self.projection.kinds.iter().zip(&texts).all(is_projected) {
            return Ok(Verdict::Skip(SkipReason::OutsideProjection));
        }
        let canonical = keys.iter().zip(&self.projection.kinds).zip(&texts);
        let values: Vec<Option<String>> = canonical
            .map(|((key, kind), text)| {
                (text != NULL_PARTITION).then(|| kind.value(text, &key.primitive_type))
            })
            .collect();
        let pairs = keys.iter().zip(&values);
        let pairs = pairs.map(|(key, value)| (key.name.as_str(), value.as_deref()));
        if !self
            .reader
            .source
            .lets_through(&self.reader.filter, &pairs)?
        {
            return Ok(Verdict::LeftOut);
        }
        if end < folder.len() {
            match self.reader.options.recursive {
                Recursive::Fail => {
                    let folder = file.parent().unwrap_or_else(|| file.clone());
                    return Err(Error::SubFolder { folder });
                }
                Recursive::False => return Ok(Verdict::Skip(SkipReason::SubFolder)),
                Recursive::True => {}
            }
        }
        let texts = values.iter().map(Option::as_deref);
        Ok(Verdict::Partition(
            self.reader.source.literals(texts, file)?,
        ))
    }

    /// The texts of the keys in a folder's path, and where the partition's part of it ends.
    fn texts(&self, folder: &str, key_count: usize) -> Option<(Vec<String>, usize)> {
        let captures = self.matcher.regex.captures(folder)?;
        let mut texts: Vec<Option<String>> = vec![None; key_count];
        for (key, text) in self.matcher.groups.iter().zip(captures.iter().skip(1)) {
            let text = text?.as_str();
            let known = texts[*key].get_or_insert_with(|| text.to_owned());
            if known.as_str() != text {
                return None;
            }
        }
        let texts: Option<Vec<String>> = texts.into_iter().collect();
        Some((texts?, captures.get_match().end()))
    }
}
