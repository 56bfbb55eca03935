//! A clock of the database that a test sets.

use super::site::Site;

/// A clock of the database that a test sets: what the service takes for the functions of PostgreSQL.
#[derive(Debug)]
pub struct DatabaseClock(());

/// Functions of the same names that are found first. What exists already keeps to the real clock.
const FUNCTIONS: &str = "
    CREATE SCHEMA test_clock;
    CREATE TABLE test_clock.ahead AS SELECT interval '0' AS by;
    CREATE FUNCTION test_clock.clock_timestamp() RETURNS timestamptz STABLE
        RETURN pg_catalog.clock_timestamp() + (SELECT by FROM test_clock.ahead);
    CREATE FUNCTION test_clock.statement_timestamp() RETURNS timestamptz STABLE
        RETURN pg_catalog.statement_timestamp() + (SELECT by FROM test_clock.ahead);
    CREATE FUNCTION test_clock.now() RETURNS timestamptz STABLE
        RETURN pg_catalog.now() + (SELECT by FROM test_clock.ahead);
    DO 'BEGIN
        EXECUTE format(''ALTER DATABASE %I SET search_path = test_clock, pg_catalog, public'', current_database());
    END'";

impl DatabaseClock {
    /// Migrates a database, and gives it such a clock. Services must start after it, and must not migrate: they
    /// would look for the tables in the schema of the clock.
    pub async fn install(site: &Site) -> Self {
        let migrated = site.inventory(&["migrate"]).await;
        assert_eq!(migrated.code, Some(0), "{migrated:?}");
        site.database.execute(FUNCTIONS).await;
        Self(())
    }

    /// Sets it ahead by so many seconds.
    pub async fn advance(&self, site: &Site, seconds: u32) {
        let sql = format!("UPDATE test_clock.ahead SET by = by + interval '{seconds} seconds'");
        assert_eq!(site.database.execute(&sql).await, 1);
    }
}
