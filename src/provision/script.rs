//! The script that does the same: to be read first, and run by whoever may.

use super::postgresql::{Renewed, before_tables, on_tables};
use super::{Logins, Order, ProvisionError, Rabbitmqctl, rabbitmq};
use crate::config::Settings;
use crate::messaging;

const HEAD: &str = "#!/bin/sh
# Made by `inventory provision --print`: what the service needs in PostgreSQL and RabbitMQ, and nothing else. To be run by an
# administrator of both, where DATABASE_URL says where the database is and who administers it. Running it again changes nothing.
# The new passwords are not in here, only what the servers know them by; the administrator's own belongs in ~/.pgpass.
set -eu
";

/// The script, for a POSIX shell.
pub fn script(
    order: &Order,
    logins: &Logins,
    settings: &Settings,
    rabbitmqctl: &Rabbitmqctl,
) -> Result<String, ProvisionError> {
    let vhost = messaging::vhost(&settings.amqp)?;
    let document = rabbitmq::document(order, logins, &logins.users(), &settings.amqp, &vhost);
    Ok(format!(
        "{HEAD}\n# PostgreSQL: who there is, and who owns what.\n{roles}\n\
         # The tables, made by their owner.\nPGOPTIONS='-c role={owner}' inventory migrate\n\n\
         # PostgreSQL: who may do what.\n{grants}\n\
         # RabbitMQ: exchanges, queues, users, permissions.\n{rabbitmqctl} import_definitions <<'JSON'\n{document:#}\nJSON\n",
        roles = psql(&before_tables(logins, Renewed::All)),
        owner = logins.owner.user(),
        grants = psql(&on_tables(logins)),
        rabbitmqctl = rabbitmqctl.command(),
    ))
}

fn psql(sql: &str) -> String {
    format!(
        "psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --single-transaction \"$DATABASE_URL\" <<'SQL'\n{sql}SQL\n"
    )
}
