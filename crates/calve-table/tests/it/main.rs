//! The write path against a real store and a catalog that can be told to fail.
#![allow(clippy::unwrap_used)]

mod append;
mod commit;
mod data_files;
mod faulty;
mod foreign_readers;
mod metadata_tables;
mod replace;
mod s3_faults;
mod scan;
mod support;
