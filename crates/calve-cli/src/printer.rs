use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;

use crate::flags::OutputFormat;
use crate::progress::Bars;
use crate::settings::Settings;

/// Writes what the user sees: data to stdout, everything else to stderr.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    output: OutputFormat,
    quiet: bool,
    colors: bool,
    bars: Bars,
}

/// How much is gathered before it is written.
const STREAM_BUFFER_BYTES: usize = 64 * 1024;

/// Stdout. Once nobody reads it any more, as after `calve sql … | head`, what is written is dropped.
#[derive(Debug)]
pub(crate) struct DataStream {
    stdout: BufWriter<io::Stdout>,
    is_closed: Arc<AtomicBool>,
}

impl DataStream {
    /// Tells whether nobody reads any more.
    pub(crate) fn closed(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_closed)
    }

    /// Makes a closed pipe no error.
    fn settle<T>(&self, result: io::Result<T>, dropped: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.is_closed.store(true, Ordering::Relaxed);
                Ok(dropped)
            }
            other => other,
        }
    }
}

impl Write for DataStream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let result = self.stdout.write(data);
        self.settle(result, data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.stdout.flush();
        self.settle(result, ())
    }
}

/// How a message on stderr is introduced.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Error,
    Warning,
    Note,
    Hint,
}

/// Something that has a form for people beside its JSON.
pub(crate) trait Render: Serialize {
    /// Writes the form for people, with a line break at the end.
    fn render(&self, text: &mut String);
}

impl Printer {
    /// Makes a printer that holds to the settings.
    pub(crate) fn new(settings: &Settings, bars: Bars) -> Self {
        Self {
            output: settings.output,
            quiet: settings.messages.quiet,
            colors: settings.messages.colors,
            bars,
        }
    }

    /// A printer for errors that come before there are settings.
    pub(crate) fn plain() -> Self {
        Self {
            output: OutputFormat::Table,
            quiet: false,
            colors: false,
            bars: Bars::hidden(),
        }
    }

    /// Prints a result: its JSON document, or its form for people.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn print(&self, result: &impl Render) -> anyhow::Result<()> {
        let text = match self.output {
            OutputFormat::Json => {
                let mut text = serde_json::to_string_pretty(result)?;
                text.push('\n');
                text
            }
            OutputFormat::Table => {
                let mut text = String::new();
                result.render(&mut text);
                text
            }
        };
        self.data(text.as_bytes())
    }

    /// Writes raw data to stdout.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn data(&self, data: &[u8]) -> anyhow::Result<()> {
        let mut stdout = self.stream();
        stdout.write_all(data)?;
        Ok(stdout.flush()?)
    }

    /// Stdout as something to write to, bit by bit.
    pub(crate) fn stream(&self) -> DataStream {
        self.bars.clear();
        DataStream {
            stdout: BufWriter::with_capacity(STREAM_BUFFER_BYTES, io::stdout()),
            is_closed: Arc::default(),
        }
    }

    /// Tells something that is good to know, unless the user wants quiet.
    pub(crate) fn note(&self, message: &str) {
        if !self.quiet {
            self.message(Kind::Note, message);
        }
    }

    /// Tells something that may be wrong.
    pub(crate) fn warning(&self, message: &str) {
        self.message(Kind::Warning, message);
    }

    /// Tells what went wrong, with its causes and with what can be done about it.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let (message, hint) = crate::failure::describe(error);
        self.message(Kind::Error, &message);
        if let Some(hint) = hint {
            self.message(Kind::Hint, &hint);
        }
    }

    fn message(&self, kind: Kind, message: &str) {
        let (word, color) = match kind {
            Kind::Error => ("error", "\x1b[1;31m"),
            Kind::Warning => ("warning", "\x1b[1;33m"),
            Kind::Note => ("note", "\x1b[1;36m"),
            Kind::Hint => ("hint", "\x1b[1;36m"),
        };
        let mut line = String::new();
        let written = if self.colors {
            writeln!(line, "{color}{word}:\x1b[0m {message}")
        } else {
            writeln!(line, "{word}: {message}")
        };
        debug_assert!(written.is_ok(), "writing to a string does not fail");
        self.bars.suspend(|| {
            // Nothing can be told any more when stderr is gone.
            let _ = io::stderr().write_all(line.as_bytes());
        });
    }
}
