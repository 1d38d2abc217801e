//! What holds for every command: help, version, exit codes, global flags.

use insta::assert_snapshot;

use crate::support::Sandbox;

#[test]
fn version_prints_name_and_version() {
    assert_snapshot!(Sandbox::new().run(&["--version"]), @"
    exit 0
    --- stdout ---
    calve 0.1.0
    --- stderr ---
    ");
}

#[test]
fn help_tells_commands_flags_and_exit_codes() {
    assert_snapshot!("help", Sandbox::new().run(&["--help"]));
}

#[test]
fn help_of_each_command_is_there() {
    let sandbox = Sandbox::new();
    for command in COMMANDS {
        let text = sandbox.run(&[command, "--help"]);
        assert!(text.starts_with("exit 0\n"), "{text}");
        assert!(text.contains("Usage: calve"), "{text}");
    }
}

#[test]
fn usage_errors_exit_with_2() {
    let sandbox = Sandbox::new();
    assert_snapshot!(sandbox.run(&["melt"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: unrecognized subcommand 'melt'

      tip: some similar subcommands exist: 'completions', 'xml'

    Usage: calve [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ");
    assert_snapshot!(sandbox.run(&["show"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: the following required arguments were not provided:
      <TABLE>

    Usage: calve show <TABLE>

    For more information, try '--help'.
    ");
    assert_snapshot!(sandbox.run(&["tables", "--set", "nothing"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: invalid value 'nothing' for '--set <KEY=VALUE>': expected KEY=VALUE

    For more information, try '--help'.
    ");
    assert_snapshot!(sandbox.run(&["tables", "--concurrency", "0"]), @"
    exit 2
    --- stdout ---
    --- stderr ---
    error: invalid value '0' for '--concurrency <N>': expected a whole number above 0

    For more information, try '--help'.
    ");
}

#[test]
fn completions_and_the_manual_know_every_command() {
    let sandbox = Sandbox::new();
    for arguments in [&["completions", "bash"][..], &["man"][..]] {
        let output = sandbox.output(arguments);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        for command in COMMANDS {
            assert!(
                text.replace('\\', "").contains(command),
                "{arguments:?} lacks {command}"
            );
        }
    }
}

const COMMANDS: &[&str] = &[
    "assess",
    "add-files",
    "tables",
    "show",
    "register",
    "drop",
    "completions",
    "man",
];
