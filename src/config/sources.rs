//! Where settings come from: the defaults, a file, the environment, each over the one before.
//!
//! No message repeats a value: it may be a URL with a password.

use std::ffi::OsString;

use config::{Config, ConfigError, File, FileFormat, Source, Value};
use serde_json::Value as Json;

use super::SettingsError;

/// The built-in defaults, which also are the list of all settings.
pub const DEFAULTS: &str = include_str!("defaults.toml");

/// Variables with a name of their own, as everyone expects.
const WELL_KNOWN: [(&str, &str); 2] = [("DATABASE_URL", "database.url"), ("AMQP_URL", "amqp.url")];

const PREFIX: &str = "INVENTORY__";

/// All settings, merged.
pub(super) fn merged(
    file: Option<impl Source + Send + Sync + 'static>,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Json, SettingsError> {
    let builtin = File::from_str(DEFAULTS, FileFormat::Toml);
    let defaults: Json = Config::builder().add_source(builtin.clone()).build()?.try_deserialize()?;
    let mut sources = Config::builder().add_source(builtin);
    if let Some(file) = file {
        sources = sources.add_source(file);
    }
    for (variable, setting) in settings_in(variables) {
        let text = variable.value.ok_or_else(|| invalid(&variable.name, "is not UTF-8"))?;
        sources = sources.set_override(&setting, typed(&defaults, &setting, text)?)?;
    }
    Ok(sources.build().map_err(without_source)?.try_deserialize()?)
}

struct Variable {
    name: String,
    /// Nothing where it is not UTF-8.
    value: Option<String>,
}

/// The variables that are settings, those with a name of their own first: the others stand over them.
fn settings_in(variables: impl Iterator<Item = (OsString, OsString)>) -> Vec<(Variable, String)> {
    let mut found: Vec<(Variable, String)> = variables
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let setting = setting_of(&name)?;
            Some((Variable { name, value: value.into_string().ok() }, setting))
        })
        .collect();
    found.sort_by_key(|(variable, _)| variable.name.starts_with(PREFIX));
    found
}

fn setting_of(variable: &str) -> Option<String> {
    let well_known = WELL_KNOWN.iter().find(|(name, _)| *name == variable);
    let setting = well_known.map(|(_, setting)| (*setting).to_owned());
    setting.or_else(|| Some(variable.strip_prefix(PREFIX)?.to_lowercase().replace("__", ".")))
}

/// Reads a text as what its setting is by default; guessed from the text alone, a queue named 4711 would be a
/// number.
fn typed(defaults: &Json, setting: &str, text: String) -> Result<Value, SettingsError> {
    match defaults.pointer(&format!("/{}", setting.replace('.', "/"))) {
        Some(Json::Bool(_)) => {
            text.parse::<bool>().map(Value::from).map_err(|_| invalid(setting, "expected true or false"))
        }
        Some(Json::Number(_)) => {
            text.parse::<i64>().map(Value::from).map_err(|_| invalid(setting, "expected an integer"))
        }
        Some(Json::Array(_)) => Ok(text.split(',').map(str::trim).collect::<Vec<_>>().into()),
        _ => Ok(text.into()),
    }
}

fn invalid(name: &str, reason: &str) -> SettingsError {
    SettingsError::Invalid { name: name.to_owned(), reason: reason.to_owned() }
}

/// The error without the lines of the file that it quotes: where it is, and what is wrong.
fn without_source(error: ConfigError) -> SettingsError {
    match error {
        ConfigError::FileParse { uri, cause } => {
            let text = cause.to_string();
            let mut lines = text.lines();
            let place = lines.next().unwrap_or_default();
            let reason = lines.next_back().map(|reason| format!(": {reason}")).unwrap_or_default();
            invalid(&uri.unwrap_or_default(), &format!("{place}{reason}"))
        }
        other => other.into(),
    }
}

/// What was expected, in words for people and without what was found.
pub(super) fn reason_of(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let Some(at) = text.rfind("expected ") else { return text };
    let is_unknown = text.starts_with("unknown field");
    let expected = match &text[at..] {
        integer if ["u16", "u32", "u64", "usize"].iter().any(|kind| integer.contains(kind)) => {
            "expected an integer, not below zero and not too large"
        }
        section if section.starts_with("expected struct") => "expected a section with settings of its own",
        other => other,
    };
    if is_unknown { format!("there is no such setting, {expected}") } else { expected.to_owned() }
}
