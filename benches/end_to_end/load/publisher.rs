//! Publishes commands, with confirms, on a connection of its own.

use futures_util::future::try_join_all;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, Connection, PublisherConfirm};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::command::{COMMANDS, Command};
use super::rabbitmq::connect;
use super::random::Random;
use crate::failure::Failure;

/// Publications that wait for their confirms at most, in lots.
const LOTS_UNCONFIRMED: usize = 32;

type Lot = Vec<PublisherConfirm>;

/// A publisher of commands.
#[derive(Debug)]
pub struct Publisher {
    connection: Connection,
    channel: Channel,
    session: u64,
    random: Random,
    lots: Option<mpsc::Sender<Lot>>,
    watch: Option<JoinHandle<Result<(), Failure>>>,
}

impl Publisher {
    /// Connects. The session is told by the `correlation_id` of every command.
    pub async fn open(url: &str, session: u64) -> Result<Self, Failure> {
        let connection = connect(url).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let mut publisher =
            Self { connection, channel, session, random: Random::new(), lots: None, watch: None };
        publisher.watch_confirms();
        Ok(publisher)
    }

    /// Publishes commands of rising numbers.
    pub async fn publish(&mut self, first: u64, commands: Vec<Command>) -> Result<(), Failure> {
        let (channel, session, random) = (&self.channel, self.session, &mut self.random);
        let publications = (first..).zip(&commands).map(|(number, command)| {
            let properties = BasicProperties::default()
                .with_type(command.kind.name().into())
                .with_content_type("application/json".into())
                .with_delivery_mode(2)
                .with_message_id(random.uuid().to_string().into())
                .with_correlation_id(Uuid::from_u64_pair(session, number).to_string().into());
            let (exchange, key) = (COMMANDS.into(), command.kind.routing_key().into());
            channel.basic_publish(exchange, key, BasicPublishOptions::default(), &command.body, properties)
        });
        let lot = try_join_all(publications).await?;
        match &self.lots {
            Some(lots) if lots.send(lot).await.is_ok() => Ok(()),
            _ => self.confirmed().await,
        }
    }

    /// Waits until RabbitMQ has confirmed everything.
    pub async fn confirmed(&mut self) -> Result<(), Failure> {
        self.lots = None;
        if let Some(watch) = self.watch.take() {
            watch.await.map_err(|error| Failure::Wrong(error.to_string()))??;
        }
        self.watch_confirms();
        Ok(())
    }

    /// Disconnects.
    pub async fn close(self) -> Result<(), Failure> {
        Ok(self.connection.close(200, "done".into()).await?)
    }

    fn watch_confirms(&mut self) {
        let (lots, mut unconfirmed) = mpsc::channel::<Lot>(LOTS_UNCONFIRMED);
        self.lots = Some(lots);
        self.watch = Some(tokio::spawn(async move {
            while let Some(lot) = unconfirmed.recv().await {
                for confirm in lot {
                    if !matches!(confirm.await?, Confirmation::Ack(None)) {
                        return Err(Failure::Wrong(
                            "RabbitMQ refused a command, or had no queue for it".to_owned(),
                        ));
                    }
                }
            }
            Ok(())
        }));
    }
}
