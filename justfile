# Short names for the commands of the README and CONTRIBUTING.md. `just` lists them.

[private]
default:
    @just --list --unsorted

# Format, lints and tests: what to run before a commit
check: format lint test

# Formats all crates
format:
    cargo fmt --all

# Lints every target; a warning is an error
lint:
    cargo clippy --locked --all-targets -- -D warnings

# All tests, or those whose name contains FILTER
test *FILTER:
    cargo test --locked {{FILTER}}

# The workbench's page in Chromium; fails without chromedriver
browser *FILTER:
    DIFY_BROWSER_TESTS=required cargo test --locked --test browser -- {{FILTER}}

# A prompt through the complete runtime
try *PROMPT:
    cargo run --locked --release -- try "{{PROMPT}}"

# The workbench for the providers of this repository
workbench *ARGUMENTS:
    cargo run --locked -- workbench {{ARGUMENTS}}

# The package for both CPUs, in dist/
package:
    for target in x86_64-unknown-linux-musl aarch64-unknown-linux-musl; do \
        rustup target add $target && \
        cargo zigbuild --locked --profile dist --bin dify-plugin-runtime --no-default-features --target $target || exit 1; \
    done
    cargo run --locked --no-default-features -- package --target linux-amd64,linux-arm64 --out dist

# What CI runs
ci:
    .ci/run

# Documents of the crates, without warnings
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

# Measurements beside the Python SDK; see bench/README.md
bench *ARGUMENTS:
    bench/run {{ARGUMENTS}}
