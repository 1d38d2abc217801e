//! `AddFiles` over lakes of every kind, on local disk, S3 and Glue, read back by PyIceberg and DuckDB.

#![allow(clippy::unwrap_used, missing_docs)]

mod bad_input;
mod corpus;
mod glue;
mod honest;
mod races;
mod s3;
mod support;
mod targets;
