//! Contract section 6: settings from defaults, a file and the environment; what is wrong is named.

use crate::support::harness::file;
use crate::support::process::{inventory, run};
use crate::support::{Setup, eventually, http};

/// Demands that the service does not start, and says which setting is the cause.
async fn assert_named(variable: &str, value: &str, setting: &str) {
    let mut command = inventory();
    command.arg("serve").env(variable, value);
    let ended = run(command).await;
    assert_eq!(ended.code, Some(2), "{variable}={value}: {ended:?}");
    assert!(ended.stderr.contains(setting), "{variable}={value}: {ended:?}");
    assert!(!ended.stderr.contains("s3cret"), "a password is told: {ended:?}");
}

#[tokio::test]
async fn what_is_wrong_in_the_environment_is_named() {
    for (variable, value, setting) in [
        ("INVENTORY__BATCH__COMMANDS", "0", "batch.commands"),
        ("INVENTORY__BATCH__COMMANDS", "many", "batch.commands"),
        ("INVENTORY__BATCH__LINES", "-1", "batch.lines"),
        ("INVENTORY__LIMITS__QUANTITY", "2147483648", "limits.quantity"),
        ("INVENTORY__AMQP__COMMANDS_PREFETCH", "70000", "amqp.commands_prefetch"),
        ("INVENTORY__AMQP__COMMANDS", "", "amqp.commands"),
        ("INVENTORY__AMQP__DECLARE", "perhaps", "amqp.declare"),
        ("INVENTORY__HTTP__ADDRESS", "everywhere", "http.address"),
        ("INVENTORY__LOG__FORMAT", "xml", "log.format"),
        ("INVENTORY__LOG__FILTER", "inventory=loud", "log.filter"),
        ("INVENTORY__SHUTDOWN__GRACE_SECONDS", "soon", "shutdown.grace_seconds"),
        ("INVENTORY__BATCH__COMANDS", "5", "comands"),
        ("DATABASE_URL", "mysql://inventory:s3cret@127.0.0.1/inventory", "database.url"),
        ("DATABASE_URL", "postgres://inventory:s3cret@127.0.0.1:none/inventory", "database.url"),
        (
            "DATABASE_URL",
            "postgres://inventory@127.0.0.1/inventory?sslpassword=s3cret",
            "database.url has a parameter that is not known",
        ),
        ("AMQP_URL", "http://inventory:s3cret@127.0.0.1", "amqp.url"),
        ("AMQP_URL", "amqp://inventory:s3cret@127.0.0.1:none", "amqp.url"),
    ] {
        assert_named(variable, value, setting).await;
    }
}

#[tokio::test]
async fn what_is_wrong_in_the_file_is_named() {
    for (content, words) in [
        ("[limits]\nlines = 0\n", "limits.lines"),
        ("[limits]\nlines = \"all\"\n", "limits.lines"),
        ("[limits]\nline = 3\n", "line"),
        ("[limit]\nlines = 3\n", "limit"),
        ("[limits\n", "settings"),
    ] {
        let path = file("settings.toml", content);
        let mut command = inventory();
        command.args(["serve", "--config"]).arg(&path);
        let ended = run(command).await;
        std::fs::remove_file(path).unwrap();
        assert_eq!(ended.code, Some(2), "{content:?}: {ended:?}");
        assert!(ended.stderr.contains(words), "{content:?}: {ended:?}");
    }
}

#[tokio::test]
async fn the_environment_overrides_the_file() {
    let path = file("settings.toml", "[limits]\nlines = 0\n[http]\naddress = \"nowhere\"\n");
    let mut command = inventory();
    command.args(["verify", "--config"]).arg(&path);
    command.env("INVENTORY__LIMITS__LINES", "5").env("INVENTORY__HTTP__ADDRESS", "127.0.0.1:0");
    let url = "postgres://nobody@127.0.0.1:1?dbname=nowhere&password=nothing&ssl-mode=prefer&sslrootcert=/nowhere/ca.pem\
               &application_name=nobody&options=-c%20geqo%3Doff&options[jit]=off&statement-cache-capacity=10";
    command.env("DATABASE_URL", url);
    let ended = run(command).await;
    std::fs::remove_file(path).unwrap();
    // As far as the database: the settings were good.
    assert_eq!(ended.code, Some(3), "{ended:?}");
}

#[tokio::test]
async fn health_and_metrics_are_served() {
    let mut harness = Setup::new().with("INVENTORY__LOG__FORMAT", "json").start().await;
    let product = harness.product(3).await;
    let cart = uuid::Uuid::new_v4();
    harness.reserve(cart, &[(product, 1)]).await.reservation();
    harness.reserve(cart, &[(product, 4)]).await.shortfalls();
    let address = harness.services()[0].address;

    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/nothing", 404)] {
        assert_eq!(http::get(address, path).await.unwrap().0, status, "{path}");
    }
    for name in ["InventoryReserved", "InventoryUnavailable"] {
        let line = format!("inventory_messages_total{{type=\"ReserveInventory\",outcome=\"{name}\"}} 1");
        eventually(&line, async || {
            let (status, metrics) = http::get(address, "/metrics").await.unwrap();
            status == 200 && metrics.contains(&line)
        })
        .await;
    }
    for line in harness.log().lines() {
        let entry: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(entry["level"].is_string(), "{line}");
    }
    harness.finish().await;
}
