//! The progress of a run: a progress bar on a terminal, lines elsewhere.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::Write;
use std::time::{Duration, Instant};

/// The interval between lines without a progress bar, for example in a log file.
const SILENCE: Duration = Duration::from_secs(30);

/// After so long it is said how long the run will take.
const ESTIMATE_AFTER: Duration = Duration::from_secs(3);

/// Seconds, in words.
fn duration(seconds: f64) -> String {
    match seconds {
        ..90.0 => format!("{seconds:.0} s"),
        90.0..5_400.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3_600.0),
    }
}

/// The progress of a run on standard error.
pub(crate) struct Status {
    bar: ProgressBar,
    /// Whether it prints nothing.
    silent: bool,
    steps: u64,
    unit: &'static str,
    /// The step it started at, and when.
    first: u64,
    started: Instant,
    now: u64,
    /// The number of items since a time, for the throughput.
    items: usize,
    since: Instant,
    said: Instant,
    /// Whether it was said how long the run will take.
    is_estimated: bool,
}

impl Status {
    /// The status of a run of `steps` steps. Of several processes, all but one are silent.
    pub fn new(steps: u64, unit: &'static str, silent: bool) -> Self {
        let bar = if silent {
            ProgressBar::hidden()
        } else {
            ProgressBar::new(steps)
        };
        let template = "{bar:30} {pos}/{len} steps · {elapsed} done · {eta} left · {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        let now = Instant::now();
        Self {
            bar,
            silent,
            steps,
            unit,
            first: 0,
            started: now,
            now: 0,
            items: 0,
            since: now,
            said: now,
            is_estimated: false,
        }
    }

    /// The first step of this call.
    pub fn start(&mut self, step: u64) {
        let now = Instant::now();
        (self.first, self.now) = (step, step);
        (self.started, self.since, self.said) = (now, now, now);
        self.bar.set_position(step);
        self.bar.reset_eta();
    }

    /// Reports a completed step.
    pub fn advance(&mut self, step: u64, items: usize) {
        self.now = step;
        self.items += items;
        self.bar.set_position(step);
        let elapsed = self.started.elapsed();
        if !self.is_estimated && elapsed >= ESTIMATE_AFTER {
            self.is_estimated = true;
            let pace = (self.now - self.first) as f64 / elapsed.as_secs_f64();
            let left = (self.steps.saturating_sub(self.now)) as f64 / pace;
            if left > 2.0 * ESTIMATE_AFTER.as_secs_f64() {
                self.say(&format!("{} steps will take about {}", self.steps, duration(left)));
            }
        }
    }

    /// Restarts the measurement of the throughput, for example after a pause.
    pub fn restart(&mut self) {
        (self.items, self.since) = (0, Instant::now());
    }

    /// Shows the mean losses and the best result so far.
    pub fn show(&mut self, losses: &[(&str, f64)], best: Option<f64>, quiet: bool) {
        let speed = self.items as f64 / self.since.elapsed().as_secs_f64();
        let losses: Vec<String> = losses.iter().map(|(name, loss)| format!("{name} {loss:.4}")).collect();
        let line = format!("{} · {speed:.0} {}/s", losses.join(", "), self.unit);
        let best = best.map_or_else(String::new, |best| format!(" · best {best:.4}"));
        self.bar.set_message(format!("{line}{best}"));
        if self.bar.is_hidden() && self.said.elapsed() >= SILENCE && !quiet {
            self.said = Instant::now();
            let pace = (self.now - self.first) as f64 / self.started.elapsed().as_secs_f64();
            let left = duration(self.steps.saturating_sub(self.now) as f64 / pace);
            self.print(&format!("step {}: {line} · about {left} left", self.now));
        }
        self.restart();
    }

    /// Prints a line.
    pub fn say(&self, line: &str) {
        match self.bar.is_hidden() {
            true => self.print(line),
            false => self.bar.println(line),
        }
    }

    fn print(&self, line: &str) {
        if !self.silent {
            // A closed standard error is ignored.
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    }

    /// Keeps the bar on the screen.
    pub fn abandon(&self) {
        self.bar.abandon();
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
