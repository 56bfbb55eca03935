//! A settings file, and behind a zero byte each the variables of an environment (`NAME=value`), as Linux has them.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use inventory_service::config::{DEFAULTS, Settings};
use serde_json::Value;

/// What stands for a password. No error tells it, wherever it is set.
pub(crate) const SECRET: &str = "Zimt-und-Zucker";

/// It never panics; what is accepted is within the ranges that README.md names; and no error tells a value.
pub fn holds(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == 0);
    let Some(Ok(toml)) = parts.next().map(std::str::from_utf8) else { return };
    let variables: Vec<(OsString, OsString)> = parts.filter_map(variable).collect();
    match Settings::parse(toml, variables.iter().cloned()) {
        Ok(settings) => {
            assert_within(&settings);
            assert_says_the_same(&settings, toml, &variables);
        }
        Err(error) => {
            let told = error.to_string();
            assert!(!told.is_empty());
            let is_a_name = names(toml, &variables).any(|name| name.contains(&SECRET.to_lowercase()));
            assert!(is_a_name || !told.contains(SECRET), "{told}");
        }
    }
}

fn variable(part: &[u8]) -> Option<(OsString, OsString)> {
    let at = part.iter().position(|byte| *byte == b'=')?;
    let text = |bytes| OsStr::from_bytes(bytes).to_owned();
    Some((text(&part[..at]), text(&part[at + 1..])))
}

/// What may be told: the names of settings, and all of a file that is no TOML but for its values.
fn names<'a>(toml: &'a str, variables: &'a [(OsString, OsString)]) -> impl Iterator<Item = String> + 'a {
    let in_file = toml.lines().map(|line| line.split_once('=').map_or(line, |(name, _)| name));
    let in_environment = variables.iter().map(|(name, _)| name.to_str().unwrap_or_default());
    in_file.chain(in_environment).map(str::to_lowercase)
}

fn assert_within(settings: &Settings) {
    let Settings { database, amqp, batch, outbox, expiry, retention, limits, .. } = settings;
    let url = database.url.expose();
    assert!(url.starts_with("postgres://") || url.starts_with("postgresql://"));
    assert!((4..=1000).contains(&database.max_connections));
    for milliseconds in [
        database.connect_timeout_ms,
        database.statement_timeout_ms,
        database.lock_timeout_ms,
        database.transaction_timeout_ms,
    ] {
        assert!((1..=3_600_000).contains(&milliseconds));
    }
    assert!(amqp.url.expose().starts_with("amqp://") || amqp.url.expose().starts_with("amqps://"));
    for name in [&amqp.commands, &amqp.queries, &amqp.events, &amqp.unrouted, &amqp.dead_letter] {
        assert!((1..=255).contains(&name.len()), "{name}");
    }
    assert!(amqp.commands_prefetch >= 1 && amqp.queries_prefetch >= 1);
    assert!(amqp.delivery_limit >= 1 && amqp.heartbeat_seconds >= 1);
    assert!(amqp.connect_timeout_ms >= 1 && amqp.timeout_ms >= 1);
    assert!((1..=65_535).contains(&batch.commands) && (1..=1_000_000).contains(&batch.lines));
    assert!(batch.beside_queries_ms <= 1000);
    assert!(outbox.lease_seconds >= 1 && outbox.sweep_interval_ms >= 1);
    assert!(expiry.default_hold_seconds <= 2_147_483_647);
    assert!((1..=60_000).contains(&expiry.sweep_interval_ms));
    assert!(retention.outcomes_days >= 1 && retention.reservations_days >= retention.outcomes_days);
    assert!(limits.body_bytes >= 1 && limits.lines >= 1 && limits.products >= 1);
    assert!((1..=2_147_483_647).contains(&limits.quantity));
}

/// Demands that it makes no difference whether a file says it, or the environment.
fn assert_says_the_same(settings: &Settings, toml: &str, variables: &[(OsString, OsString)]) {
    if !toml.trim().is_empty() {
        return;
    }
    let Some(file) = as_file(variables) else { return };
    let of_file = Settings::parse(&file, std::iter::empty());
    let of_file = of_file.unwrap_or_else(|error| panic!("{error} in\n{file}"));
    assert_eq!(format!("{of_file:?}"), format!("{settings:?}"), "{file}");
    for (of_file, of_environment) in
        [(&of_file.database.url, &settings.database.url), (&of_file.amqp.url, &settings.amqp.url)]
    {
        assert_eq!(of_file.expose(), of_environment.expose());
    }
}

/// The same as a file; nothing where a setting is there twice, or is none.
fn as_file(variables: &[(OsString, OsString)]) -> Option<String> {
    let defaults = defaults();
    let mut lines = BTreeMap::new();
    for (name, value) in variables {
        let name = name.to_str()?;
        let setting = match name {
            "DATABASE_URL" => "database.url".to_owned(),
            "AMQP_URL" => "amqp.url".to_owned(),
            _ => match name.strip_prefix("INVENTORY__") {
                Some(name) => name.to_lowercase().replace("__", "."),
                None => continue,
            },
        };
        let literal = literal(defaults.get(&setting)?, value.to_str()?)?;
        if lines.insert(setting, literal).is_some() {
            return None;
        }
    }
    let lines: Vec<String> =
        lines.iter().map(|(setting, literal)| format!("{setting} = {literal}\n")).collect();
    Some(lines.concat())
}

/// A value of the environment as TOML has it, which writes texts as JSON does.
fn literal(default: &Value, text: &str) -> Option<String> {
    // TOML has no such characters, even escaped.
    let is_plain = !text.contains('\u{7f}');
    match default {
        Value::Bool(_) => Some(text.to_owned()),
        Value::Number(_) => text.parse::<i64>().ok().map(|number| number.to_string()),
        Value::Array(_) => {
            is_plain.then(|| Value::from(text.split(',').map(str::trim).collect::<Vec<_>>()).to_string())
        }
        _ => is_plain.then(|| Value::from(text).to_string()),
    }
}

/// The defaults by their names, such as `batch.lines`.
pub(crate) fn defaults() -> BTreeMap<String, Value> {
    let mut defaults = BTreeMap::new();
    let mut section = "";
    for line in DEFAULTS.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, rest)) = line.split_once(" = ") {
            let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
            let value = values.next().and_then(Result::ok).expect("a default that reads as JSON");
            defaults.insert(format!("{section}.{key}"), value);
        }
    }
    defaults
}
