//! A catalog under test, and further handles on the same catalog, as other processes have them.

use std::collections::BTreeMap;
use std::sync::Arc;

use calve_base::Properties;
use calve_catalog::Catalog;
use calve_testkit::moto::Moto;
use calve_testkit::s3::S3Server;
use tempfile::TempDir;

use crate::postgres;

pub(crate) struct Subject {
    pub(crate) catalog: Arc<dyn Catalog>,
    properties: Option<Properties>,
    _folder: TempDir,
    _server: Option<S3Server>,
}

impl Subject {
    pub(crate) async fn memory() -> Self {
        let folder = TempDir::new().unwrap();
        let properties = properties(&folder, &[("type", "memory")]);
        let mut subject = Self::open(folder, properties).await;
        // Each handle would have a memory of its own.
        subject.properties = None;
        subject
    }

    pub(crate) async fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let uri = sqlite_uri(&folder);
        let properties = properties(&folder, &[("uri", &uri)]);
        Self::open(folder, properties).await
    }

    pub(crate) async fn sqlite_in_memory() -> Self {
        let folder = TempDir::new().unwrap();
        let properties = properties(&folder, &[("uri", "sqlite:///:memory:")]);
        let mut subject = Self::open(folder, properties).await;
        subject.properties = None;
        subject
    }

    /// A catalog as old versions of PyIceberg and Java made it.
    pub(crate) async fn old_sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let script = "
import json, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute('''CREATE TABLE iceberg_tables (catalog_name VARCHAR(255) NOT NULL,
    table_namespace VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL,
    metadata_location VARCHAR(1000), previous_metadata_location VARCHAR(1000),
    PRIMARY KEY (catalog_name, table_namespace, table_name))''')
connection.execute('''CREATE TABLE iceberg_namespace_properties (catalog_name VARCHAR(255) NOT NULL,
    namespace VARCHAR(255) NOT NULL, property_key VARCHAR(255), property_value VARCHAR(1000),
    PRIMARY KEY (catalog_name, namespace, property_key))''')
connection.commit()
print(json.dumps(None))
";
        let file = folder.path().join("catalog.db");
        calve_testkit::python::run(script, &[file.to_str().unwrap()]);
        let uri = sqlite_uri(&folder);
        let properties = properties(&folder, &[("uri", &uri)]);
        Self::open(folder, properties).await
    }

    pub(crate) async fn postgres(server: &postgres::Server) -> Self {
        let folder = TempDir::new().unwrap();
        let properties = properties(&folder, &[("uri", &server.uri())]);
        Self::open(folder, properties).await
    }

    pub(crate) async fn glue() -> Self {
        let server = S3Server::with_buckets(&["lake"]);
        let mut properties = Moto::start().properties();
        properties.extend(server.properties());
        properties.insert("warehouse".to_owned(), "s3://lake/warehouse/".to_owned());
        Self::open_with(TempDir::new().unwrap(), Some(server), properties).await
    }

    async fn open(folder: TempDir, properties: Properties) -> Self {
        Self::open_with(folder, None, properties).await
    }

    async fn open_with(folder: TempDir, server: Option<S3Server>, properties: Properties) -> Self {
        let catalog = calve_catalog::open("test", properties.clone())
            .await
            .unwrap();
        Self {
            catalog,
            properties: Some(properties),
            _folder: folder,
            _server: server,
        }
    }

    /// Another handle on the same catalog, with connections of its own where that is possible.
    pub(crate) async fn another(&self) -> Arc<dyn Catalog> {
        match &self.properties {
            Some(properties) => calve_catalog::open("test", properties.clone())
                .await
                .unwrap(),
            None => Arc::clone(&self.catalog),
        }
    }
}

fn sqlite_uri(folder: &TempDir) -> String {
    format!("sqlite:///{}/catalog.db", folder.path().display())
}

fn properties(folder: &TempDir, more: &[(&str, &str)]) -> Properties {
    let warehouse = folder.path().join("warehouse").display().to_string();
    let mut properties = BTreeMap::from([("warehouse".to_owned(), warehouse)]);
    for (key, value) in more {
        properties.insert((*key).to_owned(), (*value).to_owned());
    }
    properties
}
