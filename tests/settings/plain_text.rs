//! What is said to a server on another machine is nobody else's business, unless a setting says so.

use super::{Run, with_variables};

/// Whoever connects to the database.
const COMMANDS: [&str; 9] = [
    "serve",
    "migrate",
    "provision --apply",
    "stock show 0191f3a0-7c50-7d3e-9f5a-3a1c0c9b7e11",
    "stock set 0191f3a0-7c50-7d3e-9f5a-3a1c0c9b7e11 1",
    "ledger 0191f3a0-7c50-7d3e-9f5a-3a1c0c9b7e11",
    "reservation list",
    "verify",
    "repair",
];

/// Runs `serve` where its address is taken: that is said once the URLs are found to be good, before anybody connects.
fn serve(variables: &[(&str, &str)]) -> Run {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("{error}"));
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    with_variables(&["serve"], &[variables, &[("INVENTORY__HTTP__ADDRESS", &address)]].concat())
}

#[test]
fn no_command_speaks_plainly_to_a_database_elsewhere() {
    for command in COMMANDS {
        let arguments: Vec<&str> = command.split(' ').collect();
        let run = with_variables(&arguments, &[("DATABASE_URL", "postgres://u:s3cret@db.example/inventory")]);
        run.refused("database.url");
        assert!(run.said.contains("sslmode=verify-full"), "{command}: it says what to do: {run:?}");
        assert!(run.said.contains("database.allow_plain_text"), "{command}: {run:?}");
        run.keeps_the_password();
    }
}

#[test]
fn a_database_elsewhere_must_be_verified_by_name() {
    for (url, is_good) in [
        // Short forms of an address are as good as a name.
        ("postgres://u@127.1/inventory", false),
        ("postgres://u@0.0.0.0/inventory", false),
        ("postgres://u@localhost.example/inventory", false),
        ("postgres://u@127.0.0.1/inventory?host=db.example", false),
        ("postgres://u@db.example/inventory?sslmode=disable", false),
        ("postgres://u@db.example/inventory?sslmode=prefer", false),
        ("postgres://u@db.example/inventory?sslmode=require", false),
        ("postgres://u@db.example/inventory?sslmode=verify-ca", false),
        ("postgres://u@db.example/inventory?sslmode=verify-full", true),
        ("postgres://u@127.0.0.1/inventory", true),
        ("postgres://u@127.9.9.9/inventory?sslmode=disable", true),
        ("postgres://u@localhost/inventory", true),
        ("postgres://u@[::1]/inventory", true),
        ("postgres://u@%2Fvar%2Frun%2Fpostgresql/inventory", true),
        ("postgres:///inventory?host=/var/run/postgresql", true),
    ] {
        serve(&[("DATABASE_URL", url)]).refused(if is_good { "http.address" } else { "database.url" });
        let allowed = [("DATABASE_URL", url), ("INVENTORY__DATABASE__ALLOW_PLAIN_TEXT", "true")];
        serve(&allowed).refused("http.address");
    }
}

#[test]
fn a_broker_elsewhere_must_speak_tls() {
    for (url, is_good) in [
        ("amqp://u:s3cret@broker.example/%2f", false),
        ("amqp://u:s3cret@127.1/%2f", false),
        ("amqp://u:s3cret@[2001:db8::1]/%2f", false),
        ("amqps://u:s3cret@broker.example/%2f", true),
        ("amqps://u:s3cret@[2001:db8::1]/%2f", true),
        ("amqp://u:s3cret@localhost/%2f", true),
        ("amqp://u:s3cret@127.0.0.1/%2f", true),
        ("amqp://u:s3cret@[::1]/%2f", true),
        ("amqp://u:s3cret@127.0.0.1,broker.example/%2f", false),
        ("amqps://u:s3cret@a.example,b.example:5673/%2f", true),
        ("amqp://u:s3cret@localhost,[::1]:5673/%2f", true),
    ] {
        for (variable, setting) in
            [("AMQP_URL", "amqp.url"), ("INVENTORY__AMQP__PUBLISH_URL", "amqp.publish_url")]
        {
            let run = serve(&[(variable, url)]);
            run.refused(if is_good { "http.address" } else { setting });
            run.keeps_the_password();
            serve(&[(variable, url), ("INVENTORY__AMQP__ALLOW_PLAIN_TEXT", "true")]).refused("http.address");
        }
    }
}

#[test]
fn a_certificate_that_is_not_there_is_named() {
    let missing = "/nonexistent/certificate.pem";
    for name in ["amqp.ca_file", "amqp.cert_file"] {
        let run = serve(&[
            ("INVENTORY__AMQP__CA_FILE", missing),
            ("INVENTORY__AMQP__CERT_FILE", missing),
            ("INVENTORY__AMQP__KEY_FILE", missing),
            // The other one is not asked for.
            (if name == "amqp.ca_file" { "IGNORED" } else { "INVENTORY__AMQP__CA_FILE" }, ""),
        ]);
        run.refused(name);
        assert!(run.said.contains(missing), "{run:?}");
    }
}
