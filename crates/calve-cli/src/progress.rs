use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use calve::base::Progress;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

/// Progress bars on stderr, one a stage.
#[derive(Debug, Clone)]
pub(crate) struct Bars {
    all: MultiProgress,
    stages: Arc<Mutex<BTreeMap<&'static str, ProgressBar>>>,
}

impl Bars {
    /// Bars that are drawn, or not.
    pub(crate) fn new(drawn: bool) -> Self {
        if drawn {
            Self::on(ProgressDrawTarget::stderr())
        } else {
            Self::hidden()
        }
    }

    /// Bars that nobody sees.
    pub(crate) fn hidden() -> Self {
        Self::on(ProgressDrawTarget::hidden())
    }

    fn on(target: ProgressDrawTarget) -> Self {
        Self {
            all: MultiProgress::with_draw_target(target),
            stages: Arc::default(),
        }
    }

    /// Takes the bars off the screen while something else is written.
    pub(crate) fn suspend<T>(&self, write: impl FnOnce() -> T) -> T {
        self.all.suspend(write)
    }

    /// Takes the bars off the screen for good.
    pub(crate) fn clear(&self) {
        for (_, bar) in std::mem::take(&mut *self.lock()) {
            bar.finish_and_clear();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<&'static str, ProgressBar>> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Bars {
    fn started(&self, stage: &'static str, total: Option<u64>) {
        let bar = match total {
            Some(total) => ProgressBar::new(total).with_style(style(
                "{spinner:.cyan} {msg:22} {bar:28.cyan} {human_pos}/{human_len} ({per_sec}, {eta} left)",
            )),
            None => ProgressBar::no_length().with_style(style(
                "{spinner:.cyan} {msg:22} {human_pos} ({per_sec})",
            )),
        };
        let bar = self.all.add(bar).with_message(stage);
        bar.enable_steady_tick(Duration::from_millis(120));
        if let Some(before) = self.lock().insert(stage, bar) {
            before.finish_and_clear();
        }
    }

    fn advanced(&self, stage: &'static str, count: u64) {
        if let Some(bar) = self.lock().get(stage) {
            bar.inc(count);
        }
    }

    fn finished(&self, stage: &'static str) {
        if let Some(bar) = self.lock().remove(stage) {
            bar.finish_and_clear();
        }
    }
}

/// A style from its template.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates of the bars are well formed")
}

/// Writes log lines to stderr, above the bars.
impl<'a> MakeWriter<'a> for Bars {
    type Writer = LogLine<'a>;

    fn make_writer(&'a self) -> LogLine<'a> {
        LogLine { bars: self }
    }
}

/// Where one log line goes.
#[derive(Debug)]
pub(crate) struct LogLine<'a> {
    bars: &'a Bars,
}

impl Write for LogLine<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.bars
            .suspend(|| io::stderr().write_all(line).map(|()| line.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_come_and_go() {
        let bars = Bars::hidden();
        bars.started("footers read", Some(10));
        bars.started("files listed", None);
        bars.advanced("footers read", 3);
        bars.advanced("never started", 3);
        assert_eq!(bars.lock()["footers read"].position(), 3);
        bars.finished("footers read");
        bars.finished("footers read");
        assert_eq!(bars.lock().len(), 1);
        bars.clear();
        assert!(bars.lock().is_empty());
    }
}
