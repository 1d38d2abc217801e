//! The end-to-end suite: runs the built binary, one module a command.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

mod add_files;
mod assess;
mod catalog;
mod compact;
mod corpus;
mod ctas;
mod ctas_update;
mod general;
mod glue;
mod interop;
mod migrate;
mod notebooks;
mod orc;
mod peers;
mod reader;
mod report;
mod settings;
mod sql;
mod sync;
mod tables;
mod tidy;
mod upkeep;
mod verify;
mod xml;
mod xml_runs;
