use clap::CommandFactory;

use super::Context;
use crate::flags::{Cli, CompletionsFlags};
use crate::status::ExitStatus;

/// Prints the completion script of a shell.
pub(crate) fn completions(
    context: &Context,
    flags: &CompletionsFlags,
) -> anyhow::Result<ExitStatus> {
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut Cli::command(), "calve", &mut script);
    context.printer.data(&script)?;
    Ok(ExitStatus::Done)
}
