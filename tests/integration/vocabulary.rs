//! Keeps the vocabulary of the field: words that have a better term do not return to any text or name of the repository.
//! Spelling, grammar and whether a sentence is true are not checked.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Words that are not used, in any form, with the term to use instead.
const REPLACED: &[(&[&str], &str)] = &[
    (&["picture", "pictures"], "image"),
    (&["film", "films"], "video"),
    (&["sound", "sounds", "sounded"], "audio"),
    (&["told", "untold"], "reported, returned"),
    (&["said"], "reported, stated; of a server: the error message"),
    (&["way", "ways"], "method, path, form"),
    (&["wish", "wishes", "wished"], "request"),
    (&["mend", "mends", "mended", "mending"], "fix"),
    (&["stray", "strays"], "unexpected, unparsed"),
    (&["tally", "tallies"], "statistics, count"),
    (&["proof", "proofs"], "credential, secret"),
    (&["tape", "tapes", "taped", "taping"], "recording"),
    (&["anew"], "again"),
    (&["dearer"], "more expensive"),
    (&["folder", "folders"], "directory"),
    (&["nobody", "somebody", "everybody", "whoever", "whosoever"], "the actor: the client, the caller, the operator"),
    (&["patience"], "timeout"),
    (&["brought"], "fetched, downloaded"),
    (&["garbage"], "malformed input"),
    (&["loosen", "loosens"], "relax"),
    (&["kin"], "family"),
    (&["prolong", "prolongs", "prolonged"], "extend"),
    (&["censor", "denial", "denials"], "block"),
    (&["stands", "stood"], "appears, is"),
    (&["besides"], "in addition to"),
];

/// Names of constants begin with `MAX_` or `MIN_`, not with these.
const CONSTANT_PREFIXES: &[&str] = &["LONGEST_", "SHORTEST_", "MOST_", "FEWEST_", "LARGEST_", "SMALLEST_"];

/// Quotations: the words of others, by file.
const QUOTED: &[(&str, &str, &str)] = &[
    ("crates/dify-plugin/src/protocol/datasource.rs", "folder", "a value on the wire, as Dify writes it"),
    ("tests/conformance/plugins/drive/datasources/drive.py", "folder", "the same value"),
];

/// Directories that hold no text of ours: what is built, and what others wrote.
const SKIPPED: &[&str] =
    &["target", ".git", "dist", "corpus", "artifacts", "golden", "data", "node_modules", "__pycache__", ".venv"];

const EXTENSIONS: &[&str] = &["rs", "md", "yaml", "yml", "toml", "py", "c", "sh", "svg", "tmpl"];

fn texts(root: &Path, directory: &Path, found: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !SKIPPED.contains(&name.as_str()) {
                texts(root, &path, found);
            }
        } else if path.extension().is_some_and(|extension| EXTENSIONS.contains(&&*extension.to_string_lossy())) {
            let file = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            found.push((file, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// The words of a text in lower case: cut at everything that is not a letter, and within `CamelCase`.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut before = ' ';
    for character in line.chars().chain(" ".chars()) {
        let starts =
            !character.is_ascii_alphabetic() || (character.is_ascii_uppercase() && !before.is_ascii_uppercase());
        if starts && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if character.is_ascii_alphabetic() {
            word.push(character.to_ascii_lowercase());
        }
        before = character;
    }
    words
}

#[test]
fn replaced_words_do_not_return() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    texts(root, root, &mut files);
    assert!(files.len() > 300, "only {} files were found", files.len());
    let mut problems = Vec::new();
    let mut quoted = BTreeSet::new();
    for (file, text) in files.iter().filter(|(file, _)| file != "tests/integration/vocabulary.rs") {
        for (number, line) in text.lines().enumerate() {
            for word in words(line) {
                let Some((_, better)) = REPLACED.iter().find(|(replaced, _)| replaced.contains(&word.as_str())) else {
                    continue;
                };
                match QUOTED.iter().position(|(of, quotation, _)| of == file && *quotation == word) {
                    Some(row) => _ = quoted.insert(row),
                    None => problems.push(format!("{file}:{}: `{word}`: use {better}", number + 1)),
                }
            }
            let name = line.trim_start().trim_start_matches("pub ").trim_start_matches("const ");
            if line.contains("const ") && CONSTANT_PREFIXES.iter().any(|prefix| name.starts_with(prefix)) {
                problems.push(format!("{file}:{}: limits are named MAX_ or MIN_, with their unit", number + 1));
            }
        }
    }
    for (row, (file, word, _)) in QUOTED.iter().enumerate() {
        if !quoted.contains(&row) {
            problems.push(format!("{file} no longer quotes `{word}`: remove the row"));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn words_are_cut_within_names() {
    assert_eq!(words("LONGEST_WAY the_soundCheck x2y"), ["longest", "way", "the", "sound", "check", "x", "y"]);
}
