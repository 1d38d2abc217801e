//! What every input of a fuzz target must fulfil. The targets run these checks under libFuzzer; the test
//! suite of `calve-xml` runs them, on the stable compiler, on the seeds and on changes of them.

pub mod columns;
pub mod lexer;
pub mod rows;
pub mod schemas;
