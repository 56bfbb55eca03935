//! A password is for the server only.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{variable, with_file, with_variable, with_variables};

#[test]
fn a_malformed_url_is_named_and_its_password_kept() {
    for (name, setting, command, url) in [
        ("DATABASE_URL", "database.url", "healthcheck", "postgre://u:s3cret@h/db"),
        ("DATABASE_URL", "database.url", "migrate", "postgres://u:s3cret@h:port/db"),
        ("DATABASE_URL", "database.url", "verify", "postgres://u:s3cret@h:5432/db?sslmode=perhaps"),
        ("DATABASE_URL", "database.url", "serve", "postgres://u:s3cret@[::1/db"),
        ("AMQP_URL", "amqp.url", "healthcheck", "u:s3cret@h/%2f"),
        ("AMQP_URL", "amqp.url", "serve", "amqp://u:s3cret@h:port/%2f"),
        ("AMQP_URL", "amqp.url", "provision --print", "amqp://u:s3cret@h:port/%2f"),
        ("AMQP_URL", "amqp.url", "serve", "amqps://u:s3cret@[::1/%2f"),
        ("AMQP_URL", "amqp.url", "serve", "amqp://u:s3cret@h1,,h2/%2f"),
        ("AMQP_URL", "amqp.url", "serve", "amqp://u:s3cret@h/%2f?heartbeat=often"),
    ] {
        for variable in [name.to_owned(), variable(setting)] {
            let run = with_variables(&command.split(' ').collect::<Vec<_>>(), &[(variable.as_str(), url)]);
            run.refused(setting);
            run.keeps_the_password();
        }
    }
}

#[test]
fn a_url_in_the_wrong_place_keeps_its_password() {
    let url = "postgres://u:s3cret@h/db";
    for (name, contents) in [
        ("url-in-a-list", format!("[database]\nurl = [\"{url}\"]")),
        ("url-unknown", format!("[database]\nuri = \"{url}\"")),
        ("url-section", format!("database = \"{url}\"")),
        ("url-elsewhere", format!("[database]\nmax_connections = \"{url}\"")),
        ("url-open", format!("[database]\nurl = \"{url}")),
        ("url-bare", format!("[database]\nurl = {url}")),
        ("url-twice", format!("[database]\nurl = \"{url}\"\nurl = \"{url}\"")),
        ("url-before-a-mistake", format!("[database]\nurl = \"{url}\"\n[amqp\n")),
    ] {
        let run = with_file(name, contents);
        assert_eq!(run.code, Some(2), "{name}: {run:?}");
        run.keeps_the_password();
    }
    for name in ["INVENTORY__DATABASE", "INVENTORY__DATABASE__MAX_CONNECTIONS", "INVENTORY__HTTP__ADDRESS"] {
        let run = with_variable(name, url);
        assert_eq!(run.code, Some(2), "{name}: {run:?}");
        run.keeps_the_password();
    }
    let not_unicode = OsStr::from_bytes(b"postgres://u:s3cret\xff@h/db");
    for name in ["DATABASE_URL", "INVENTORY__DATABASE__URL"] {
        with_variables(&["healthcheck"], &[(name, not_unicode)]).keeps_the_password();
    }
}

#[test]
fn a_server_that_is_away_keeps_its_password() {
    let variables = [
        ("DATABASE_URL", "postgres://u:s3cret@127.0.0.1:1/db"),
        ("INVENTORY__DATABASE__CONNECT_TIMEOUT_MS", "100"),
    ];
    for command in [&["migrate"][..], &["verify"], &["stock", "show", "0191f3a0-7c50-7d3e-9f5a-3a1c0c9b7e11"]]
    {
        let run = with_variables(command, &variables);
        assert_eq!(run.code, Some(3), "{run:?}");
        run.keeps_the_password();
        assert!(run.said.contains("DATABASE_URL"), "it says what to look at: {run:?}");
    }
}
