//! Contract section 6: the command line, its output for programs, and exit codes that mean something.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::books::migrated;
use crate::support::harness::file;
use crate::support::process::{Ended, inventory, run};
use crate::support::site::Site;
use crate::support::{Harness, Message};

fn json_of(ended: &Ended) -> Value {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

/// Demands a refusal with this exit code and these words for people.
fn assert_refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} is not in {ended:?}");
    }
    assert_eq!(ended.stdout, "", "a refusal is not for programs to read");
}

async fn shown(site: &Site, product: Uuid) -> Value {
    json_of(&site.inventory(&["stock", "show", &product.to_string(), "--json"]).await)
}

#[tokio::test]
async fn set_adjust_and_show() {
    let site = migrated().await;
    let product = Uuid::new_v4();
    let id = product.to_string();
    let level =
        |on_hand: u64| json!({ "productId": id, "onHand": on_hand, "reserved": 0, "available": on_hand });

    assert_refused(&site.inventory(&["stock", "show", &id]).await, 1, &[&id, "not known"]);
    assert_eq!(json_of(&site.inventory(&["--json", "stock", "set", &id, "10"]).await), level(10));
    assert_eq!(json_of(&site.inventory(&["stock", "adjust", &id, "-4", "--json"]).await), level(6));
    assert_eq!(
        json_of(&site.inventory(&["stock", "adjust", &id.to_uppercase(), "5", "--json"]).await),
        level(11)
    );
    assert_eq!(shown(&site, product).await, level(11));

    let text = site.inventory(&["stock", "show", &id]).await.stdout;
    let words: Vec<&str> = text.split_whitespace().collect();
    assert_eq!(words.join(" "), format!("product {id} on hand 11 reserved 0 available 11"));

    assert_refused(&site.inventory(&["stock", "adjust", &id, "-12"]).await, 1, &["-1"]);
    assert_eq!(shown(&site, product).await, level(11));
    assert_eq!(json_of(&site.inventory(&["stock", "set", &id, "0", "--json"]).await), level(0));
}

/// Whoever took it for not done would adjust once more.
#[tokio::test]
async fn what_is_done_and_cannot_be_told_says_that_it_is_done() {
    let site = migrated().await;
    let product = Uuid::new_v4();
    let id = product.to_string();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    for form in [&[][..], &["--json"]] {
        let mut command = site.command(&[&["stock", "adjust", &id, "5"], form].concat());
        command.stdout(full());
        assert_refused(&run(command).await, 3, &["it is done, but cannot be told"]);
    }
    assert_eq!(shown(&site, product).await["onHand"], 10);

    let mut command = site.command(&["stock", "adjust", &id, "-11"]);
    command.stderr(full());
    assert_eq!(run(command).await.code, Some(1));
}

#[tokio::test]
async fn less_than_is_reserved_is_refused() {
    let mut harness = Harness::start().await;
    let product = harness.product(10).await;
    let id = product.to_string();
    harness.reserve(Uuid::new_v4(), &[(product, 4)]).await.reservation();
    let site = harness.site();

    assert_refused(&site.inventory(&["stock", "set", &id, "3"]).await, 1, &["4"]);
    assert_refused(&site.inventory(&["stock", "adjust", &id, "-7"]).await, 1, &["4"]);
    let expected = json!({ "productId": id, "onHand": 10, "reserved": 4, "available": 6 });
    assert_eq!(shown(site, product).await, expected);
    let set = site.inventory(&["stock", "set", &id, "4", "--json"]).await;
    assert_eq!(json_of(&set)["available"], 0);
    harness.finish().await;
}

#[tokio::test]
async fn wrong_usage_ends_with_2() {
    let product = Uuid::new_v4().to_string();
    for arguments in [
        &[][..],
        &["sell"],
        &["stock"],
        &["stock", "set", &product],
        &["stock", "set", &product, "-1"],
        &["stock", "set", &product, "1.5"],
        &["stock", "set", &product, "9007199254740992"],
        &["stock", "set", "no-uuid", "1"],
        &["stock", "adjust", &product, "many"],
        &["stock", "show"],
        &["stock", "import"],
        &["stock", "import", "there-is-no-such.csv"],
        &["verify", "--config", "there-is-no-such.toml"],
        &["verify", "now"],
    ] {
        let mut command = inventory();
        command.args(arguments);
        let ended = run(command).await;
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert_ne!(ended.stderr, "", "{arguments:?}");
    }
}

#[tokio::test]
async fn help_teaches() {
    let mut command = inventory();
    command.arg("--help");
    let help = run(command).await;
    assert_eq!(help.code, Some(0));
    for word in [
        "serve",
        "migrate",
        "stock",
        "ledger",
        "reservation",
        "verify",
        "repair",
        "--json",
        "--config",
        "DATABASE_URL",
        "Exit codes",
    ] {
        assert!(help.stdout.contains(word), "{word} is not in {}", help.stdout);
    }
}

#[tokio::test]
async fn no_command_but_serve_needs_the_broker() {
    let site = migrated().await.with("AMQP_URL", "amqp://nobody:nothing@127.0.0.1:1/%2f");
    let product = Uuid::new_v4().to_string();
    for arguments in [
        &["migrate"][..],
        &["stock", "set", &product, "1"],
        &["stock", "show", &product],
        &["ledger", &product],
        &["reservation", "list"],
        &["verify"],
        &["repair", "--apply", "--reason", "a try"],
    ] {
        let ended = site.inventory(arguments).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {ended:?}");
    }
}

#[tokio::test]
async fn without_the_database_every_command_ends_with_3() {
    let site = migrated().await.with("DATABASE_URL", "postgres://nobody:nothing@127.0.0.1:1/nowhere");
    let csv = file("stock.csv", "product_id,quantity\n");
    let product = Uuid::new_v4().to_string();
    for arguments in [
        &["migrate"][..],
        &["stock", "set", &product, "1"],
        &["stock", "import", csv.to_str().unwrap()],
        &["ledger", &product],
        &["reservation", "show", &product],
        &["verify"],
        &["repair"],
    ] {
        let ended = site.inventory(arguments).await;
        assert_refused(&ended, 3, &["PostgreSQL"]);
        assert!(!ended.stderr.contains("nothing"), "the password: {ended:?}");
    }
    std::fs::remove_file(csv).unwrap();
}

/// What the books can have wrong, and how it is put right again.
fn faults(product: Uuid) -> [(String, String); 4] {
    let where_ = format!("WHERE product_id = '{product}'");
    [
        (
            format!("UPDATE stock SET on_hand = on_hand + 1 {where_}"),
            format!("UPDATE stock SET on_hand = on_hand - 1 {where_}"),
        ),
        (
            format!("UPDATE stock SET reserved = reserved - 1 {where_}"),
            format!("UPDATE stock SET reserved = reserved + 1 {where_}"),
        ),
        (
            format!("UPDATE stock_change SET quantity_delta = quantity_delta - 2 {where_}"),
            format!("UPDATE stock_change SET quantity_delta = quantity_delta + 2 {where_}"),
        ),
        (
            format!(
                "UPDATE reservation SET state = 'RELEASED', ended_at = now() WHERE '{product}' = ANY (product_ids)"
            ),
            format!(
                "UPDATE reservation SET state = 'HELD', ended_at = NULL WHERE '{product}' = ANY (product_ids)"
            ),
        ),
    ]
}

#[tokio::test]
async fn verify_finds_what_does_not_balance() {
    let mut harness = Harness::start().await;
    let product = harness.product(10).await;
    harness.outcome_of(&Message::reserve(Uuid::new_v4(), &[(product, 4)])).await.reservation();
    let site = harness.site();

    let report = json_of(&site.inventory(&["verify", "--json"]).await);
    assert_eq!((&report["balanced"], &report["findings"]), (&json!(true), &json!([])));
    for (fault, repair) in faults(product) {
        assert_eq!(site.database.execute(&fault).await, 1, "{fault}");
        let ended = site.inventory(&["verify"]).await;
        assert_eq!(ended.code, Some(1), "{fault}: {ended:?}");
        assert!(ended.stdout.contains(&product.to_string()), "{fault}: {ended:?}");
        let ended = site.inventory(&["verify", "--json"]).await;
        assert_eq!(ended.code, Some(1), "{fault}: {ended:?}");
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(report["findings"][0]["productId"], product.to_string(), "{fault}: {report}");
        site.database.execute(&repair).await;
    }
    harness.finish().await;
}
