//! Rows in the text of a segment.

mod recovery;
mod row_tag;
mod segment;

pub(crate) use recovery::ends_name;
pub(crate) use row_tag::{RowTag, steps};
pub use segment::Fault;
pub(crate) use segment::{End, Rows, Segment, read_segment};
