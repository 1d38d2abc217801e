default:
    just --list

# everything CI runs, in CI's order
ci: check docs test deny

check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    cargo machete
    typos

test:
    bash tests/run

# look through changed snapshots
snap:
    cargo insta test --review --test-runner nextest

docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked

deny:
    cargo deny check bans licenses sources

# each crate by itself, so that none lives on another's features
alone:
    for p in $(cargo metadata --no-deps --format-version 1 | jq -r '.packages[].name'); do cargo check -p $p --all-targets || exit 1; done

# the fixtures, anew
fixtures:
    cargo run -p calve-testkit --bin fixtures
