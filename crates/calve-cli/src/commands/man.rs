use clap::CommandFactory;

use super::Context;
use crate::flags::Cli;
use crate::status::ExitStatus;

/// Prints the manual page: calve's own, then one of each command.
pub(crate) fn man(context: &Context) -> anyhow::Result<ExitStatus> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for command in command.get_subcommands() {
        if command.get_name() != "help" {
            clap_mangen::Man::new(command.clone()).render(&mut page)?;
        }
    }
    context.printer.data(&page)?;
    Ok(ExitStatus::Done)
}
