//! What an administrator of both servers gives the service, so that it runs with no right that it does not use:
//! roles and grants in PostgreSQL, and in RabbitMQ exchanges, queues, users and permissions.
//!
//! As a script to be read and run by somebody else, or done at once. Doing it again changes nothing.

mod login;
mod postgresql;
mod rabbitmq;
mod script;

use crate::config::{Settings, SettingsError};
use crate::messaging;
use crate::storage::StorageError;

pub use login::Login;
pub use rabbitmq::Rabbitmqctl;
pub use script::script;

/// What is to be provided.
#[derive(Debug)]
pub struct Order {
    /// What the names of all roles and users of the service begin with.
    pub name: String,
    /// Users of other teams who send commands and queries.
    pub senders: Vec<String>,
    /// Users of other teams who read events.
    pub subscribers: Vec<String>,
}

/// Who is going to log in.
#[derive(Debug)]
pub struct Logins {
    owner: Login,
    app: Login,
    operator: Login,
    consumer: Login,
    publisher: Login,
    clients: Vec<Login>,
}

/// Why it cannot be provided.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// PostgreSQL, or the rights of who is logged in there.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A password that is given, but not usable.
    #[error("{0} must have 12 to 128 letters, digits and signs of ASCII, without spaces")]
    Password(String),
    /// Two users with one name, or queues of a user that could be those of the service.
    #[error("{0} cannot be a user of another team: the service has that name for itself")]
    Name(String),
    /// `rabbitmqctl` cannot be run, or says no.
    #[error("`{command}`: {reason}")]
    Rabbitmqctl {
        /// What was run.
        command: String,
        /// What it said.
        reason: String,
    },
}

impl Logins {
    /// Of this order: each with the password that is given in the environment, or else a new one.
    pub fn new(order: &Order, settings: &Settings) -> Result<Self, ProvisionError> {
        let of = |suffix| Login::new(format!("{}{suffix}", order.name));
        let mut names: Vec<&String> = order.senders.iter().chain(&order.subscribers).collect();
        names.sort();
        names.dedup();
        let own_names = [settings.amqp.own_queues(), vec![settings.amqp.events.clone()]].concat();
        let (consumer, publisher) = (of("-consumer")?, of("-publisher")?);
        for name in &names {
            let is_prefix = own_names.iter().any(|own| own.starts_with(&format!("{name}.")));
            if is_prefix || [&consumer, &publisher].iter().any(|login| login.user() == *name) {
                return Err(ProvisionError::Name((*name).clone()));
            }
        }
        let clients = names.into_iter().cloned().map(Login::new).collect::<Result<_, _>>()?;
        let (owner, app, operator) = (of("_owner")?, of("_app")?, of("_operator")?);
        Ok(Self { owner, app, operator, consumer, publisher, clients })
    }

    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<&Login> {
        self.roles().into_iter().chain(self.users()).collect()
    }

    /// The roles of PostgreSQL.
    fn roles(&self) -> [&Login; 3] {
        [&self.owner, &self.app, &self.operator]
    }

    /// The users of RabbitMQ.
    fn users(&self) -> Vec<&Login> {
        [&self.consumer, &self.publisher].into_iter().chain(&self.clients).collect()
    }
}

/// Provides it in PostgreSQL, and brings the schema up to date. Adds the roles that are new, or may be, even where it fails.
pub async fn provide_roles<'a>(
    logins: &'a Logins,
    settings: &Settings,
    new: &mut Vec<&'a Login>,
) -> Result<(), ProvisionError> {
    postgresql::apply(logins, settings, new).await
}

/// Provides it in RabbitMQ. Adds the users that are new, even where it fails half way: nobody knows then who is there.
pub fn provide_users<'a>(
    order: &Order,
    logins: &'a Logins,
    settings: &Settings,
    rabbitmqctl: &Rabbitmqctl,
    new: &mut Vec<&'a Login>,
) -> Result<(), ProvisionError> {
    let vhost = messaging::vhost(&settings.amqp)?;
    let existing = rabbitmqctl.users()?;
    let users = logins.users();
    let (kept, added): (Vec<&Login>, Vec<&Login>) =
        users.into_iter().partition(|login| existing.iter().any(|user| user == login.user()));
    let with_password: Vec<&Login> =
        added.iter().chain(kept.iter().filter(|login| login.is_given())).copied().collect();
    new.extend(added);
    rabbitmqctl.import(&rabbitmq::document(order, logins, &with_password, &settings.amqp, &vhost))
}
