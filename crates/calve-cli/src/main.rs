//! The `calve` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    calve_cli::main()
}
