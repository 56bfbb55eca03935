//! The commands of one turn, in their order: each is done, or waits for what somebody else has locked.

use tracing::{info, warn};

use super::answered::Answered;
use super::intake::{Accepted, weight};
use super::line::Line;
use super::obstacles::Survey;
use super::{Handler, Settlement};
use crate::config::BatchSettings;
use crate::domain::Request;
use crate::storage::StorageError;

/// Commands of a transaction, by their positions.
type Part = Vec<usize>;

/// A turn.
pub(super) struct Turn<'a> {
    handler: &'a Handler,
    commands: &'a [&'a Accepted],
    settled: Vec<Settlement>,
    line: Line<'a>,
    /// What is still to be done, the first on top.
    parts: Vec<Part>,
    /// Commands that took too long before and have rested enough, to be tried at the end until one is too slow again.
    trials: Vec<usize>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(handler: &'a Handler, commands: &'a [&'a Accepted]) -> Self {
        let mut parts = parts(commands, handler.batch);
        parts.reverse();
        let settled = vec![Settlement::wait(); commands.len()];
        Self { handler, commands, settled, line: Line::default(), parts, trials: Vec::new() }
    }

    /// Does what can be done; the settlements are in the order of the commands.
    pub(super) async fn run(mut self) -> Vec<Settlement> {
        self.pass_over_what_waits().await;
        while let Some(part) = self.parts.pop() {
            let part = self.part_without(part, |_| false);
            if part.is_empty() {
                continue;
            }
            match self.handler.persevere(&self.commands_of(&part)).await {
                Ok(answered) => self.done(&part, answered),
                // What comes after it must not overtake it: all that is left comes again.
                Err(_) if self.handler.stop.is_cancelled() => return self.settled,
                Err(error @ StorageError::TooSlow(_)) => self.step_around(part, &error).await,
                Err(error) => self.split(part, &error),
            }
        }
        for position in std::mem::take(&mut self.trials) {
            if !self.try_alone(position).await {
                break;
            }
        }
        self.settled
    }

    /// What was locked before may still be so: nobody has to wait for it once more to learn that. What took too long rests.
    async fn pass_over_what_waits(&mut self) {
        let before = self.handler.obstacles.get();
        if before.is_empty() && self.handler.resting.is_empty() {
            return;
        }
        let bookkeeper = &self.handler.bookkeeper;
        let queued = bookkeeper.queue_for_one(&self.handler.obstacles).await;
        let known = self.handler.obstacles.get();
        let all: Part = (0..self.commands.len()).collect();
        let survey = match queued {
            // At the end there is no time to learn once more that PostgreSQL says nothing.
            Err(error) if error.is_away() && self.handler.stop.is_cancelled() => Err(error),
            _ => bookkeeper.survey(&self.requests_of(&all), Some(&known)).await,
        };
        // Otherwise whoever tries finds out.
        let Ok(mut survey) = survey else {
            return self.pass_over_resting();
        };
        if survey.obstacles.is_empty() && !before.is_empty() {
            info!("nothing is locked by somebody else any more");
        }
        self.handler.obstacles.set(survey.obstacles.clone());
        self.line.learn(&survey);
        let parts = std::mem::take(&mut self.parts);
        // The first in line first.
        for part in parts.into_iter().rev() {
            let free = self.part_without_hindered(part, &mut survey);
            self.parts.insert(0, free);
        }
        self.pass_over_resting();
    }

    /// What took too long rests; what has rested enough is tried, after the others.
    fn pass_over_resting(&mut self) {
        let resting = &self.handler.resting;
        if resting.is_empty() {
            return;
        }
        let mut trials = Vec::new();
        for mut part in std::mem::take(&mut self.parts).into_iter().rev() {
            part.retain(|position| {
                let request = &self.commands[*position].request;
                let is_behind = self.line.holds_back(request, *position);
                let may_try = resting.may_try(request);
                if !is_behind && may_try == Some(true) {
                    trials.push(*position);
                }
                if may_try.is_some() {
                    self.line.join(request, *position);
                }
                !is_behind && may_try.is_none()
            });
            self.parts.insert(0, part);
        }
        self.trials = trials;
    }

    /// Says whether the next may be tried, too.
    async fn try_alone(&mut self, position: usize) -> bool {
        let command = self.commands[position];
        if self.line.holds_back(&command.request, position) {
            return true;
        }
        match self.handler.persevere(&[command]).await {
            Ok(answered) => {
                self.handler.resting.remove(&command.request);
                self.done(&[position], answered);
                return true;
            }
            Err(_) if self.handler.stop.is_cancelled() => {}
            Err(error) => self.split(vec![position], &error),
        }
        false
    }

    /// Something took too long: those who need what somebody else has locked wait, and the others are tried again.
    async fn step_around(&mut self, part: Part, error: &StorageError) {
        match self.handler.bookkeeper.survey(&self.requests_of(&part), None).await {
            Ok(mut survey) => {
                self.line.learn(&survey);
                let commands = part.len();
                let free = self.part_without_hindered(part.clone(), &mut survey);
                if free.len() == commands {
                    return self.split(part, error);
                }
                self.note(&survey, commands - free.len());
                self.parts.push(free);
            }
            Err(StorageError::TooSlow(_)) => {
                warn!(commands = part.len(), "commands wait: somebody else has locked a whole table");
                for position in part {
                    self.wait(position);
                }
            }
            // It is waited for there.
            Err(error) if error.is_away() => self.parts.push(part),
            Err(_) => self.split(part, error),
        }
    }

    fn note(&self, survey: &Survey, commands: usize) {
        let obstacles = &survey.obstacles;
        warn!(
            commands,
            reservations = ?obstacles.reservations,
            products = ?obstacles.products,
            "commands wait for what somebody else has locked"
        );
        self.handler.metrics.retried("locked");
        self.handler.obstacles.add(obstacles);
    }

    /// Perhaps it is too much at once, or one that harms its neighbours.
    fn split(&mut self, mut part: Part, error: &StorageError) {
        if let [position] = part[..] {
            if error.is_lost_race() || matches!(error, StorageError::TooSlow(_) | StorageError::Deadline(_)) {
                warn!(%error, "a command waits: it takes too long alone, too");
                self.handler.resting.add(&self.commands[position].request);
                self.wait(position);
            } else {
                self.settled[position] = self.handler.give_back(self.commands[position], error);
            }
            return;
        }
        warn!(commands = part.len(), %error, "batch failed: trying its halves");
        self.handler.metrics.retried("split");
        let second = part.split_off(part.len() / 2);
        self.parts.extend([second, part]);
    }

    fn part_without_hindered(&mut self, part: Part, survey: &mut Survey) -> Part {
        self.part_without(part, |request| survey.hinders(request))
    }

    /// Lets those wait who have to, and those who must not overtake them; gives the others.
    fn part_without(&mut self, mut part: Part, mut must_wait: impl FnMut(&Request) -> bool) -> Part {
        part.retain(|position| {
            let request = &self.commands[*position].request;
            let waits = self.line.holds_back(request, *position) || must_wait(request);
            if waits {
                self.line.join(request, *position);
            }
            !waits
        });
        part
    }

    fn wait(&mut self, position: usize) {
        self.line.join(&self.commands[position].request, position);
    }

    fn done(&mut self, part: &[usize], answered: Vec<Answered>) {
        let settled = self.handler.committed(&self.commands_of(part), answered);
        for (position, settlement) in part.iter().zip(settled) {
            self.settled[*position] = settlement;
        }
    }

    fn commands_of(&self, part: &[usize]) -> Vec<&'a Accepted> {
        part.iter().map(|position| self.commands[*position]).collect()
    }

    fn requests_of(&self, part: &[usize]) -> Vec<&'a Request> {
        part.iter().map(|position| &self.commands[*position].request).collect()
    }
}

/// Cuts commands into transactions of limited size, at least one command each.
fn parts(commands: &[&Accepted], limits: BatchSettings) -> Vec<Part> {
    let mut parts: Vec<Part> = Vec::new();
    let mut lines = 0;
    for (position, command) in commands.iter().enumerate() {
        let more = weight(&command.request.command);
        match parts.last_mut() {
            Some(part) if lines + more <= limits.lines && part.len() < limits.commands => {
                part.push(position);
                lines += more;
            }
            _ => {
                parts.push(vec![position]);
                lines = more;
            }
        }
    }
    parts
}
