//! A history with something of everything, of which the books are tampered with.

use std::process::Command;

use uuid::Uuid;

use crate::support::database::TestDatabase;
use crate::support::{Harness, Message, Setup};

/// A history that has come to its end: no service runs, and nobody is connected to its database.
pub struct History {
    pub harness: Harness,
    ids: Vec<(&'static str, String)>,
}

/// Products: 43 of `a` are on hand, 28 of `b`, 10 of `c`, and 2 of `d`, all of which are reserved.
const PRODUCTS: [(&str, u64); 4] = [("a", 50), ("b", 30), ("c", 10), ("d", 2)];

/// Reservations, by what became of them.
const RESERVATIONS: [&str; 10] =
    ["held", "timed", "part", "consumed", "released", "lapsed", "late", "amended", "all", "early"];

/// What there is not.
const NOBODYS: [&str; 2] = ["nobody", "other"];

impl History {
    /// Plays it through the service.
    pub async fn play() -> Self {
        let names = PRODUCTS.map(|(name, _)| name).into_iter().chain(RESERVATIONS).chain(NOBODYS);
        let ids = names.map(|name| (name, Uuid::now_v7().to_string())).collect();
        let mut history = Self { harness: Setup::new().start().await, ids };
        history.count().await;
        history.hold().await;
        history.end().await;
        history.lapse().await;
        history.harness.until_all_is_published().await;
        history.harness.services()[0].stop().await;
        history.harness.services().clear();
        history
    }

    /// The id of what has this name.
    pub fn id(&self, name: &str) -> &str {
        let named = self.ids.iter().find(|(known, _)| *known == name);
        named.map_or_else(|| panic!("there is no {name} in this history"), |(_, id)| id.as_str())
    }

    /// A statement in which ids are called by their names, such as `{held}`.
    pub fn filled(&self, sql: &str) -> String {
        self.ids.iter().fold(sql.to_owned(), |sql, (name, id)| sql.replace(&format!("{{{name}}}"), id))
    }

    /// Its database, once more.
    pub async fn copy(&self) -> TestDatabase {
        self.harness.site().database.copy().await
    }

    /// A command of the binary, on a copy.
    pub fn command_on(&self, copy: &TestDatabase, arguments: &[&str]) -> Command {
        let mut command = self.harness.site().command(arguments);
        command.env("DATABASE_URL", &copy.url);
        command
    }

    fn lines(&self, lines: &[(&str, u64)]) -> Vec<(Uuid, u64)> {
        lines.iter().map(|(name, quantity)| (self.id(name).parse().unwrap(), *quantity)).collect()
    }

    async fn count(&mut self) {
        self.harness.site().count(&self.lines(&PRODUCTS)).await;
        self.harness.site().told(&["stock", "adjust", self.id("a"), "-3"]).await;
    }

    async fn reserve(&mut self, name: &str, cart: Uuid, lines: &[(&str, u64)]) {
        let reserve = Message::reserve(cart, &self.lines(lines)).with("reservationId", self.id(name));
        let reserve = if matches!(name, "timed" | "lapsed" | "late") {
            reserve.with("holdSeconds", 36_000)
        } else {
            reserve
        };
        self.harness.outcome_of(&reserve).await.reservation();
    }

    async fn take_out(&mut self, command: Message) {
        let reply = self.harness.ask(command).await;
        assert_ne!(reply.kind(), "Error", "{reply:?}");
    }

    async fn hold(&mut self) {
        self.reserve("held", Uuid::new_v4(), &[("a", 3), ("b", 2)]).await;
        self.reserve("timed", Uuid::new_v4(), &[("a", 4)]).await;
        self.reserve("all", Uuid::new_v4(), &[("d", 2)]).await;
        let cart = Uuid::new_v4();
        self.reserve("amended", cart, &[("a", 2)]).await;
        self.reserve("amended", cart, &[("a", 1), ("c", 2)]).await;
        self.reserve("part", Uuid::new_v4(), &[("a", 5), ("b", 3)]).await;
        let part = self.id("part").to_owned();
        self.take_out(Message::consume(&part).of(&self.lines(&[("a", 2)]))).await;
        self.take_out(Message::release(&part).of(&self.lines(&[("b", 1)]))).await;
    }

    async fn end(&mut self) {
        self.reserve("consumed", Uuid::new_v4(), &[("a", 1), ("b", 1)]).await;
        self.take_out(Message::consume(self.id("consumed"))).await;
        self.reserve("released", Uuid::new_v4(), &[("a", 1), ("c", 1)]).await;
        self.take_out(Message::release(self.id("released")).with("reason", "ORDER_CANCELLED")).await;
        let early = Message::release(self.id("early"));
        self.harness.ask(early).await.assert_problem("RESERVATION_NOT_FOUND", 404);
    }

    async fn lapse(&mut self) {
        self.reserve("lapsed", Uuid::new_v4(), &[("b", 2)]).await;
        self.reserve("late", Uuid::new_v4(), &[("a", 3), ("c", 1)]).await;
        let over = "UPDATE reservation SET expires_at = clock_timestamp()
                    WHERE reservation_id IN ('{lapsed}', '{late}')";
        self.harness.site().database.execute(&self.filled(over)).await;
        for name in ["lapsed", "late"] {
            let id = self.id(name).to_owned();
            self.harness.lapse_of(&id).await;
        }
        self.take_out(Message::consume(self.id("late")).of(&self.lines(&[("a", 1)]))).await;
    }
}
