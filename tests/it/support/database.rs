//! A database of one test alone.

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use uuid::Uuid;

use super::cleanup;

/// A database of one test alone; dropped with it.
#[derive(Debug)]
pub struct TestDatabase {
    server_url: String,
    name: String,
    /// For whoever connects to it.
    pub url: String,
}

impl TestDatabase {
    /// Creates it, empty.
    pub async fn create(server_url: &str) -> Self {
        Self::create_with(server_url, "").await
    }

    /// Another one with the same content. Nobody may be connected to this one.
    pub async fn copy(&self) -> Self {
        Self::create_with(&self.server_url, &format!("TEMPLATE {}", self.name)).await
    }

    async fn create_with(server_url: &str, options: &str) -> Self {
        let name = format!("it_{}", Uuid::new_v4().simple());
        let mut server = PgConnection::connect(server_url).await.expect("PostgreSQL");
        let sql = format!("CREATE DATABASE {name} {options}");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut server).await.unwrap();
        server.close().await.unwrap();
        Self { url: with_database(server_url, &name), name, server_url: server_url.to_owned() }
    }

    /// Connects to it.
    pub async fn connect(&self) -> PgConnection {
        let options: sqlx::postgres::PgConnectOptions = self.url.parse().unwrap();
        options.connect().await.unwrap()
    }

    /// Changes something behind the service's back; says how many rows.
    pub async fn execute(&self, sql: &str) -> u64 {
        let mut connection = self.connect().await;
        let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        done.rows_affected()
    }

    /// Reads a single number.
    pub async fn number(&self, sql: &str) -> i64 {
        let mut connection = self.connect().await;
        let number =
            sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        number
    }

    /// Locks the stock of a product until it is dropped, so that the next batch has to wait in the middle of its
    /// transaction.
    pub async fn lock(&self, product: Uuid) -> PgConnection {
        let mut connection = self.connect().await;
        sqlx::raw_sql("BEGIN").execute(&mut connection).await.unwrap();
        let sql = format!("SELECT 1 FROM stock WHERE product_id = '{product}' FOR UPDATE");
        sqlx::query(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        connection
    }

    /// Waits until somebody waits for a row lock in it.
    pub async fn until_somebody_waits_for_a_lock(&self) {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
        super::eventually("a transaction of the service waits for the lock", async || {
            self.number(sql).await > 0
        })
        .await;
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (url, name) = (self.server_url.clone(), self.name.clone());
        cleanup(async move {
            let mut server = PgConnection::connect(&url).await?;
            let sql = format!("DROP DATABASE {name} WITH (FORCE)");
            sqlx::query(AssertSqlSafe(sql)).execute(&mut server).await?;
            Ok(())
        });
    }
}

/// The same server, another database.
fn with_database(url: &str, name: &str) -> String {
    let (url, parameters) = url.split_once('?').map_or((url, None), |(url, rest)| (url, Some(rest)));
    let (server, _) = url.rsplit_once('/').expect("a URL with a database");
    parameters.map_or(format!("{server}/{name}"), |rest| format!("{server}/{name}?{rest}"))
}
