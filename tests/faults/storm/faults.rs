//! Everything that goes wrong in a storm, and how often.

use std::fmt;
use std::time::Duration;

use super::fleet::{Fleet, Replica};
use crate::kit::{Blow, Direction, Proxy, Weather};
use crate::support::dice::Dice;
use crate::support::servers::Server;

/// A fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    ServiceKilled,
    ServiceRestarted,
    ServicePaused,
    PostgreSqlKilled,
    PostgreSqlRestarted,
    PostgreSqlPaused,
    SessionsTerminated,
    RabbitMqKilled,
    RabbitMqRestarted,
    RabbitMqPaused,
    ConnectionsClosed,
    Network(Line, Trouble),
}

/// Between a replica and a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    PostgreSql,
    RabbitMq,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    Delayed,
    Throttled,
    BlackHole,
    Refusing,
    Reset,
    HalfClosedToServer,
    HalfClosedToService,
    FrameToServerCut,
    FrameToServiceCut,
    CommitReplyLost,
}

/// Where a fault is: two at once are at different places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Service,
    PostgreSql,
    RabbitMq,
    Line(Line),
}

use Fault::{
    ConnectionsClosed, Network, PostgreSqlKilled, PostgreSqlPaused, PostgreSqlRestarted, RabbitMqKilled,
    RabbitMqPaused, RabbitMqRestarted, ServiceKilled, ServicePaused, ServiceRestarted, SessionsTerminated,
};
use Line::{PostgreSql, RabbitMq};

/// All faults, and how often they come in relation to each other. To start RabbitMQ takes many seconds.
const FAULTS: [(Fault, u64); 30] = [
    (ServiceKilled, 12),
    (ServiceRestarted, 6),
    (ServicePaused, 6),
    (PostgreSqlKilled, 6),
    (PostgreSqlRestarted, 4),
    (PostgreSqlPaused, 4),
    (SessionsTerminated, 4),
    (RabbitMqKilled, 2),
    (RabbitMqRestarted, 1),
    (RabbitMqPaused, 4),
    (ConnectionsClosed, 1),
    (Network(PostgreSql, Trouble::Delayed), 2),
    (Network(PostgreSql, Trouble::Throttled), 2),
    (Network(PostgreSql, Trouble::BlackHole), 3),
    (Network(PostgreSql, Trouble::Refusing), 2),
    (Network(PostgreSql, Trouble::Reset), 3),
    (Network(PostgreSql, Trouble::HalfClosedToServer), 2),
    (Network(PostgreSql, Trouble::HalfClosedToService), 2),
    (Network(PostgreSql, Trouble::FrameToServerCut), 2),
    (Network(PostgreSql, Trouble::FrameToServiceCut), 2),
    (Network(PostgreSql, Trouble::CommitReplyLost), 6),
    (Network(RabbitMq, Trouble::Delayed), 2),
    (Network(RabbitMq, Trouble::Throttled), 2),
    (Network(RabbitMq, Trouble::BlackHole), 3),
    (Network(RabbitMq, Trouble::Refusing), 2),
    (Network(RabbitMq, Trouble::Reset), 3),
    (Network(RabbitMq, Trouble::HalfClosedToServer), 2),
    (Network(RabbitMq, Trouble::HalfClosedToService), 2),
    (Network(RabbitMq, Trouble::FrameToServerCut), 2),
    (Network(RabbitMq, Trouble::FrameToServiceCut), 2),
];

/// A fault that is to come.
#[derive(Debug, Clone, Copy)]
pub struct Planned {
    pub fault: Fault,
    /// The replica that is struck, and whether all are where that is possible.
    replica: usize,
    is_everywhere: bool,
    pub lasts: Duration,
}

impl Planned {
    /// What comes next.
    pub fn next(dice: &mut Dice, replicas: usize, longest_ms: u64) -> Self {
        let total = FAULTS.iter().map(|(_, weight)| weight).sum();
        let mut left = dice.below(total);
        let chosen = FAULTS.iter().find(|(_, weight)| {
            let is_it = left < *weight;
            left = left.saturating_sub(*weight);
            is_it
        });
        Self {
            fault: chosen.expect("the weights add up").0,
            replica: usize::try_from(dice.below(replicas as u64)).unwrap(),
            is_everywhere: dice.percent(30),
            lasts: Duration::from_millis(100 + dice.below(longest_ms)),
        }
    }

    /// This fault, of the first replica, for so long.
    pub fn of(fault: Fault, lasts: Duration) -> Self {
        Self { fault, replica: 0, is_everywhere: false, lasts }
    }

    /// Another one that can come at the same time.
    pub fn beside(self, next: impl FnMut() -> Self) -> Self {
        let mut others = std::iter::repeat_with(next);
        others.find(|other| other.fault.place() != self.fault.place()).expect("there are others without end")
    }

    /// It strikes.
    pub async fn begin(self, fleet: &mut Fleet) {
        let service = &mut fleet.replicas[self.replica].service;
        match self.fault {
            ServiceKilled => service.kill(),
            ServiceRestarted => service.terminate(),
            ServicePaused => service.pause(),
            PostgreSqlKilled => fleet.end_server(Server::PostgreSql, false).await,
            PostgreSqlRestarted => fleet.end_server(Server::PostgreSql, true).await,
            PostgreSqlPaused => fleet.servers.pause(Server::PostgreSql).await,
            SessionsTerminated => fleet.site.database.terminate_sessions().await,
            RabbitMqKilled => fleet.end_server(Server::RabbitMq, false).await,
            RabbitMqRestarted => fleet.end_server(Server::RabbitMq, true).await,
            RabbitMqPaused => fleet.servers.pause(Server::RabbitMq).await,
            ConnectionsClosed => fleet.close_connections().await,
            Network(line, trouble) => self.proxies(fleet, line).for_each(|proxy| trouble.begin(proxy)),
        }
    }

    /// It is over.
    pub async fn end(self, fleet: &mut Fleet) {
        match self.fault {
            ServiceKilled => fleet.relaunch(self.replica).await,
            ServiceRestarted => {
                let status = fleet.replicas[self.replica].service.exit().await;
                if status.code() != Some(0) {
                    fleet.history.lock().note(format!("a replica ended with {status} after SIGTERM"));
                }
                fleet.relaunch(self.replica).await;
            }
            ServicePaused => fleet.replicas[self.replica].service.resume(),
            PostgreSqlKilled | PostgreSqlRestarted => fleet.servers.start(Server::PostgreSql).await,
            PostgreSqlPaused => fleet.servers.resume(Server::PostgreSql).await,
            RabbitMqKilled | RabbitMqRestarted => fleet.servers.start(Server::RabbitMq).await,
            RabbitMqPaused => fleet.servers.resume(Server::RabbitMq).await,
            SessionsTerminated | ConnectionsClosed => {}
            Network(line, _) => self.proxies(fleet, line).for_each(|proxy| {
                proxy.set(Weather::Clear);
                proxy.disarm();
            }),
        }
    }

    fn proxies(self, fleet: &Fleet, line: Line) -> impl Iterator<Item = &Proxy> {
        let is_struck = move |(number, _): &(usize, &Replica)| self.is_everywhere || *number == self.replica;
        fleet.replicas.iter().enumerate().filter(is_struck).map(move |(_, replica)| match line {
            PostgreSql => &replica.database,
            RabbitMq => &replica.amqp,
        })
    }
}

impl Fault {
    /// Whether its end takes many seconds.
    pub fn is_slow(self) -> bool {
        matches!(self, RabbitMqKilled | RabbitMqRestarted | ConnectionsClosed)
    }

    /// Whether it strikes a replica itself.
    pub fn is_of_a_replica(self) -> bool {
        self.place() == Place::Service
    }

    fn place(self) -> Place {
        match self {
            ServiceKilled | ServiceRestarted | ServicePaused => Place::Service,
            PostgreSqlKilled | PostgreSqlRestarted | PostgreSqlPaused | SessionsTerminated => {
                Place::PostgreSql
            }
            RabbitMqKilled | RabbitMqRestarted | RabbitMqPaused | ConnectionsClosed => Place::RabbitMq,
            Network(line, _) => Place::Line(line),
        }
    }
}

impl Trouble {
    fn begin(self, proxy: &Proxy) {
        match self {
            Self::Delayed => proxy.set(Weather::Delay(Duration::from_millis(80))),
            Self::Throttled => proxy.set(Weather::Throttle { bytes_per_second: 20_000 }),
            Self::BlackHole => proxy.set(Weather::BlackHole),
            Self::Refusing => {
                proxy.set(Weather::Refusing);
                proxy.strike(Blow::Reset);
            }
            Self::Reset => proxy.strike(Blow::Reset),
            Self::HalfClosedToServer => proxy.strike(Blow::HalfClose(Direction::ToServer)),
            Self::HalfClosedToService => proxy.strike(Blow::HalfClose(Direction::ToService)),
            Self::FrameToServerCut => proxy.strike(Blow::CutFrame(Direction::ToServer)),
            Self::FrameToServiceCut => proxy.strike(Blow::CutFrame(Direction::ToService)),
            Self::CommitReplyLost => proxy.strike(Blow::LoseCommitReply),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Delayed => "delayed",
            Self::Throttled => "throttled",
            Self::BlackHole => "a black hole",
            Self::Refusing => "refusing",
            Self::Reset => "reset",
            Self::HalfClosedToServer => "half-closed to the server",
            Self::HalfClosedToService => "half-closed to the service",
            Self::FrameToServerCut => "a frame to the server cut",
            Self::FrameToServiceCut => "a frame to the service cut",
            Self::CommitReplyLost => "the reply to COMMIT lost",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceKilled => f.write_str("service killed (SIGKILL)"),
            ServiceRestarted => f.write_str("service restarted (SIGTERM)"),
            ServicePaused => f.write_str("service paused (SIGSTOP)"),
            PostgreSqlKilled => f.write_str("PostgreSQL killed"),
            PostgreSqlRestarted => f.write_str("PostgreSQL restarted"),
            PostgreSqlPaused => f.write_str("PostgreSQL paused"),
            SessionsTerminated => f.write_str("all sessions of PostgreSQL terminated"),
            RabbitMqKilled => f.write_str("RabbitMQ killed"),
            RabbitMqRestarted => f.write_str("RabbitMQ restarted"),
            RabbitMqPaused => f.write_str("RabbitMQ paused"),
            ConnectionsClosed => f.write_str("all connections to RabbitMQ closed"),
            Network(PostgreSql, trouble) => write!(f, "network to PostgreSQL: {}", trouble.name()),
            Network(RabbitMq, trouble) => write!(f, "network to RabbitMQ: {}", trouble.name()),
        }
    }
}
