//! Health and metrics over HTTP (contract section 6).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::batch::Standstill;
use crate::messaging::LinkState;
use crate::metrics::Metrics;
use crate::storage::Database;

/// Metrics for who asks for them so, as Prometheus does.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// For everybody else: the same text reads as the older format too.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What health depends on.
#[derive(Debug, Clone)]
pub struct Health {
    /// The database.
    pub database: Database,
    /// Whether the schema is up to date.
    pub schema: Arc<AtomicBool>,
    /// Why commands cannot be handled now.
    pub standstill: Standstill,
    /// Connections to RabbitMQ by name, and what they are good for.
    pub links: Vec<(&'static str, watch::Receiver<LinkState>)>,
    /// Whether the service is about to end.
    pub stop: CancellationToken,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// Serves `/healthz`, `/readyz` and `/metrics` until `stop`.
pub async fn serve(listener: TcpListener, health: Health, stop: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health);
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}

/// 200 where commands are being handled, otherwise 503 and a line for each thing that is missing.
async fn readyz(State(health): State<Health>) -> Response {
    let mut missing = Vec::new();
    if let Err(error) = health.database.ping().await {
        missing.push(format!("PostgreSQL: {error}"));
    } else if !health.schema.load(Ordering::Relaxed) {
        missing.push("PostgreSQL: the schema is not up to date yet".to_owned());
    } else if let Some(reason) = health.standstill.reason() {
        missing.push(format!("PostgreSQL: {reason}"));
    }
    for (name, state) in &health.links {
        match *state.borrow() {
            LinkState::Up => {}
            LinkState::Down => missing.push(format!("RabbitMQ: the connection for {name} is not made")),
            LinkState::Blocked => missing.push(format!("RabbitMQ: takes no {name} (memory or disk alarm)")),
        }
    }
    if health.stop.is_cancelled() {
        missing.push("the service is stopping".to_owned());
    }
    if missing.is_empty() {
        (StatusCode::OK, "ready\n").into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n").into_response()
    }
}

async fn metrics(State(health): State<Health>, request: HeaderMap) -> Response {
    let accept = request.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let content_type =
        if accept.contains("application/openmetrics-text") { OPENMETRICS } else { PROMETHEUS_TEXT };
    match health.metrics.to_text() {
        Ok(text) => ([(header::CONTENT_TYPE, content_type)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
