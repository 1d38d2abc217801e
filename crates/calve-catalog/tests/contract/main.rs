//! The laws that every catalog keeps, over every catalog.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]
#![allow(clippy::print_stdout, reason = "tests say what they skip")]
#![allow(clippy::large_futures, reason = "tests have few futures")]

mod glue;
mod golden;
mod laws;
mod peers;
mod postgres;
mod subject;
mod unclear;

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
async fn sqlite_in_memory() {
    laws::check(&Subject::sqlite_in_memory().await).await;
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

/// Processes that start at the same time make the tables of a new catalog once.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_can_be_opened_by_many() {
    let postgres = postgres::Server::start();
    let folder = tempfile::TempDir::new().unwrap();
    let sqlite = format!("sqlite:///{}/catalog.db", folder.path().display());
    for uri in std::iter::once(sqlite).chain(postgres.iter().map(postgres::Server::uri)) {
        let openings = (0..8).map(|_| {
            let properties = calve_base::Properties::from([("uri".to_owned(), uri.clone())]);
            tokio::spawn(async move { calve_catalog::open("test", properties).await.map(drop) })
        });
        for opened in futures::future::join_all(openings).await {
            opened.unwrap().unwrap();
        }
    }
}
