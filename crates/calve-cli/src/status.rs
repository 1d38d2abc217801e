use std::process::ExitCode;

/// How a run ended, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// Done, and all is well.
    Done,
    /// Ran to its end, and found or left a problem: rows differ, a file was refused.
    Problem,
    /// Could not run: usage, configuration, no access.
    Failed,
    /// Stopped by Ctrl-C before anything was committed.
    Interrupted,
}

/// What `--help` says about exit codes.
pub(crate) const EXIT_STATUS_HELP: &str = "\
Exit status:
  0    done
  1    ran, and found or left a problem (rows differ, a file was refused)
  2    could not run (usage, configuration, no access)
  130  interrupted by Ctrl-C; nothing was committed";

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(match status {
            ExitStatus::Done => 0,
            ExitStatus::Problem => 1,
            ExitStatus::Failed => 2,
            ExitStatus::Interrupted => 130,
        })
    }
}
