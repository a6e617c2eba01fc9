//! What a plugin depends on: each feature of the library adds the crates that it needs, and a tool plugin has none of those
//! that only model providers need. Whether each set of features compiles is checked by `.ci/run`.

use std::collections::BTreeSet;
use std::process::Command;

/// The names of all crates that the library is built with.
fn dependencies(arguments: &[&str]) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["tree", "--locked", "--offline", "--package", "dify-plugin"]);
    command.args(["--edges", "normal", "--prefix", "none", "--format", "{p}"]).args(arguments);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn a_feature_adds_the_crates_that_it_needs_and_no_others() {
    const NONE: &str = "--no-default-features";
    // Cargo's arguments, crates that are needed, crates that are not.
    let rows: &[(&[&str], &[&str], &[&str])] = &[
        (&[], &["reqwest", "h2", "axum", "zip", "clap", "ring"], &["aws-lc-rs", "jsonwebtoken", "rsa", "rust_decimal"]),
        (
            &[NONE],
            &["tokio"],
            &["reqwest", "rustls", "hyper", "axum", "zip", "pkcs8", "ring", "aws-lc-rs", "rust_decimal", "clap"],
        ),
        // What the executable in a package is built with.
        (
            &[NONE, "--features", "client,ring,serverless"],
            &["reqwest", "axum", "ring"],
            &["aws-lc-rs", "brotli", "h2", "zip", "clap", "ignore", "regex-automata", "rust_decimal"],
        ),
        (&[NONE, "--features", "aws-lc,client"], &["reqwest", "aws-lc-rs"], &["ring", "axum", "zip"]),
        (&[NONE, "--features", "client"], &["reqwest"], &["axum", "zip", "pkcs8", "ring", "aws-lc-rs", "rust_decimal"]),
        (&[NONE, "--features", "commands"], &["clap"], &["reqwest", "axum", "zip"]),
        (&[NONE, "--features", "serverless"], &["reqwest", "axum"], &["zip", "pkcs8", "rust_decimal"]),
        (&[NONE, "--features", "package"], &["zip", "pkcs8", "clap"], &["reqwest", "axum", "rust_decimal"]),
        (&[NONE, "--features", "models"], &["reqwest", "rust_decimal"], &["axum", "zip", "jsonwebtoken", "rsa"]),
        (&[NONE, "--features", "testing,new"], &["tokio"], &["reqwest", "axum", "zip", "rust_decimal"]),
        (&[NONE, "--features", "workbench"], &["reqwest", "axum", "clap"], &["zip", "pkcs8", "rust_decimal"]),
        (&["--all-features"], &["reqwest", "rust_decimal"], &["jsonwebtoken", "rsa"]),
    ];
    for (arguments, needed, unneeded) in rows {
        let found = dependencies(arguments);
        for name in *needed {
            assert!(found.contains(*name), "{arguments:?}: `{name}` is not built");
        }
        for name in *unneeded {
            assert!(!found.contains(*name), "{arguments:?}: `{name}` is built");
        }
    }
}
