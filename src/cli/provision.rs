//! `inventory provision`: what an administrator gives the service.

use std::io::{self, Write};

use clap::{ArgGroup, Args};
use serde::Serialize;

use super::Failure;
use super::output::{self, stdout, written};
use crate::config::Settings;
use crate::provision::{Login, Logins, Order, Rabbitmqctl, provide_roles, provide_users, script};

/// What is to be provided, to whom, and how.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("how").required(true).args(["print", "apply"])))]
pub struct ProvisionArguments {
    /// Print a script that does it
    #[arg(long)]
    print: bool,
    /// Do it
    #[arg(long)]
    apply: bool,
    /// What the names of the roles and users begin with
    #[arg(long, value_name = "NAME", default_value = "inventory", value_parser = account)]
    name: String,
    /// A user for a team that sends commands and queries (may be repeated)
    #[arg(long = "sender", value_name = "USER", value_parser = account)]
    senders: Vec<String>,
    /// A user for a team that reads events, from queues named USER.… of its own (may be repeated)
    #[arg(long = "subscriber", value_name = "USER", value_parser = account)]
    subscribers: Vec<String>,
    /// How to run rabbitmqctl, such as `docker compose exec -T rabbitmq rabbitmqctl`
    #[arg(long, value_name = "COMMAND", default_value = "rabbitmqctl")]
    rabbitmqctl: String,
}

/// A name that needs no escaping on either server.
fn account(text: &str) -> Result<String, &'static str> {
    let is_plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let is_good = text.len() <= 40
        && text.bytes().all(is_plain)
        && text.starts_with(|first: char| first.is_ascii_lowercase());
    is_good
        .then(|| text.to_owned())
        .ok_or("expected up to 40 lower-case letters, digits, - and _, a letter first")
}

/// Prints or does it.
pub(super) async fn run(
    arguments: ProvisionArguments,
    settings: &Settings,
    json: bool,
) -> Result<(), Failure> {
    let ProvisionArguments { print, apply: _, name, senders, subscribers, rabbitmqctl } = arguments;
    let order = Order { name, senders, subscribers };
    let rabbitmqctl = Rabbitmqctl::new(rabbitmqctl);
    if print {
        return print_script(settings, &order, &rabbitmqctl);
    }
    provide(settings, &order, &rabbitmqctl, json).await
}

/// A password that nobody knows yet.
#[derive(Serialize)]
struct Fresh<'a> {
    user: &'a str,
    variable: String,
    password: &'a str,
}

impl<'a> From<&'a Login> for Fresh<'a> {
    fn from(login: &'a Login) -> Self {
        Self { user: login.user(), variable: login.variable(), password: login.password() }
    }
}

/// Prints the script; the passwords go to the standard error stream, apart from it.
fn print_script(settings: &Settings, order: &Order, rabbitmqctl: &Rabbitmqctl) -> Result<(), Failure> {
    let logins = Logins::new(order, settings)?;
    let script = script(order, &logins, settings, rabbitmqctl)?;
    written(output::text(script.trim_end()))?;
    for fresh in fresh(&logins.all()) {
        writeln!(io::stderr(), "{}={}", fresh.variable, fresh.password).map_err(Failure::system)?;
    }
    Ok(())
}

/// Does it, and prints the passwords of those who are new.
async fn provide(
    settings: &Settings,
    order: &Order,
    rabbitmqctl: &Rabbitmqctl,
    json: bool,
) -> Result<(), Failure> {
    let logins = Logins::new(order, settings)?;
    let mut new = Vec::new();
    let provided = match provide_roles(&logins, settings, &mut new).await {
        Ok(()) => provide_users(order, &logins, settings, rabbitmqctl, &mut new),
        failed => failed,
    };
    // However it ended: nobody will tell these passwords again.
    let fresh = fresh(&new);
    let telling = match (&provided, json) {
        (Err(_), _) if fresh.is_empty() => Ok(()),
        (_, true) => output::json(&serde_json::json!({ "new": fresh })),
        (_, false) => tell(&fresh, provided.is_ok()),
    };
    output::ended(provided.map_err(Failure::from), telling)
}

fn fresh<'a>(logins: &[&'a Login]) -> Vec<Fresh<'a>> {
    logins.iter().filter(|login| !login.is_given()).map(|login| Fresh::from(*login)).collect()
}

fn tell(fresh: &[Fresh<'_>], is_done: bool) -> io::Result<()> {
    let mut out = stdout();
    let passwords =
        if fresh.is_empty() { "there is no new password" } else { "new passwords, shown this once" };
    let done = if is_done { "provided" } else { "not all is provided" };
    writeln!(out, "# {done}; {passwords}")?;
    for Fresh { variable, password, .. } in fresh {
        writeln!(out, "{variable}={password}")?;
    }
    out.flush()
}
