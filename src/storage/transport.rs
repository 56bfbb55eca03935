//! What the URL of the database says: who may hear along, and who may answer in the server's place.

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use crate::config::{DatabaseSettings, SettingsError, is_loopback, require};

/// The parameters that there are, as libpq has them. The client passes over those that it does not know, even one that forbids
/// something (`sslcrl`, `channel_binding`), and logs what they say.
const PARAMETERS: [&str; 11] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "application_name",
    "options",
];

/// Taken, but recommended to nobody: a password belongs before the host, and the others are the client's own.
const MORE: [&str; 7] =
    ["password", "ssl-mode", "ssl-root-cert", "ssl-ca", "ssl-cert", "ssl-key", "statement-cache-capacity"];

/// Reads the URL; refuses what is not understood, and a server that nothing shows to be the one that is meant.
pub(super) fn options(settings: &DatabaseSettings) -> Result<PgConnectOptions, SettingsError> {
    let no_url = || SettingsError::OutOfRange {
        name: "database.url",
        reason: "is not a PostgreSQL URL such as postgres://user:password@host:5432/database".to_owned(),
    };
    let url = Url::parse(settings.url.expose()).map_err(|_| no_url())?;
    let is_known =
        |name: &str| PARAMETERS.contains(&name) || MORE.contains(&name) || name.starts_with("options[");
    // Which one is not told: it may be a part of a password.
    require(
        "database.url",
        url.query_pairs().all(|(name, _)| is_known(&name)),
        &format!("has a parameter that is not known here: there are {}", PARAMETERS.join(", ")),
    )?;
    let options = PgConnectOptions::from_url(&url).map_err(|_| no_url())?;
    checked(options, settings.allow_plain_text)
}

/// Refuses a server on another machine that would be spoken to without TLS, or whoever it is. Short of `verify-full`
/// anybody on the way may answer: `verify-ca` takes any certificate of any authority that the system trusts.
fn checked(options: PgConnectOptions, allow_plain_text: bool) -> Result<PgConnectOptions, SettingsError> {
    let host = options.get_host();
    let is_here = options.get_socket().is_some() || host.starts_with('/') || is_loopback(host);
    let is_verified = matches!(options.get_ssl_mode(), PgSslMode::VerifyFull);
    require(
        "database.url",
        is_here || is_verified || allow_plain_text,
        "names another machine, and what is said there could be read and changed on the way: add sslmode=verify-full \
         (and sslrootcert=FILE for an authority of your own), or set database.allow_plain_text = true where nobody \
         else is on that network",
    )?;
    Ok(options)
}
