//! A lake that is described by its folders: the first pass that learns its keys, and the second that
//! yields its files.

use std::sync::Arc;

use calve_base::Location;
use calve_storage::ObjectInfo;
use futures::StreamExt;
use futures::stream::BoxStream;
use iceberg::spec::{Literal, PrimitiveType};

use crate::filter::{Comparison, PartitionFilter};
use crate::folder::{Folder, FolderReader, Reading};
use crate::hive_path::same_name;
use crate::inference::Inferred;
use crate::tree::Found;
use crate::{Error, LakeEntry, LakeFile, PartitionKey, Result, SkipReason, Skipped, Totals, value};

/// What the first pass has learnt so far.
#[derive(Debug)]
pub(crate) struct Survey {
    reader: FolderReader,
    root: Location,
    filter: Arc<PartitionFilter>,
    fixed_types: Vec<(String, PrimitiveType)>,
    keys: Option<Keys>,
    inferred: Vec<Inferred>,
    /// Values of folders that the filter leaves out: they have a say in the type all the same.
    left_out: Vec<(String, Inferred)>,
    last: Option<LastFolder>,
    totals: Totals,
    found_anything: bool,
    perhaps: bool,
}

/// The keys of the first file, which all others must have.
#[derive(Debug, Clone)]
struct Keys {
    names: Vec<String>,
    file: Location,
}

#[derive(Debug)]
struct LastFolder {
    folder: Arc<Folder>,
    matches: bool,
    values: Vec<Option<String>>,
}

/// What the first pass has learnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Surveyed {
    pub(crate) keys: Vec<PartitionKey>,
    pub(crate) totals: Totals,
    /// Some values were taken to match the filter as numbers or dates before their type was known.
    pub(crate) perhaps: bool,
}

impl Survey {
    pub(crate) fn new(
        reader: FolderReader,
        root: Location,
        filter: Arc<PartitionFilter>,
        fixed_types: Vec<(String, PrimitiveType)>,
    ) -> Self {
        Self {
            reader,
            root,
            filter,
            fixed_types,
            keys: None,
            inferred: Vec::new(),
            left_out: Vec::new(),
            last: None,
            totals: Totals::default(),
            found_anything: false,
            perhaps: false,
        }
    }

    /// Takes in one thing that the listing came upon.
    pub(crate) fn absorb(&mut self, found: Found) -> Result<()> {
        self.found_anything = true;
        let object = match found {
            Found::Object(object) => object,
            Found::Partition(key, value) => {
                self.absorb_left_out(key, value.as_deref());
                return Ok(());
            }
            Found::Skipped(_) => {
                self.totals.skipped += 1;
                return Ok(());
            }
        };
        match self.reader.read(&object)? {
            Reading::Skip(_) => self.totals.skipped += 1,
            Reading::File(folder) => {
                if self.enter(&folder, &object.location)? {
                    self.totals.files += 1;
                    self.totals.bytes += object.size;
                }
            }
        }
        Ok(())
    }

    /// The end of the first pass.
    ///
    /// # Errors
    /// When there are no files.
    pub(crate) fn finish(self) -> Result<Surveyed> {
        let location = self.root;
        let keys = match self.keys {
            Some(keys) if self.totals.files > 0 => keys,
            _ if !self.found_anything => return Err(Error::Missing { location }),
            _ if self.filter.len() > 0 => {
                let filter = self.filter.to_string();
                return Err(Error::NothingMatches { location, filter });
            }
            _ => {
                let skipped_count = self.totals.skipped;
                return Err(Error::Empty {
                    location,
                    skipped_count,
                });
            }
        };
        let typed = |(name, inferred): (String, Inferred)| {
            let left_out = self.left_out.iter().find(|(key, _)| same_name(key, &name));
            let inferred = left_out.map_or(inferred, |(_, other)| inferred.merge(*other));
            let primitive_type = fixed_type(&self.fixed_types, &name)
                .cloned()
                .unwrap_or_else(|| inferred.primitive_type());
            PartitionKey {
                name,
                primitive_type,
            }
        };
        Ok(Surveyed {
            keys: keys
                .names
                .into_iter()
                .zip(self.inferred)
                .map(typed)
                .collect(),
            totals: self.totals,
            perhaps: self.perhaps,
        })
    }

    fn absorb_left_out(&mut self, key: String, value: Option<&str>) {
        let known = self
            .left_out
            .iter()
            .position(|(known, _)| same_name(known, &key));
        let index = known.unwrap_or_else(|| {
            self.left_out.push((key, Inferred::default()));
            self.left_out.len() - 1
        });
        self.left_out[index].1.absorb(value);
    }

    /// Takes in the folder of a file; whether the filter lets it through.
    fn enter(&mut self, folder: &Arc<Folder>, file: &Location) -> Result<bool> {
        if let Some(last) = &self.last
            && Arc::ptr_eq(&last.folder, folder)
        {
            return Ok(last.matches);
        }
        let comparison = matches(&self.filter, folder, &self.root)?;
        let keys = self.keys.get_or_insert_with(|| Keys {
            names: folder.pairs.iter().map(|(key, _)| key.clone()).collect(),
            file: file.clone(),
        });
        self.inferred.resize(keys.names.len(), Inferred::default());
        let values = keys.arrange(folder, file)?;
        let matches = comparison != Comparison::Unequal;
        if matches {
            self.perhaps |= comparison == Comparison::PerhapsEqual;
            for ((name, value), inferred) in keys.names.iter().zip(&values).zip(&mut self.inferred)
            {
                inferred.absorb(*value);
                if let Some(primitive_type) = fixed_type(&self.fixed_types, name) {
                    literal(*value, primitive_type, name, &folder.location)?;
                }
            }
        }
        let values: Vec<Option<String>> = values
            .into_iter()
            .map(|value| value.map(str::to_owned))
            .collect();
        // Sub folders of a partition come right after one another.
        let is_new = self
            .last
            .as_ref()
            .is_none_or(|last| !last.matches || last.values != values);
        self.totals.partitions += u64::from(matches && is_new && !values.is_empty());
        self.last = Some(LastFolder {
            folder: Arc::clone(folder),
            matches,
            values,
        });
        Ok(matches)
    }
}

impl Keys {
    /// A folder's values in the order of the keys.
    fn arrange<'a>(&self, folder: &'a Folder, file: &Location) -> Result<Vec<Option<&'a str>>> {
        let value = |name: &String| {
            let mut named = folder.pairs.iter().filter(|(key, _)| same_name(key, name));
            named.next().map(|(_, value)| value.as_deref())
        };
        let values: Option<Vec<Option<&str>>> = self.names.iter().map(value).collect();
        match values {
            Some(values) if values.len() == folder.pairs.len() => Ok(values),
            _ => Err(Error::MixedKeys {
                first: self.file.clone(),
                first_keys: self.names.clone(),
                second: file.clone(),
                second_keys: folder.pairs.iter().map(|(key, _)| key.clone()).collect(),
            }),
        }
    }
}

/// Partition values in the order of the lake's keys.
pub(crate) type Values = Arc<[Option<Literal>]>;

/// The second pass: turns what the listing comes upon into entries.
#[derive(Debug)]
pub(crate) struct Entries {
    reader: FolderReader,
    root: Location,
    filter: Arc<PartitionFilter>,
    keys: Arc<[PartitionKey]>,
    names: Option<Keys>,
    last: Option<(Arc<Folder>, Option<Values>)>,
}

impl Entries {
    pub(crate) fn new(
        reader: FolderReader,
        root: Location,
        filter: Arc<PartitionFilter>,
        keys: Arc<[PartitionKey]>,
    ) -> Self {
        Self {
            reader,
            root,
            filter,
            keys,
            names: None,
            last: None,
        }
    }

    /// Turns a listing into entries.
    pub(crate) fn of(
        mut self,
        listing: BoxStream<'static, Result<Found>>,
    ) -> BoxStream<'static, Result<LakeEntry>> {
        listing
            .filter_map(move |found| {
                std::future::ready(found.and_then(|found| self.entry(found)).transpose())
            })
            .boxed()
    }

    fn entry(&mut self, found: Found) -> Result<Option<LakeEntry>> {
        let object = match found {
            Found::Object(object) => object,
            Found::Partition(..) => return Ok(None),
            Found::Skipped(skipped) => return Ok(Some(LakeEntry::Skipped(skipped))),
        };
        Ok(match self.reader.read(&object)? {
            Reading::Skip(reason) => Some(skipped(object, reason)),
            Reading::File(folder) => {
                let partition = self.partition(&folder, &object.location)?;
                partition.map(|partition| file(object, partition))
            }
        })
    }

    /// The partition values of a folder; `None` when the filter leaves it out.
    fn partition(&mut self, folder: &Arc<Folder>, file: &Location) -> Result<Option<Values>> {
        if let Some((last, partition)) = &self.last
            && Arc::ptr_eq(last, folder)
        {
            return Ok(partition.clone());
        }
        let partition = if matches(&self.filter, folder, &self.root)? == Comparison::Unequal {
            None
        } else {
            let names = self.names.get_or_insert_with(|| Keys {
                names: self.keys.iter().map(|key| key.name.clone()).collect(),
                file: file.clone(),
            });
            let values = names.arrange(folder, file)?;
            let literals = self.keys.iter().zip(values).map(|(key, value)| {
                literal(value, &key.primitive_type, &key.name, &folder.location)
            });
            Some(literals.collect::<Result<_>>()?)
        };
        self.last = Some((Arc::clone(folder), partition.clone()));
        Ok(partition)
    }
}

/// An entry for a data file.
pub(crate) fn file(object: ObjectInfo, partition: Values) -> LakeEntry {
    LakeEntry::File(LakeFile {
        location: object.location,
        size: object.size,
        last_modified_ms: object.last_modified_ms,
        etag: object.etag,
        storage_class: object.storage_class,
        partition,
    })
}

/// An entry for an object that is no data.
pub(crate) fn skipped(object: ObjectInfo, reason: SkipReason) -> LakeEntry {
    LakeEntry::Skipped(Skipped {
        location: object.location,
        reason,
    })
}

/// A partition value in its type.
pub(crate) fn literal(
    text: Option<&str>,
    primitive_type: &PrimitiveType,
    key: &str,
    location: &Location,
) -> Result<Option<Literal>> {
    let Some(text) = text else { return Ok(None) };
    match value::parse(text, primitive_type) {
        Some(literal) => Ok(Some(literal)),
        None => Err(Error::Value {
            location: location.clone(),
            key: key.to_owned(),
            value: text.to_owned(),
            expected: primitive_type.to_string(),
        }),
    }
}

/// The type that a key was given.
pub(crate) fn fixed_type<'a>(
    types: &'a [(String, PrimitiveType)],
    name: &str,
) -> Option<&'a PrimitiveType> {
    let named = types.iter().find(|(key, _)| same_name(key, name));
    named.map(|(_, primitive_type)| primitive_type)
}

fn matches(filter: &PartitionFilter, folder: &Folder, root: &Location) -> Result<Comparison> {
    let pairs = folder
        .pairs
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_deref()));
    filter
        .matches(&pairs)
        .map_err(|key| Error::UnknownFilterKey {
            location: root.clone(),
            key: key.to_owned(),
            known: folder.pairs.iter().map(|(key, _)| key.clone()).collect(),
        })
}
