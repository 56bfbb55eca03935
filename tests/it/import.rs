//! `inventory stock import`: each line as `stock set`, all of them or none.

use std::fmt::Write;

use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::Harness;
use crate::support::harness::file;
use crate::support::process::Ended;
use crate::support::site::Site;

async fn import(site: &Site, content: &str) -> Ended {
    let path = file("import.csv", content);
    let ended = site.inventory(&["stock", "import", path.to_str().unwrap(), "--json"]).await;
    std::fs::remove_file(path).unwrap();
    ended
}

async fn on_hand(site: &Site, product: Uuid) -> Value {
    let ended = site.inventory(&["stock", "show", &product.to_string(), "--json"]).await;
    match ended.code {
        Some(0) => serde_json::from_str::<Value>(&ended.stdout).unwrap()["onHand"].clone(),
        _ => Value::Null,
    }
}

/// Demands that nothing is imported, and that this line is named.
async fn assert_fault(site: &Site, content: &str, line: usize) {
    let ended = import(site, content).await;
    assert_eq!(ended.code, Some(1), "{content:?}: {ended:?}");
    assert!(ended.stderr.contains(&format!("line {line}:")), "line {line} of {content:?}: {ended:?}");
    assert_eq!(ended.stdout, "");
}

#[tokio::test]
async fn counts_every_line() {
    let harness = Harness::start().await;
    let site = harness.site();
    let [a, b] = [Uuid::new_v4(), Uuid::new_v4()];
    let ended =
        import(site, &format!("product_id,quantity\n{a},5\n{},7\n", b.to_string().to_uppercase())).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(serde_json::from_str::<Value>(&ended.stdout).unwrap(), json!({ "imported": 2 }));
    assert_eq!((on_hand(site, a).await, on_hand(site, b).await), (json!(5), json!(7)));

    // Other line ends, columns and blanks; of two lines for a product the later stands.
    let text = format!("\u{feff}note,quantity,product_id\r\n\"x, y\", 8 ,{a}\r\n\r\n,1,{b}\r\n,9,{b}");
    assert_eq!(import(site, &text).await.code, Some(0));
    assert_eq!((on_hand(site, a).await, on_hand(site, b).await), (json!(8), json!(9)));
    assert_eq!(import(site, "product_id,quantity\n").await.code, Some(0));
    harness.finish().await;
}

#[tokio::test]
async fn imports_all_or_nothing_and_names_the_line() {
    let harness = Harness::start().await;
    let site = harness.site();
    let [known, new] = [Uuid::new_v4(), Uuid::new_v4()];
    harness.site().count(&[(known, 3)]).await;

    for line in [
        format!("{new},-1"),
        format!("{new},1.5"),
        format!("{new},"),
        format!("{new}"),
        format!("{new},many"),
        format!("{new},9007199254740992"),
        "no-uuid,1".to_owned(),
        format!("{},1", new.simple()),
        ",1".to_owned(),
        // As a spreadsheet writes 1,250 where nobody looks.
        format!("{new},1,250"),
    ] {
        let text = format!("product_id,quantity\n{known},50\n{new},1\n{line}\n{new},2\n");
        assert_fault(site, &text, 4).await;
        assert_fault(site, &text.replace('\n', "\r\n"), 4).await;
    }
    // Whatever was before it, and where it is the last.
    for before in ["\n\n\n", "\r\n \r\n\r\n", &format!("{known},\"50\"\n\n{known},1\n")] {
        assert_fault(site, &format!("product_id,quantity\n{before}{new},many"), 5).await;
    }
    assert_fault(site, &format!("note,product_id,quantity\n\"of\ntwo\",{known},50\n,{new},many\n"), 4).await;
    assert_fault(site, &format!("note,product_id,quantity\n,{known},50\n\"of\ntwo\",{new},many\n"), 3).await;
    // In a file without the columns it is the first line.
    assert_fault(site, &format!("{known},50\n"), 1).await;
    assert_fault(site, &format!("product_id,amount\n{known},50\n"), 1).await;
    assert_fault(site, &format!("product_id,quantity,quantity\n{known},50,51\n"), 1).await;
    assert_fault(site, "", 1).await;
    assert_eq!((on_hand(site, known).await, on_hand(site, new).await), (json!(3), Value::Null));
    harness.finish().await;
}

#[tokio::test]
async fn the_first_fault_is_named_whoever_finds_it() {
    let mut harness = Harness::start().await;
    let [held, other] = harness.products([10, 10]).await;
    harness.reserve(Uuid::new_v4(), &[(held, 4)]).await.reservation();
    let site = harness.site();

    // That 3 are less than are reserved is known to the database only.
    assert_fault(site, &format!("product_id,quantity\n{other},1\n{held},3\n{other},-1\n"), 3).await;
    assert_fault(site, &format!("product_id,quantity\n{other},-1\n{held},3\n"), 2).await;
    assert_eq!((on_hand(site, held).await, on_hand(site, other).await), (json!(10), json!(10)));
    let ended = import(site, &format!("product_id,quantity\n{held},4\n")).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    harness.finish().await;
}

#[tokio::test]
async fn many_lines() {
    let harness = Harness::start().await;
    let first = Uuid::new_v4().as_u128() >> 1;
    let mut text = String::from("product_id,quantity\n");
    for number in 0..50_000u128 {
        // Each of which there is something has an event.
        let quantity = if number % 100 == 99 { 99 } else { 0 };
        writeln!(text, "{},{quantity}", Uuid::from_u128(first + number)).unwrap();
    }
    let ended = import(harness.site(), &text).await;
    assert_eq!(serde_json::from_str::<Value>(&ended.stdout).unwrap(), json!({ "imported": 50_000 }));
    assert_eq!(on_hand(harness.site(), Uuid::from_u128(first + 49_999)).await, 99);
    harness.finish().await;
}
