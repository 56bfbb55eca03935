//! Who may hear along, and who may answer in the server's place.

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::config::{SettingsError, is_loopback, require};

/// Refuses a server on another machine that would be spoken to without TLS, or whoever it is. Short of `verify-full`
/// anybody on the way may answer: `verify-ca` takes any certificate of any authority that the system trusts.
pub(super) fn checked(
    options: PgConnectOptions,
    allow_plain_text: bool,
) -> Result<PgConnectOptions, SettingsError> {
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
