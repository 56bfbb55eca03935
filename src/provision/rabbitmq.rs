//! Topology, users and permissions in RabbitMQ.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Login, Logins, Order, ProvisionError};
use crate::config::AmqpSettings;
use crate::messaging::definitions;

/// As RabbitMQ calls the default exchange where rights are concerned.
const DEFAULT_EXCHANGE: &str = "amq.default";

/// Nothing: an empty name is none of an exchange or a queue.
const NOTHING: &str = "^$";

/// What a user may do, as regular expressions of names: <https://www.rabbitmq.com/docs/access-control>.
struct Permission<'a> {
    user: &'a str,
    configure: String,
    write: String,
    read: String,
}

/// Everything that RabbitMQ imports; these users get the passwords that they have here.
pub(super) fn document(
    order: &Order,
    logins: &Logins,
    with_password: &[&Login],
    amqp: &AmqpSettings,
    vhost: &str,
) -> Value {
    let mut document = definitions(amqp, vhost);
    document["vhosts"] = json!([{ "name": vhost }]);
    document["users"] = with_password.iter().map(|login| user(login)).collect();
    let permissions = permissions(order, logins, amqp);
    document["permissions"] = permissions.iter().map(|permission| permission.definition(vhost)).collect();
    document
}

fn user(login: &Login) -> Value {
    json!({
        "name": login.user(), "password_hash": login.rabbitmq_hash(),
        "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": [],
    })
}

fn permissions<'a>(order: &Order, logins: &'a Logins, amqp: &AmqpSettings) -> Vec<Permission<'a>> {
    let nothing = || NOTHING.to_owned();
    let consumer = Permission {
        user: logins.consumer.user(),
        configure: nothing(),
        write: nothing(),
        read: names(&[&amqp.commands, &amqp.queries], None),
    };
    // Replies go through the default exchange.
    let publisher = Permission {
        user: logins.publisher.user(),
        configure: nothing(),
        write: names(&[&amqp.events, &amqp.dead_letter, DEFAULT_EXCHANGE], None),
        read: nothing(),
    };
    let clients = logins.clients.iter().map(|login| client(order, login.user(), amqp));
    [consumer, publisher].into_iter().chain(clients).collect()
}

/// Another team's: who sends may write to the exchanges of commands and queries, and be answered by direct reply-to;
/// who subscribes may have queues of the own, whose names begin with the user's and a dot, and bind them to events.
fn client<'a>(order: &Order, user: &'a str, amqp: &AmqpSettings) -> Permission<'a> {
    let is_in = |users: &[String]| users.iter().any(|name| name == user);
    let sends: &[&str] = if is_in(&order.senders) { &[&amqp.commands, &amqp.queries] } else { &[] };
    let reads: &[&str] = if is_in(&order.subscribers) { &[&amqp.events] } else { &[] };
    let own = is_in(&order.subscribers).then_some(user);
    Permission { user, configure: names(&[], own), write: names(sends, own), read: names(reads, own) }
}

/// These names, and those that begin with the owner's and a dot.
fn names(exact: &[&str], owner: Option<&str>) -> String {
    let exact = exact.iter().map(|name| escaped(name));
    let all: Vec<String> = exact.chain(owner.map(|owner| format!("{owner}\\..+"))).collect();
    if all.is_empty() { NOTHING.to_owned() } else { format!("^({})$", all.join("|")) }
}

fn escaped(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_') || !c.is_ascii();
    name.chars().flat_map(|c| (!is_plain(c)).then_some('\\').into_iter().chain([c])).collect()
}

impl Permission<'_> {
    fn definition(&self, vhost: &str) -> Value {
        let Self { user, configure, write, read } = self;
        json!({ "user": user, "vhost": vhost, "configure": configure, "write": write, "read": read })
    }
}

/// RabbitMQ's command line tool, and how to get at it.
#[derive(Debug, Clone)]
pub struct Rabbitmqctl {
    command: String,
}

#[derive(Deserialize)]
struct User {
    user: String,
}

impl Rabbitmqctl {
    /// Such as `rabbitmqctl` or `docker compose exec -T rabbitmq rabbitmqctl`.
    #[must_use]
    pub fn new(command: String) -> Self {
        Self { command }
    }

    /// The command, as a shell has it.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }

    /// All users.
    pub(super) fn users(&self) -> Result<Vec<String>, ProvisionError> {
        let json = self.run(&["--quiet", "list_users", "--formatter", "json"], "")?;
        let users: Vec<User> = serde_json::from_slice(&json).map_err(|error| self.failed(&error))?;
        Ok(users.into_iter().map(|user| user.user).collect())
    }

    /// Makes what is not there yet, and gives the rights.
    pub(super) fn import(&self, document: &Value) -> Result<(), ProvisionError> {
        self.run(&["--quiet", "import_definitions"], &document.to_string()).map(|_| ())
    }

    /// Hands the text over on the standard input: what is on a command line is there for all to see.
    fn run(&self, arguments: &[&str], input: &str) -> Result<Vec<u8>, ProvisionError> {
        let ended = self.output(arguments, input).map_err(|error| self.failed(&error))?;
        if ended.status.success() {
            return Ok(ended.stdout);
        }
        let said = [ended.stdout, ended.stderr].concat();
        Err(self.failed(&String::from_utf8_lossy(&said).trim()))
    }

    fn output(&self, arguments: &[&str], input: &str) -> std::io::Result<Output> {
        let mut words = self.command.split_whitespace();
        let mut child = Command::new(words.next().unwrap_or_default())
            .args(words)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // Where it ends without having read all, its exit code says more than this would.
            let _ = stdin.write_all(input.as_bytes());
        }
        child.wait_with_output()
    }

    fn failed(&self, reason: &dyn std::fmt::Display) -> ProvisionError {
        ProvisionError::Rabbitmqctl { command: self.command.clone(), reason: reason.to_string() }
    }
}
