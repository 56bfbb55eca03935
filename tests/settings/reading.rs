//! Which settings there are, and what comes before what.

use super::{
    NOBODY, defaults, file, in_environment, inventory, run, variable, with_file, with_variable,
    with_variables,
};

#[test]
fn the_defaults_of_the_contract_stand() {
    let defaults = defaults();
    for (setting, expected) in [
        ("http.address", "\"127.0.0.1:8080\""),
        ("database.migrate", "true"),
        ("amqp.declare", "true"),
        ("amqp.commands", "\"inventory.commands\""),
        ("amqp.queries", "\"inventory.queries\""),
        ("amqp.events", "\"inventory.events\""),
        ("amqp.unrouted", "\"inventory.unrouted\""),
        ("amqp.dead_letter", "\"inventory.dead-letter\""),
        ("amqp.reply_to_allow", "[\"*\"]"),
        ("limits.body_bytes", "1048576"),
        ("limits.lines", "1000"),
        ("limits.products", "1000"),
        ("limits.quantity", "2147483647"),
        ("expiry.default_hold_seconds", "0"),
        ("expiry.sweep_interval_ms", "200"),
        ("retention.outcomes_days", "7"),
        ("retention.reservations_days", "1095"),
    ] {
        assert_eq!(defaults[setting].to_string(), expected, "{setting}");
    }
}

#[test]
fn every_setting_is_read_from_the_environment() {
    for (setting, default) in defaults() {
        let value = if setting == "http.address" { NOBODY.to_owned() } else { in_environment(&default) };
        with_variable(&variable(&setting), &value).accepted();
    }
}

#[test]
fn lists_are_separated_by_commas() {
    with_variable("INVENTORY__AMQP__REPLY_TO_ALLOW", "checkout.*,fulfilment.answers").accepted();
    with_variable("INVENTORY__AMQP__REPLY_TO_ALLOW", "checkout.*").accepted();
    with_file("list", "[amqp]\nreply_to_allow = [\"checkout.*\", \"fulfilment.answers\"]").accepted();
    with_file("empty-list", "[amqp]\nreply_to_allow = []").accepted();
}

/// In the environment everything is text, and text has no quotes.
#[test]
fn text_in_the_environment_may_look_like_a_number() {
    for (setting, value) in [("amqp.commands", "4711"), ("amqp.events", "true"), ("log.filter", "3")] {
        with_variable(&variable(setting), value).accepted();
    }
    with_variable("INVENTORY__AMQP__REPLY_TO_ALLOW", "4711").accepted();
}

#[test]
fn an_empty_file_changes_nothing() {
    with_file("empty", "").accepted();
    with_file("comment", "# nothing yet\n").accepted();
}

/// Kubernetes puts such variables into every container next to a service called `inventory`.
#[test]
fn variables_of_others_are_left_alone() {
    let variables = [
        ("INVENTORY_PORT", "tcp://10.0.0.7:8080"),
        ("INVENTORY_SERVICE_HOST", "10.0.0.7"),
        ("INVENTORY_BATCH__LINES", "0"),
        ("INVENTORYBATCH__LINES", "0"),
        ("BATCH__LINES", "0"),
    ];
    with_variables(&["healthcheck"], &variables).accepted();
}

#[test]
fn the_file_comes_before_the_defaults_and_the_environment_before_the_file() {
    let path = file("precedence", "[http]\naddress = \"127.0.0.1:2\"");
    let of_file =
        run(inventory(&["healthcheck", "--config"]).arg(&path).env_remove("INVENTORY__HTTP__ADDRESS"));
    assert!(of_file.said.contains("no answer from 127.0.0.1:2:"), "{of_file:?}");
    let before_the_command =
        run(inventory(&["--config"]).arg(&path).arg("healthcheck").env_remove("INVENTORY__HTTP__ADDRESS"));
    assert!(before_the_command.said.contains("no answer from 127.0.0.1:2:"), "{before_the_command:?}");
    let of_environment = run(inventory(&["healthcheck", "--config"]).arg(&path));
    assert!(of_environment.said.contains(&format!("no answer from {NOBODY}:")), "{of_environment:?}");
}

/// File, then `DATABASE_URL` and `AMQP_URL`, then `INVENTORY__…`: the last one that says something decides.
#[test]
fn the_well_known_variables_come_between_the_file_and_the_environment() {
    for (setting, well_known, good) in [
        ("database.url", "DATABASE_URL", "postgres://inventory@127.0.0.1/inventory"),
        ("amqp.url", "AMQP_URL", "amqp://127.0.0.1"),
    ] {
        let bad = "gopher://127.0.0.1";
        for (in_file, in_well_known, in_own, is_good) in [
            (None, None, None, true),
            (Some(bad), None, None, false),
            (None, Some(bad), None, false),
            (None, None, Some(bad), false),
            (Some(bad), Some(good), None, true),
            (Some(good), Some(bad), None, false),
            (Some(bad), None, Some(good), true),
            (Some(good), None, Some(bad), false),
            (None, Some(bad), Some(good), true),
            (None, Some(good), Some(bad), false),
            (Some(bad), Some(bad), Some(good), true),
            (Some(good), Some(good), Some(bad), false),
        ] {
            let (section, key) = setting.split_once('.').unwrap_or_default();
            let lines = in_file.map_or_else(String::new, |url| format!("[{section}]\n{key} = \"{url}\""));
            let mut command = inventory(&["healthcheck", "--config"]);
            command.arg(file(&format!("precedence-{section}"), lines));
            command.envs(in_well_known.map(|url| (well_known, url)));
            command.envs(in_own.map(|url| (variable(setting), url)));
            if is_good { run(&mut command).accepted() } else { run(&mut command).refused(setting) }
        }
    }
}
