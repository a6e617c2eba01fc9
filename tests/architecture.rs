//! Holds the floors of the house: which module may use which, and where tokio, reqwest and stdout may be named.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

use std::fs;
use std::path::{Path, PathBuf};

/// Modules by floor; a module may use modules of lower floors, and `upstream` may use `codec` and so on downwards.
const FLOORS: &[(&str, u8)] = &[
    ("error", 0),
    ("protocol", 0),
    ("steps", 0),
    ("codec", 1),
    ("declare", 1),
    ("upstream", 2),
    ("transport", 2),
    ("dialect", 3),
    ("providers", 4),
    ("runtime", 5),
    ("package", 5),
    ("config", 5),
    ("memory", 5),
    ("cli", 6),
];

/// Pairs on one floor, or across floors, that must not know each other.
const FORBIDDEN: &[(&str, &str)] = &[
    ("transport", "upstream"),
    ("upstream", "transport"),
    ("providers", "transport"),
    ("providers", "runtime"),
    ("package", "providers"),
    ("package", "runtime"),
    ("codec", "declare"),
    ("codec", "protocol"),
    ("codec", "error"),
    ("error", "protocol"),
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn all_sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
            (name, fs::read_to_string(path).unwrap())
        })
        .collect()
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn module_of(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

/// Names after `crate::` in code, comments and documentation left out.
fn used_modules(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for line in code.lines().map(str::trim_start).filter(|line| !line.starts_with("//")) {
        for (at, _) in line.match_indices("crate::") {
            let rest = &line[at + "crate::".len()..];
            let names = rest.strip_prefix('{').unwrap_or(rest);
            let name: String = names.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
            used.push(name);
        }
    }
    used
}

/// The code of a file without its unit tests, which may reach upwards for a harness.
fn without_tests(code: &str) -> &str {
    code.split("#[cfg(test)]").next().unwrap()
}

#[test]
fn modules_depend_downwards_only() {
    let mut wrong = Vec::new();
    for (file, code) in all_sources() {
        let module = module_of(&file);
        if matches!(module, "main" | "lib") || file.ends_with("tests.rs") {
            continue;
        }
        let own =
            floor(module).unwrap_or_else(|| panic!("{file}: module `{module}` has no floor; add it to the table"));
        for used in used_modules(without_tests(&code)) {
            let Some(other) = floor(&used) else { continue };
            let forbidden = FORBIDDEN.contains(&(module, used.as_str()));
            if used != module && (other > own || forbidden) {
                wrong.push(format!("{file} uses crate::{used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "upward or forbidden dependencies:\n{}", wrong.join("\n"));
}

#[test]
fn the_lower_floors_do_no_io() {
    const PURE: &[&str] = &["protocol/", "codec/", "dialect/", "error.rs"];
    const IO: &[&str] = &["tokio", "reqwest", "async fn", "std::fs", "std::net", "std::io::stdout"];
    let mut wrong = Vec::new();
    for (file, code) in all_sources() {
        if !PURE.iter().any(|pure| file.starts_with(pure)) || file == "dialect/driver.rs" || file.ends_with("tests.rs")
        {
            continue;
        }
        for line in without_tests(&code).lines().filter(|line| !line.trim_start().starts_with("//")) {
            if let Some(word) = IO.iter().find(|word| line.contains(**word)) {
                wrong.push(format!("{file} names {word}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "I/O on a floor that has none:\n{}", wrong.join("\n"));
}

#[test]
fn only_transports_and_the_terminal_name_standard_output() {
    let mut wrong = Vec::new();
    for (file, code) in all_sources() {
        if matches!(module_of(&file), "transport" | "cli" | "main") || file.ends_with("tests.rs") {
            continue;
        }
        for line in without_tests(&code).lines().filter(|line| !line.trim_start().starts_with("//")) {
            if line.contains("stdout()") || line.contains("println!") {
                wrong.push(format!("{file}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "standard output is the wire:\n{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<String> =
        all_sources().into_iter().filter(|(_, code)| !code.starts_with("//!")).map(|(file, _)| file).collect();
    assert!(silent.is_empty(), "files without a first paragraph: {silent:?}");
}

#[test]
fn one_line_is_unsafe() {
    let mut found = Vec::new();
    for (file, code) in all_sources() {
        for line in code.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            let words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
            found.extend(words.filter(|word| word.starts_with("unsafe")).map(|word| format!("{file}: {word}")));
        }
    }
    // The lint is off for one block of this one file; Cargo.toml denies it everywhere else.
    assert_eq!(found, ["memory.rs: unsafe_code", "memory.rs: unsafe"]);
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
}

/// The tests that a row of a table names, as pairs of file and function.
fn tests_of(cell: &str) -> Vec<(String, String)> {
    let groups = cell.split(';').filter_map(|group| group.split_once(':'));
    groups
        .flat_map(|(file, names)| {
            let file = file.trim().trim_matches('`').to_owned();
            names.split(',').map(move |name| (file.clone(), name.trim().trim_matches('`').to_owned()))
        })
        .collect()
}

#[test]
fn every_promise_of_security_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(root.join("SECURITY.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| What holds"));
    let (mut promises, mut wrong) = (0, Vec::new());
    for row in rows {
        promises += 1;
        let (promise, cell) = row.trim_matches(['|', ' ']).rsplit_once(" | ").unwrap();
        let tests = tests_of(cell);
        if tests.is_empty() {
            wrong.push(format!("no test: {promise}"));
        }
        for (file, name) in tests {
            let code = fs::read_to_string(root.join(&file)).unwrap_or_default();
            if !code.contains(&format!("fn {name}()")) {
                wrong.push(format!("{file} has no test {name}: {promise}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(promises > 30, "{promises} promises were found");
}
