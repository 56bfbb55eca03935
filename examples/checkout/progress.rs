//! How far it is: a bar on a terminal, a line now and then elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const LINE_EVERY: Duration = Duration::from_secs(2);

pub struct Progress {
    bar: ProgressBar,
    what: &'static str,
    last_line: Instant,
}

impl Progress {
    pub fn new(what: &'static str, total: usize) -> Self {
        // Draws to standard error, and not at all where that is no terminal.
        let bar = ProgressBar::new(total as u64).with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:40}] {pos}/{len} {elapsed}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar, what, last_line: Instant::now() }
    }

    pub fn step(&mut self) {
        self.bar.inc(1);
        if self.bar.is_hidden() && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let (done, total) = (self.bar.position(), self.bar.length().unwrap_or_default());
            eprintln!("{}: {done} of {total}", self.what);
        }
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
