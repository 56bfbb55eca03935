//! A storm: random load under random faults on everything, and a history that must hold in spite of it.
//!
//! What is sent and what strikes follows from a seed, which it prints (when, follows from the machine as well).
//! `scripts/storm --minutes N --seed S` is the long one.

mod faults;
mod fleet;
mod listener;
mod load;
mod report;
mod shop;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::faults::{Fault, Planned};
use self::fleet::Fleet;
use self::report::Report;
use crate::support::Message;
use crate::support::author::{Author, Shop};
use crate::support::client::{Client, declare_durable};
use crate::support::dice::{self, Dice, SEED};
use crate::support::history::History;
use crate::support::sender::Sender;

/// Longest recovery before a storm calls it a violation.
const RECOVERY_MAX: Duration = Duration::from_secs(30);

/// Longest wait for all that was sent: longer than events may be one replica's.
const SETTLING_MAX: Duration = Duration::from_mins(1);

/// Faults between two looks at the books.
const VERIFIED_EVERY: usize = 25;

const EVENTS: &str = "storm-events";
const REPLIES: &str = "storm-replies";

/// What a storm is like.
struct Plan {
    seed: u64,
    lasts: Duration,
    replicas: usize,
    senders: u64,
    /// Between two messages of a sender.
    pace: Duration,
    /// What strikes before anything else does.
    first: Vec<Planned>,
    /// Longest fault.
    longest_ms: u64,
    /// Whether after those only such faults come whose end takes little time.
    is_short: bool,
    /// How many of a hundred faults come with another.
    pairs_percent: u64,
}

/// Everything that runs while faults strike.
struct Storm {
    plan: Plan,
    dice: Dice,
    fleet: Fleet,
    prober: Sender,
    /// A product of which there is always some.
    ample: Uuid,
    report: Report,
    began: Instant,
}

impl Storm {
    async fn begin(plan: Plan) -> (Self, Shop) {
        eprintln!("{SEED}={} repeats this storm", plan.seed);
        let mut dice = Dice::of(plan.seed);
        let fleet = Fleet::start(plan.replicas).await;
        let (shop, mut on_hand) = shop::open(&mut dice);
        let ample = dice.uuid();
        on_hand.push((ample, 1_000_000));
        let (url, names) = (&fleet.site.servers.amqp_url, &fleet.site.names);
        declare_durable(url, names, EVENTS, &["inventory.#", "stock.#"]).await;
        declare_durable(url, names, REPLIES, &[]).await;
        fleet.servers.remember_queues().await;
        fleet.site.count(&on_hand).await;
        let report = Report { seed: plan.seed, replicas: plan.replicas, ..Report::default() };
        let prober = Sender::new(url, names);
        (Self { plan, dice, fleet, prober, ample, report, began: Instant::now() }, shop)
    }

    fn listen(&self) -> JoinSet<()> {
        let (url, history) = (&self.fleet.site.servers.amqp_url, &self.fleet.history);
        let mut listeners = JoinSet::new();
        let events = listener::listen(url.clone(), EVENTS.to_owned(), history.clone(), History::hears_event);
        let replies =
            listener::listen(url.clone(), REPLIES.to_owned(), history.clone(), History::hears_reply);
        listeners.spawn(events);
        listeners.spawn(replies);
        listeners
    }

    /// Senders, and somebody to whom goods come in.
    fn work(&mut self, shop: &Shop, until: &CancellationToken) -> JoinSet<()> {
        let mut working = JoinSet::new();
        for _ in 0..self.plan.senders {
            let author = Author::new(self.dice.others(), shop.clone(), REPLIES);
            let sender = Sender::new(&self.fleet.site.servers.amqp_url, &self.fleet.site.names);
            working.spawn(load::send(
                sender,
                author,
                self.fleet.history.clone(),
                self.plan.pace,
                until.clone(),
            ));
        }
        let (settings, dice) = (self.fleet.site.settings.clone(), self.dice.others());
        working.spawn(load::take_delivery(settings, shop.products.clone(), dice, until.clone()));
        working
    }

    /// Faults, one after another, until it is time.
    async fn rage(&mut self) {
        let mut first = std::mem::take(&mut self.plan.first).into_iter();
        loop {
            let fault = match first.next() {
                Some(fault) => fault,
                None if self.began.elapsed() < self.plan.lasts => self.next_fault(),
                None => break,
            };
            let mut faults = vec![fault];
            if self.dice.percent(self.plan.pairs_percent) {
                faults.push(fault.beside(|| self.next_fault()));
            }
            self.tell_progress(&faults);
            self.strike(&faults).await;
            if (self.report.faults() - faults.len()) % VERIFIED_EVERY + faults.len() > VERIFIED_EVERY {
                self.verify().await;
            }
            sleep(Duration::from_millis(self.dice.below(300))).await;
        }
    }

    fn next_fault(&mut self) -> Planned {
        let Plan { replicas, longest_ms, is_short, .. } = self.plan;
        let mut faults = std::iter::repeat_with(|| Planned::next(&mut self.dice, replicas, longest_ms));
        faults.find(|planned| !(is_short && planned.fault.is_slow())).expect("there are others without end")
    }

    async fn strike(&mut self, faults: &[Planned]) {
        for fault in faults {
            fault.begin(&mut self.fleet).await;
        }
        sleep(faults[0].lasts).await;
        // A replica that is to end needs its servers for that.
        let (replicas, others): (Vec<Planned>, Vec<Planned>) =
            faults.iter().copied().partition(|planned| planned.fault.is_of_a_replica());
        for fault in others.into_iter().chain(replicas) {
            fault.end(&mut self.fleet).await;
        }
        let names: Vec<Fault> = faults.iter().map(|planned| planned.fault).collect();
        let took = self.recovery(&names).await;
        self.report.recoveries.entry(names).or_default().push(took);
    }

    /// How long it takes until a new command has its event and every replica is ready.
    async fn recovery(&mut self, faults: &[Fault]) -> Duration {
        let began = Instant::now();
        let probe =
            Message::reserve(self.dice.uuid(), &[(self.ample, 1)]).with_id(&self.dice.uuid().to_string());
        self.fleet.history.lock().sends(&probe);
        let recovering = async {
            self.prober.send(std::slice::from_ref(&probe)).await;
            while !self.fleet.history.lock().is_answered(probe.id()) {
                sleep(Duration::from_millis(10)).await;
            }
            for replica in &self.fleet.replicas {
                while replica.service.readyz().await.0 != 200 {
                    sleep(Duration::from_millis(10)).await;
                }
            }
        };
        if timeout(RECOVERY_MAX, recovering).await.is_err() {
            let what = format!("no recovery within {RECOVERY_MAX:?} from {faults:?}");
            self.fleet.history.lock().note(what);
        }
        began.elapsed()
    }

    /// What the books say.
    async fn verify(&mut self) {
        for finding in self.fleet.site.findings().await {
            self.fleet.history.lock().note(format!("inventory verify: {finding}"));
        }
    }

    fn tell_progress(&self, faults: &[Planned]) {
        let next: Vec<String> = faults.iter().map(|planned| planned.fault.to_string()).collect();
        let history = self.fleet.history.lock();
        eprintln!(
            "{:>6.1} of {} s · seed {} · {} faults · {} commands · {} events · {} violations · next: {}",
            self.began.elapsed().as_secs_f64(),
            self.plan.lasts.as_secs(),
            self.plan.seed,
            self.report.faults(),
            history.commands(),
            history.tally.events,
            history.found().len(),
            next.join(" and "),
        );
    }

    /// Waits for the end of all that was sent, and looks whether it can be true.
    async fn finish(mut self, listeners: JoinSet<()>) -> Report {
        self.fleet.settle(SETTLING_MAX).await;
        self.fleet.stop().await;
        // At once: nobody is there any more to whom holds could lapse in time.
        self.verify().await;
        self.hear_the_rest(listeners).await;
        let history = self.fleet.history.clone();
        let mut history = std::mem::take(&mut *history.lock());
        self.report.took = self.began.elapsed();
        self.report.violations = history.violations(&self.fleet.site.database).await;
        self.report.tally = history.tally;
        self.report
    }

    /// What is still in the queues: all events and replies, and the dead letters.
    async fn hear_the_rest(&self, listeners: JoinSet<()>) {
        let site = &self.fleet.site;
        let client = Client::connect(&site.servers.amqp_url, &site.names).await;
        crate::support::eventually("all events and replies are heard", async || {
            self.fleet.servers.have_settled(&[EVENTS, REPLIES]).await
        })
        .await;
        drop(listeners);
        while let Some(letter) = client.try_get(&site.names.dead_letter).await {
            self.fleet.history.lock().hears_dead_letter(&letter);
        }
        let left = client.depth(&site.names.commands).await;
        if left > 0 {
            self.fleet.history.lock().note(format!("{left} commands are still in their queue"));
        }
    }
}

async fn storm(plan: Plan) -> Report {
    let (mut storm, shop) = Storm::begin(plan).await;
    let until = CancellationToken::new();
    let listeners = storm.listen();
    let working = storm.work(&shop, &until);
    storm.began = Instant::now();
    storm.rage().await;
    until.cancel();
    working.join_all().await;
    storm.finish(listeners).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_storm() {
    let first = [Fault::RabbitMqKilled, Fault::PostgreSqlKilled, Fault::ServiceKilled];
    let plan = Plan {
        seed: dice::seed(),
        lasts: Duration::from_secs(15),
        replicas: 2,
        senders: 4,
        pace: Duration::from_millis(40),
        first: first.map(|fault| Planned::of(fault, Duration::from_millis(300))).to_vec(),
        longest_ms: 400,
        is_short: true,
        pairs_percent: 10,
    };
    let report = storm(plan).await;
    assert_eq!(report.violations, Vec::<String>::new(), "{}", report.to_markdown());
    assert!(report.commands() > 100 && report.faults() >= 3, "{}", report.to_markdown());
}

/// As long as `STORM_MINUTES` says; writes its report to the file that `STORM_REPORT` names.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "scripts/storm runs it"]
async fn a_long_storm() {
    let setting =
        |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run scripts/storm"));
    let minutes: f64 = setting("STORM_MINUTES").parse().expect("a number of minutes");
    let plan = Plan {
        seed: dice::seed(),
        lasts: Duration::from_secs_f64(60.0 * minutes),
        replicas: 3,
        senders: 8,
        pace: Duration::from_millis(25),
        first: Vec::new(),
        longest_ms: 1900,
        is_short: false,
        pairs_percent: 15,
    };
    let report = storm(plan).await;
    let path = PathBuf::from(setting("STORM_REPORT"));
    std::fs::write(&path, report.to_markdown()).unwrap();
    eprintln!("{} faults, {} commands: {}", report.faults(), report.commands(), path.display());
    assert_eq!(report.violations, Vec::<String>::new());
}
