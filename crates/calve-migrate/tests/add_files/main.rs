//! `Ingest`, `Ctas`, and `AddFiles` over lakes of every kind, on local disk, S3 and Glue, read back by PyIceberg and DuckDB.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    missing_docs,
    reason = "tests fail by panicking"
)]

mod assess;
mod bad_input;
mod ctas;
mod ctas_update;
mod glue;
mod honest;
mod ingest;
mod races;
mod s3;
mod scenarios;
mod support;
mod sync;
mod targets;
