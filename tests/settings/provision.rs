//! What `inventory provision --print` prints, which needs no server.

use super::{Run, with_variables};

fn print(variables: &[(&str, &str)], arguments: &[&str]) -> Run {
    let run = with_variables(&[&["provision", "--print"], arguments].concat(), variables);
    assert_eq!(run.code, Some(0), "{run:?}");
    run
}

#[test]
fn names_and_rights_are_those_of_the_settings() {
    let variables = [
        ("AMQP_URL", "amqp://administrator@127.0.0.1/a%20shop"),
        ("INVENTORY__AMQP__COMMANDS", "shop+orders.in"),
        ("INVENTORY__AMQP__EVENTS", "shop.told"),
    ];
    let run = print(&variables, &["--name", "shop", "--sender", "web", "--subscriber", "web"]);
    for word in [
        "CREATE ROLE \"shop_app\" LOGIN",
        "GRANT SELECT ON _sqlx_migrations TO \"shop_app\"",
        "PGOPTIONS='-c role=shop_owner' inventory migrate",
        r#""vhost": "a shop""#,
        r#""name": "shop-consumer""#,
        // As JSON has it: a backslash is two.
        r#""read": "^(shop\\+orders\\.in|inventory\\.queries)$""#,
        r#""write": "^(shop\\.told|inventory\\.dead-letter|amq\\.default)$""#,
        r#""configure": "^(web\\..+)$""#,
        r#""write": "^(shop\\+orders\\.in|inventory\\.queries|web\\..+)$""#,
        r#""x-dead-letter-strategy": "at-least-once""#,
        "SHOP_OPERATOR_PASSWORD=",
        "WEB_PASSWORD=",
    ] {
        assert!(run.said.contains(word), "{word} is not in {}", run.said);
    }
    assert!(!run.said.contains("inventory_app") && !run.said.contains("administrator@"), "{run:?}");
}

#[test]
fn a_password_that_is_given_is_not_told() {
    let given = [
        ("INVENTORY_APP_PASSWORD", "a-password-of-mine"),
        ("INVENTORY_CONSUMER_PASSWORD", "another~of~mine"),
    ];
    let run = print(&given, &[]);
    assert!(!run.said.contains("of-mine") && !run.said.contains("of~mine"), "{run:?}");
    assert!(
        run.said.contains("INVENTORY_OWNER_PASSWORD=") && !run.said.contains("INVENTORY_APP_PASSWORD="),
        "{run:?}"
    );

    for unusable in ["short", "with spaces in between", "not of ÄSCII at all"] {
        let run = with_variables(&["provision", "--print"], &[("INVENTORY_APP_PASSWORD", unusable)]);
        run.refused("INVENTORY_APP_PASSWORD");
        assert!(!run.said.contains(unusable), "{run:?}");
    }
}
