//! Tells how far long work has come: on a terminal in one line that is rewritten, elsewhere a plain line now and then.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// How often a terminal is told.
const QUICK: Duration = Duration::from_millis(100);
/// How often anything else is told.
const SLOW: Duration = Duration::from_secs(5);

/// The progress of one piece of work.
pub(super) struct Progress {
    what: &'static str,
    total: Option<usize>,
    done: usize,
    terminal: bool,
    told: Instant,
    shown: bool,
    hidden: bool,
}

impl Progress {
    /// Work that begins; `total` when it is known how much there is.
    pub(super) fn begin(what: &'static str, total: Option<usize>) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { what, total, done: 0, terminal, told: Instant::now(), shown: false, hidden: false }
    }

    /// Tells nothing from now on.
    pub(super) fn hide(&mut self) {
        self.hidden = true;
    }

    /// So much more is done.
    pub(super) fn step(&mut self, more: usize) {
        self.done += more;
        let pause = if self.terminal { QUICK } else { SLOW };
        if self.hidden || self.told.elapsed() < pause {
            return;
        }
        self.told = Instant::now();
        self.shown = true;
        let total = self.total.map(|total| format!(" of {total}")).unwrap_or_default();
        let line = format!("{}: {}{total}", self.what, self.done);
        let mut out = std::io::stderr().lock();
        // Nobody is the worse for a lost progress line.
        let _ = if self.terminal { write!(out, "\r{line}\u{1b}[K") } else { writeln!(out, "{line}") };
        let _ = out.flush();
    }

    /// Wipes the line, so that what is printed next begins at the margin.
    pub(super) fn end(self) {
        if self.terminal && self.shown {
            let _ = write!(std::io::stderr().lock(), "\r\u{1b}[K");
        }
    }
}
