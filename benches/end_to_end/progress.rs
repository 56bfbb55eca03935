//! Tells how far a run is: a bar for people, plain lines for a log.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// How far a run is.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Of so many steps.
    #[must_use]
    pub fn of(steps: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(steps));
        if let Some(bar) = &bar {
            let style = ProgressStyle::with_template("{elapsed:>4} {bar:30} {pos}/{len} {wide_msg}");
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.enable_steady_tick(Duration::from_millis(500));
        }
        Self { bar }
    }

    /// This is being done now.
    pub fn begin(&self, what: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(what.to_owned()),
            None => say(what),
        }
    }

    /// It is done, and came to this.
    pub fn end(&self, result: &str) {
        match &self.bar {
            Some(bar) => {
                bar.println(format!("{}: {result}", bar.message()));
                bar.inc(1);
            }
            None => say(&format!("  {result}")),
        }
    }

    /// Nothing more will be done.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[expect(clippy::print_stderr, reason = "progress belongs there")]
fn say(line: &str) {
    eprintln!("{line}");
}
