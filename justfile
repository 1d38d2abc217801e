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

# the tables of Spark among the fixtures, anew: needs a JDK
spark-fixtures:
    $(python3 crates/calve-testkit/python/environment.py target requirements-spark.txt) crates/calve-testkit/python/spark_tables.py fixtures

# what calve makes, read by Spark and Iceberg's Java library: needs Java, makes its own environment, starts one Spark
interop:
    cargo test --workspace --locked --test it -- --ignored --nocapture interop::
