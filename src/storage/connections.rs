//! Connections that are kept from one use to the next.
//!
//! Not the pool of the client library: that asks the server at each return whether the connection is well, which is as
//! much work as a short statement, and a round trip in which the next batch waits.

use std::time::Duration;

use deadpool::Runtime;
use deadpool::managed::{
    BuildError, Manager, Metrics, Object, Pool, PoolError, QueueMode, RecycleError, RecycleResult,
};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use super::StorageError;

/// Longest life of a connection: what a session gathers in memory at the server is given back, and after a failover
/// connections find their way to the new server.
const LIFETIME_MAX: Duration = Duration::from_mins(30);

/// Up to so many connections, made when they are needed. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Connections(Pool<Connector>);

/// Makes connections.
#[derive(Debug)]
struct Connector {
    options: PgConnectOptions,
}

impl Manager for Connector {
    type Type = PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        // Boxed: everything that may connect would be as large.
        Box::pin(PgConnection::connect_with(&self.options)).await
    }

    /// A connection that is broken shows in the first statement: asking beforehand would cost each a round trip.
    async fn recycle(&self, _: &mut PgConnection, metrics: &Metrics) -> RecycleResult<sqlx::Error> {
        if metrics.age() > LIFETIME_MAX { Err(RecycleError::message("old")) } else { Ok(()) }
    }
}

impl Connections {
    pub(super) fn new(
        options: PgConnectOptions,
        max: u32,
        connect_timeout: Duration,
    ) -> Result<Self, BuildError> {
        let pool = Pool::builder(Connector { options })
            .max_size(max as usize)
            // The one used last has its statements prepared and the server's caches warm.
            .queue_mode(QueueMode::Lifo)
            .wait_timeout(Some(connect_timeout))
            .create_timeout(Some(connect_timeout))
            .runtime(Runtime::Tokio1)
            .build()?;
        Ok(Self(pool))
    }

    /// A connection of one's own.
    pub(super) async fn lease(&self) -> Result<Lease, StorageError> {
        match self.0.get().await {
            Ok(connection) => Ok(Lease(Some(connection))),
            Err(PoolError::Backend(error)) => Err(error.into()),
            Err(PoolError::Closed) => Err(StorageError::Away(sqlx::Error::PoolClosed)),
            Err(_) => Err(StorageError::Away(sqlx::Error::PoolTimedOut)),
        }
    }

    /// Closes those that nobody uses.
    pub(super) fn drop_idle(&self) {
        self.0.retain(|_, _| false);
    }

    /// Closes those that nobody uses, politely, and makes no more.
    pub(super) async fn close(&self) {
        for connection in self.0.retain(|_, _| false).removed {
            // Where this fails the connection is gone, which is what is wanted.
            let _ = connection.close().await;
        }
        self.0.close();
    }
}

/// A connection in use. Dropped without [`Lease::keep`], it is closed: a statement may still be running there.
#[derive(Debug)]
pub(super) struct Lease(Option<Object<Connector>>);

impl Lease {
    pub(super) fn connection(&mut self) -> Result<&mut PgConnection, StorageError> {
        self.0.as_deref_mut().ok_or(StorageError::Away(sqlx::Error::PoolClosed))
    }

    /// It is as it was before: the next may have it.
    pub(super) fn keep(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.0.take().map(Object::take));
    }
}
