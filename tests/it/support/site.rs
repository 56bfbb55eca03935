//! A place for services of one test alone: a database, names on the broker, settings.

use std::process::Command;

use uuid::Uuid;

use super::database::TestDatabase;
use super::harness::file;
use super::names::{DeletedOnDrop, Names};
use super::process::{Ended, inventory_with, run};
use super::servers::Servers;
use super::service::Service;

/// A database, names on the broker, and settings.
#[derive(Debug)]
pub struct Site {
    pub servers: Servers,
    pub database: TestDatabase,
    pub names: Names,
    pub settings: Vec<(String, String)>,
    /// Those of the service alone, not of people at the command line.
    pub service_settings: Vec<(String, String)>,
    _topology: DeletedOnDrop,
}

impl Site {
    /// A place on these servers, of which PostgreSQL must run.
    pub async fn create(servers: Servers, names: Names) -> Self {
        let database = TestDatabase::create(&servers.database_url).await;
        let mut settings = names.settings();
        settings.push(("DATABASE_URL".to_owned(), database.url.clone()));
        settings.push(("AMQP_URL".to_owned(), servers.amqp_url.clone()));
        let topology = DeletedOnDrop { amqp_url: servers.amqp_url.clone(), names: names.clone() };
        Self { servers, database, names, settings, service_settings: Vec::new(), _topology: topology }
    }

    /// A place on the shared servers.
    pub async fn shared() -> Self {
        Self::create(Servers::shared(), Names::unique()).await
    }

    /// With a setting more.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts a service here, which may have to wait for its servers.
    pub async fn start_service(&self) -> Service {
        Service::start(&[self.settings.as_slice(), &self.service_settings].concat()).await
    }

    /// The same with settings that no other process here has, such as `FAILPOINTS`.
    pub async fn start_service_with(&self, settings: &[(&str, &str)]) -> Service {
        let own = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let settings: Vec<(String, String)> = self.settings.iter().cloned().chain(own).collect();
        Service::start(&settings).await
    }

    /// Counts products.
    pub async fn count(&self, lines: &[(Uuid, u64)]) {
        let lines: Vec<String> =
            lines.iter().map(|(product, quantity)| format!("{product},{quantity}\n")).collect();
        let path = file("stock.csv", &format!("product_id,quantity\n{}", lines.concat()));
        let ended = self.inventory(&["stock", "import", path.to_str().unwrap()]).await;
        std::fs::remove_file(path).unwrap();
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }

    /// Runs another command of the binary here.
    pub async fn inventory(&self, arguments: &[&str]) -> Ended {
        run(self.command(arguments)).await
    }

    /// The same, for whoever runs it later.
    pub fn command(&self, arguments: &[&str]) -> Command {
        inventory_with(&self.settings, arguments)
    }
}
