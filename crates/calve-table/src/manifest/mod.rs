//! Manifests and manifest lists: what they say, and how it is read and written.

mod decode;
mod encode;
mod entry;
mod list;
mod list_schema;
mod schema;
mod summary;
mod value;

pub(crate) use decode::{ManifestReader, read_paths};
pub(crate) use encode::{EncodedManifest, ManifestEncoder};
pub use entry::{Bounds, ContentFile, Counts, Entry};
pub(crate) use list::{ListHeader, decode_list, encode_list};
pub(crate) use schema::PartitionColumn;
pub(crate) use value::compare;

#[cfg(test)]
mod tests;
