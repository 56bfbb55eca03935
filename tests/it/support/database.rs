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

    /// Begins a transaction with a statement, such as one that locks rows; it stays open as long as the connection.
    pub async fn hold(&self, sql: &str) -> PgConnection {
        let mut connection = self.connect().await;
        let sql = AssertSqlSafe(format!("BEGIN; {sql}"));
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection
    }

    /// Locks the stock of a product until it is dropped, so that whoever needs it has to wait.
    pub async fn lock_stock(&self, product: Uuid) -> PgConnection {
        self.hold(&format!("SELECT 1 FROM stock WHERE product_id = '{product}' FOR UPDATE")).await
    }

    /// Ends every other session of it, as an administrator would.
    pub async fn terminate_sessions(&self) {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()
                     AND application_name = 'inventory-service'";
        self.execute(sql).await;
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

    /// Waits until somebody has waited for a row lock in it for more than a moment.
    pub async fn until_somebody_waits_for_a_lock(&self) {
        let sql = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'
                       AND clock_timestamp() > query_start + interval '50 ms'";
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
