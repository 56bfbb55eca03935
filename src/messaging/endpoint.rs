//! Where RabbitMQ is, who may hear along on the way there, and the certificates for it.

use std::io;

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};

use crate::config::{AmqpSettings, Secret, SettingsError, is_loopback, require};

/// A certificate or key that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{name} {path}: {error}")]
pub struct CertificateError {
    name: &'static str,
    path: String,
    error: io::Error,
}

/// Checks the URLs and the files that they need, so that a mistake shows at once and not as a failure to connect.
pub fn check(settings: &AmqpSettings) -> Result<(), SettingsError> {
    for (name, url) in [("amqp.url", &settings.url), ("amqp.publish_url", settings.publishing_url())] {
        let is_safe = |uri: &AMQPUri| uri.scheme == AMQPScheme::AMQPS || is_loopback(&uri.authority.host);
        let is_safe = parse(name, url)?.iter().all(is_safe);
        require(
            name,
            is_safe || settings.allow_plain_text,
            "names another machine, and what is said there could be read and changed on the way: make it amqps:// (and \
             set amqp.ca_file for an authority of your own), or set amqp.allow_plain_text = true where nobody else is on \
             that network",
        )?;
    }
    certificates(settings).map(|_| ()).map_err(|error| SettingsError::OutOfRange {
        name: error.name,
        reason: format!("{}: {}", error.path, error.error),
    })
}

/// The virtual host in which everything is.
pub fn vhost(settings: &AmqpSettings) -> Result<String, SettingsError> {
    Ok(parse("amqp.url", &settings.url)?.swap_remove(0).vhost)
}

/// What a URL names: a node for each of its hosts, of which there is at least one.
pub(super) fn parse(name: &'static str, url: &Secret) -> Result<Vec<AMQPUri>, SettingsError> {
    let nodes = nodes(url.expose()).and_then(|urls| urls.iter().map(|url| node(url)).collect());
    nodes.ok_or_else(|| SettingsError::OutOfRange {
        name,
        reason: "is not an AMQP URL such as amqp://user:password@host:5672/%2f, or with host1,host2:5673 for the nodes \
                 of a cluster"
            .to_owned(),
    })
}

/// A URL for each host of a URL; all else is the same for all of them.
fn nodes(url: &str) -> Option<Vec<String>> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (login, hosts) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
    let hosts: Vec<&str> = hosts.split(',').collect();
    // The client would take no host for this machine.
    let is_complete = hosts.len() == 1 || !hosts.contains(&"");
    is_complete.then(|| hosts.iter().map(|host| format!("{scheme}://{login}{host}{path}")).collect())
}

fn node(url: &str) -> Option<AMQPUri> {
    let mut uri: AMQPUri = url.parse().ok()?;
    // The client takes an address in brackets for none, and would go to localhost.
    if let Some(address) = bracketed(url) {
        address.clone_into(&mut uri.authority.host);
    }
    Some(uri)
}

/// The IPv6 address of a URL, where it has one.
fn bracketed(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some(host.strip_prefix('[')?.split_once(']')?.0)
}

/// The certificates, as the files have them now: whoever renews them need not restart the service.
pub(super) fn certificates(settings: &AmqpSettings) -> Result<OwnedTLSConfig, CertificateError> {
    let read = |name, path: &String| {
        let text = (!path.is_empty()).then(|| std::fs::read_to_string(path));
        text.transpose().map_err(|error| CertificateError { name, path: path.clone(), error })
    };
    let cert_chain = read("amqp.ca_file", &settings.ca_file)?;
    let certificate = read("amqp.cert_file", &settings.cert_file)?;
    let key = read("amqp.key_file", &settings.key_file)?;
    let identity = certificate
        .zip(key)
        .map(|(certificate, key)| OwnedIdentity::PKCS8 { pem: certificate.into(), key: key.into() });
    Ok(OwnedTLSConfig { identity, cert_chain })
}
