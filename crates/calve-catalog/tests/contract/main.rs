//! The laws that every catalog keeps, over every catalog.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::print_stdout, reason = "tests say what they skip")]
#![allow(clippy::large_futures, reason = "tests have few futures")]

mod glue;
mod laws;
mod peers;
mod postgres;
mod subject;

use subject::Subject;

#[tokio::test(flavor = "multi_thread")]
async fn memory() {
    laws::check(&Subject::memory().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    laws::check(&Subject::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_without_the_type_column() {
    laws::check(&Subject::old_sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    let Some(server) = postgres::Server::start() else {
        println!("skipped: no PostgreSQL server is installed");
        return;
    };
    laws::check(&Subject::postgres(&server).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn glue() {
    laws::check(&Subject::glue().await).await;
}
