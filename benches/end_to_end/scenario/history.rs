//! A database in which much has happened: see history.sql.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use uuid::Uuid;

use super::subject::HISTORY;
use crate::arguments::Plan;
use crate::failure::Failure;
use crate::load::PRODUCTS;
use crate::progress::Progress;
use crate::stage::Stage;

const SQL: &str = include_str!("history.sql");

/// Statements that take long are cut into so many.
const CHUNKS: u64 = 20;

/// Written at the same time, to make use of several cores.
const AT_ONCE: u64 = 2;

/// Makes the database. Gives as many products as `spread` has, from all over it.
pub async fn make(stage: &Stage, plan: &Plan, progress: &Progress) -> Result<Vec<Uuid>, Failure> {
    let databases = &stage.databases;
    databases.create(HISTORY, "template0").await?;
    let url = databases.url_of(HISTORY);
    stage.run(&url, &["migrate"]).await?;
    let author = Author { url, plan };
    for step in ["begin", "products"] {
        author.write(step, 0, 0).await?;
    }
    let size = plan.reservations / CHUNKS;
    for chunk in (0..CHUNKS).step_by(AT_ONCE.try_into().unwrap_or(1)) {
        progress.begin(&format!("history, which takes minutes: {} % written", chunk * 100 / CHUNKS));
        let range = |of: u64| (of * size, (of + 1) * size - 1);
        let chunks = (chunk..chunk + AT_ONCE).map(range);
        futures_util::future::try_join_all(
            chunks.map(|(first, last)| author.write("reservations", first, last)),
        )
        .await?;
    }
    for step in ["outcomes", "indexes", "vacuum"] {
        progress.begin(&format!("history, which takes minutes: {step}"));
        author.write(step, 0, 0).await?;
    }
    databases.checkpoint().await?;
    author.products().await
}

struct Author<'a> {
    url: String,
    plan: &'a Plan,
}

impl Author<'_> {
    async fn write(&self, step: &str, first: u64, last: u64) -> Result<(), Failure> {
        let Plan { reservations, products, .. } = self.plan;
        let steps = SQL.split("-- step: ").filter_map(|step| step.split_once('\n'));
        let sql = steps.filter(|(name, _)| *name == step).map(|(_, sql)| sql).collect::<String>();
        let sql = sql
            .replace("{products}", &products.to_string())
            .replace("{reservations}", &reservations.to_string())
            .replace("{outcomes}", &(reservations / 10).to_string())
            .replace("{first}", &first.to_string())
            .replace("{last}", &last.to_string());
        let mut connection = PgConnection::connect(&self.url).await?;
        // Nobody needs half of it: a crash ends the run anyway.
        connection.execute("SET synchronous_commit = off").await?;
        connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
        Ok(connection.close().await?)
    }

    async fn products(&self) -> Result<Vec<Uuid>, Failure> {
        let mut connection = PgConnection::connect(&self.url).await?;
        let (all, step) = (self.plan.products, self.plan.products / PRODUCTS);
        let bigint = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let products = sqlx::query_scalar(
            "SELECT history.product(number) FROM generate_series(0, $1 - 1, $2) AS number",
        )
        .bind(bigint(all))
        .bind(bigint(step))
        .fetch_all(&mut connection)
        .await?;
        connection.close().await?;
        Ok(products)
    }
}
