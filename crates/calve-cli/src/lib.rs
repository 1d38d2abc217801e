//! The command line of calve: flags become settings, settings become the options of one library
//! call, and its report is printed.
//!
//! The binary is `calve`. Nothing here is of use to a library: depend on the crate `calve` instead.

mod flags;
mod settings;

mod commands;

mod failure;
mod interrupt;
mod printer;
mod progress;
mod rows;
mod status;
mod text_table;

use std::panic;
use std::process::ExitCode;

use clap::Parser;

use crate::commands::Context;
use crate::flags::Cli;
use crate::printer::Printer;
use crate::settings::{Environment, Settings};
use crate::status::ExitStatus;

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    pass_over_caught_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(message) => {
            let status = if message.use_stderr() {
                ExitStatus::Failed
            } else {
                ExitStatus::Done
            };
            // A closed stdout or stderr leaves nobody to tell.
            let _ = message.print();
            return status.into();
        }
    };
    match run(cli) {
        Ok(status) => status.into(),
        Err(error) => {
            Printer::plain().error(&error);
            ExitStatus::Failed.into()
        }
    }
}

/// Panics of a decoder that become errors are not told twice.
fn pass_over_caught_panics() {
    let tell = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !calve::query::is_decoding() {
            tell(panic);
        }
    }));
}

/// Settles the settings and runs the command; an error here came before there was a printer.
fn run(cli: Cli) -> anyhow::Result<ExitStatus> {
    let (command, flags) = commands::split(cli);
    let settings = Settings::resolve(flags, &Environment::of_process()?)?;
    let context = Context::new(settings)?;
    Ok(context.run(command))
}
