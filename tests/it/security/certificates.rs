//! Who cannot show who he is, is not spoken to: on both sides of both connections.

use std::process::Command;

use crate::support::books::assert_refused;
use crate::support::process::{run, run_ok};
use crate::support::servers::PrivateServers;
use crate::support::service::Service;
use crate::support::site::Site;

use super::logins::Logins;

/// A certificate of an authority that has signed nothing here.
pub async fn stranger() -> String {
    let path = format!("{}/{}-stranger", env!("CARGO_TARGET_TMPDIR"), uuid::Uuid::new_v4());
    let certificate = format!("{path}.pem");
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
    openssl.args(["-subj", "/CN=stranger", "-keyout", "/dev/null", "-out", &certificate]);
    run_ok(openssl).await;
    certificate
}

/// The database: another authority, another host, no certificate of the client, no TLS.
pub async fn are_demanded_by_postgresql(servers: &PrivateServers, logins: &Logins<'_>, site: &Site) {
    let url = logins.database_url("inventory_operator");
    let (plain, _) = url.split_once('?').unwrap();
    let ca = servers.certificate("ca.pem");
    let (key, certificate) = (servers.certificate("client.key"), servers.certificate("client.pem"));
    for (url, reason) in [
        (url.replace(&ca, &stranger().await), "UnknownIssuer"),
        (url.replace("@127.0.0.1:", "@localhost:"), "not valid for name \"localhost\""),
        (url.replace(&format!("&sslcert={certificate}&sslkey={key}"), ""), "certificate"),
        (format!("{plain}?sslmode=disable"), "no encryption"),
    ] {
        let mut command = site.command(&["reservation", "list"]);
        command.env("DATABASE_URL", &url);
        assert_refused(&run(command).await, 3, &[reason]);
    }
    let mut command = site.command(&["reservation", "list"]);
    command.env("DATABASE_URL", url.replace(&key, &certificate));
    assert_refused(&run(command).await, 2, &["with the key or password that there is"]);
}

/// The broker: the same.
pub async fn are_demanded_by_rabbitmq(site: &Site) {
    let ca = stranger().await;
    let consumer = &site.service_settings.iter().find(|(name, _)| name == "AMQP_URL").unwrap().1;
    let elsewhere = consumer.replace("@127.0.0.1:", "@localhost:");
    for (changed, reason) in [
        (&[("INVENTORY__AMQP__CA_FILE", ca.as_str())][..], "UnknownIssuer"),
        (&[("AMQP_URL", elsewhere.as_str())], "not valid for name \"localhost\""),
        (&[("INVENTORY__AMQP__CERT_FILE", ""), ("INVENTORY__AMQP__KEY_FILE", "")], "ertificate"),
    ] {
        let mut settings = [site.settings.as_slice(), &site.service_settings].concat();
        settings.extend(changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let service = Service::start(&settings).await;
        // By whichever connection: RabbitMQ closes after its alert, and a reset may overtake that.
        service.logged(reason).await;
        assert_eq!(service.readyz().await.0, 503);
    }
}
