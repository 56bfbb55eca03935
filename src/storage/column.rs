//! Values in columns: units are `bigint` there and unsigned here.

use super::StorageError;

/// A statement to which tables bind their columns, each those of many rows.
pub(super) type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

/// For a column. What is out of its range is over every limit, and a CHECK constraint refuses it.
pub(super) fn to_bigint(units: u64) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// From a column.
pub(super) fn from_bigint(units: i64) -> Result<u64, StorageError> {
    u64::try_from(units).map_err(|_| StorageError::Broken(format!("{units} units")))
}

/// A column for `unnest`. One with nothing in it is null as a whole: then PostgreSQL has nothing to unnest.
pub(super) fn sparse<T>(values: Vec<Option<T>>) -> Option<Vec<Option<T>>> {
    values.iter().any(Option::is_some).then_some(values)
}
