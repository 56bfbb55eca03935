//! Roles and grants in PostgreSQL.

use std::collections::HashSet;

use sqlx::AssertSqlSafe;

use super::{Login, Logins, ProvisionError};
use crate::config::Settings;
use crate::storage::{Database, StorageError, migrations};

/// Who owns what.
const ROLES: &str = include_str!("roles.sql");

/// Who may do what with the tables.
const GRANTS: &str = include_str!("grants.sql");

/// Whose passwords are set although the role exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewed {
    /// Those that are given in the environment.
    Given,
    /// All.
    All,
}

/// Makes the roles and gives them what they need before there is a table.
pub(super) fn before_tables(logins: &Logins, renewed: Renewed) -> String {
    let roles = logins.roles().map(|login| role(login, renewed == Renewed::All || login.is_given()));
    format!("{}\n{}", roles.concat(), of(ROLES, logins))
}

/// Gives them what they need of the tables, and nothing else.
pub(super) fn on_tables(logins: &Logins) -> String {
    of(GRANTS, logins)
}

/// The names are letters, digits, `-` and `_`: nothing in them has to be escaped.
fn of(template: &str, logins: &Logins) -> String {
    template
        .replace("{owner}", logins.owner.user())
        .replace("{app}", logins.app.user())
        .replace("{operator}", logins.operator.user())
}

fn role(login: &Login, is_renewed: bool) -> String {
    let (role, verifier) = (login.user(), login.scram_verifier());
    let otherwise =
        if is_renewed { format!("ALTER ROLE \"{role}\" PASSWORD '{verifier}'") } else { "NULL".to_owned() };
    format!(
        "DO $do$ BEGIN\n    CREATE ROLE \"{role}\" LOGIN PASSWORD '{verifier}';\n\
         EXCEPTION WHEN duplicate_object THEN\n    {otherwise};\nEND $do$;\n"
    )
}

/// Does it; adds the roles that are new, or may be, even where it fails.
pub(super) async fn apply<'a>(
    logins: &'a Logins,
    settings: &Settings,
    new: &mut Vec<&'a Login>,
) -> Result<(), ProvisionError> {
    let administrator = Database::for_operator(&settings.database)?;
    administrator.try_connect().await?;
    let roles: Vec<String> = administrator
        .using(async |connection| {
            Ok(sqlx::query_scalar("SELECT rolname FROM pg_roles").fetch_all(connection).await?)
        })
        .await?;
    let existing: HashSet<String> = roles.into_iter().collect();
    let made = execute(&administrator, before_tables(logins, Renewed::Given)).await;
    // Without an answer they may be there.
    if made.as_ref().err().is_none_or(StorageError::is_away) {
        new.extend(logins.roles().into_iter().filter(|login| !existing.contains(login.user())));
    }
    made?;
    let owner = Database::for_owner(&settings.database, logins.owner.user())?;
    migrations::apply(&owner).await?;
    owner.close().await;
    execute(&administrator, on_tables(logins)).await?;
    administrator.close().await;
    Ok(())
}

/// Statements that are sent together are one transaction.
async fn execute(database: &Database, sql: String) -> Result<(), StorageError> {
    database
        .using(async |connection| {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
            Ok(())
        })
        .await
}
