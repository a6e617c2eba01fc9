//! Holds the floors of the house: which module may use which, and where tokio, reqwest and stdout may be named.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules by floor, the library's first; a module may use modules of lower floors. What belongs to which package is held by
/// the compiler.
const FLOORS: &[(&str, u8)] = &[
    ("error", 0),
    ("protocol", 0),
    ("steps", 0),
    ("atomic_file", 0),
    ("names", 0),
    ("visible", 0),
    ("codec", 1),
    ("declare", 1),
    ("upstream", 2),
    ("transport", 2),
    ("model", 3),
    ("plugin", 4),
    ("prelude", 5),
    ("runtime", 5),
    ("package", 5),
    ("config", 5),
    ("purge", 5),
    ("daemon", 6),
    ("process", 6),
    ("testing", 7),
    ("cli", 7),
    ("workbench", 7),
    ("entry", 8),
    ("prelude", 7),
    ("dialect", 8),
    ("providers", 9),
];

/// Pairs on one floor, or across floors, that must not know each other.
const FORBIDDEN: &[(&str, &str)] = &[
    ("transport", "upstream"),
    ("upstream", "transport"),
    ("model", "transport"),
    ("providers", "transport"),
    ("providers", "runtime"),
    ("plugin", "transport"),
    ("plugin", "runtime"),
    ("providers", "plugin"),
    ("dialect", "plugin"),
    ("providers", "cli"),
    ("dialect", "transport"),
    ("dialect", "runtime"),
    ("dialect", "cli"),
    ("cli", "testing"),
    ("testing", "cli"),
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

/// Where sources are, and what goes before the name of a file there: nothing for the library and the providers, whose modules
/// are in [`FLOORS`].
const ROOTS: &[(&str, &str)] = &[
    ("crates/dify-plugin/src", ""),
    ("crates/google-auth/src", "google-auth/"),
    ("crates/gemini/src", "gemini/"),
    ("src", ""),
];

fn all_sources() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for (directory, prefix) in ROOTS {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
        let mut found = Vec::new();
        sources(&root, &mut found);
        all.extend(found.into_iter().map(|path| {
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
            (format!("{prefix}{name}"), fs::read_to_string(path).unwrap())
        }));
    }
    all.sort();
    all
}

#[test]
fn every_package_is_looked_at() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    for package in fs::read_dir(root.join("crates")).unwrap() {
        let package = format!("crates/{}", package.unwrap().file_name().to_string_lossy());
        assert!(ROOTS.iter().any(|(directory, _)| *directory == format!("{package}/src")), "{package} is not in ROOTS");
        assert_eq!(manifest.matches(&format!("\"{package}\"")).count(), 3, "{package}: member, default, dependency");
        let own = fs::read_to_string(root.join(&package).join("Cargo.toml")).unwrap();
        assert!(own.contains("[lints]\nworkspace = true"), "{package} has lints of its own");
    }
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn module_of(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

/// Names after `crate::` and `dify_plugin::` in code, comments and documentation left out.
fn used_modules(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for line in code.lines().map(str::trim_start).filter(|line| !line.starts_with("//")) {
        let own = line.match_indices("crate::");
        for (at, path) in own.chain(line.match_indices("dify_plugin::")) {
            let rest = &line[at + path.len()..];
            let names = rest.strip_prefix('{').unwrap_or(rest);
            let name: String = names.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect();
            used.push(name);
        }
    }
    used
}

/// Whether a file holds nothing but unit tests.
fn is_test(file: &str) -> bool {
    file.ends_with("tests.rs") || file.contains("/tests/")
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
        if matches!(module, "main" | "lib" | "google-auth" | "gemini") || is_test(&file) {
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

/// The packages above the library use its documented API. `steps` counts the work of scanners on both sides.
#[test]
fn nothing_above_the_library_uses_its_hidden_modules() {
    const HIDDEN: &[&str] = &["runtime", "transport", "package", "purge"];
    let library =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/dify-plugin/src/lib.rs")).unwrap();
    for name in HIDDEN {
        assert!(library.contains(&format!("#[doc(hidden)]\npub mod {name};")), "`{name}` is documented");
    }
    let above = |file: &str| {
        ["dialect/", "providers/", "google-auth/", "gemini/", "main.rs"].iter().any(|name| file.starts_with(name))
    };
    let mut wrong = Vec::new();
    for (file, code) in all_sources().into_iter().filter(|(file, _)| above(file) && !is_test(file)) {
        for line in without_tests(&code).lines().filter(|line| !line.trim_start().starts_with("//")) {
            if HIDDEN.iter().any(|name| line.contains(&format!("dify_plugin::{name}"))) {
                wrong.push(format!("{file}: {}", line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "hidden modules in use:\n{}", wrong.join("\n"));
}

#[test]
fn the_lower_floors_do_no_io() {
    const PURE: &[&str] = &["protocol/", "codec/", "dialect/", "error.rs", "gemini/"];
    // The modules of `dify-plugin-gemini` that send requests.
    const SENDING: &[&str] = &["connection", "files", "generate", "speaking", "validate"];
    const IO: &[&str] = &["tokio", "reqwest", "async fn", "std::fs", "std::net", "std::io::stdout"];
    let mut wrong = Vec::new();
    for (file, code) in all_sources() {
        let sends = file.strip_prefix("gemini/").is_some_and(|rest| SENDING.contains(&module_of(rest)));
        if !PURE.iter().any(|pure| file.starts_with(pure)) || sends || file == "dialect/driver.rs" || is_test(&file) {
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
        let is_terminal = matches!(module_of(&file), "transport" | "cli" | "main") || file == "process/terminal.rs";
        if is_terminal || is_test(&file) {
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
    // A table of keywords names it, too.
    found.retain(|line| line != "cli/new/name.rs: unsafe");
    assert_eq!(found, ["purge.rs: unsafe_code", "purge.rs: unsafe"]);
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"deny\""));
}

/// What tells the entries of something that outlives a session apart.
enum Kept {
    /// Whose they are: the file holds these words, by which a key comes to hold the credentials' fingerprint.
    ByCredentials(&'static str, &'static str),
    /// Nothing that came from a workspace, or nothing that one workspace could learn from or change for another.
    TenantFree(&'static str),
    /// It belongs to one session, one connection or one entry of another item in this list.
    Owned,
}

/// Everything behind a lock or in a `static`, by file and name. Atomics that are fields hold no content.
const STATE: &[(&str, &str, Kept)] = {
    use Kept::{ByCredentials, Owned, TenantFree};
    &[
        ("main.rs", "ALLOCATOR", TenantFree("the allocator")),
        ("steps.rs", "STEPS", TenantFree("a count for tests")),
        ("cli/take_over/scratch.rs", "COUNT", TenantFree("numbers directories of the command line")),
        ("providers/described/official.rs", "KNOWN", TenantFree("facts that ship with the executable")),
        ("providers/described/unknown_keys.rs", "SCHEMA", TenantFree("the schema of facts")),
        ("protocol/credentials.rs", "STATE", TenantFree("the key of the fingerprint's hash")),
        (
            "workbench/credentials.rs",
            "Stored",
            TenantFree("those of one author, in a local process that only the author may ask"),
        ),
        ("workbench/logs.rs", "Logs", TenantFree("what one author's plugin logs, without secrets")),
        ("workbench/state.rs", "read", TenantFree("declarations")),
        ("workbench/target.rs", "Target", TenantFree("the plugin that one author calls")),
        ("workbench/target.rs", "last_error", TenantFree("a line without secrets")),
        ("workbench/sessions/mod.rs", "live", TenantFree("sessions of one author")),
        ("workbench/sessions/mod.rs", "records", TenantFree("sessions of one author, without secrets")),
        ("workbench/sessions/mod.rs", "record", TenantFree("one of these")),
        ("workbench/sessions/mod.rs", "script", TenantFree("what the author's plugin stores in a run")),
        ("workbench/sessions/calls.rs", "record", TenantFree("one of these")),
        ("upstream/pool.rs", "BUNDLE", TenantFree("the operator's certificates")),
        ("upstream/pool.rs", "clients", TenantFree("connections by proxy, its password and certificates; no answers")),
        ("upstream/connect_times.rs", "CURRENT", Owned),
        ("upstream/connect_times.rs", "ConnectTimes", Owned),
        ("upstream/stats.rs", "CallStats", Owned),
        ("upstream/redact.rs", "Redactor", Owned),
        ("upstream/auth/fetched.rs", "TokenCell", Owned),
        ("upstream/recording/replayer.rs", "exchanges", TenantFree("a recording that the operator replays")),
        ("upstream/recording/sanitize.rs", "Secrets", TenantFree("what no recording may show, of any tenant")),
        ("dialect/gemini/response/mapper.rs", "SharedResponse", Owned),
        (
            "dialect/gemini/thought_signatures.rs",
            "SignatureStore",
            TenantFree("found by a complete call with its ID, or by an image"),
        ),
        ("providers/aigateway/jwt.rs", "TokenCache", ByCredentials("providers/aigateway/jwt.rs", "settings.digest()")),
        ("providers/aigateway/jwt.rs", "token", Owned),
        ("providers/aigateway/moderated_stream.rs", "MARKERS", TenantFree("words that events are searched for")),
        (
            "providers/compatible/rejections.rs",
            "KEPT",
            ByCredentials("providers/compatible/rejections.rs", "endpoint.credentials"),
        ),
        (
            "providers/xinference/model_cache.rs",
            "Catalog",
            ByCredentials("providers/xinference/settings.rs", ".fingerprint()"),
        ),
        (
            "providers/compatible/signatures.rs",
            "KEPT",
            ByCredentials("providers/compatible/chat.rs", "Owner::new(endpoint.credentials"),
        ),
        ("providers/xinference/model_cache.rs", "asking", Owned),
        ("providers/xinference/model_cache.rs", "known", Owned),
        ("providers/xinference/model_cache.rs", "seen", Owned),
        (
            "providers/xinference/login.rs",
            "Tokens",
            ByCredentials("providers/xinference/settings.rs", ".fingerprint()"),
        ),
        ("providers/xinference/login.rs", "state", Owned),
        ("purge.rs", "LARGE_INPUT", TenantFree("a wake-up without data")),
        ("providers/gemini/caching.rs", "Slot", Owned),
        (
            "providers/gemini/caching.rs",
            "Caches",
            ByCredentials("providers/gemini/llm.rs", "credentials.fingerprint()"),
        ),
        ("gemini/connection.rs", "by_credentials", ByCredentials("gemini/connection.rs", "credentials.fingerprint()")),
        (
            "providers/gemini/token_counts.rs",
            "Counts",
            ByCredentials("providers/gemini/token_counts.rs", "credentials.fingerprint()"),
        ),
        ("gemini/extras.rs", "Rejections", ByCredentials("gemini/extras.rs", "credentials.fingerprint()")),
        ("gemini/files.rs", "Slot", Owned),
        ("gemini/files.rs", "slots", ByCredentials("gemini/files.rs", "self.slot((owner,")),
        ("gemini/files.rs", "absent", ByCredentials("gemini/files.rs", "(owner, connection.upload_url())")),
        (
            "providers/gemini/limits.rs",
            "LimitsCache",
            ByCredentials("providers/gemini/limits.rs", "credentials.fingerprint()"),
        ),
        ("plugin/blob.rs", "NEXT", TenantFree("a number that tells files of the process apart")),
        ("runtime/logs.rs", "SHOWS_CONTENT", TenantFree("the operator's choice of logs")),
        ("runtime/log_filter.rs", "RAISED", TenantFree("a count of sessions")),
        ("declare/drawn/place.rs", "source", Owned),
        ("declare/source.rs", "repeated", Owned),
        ("runtime/responder.rs", "state", Owned),
        ("model/kept.rs", "value", Owned),
        (
            "runtime/completed_forms.rs",
            "forms",
            ByCredentials("runtime/completed_forms.rs", "form.given.matches(&target.credentials)"),
        ),
        ("runtime/backwards/duplex.rs", "table", Owned),
        ("runtime/places.rs", "overdraft", TenantFree("a count of sessions")),
        ("plugin/renewals.rs", "recent", ByCredentials("plugin/renewals.rs", "request.credentials.fingerprint()")),
        ("plugin/renewals.rs", "renewed", Owned),
        ("runtime/places.rs", "Lendable", Owned),
        ("runtime/sessions.rs", "table", Owned),
        ("daemon/observed.rs", "Observed", Owned),
        ("testing/backwards.rs", "Backwards", Owned),
        ("testing/host.rs", "link", Owned),
        ("testing/host.rs", "Streams", Owned),
    ]
};

/// The name that a line declares, where what it declares can change behind a shared reference.
fn declared_state(line: &str) -> Option<&str> {
    const CHANGING: &[&str] = &["Mutex<", "RwLock<", "OnceLock<", "OnceCell<", "LazyLock<", "DashMap<"];
    let visible = line.trim_start().split_once("pub").map_or(line.trim_start(), |(before, rest)| {
        let rest = rest.strip_prefix('(').and_then(|rest| rest.split_once(')')).map_or(rest, |(_, rest)| rest);
        if before.is_empty() { rest.trim_start() } else { line.trim_start() }
    });
    let (word, rest) = visible.split_once(' ')?;
    let name = |text: &'static str| rest.strip_prefix(text).unwrap_or(rest);
    let end = |text: &str| text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    let changes = CHANGING.iter().any(|word| visible.contains(word));
    match word {
        "static" => Some(&name("mut ")[..end(name("mut "))]),
        "struct" | "type" if changes => Some(&rest[..end(rest)]),
        // A field.
        _ if changes && word.ends_with(':') && visible.ends_with(',') => Some(word.trim_end_matches(':')),
        _ => None,
    }
}

#[test]
fn what_outlives_a_session_is_kept_by_credentials() {
    let sources = all_sources();
    let mut wrong = Vec::new();
    let mut found = Vec::new();
    for (file, code) in sources.iter().filter(|(file, _)| !is_test(file)) {
        for line in without_tests(code).lines().filter(|line| !line.trim_start().starts_with("//")) {
            let Some(name) = declared_state(line) else { continue };
            found.push((file.as_str(), name));
            if !STATE.iter().any(|(known, of, _)| (*known, *of) == (file.as_str(), name)) {
                wrong.push(format!("{file}: `{name}` is not in the list: by whose credentials is it kept?"));
            }
        }
    }
    for (file, name, kept) in STATE {
        if !found.contains(&(*file, *name)) {
            wrong.push(format!("{file}: `{name}` is gone"));
        }
        match kept {
            Kept::ByCredentials(place, words) => {
                let code = sources.iter().find(|(file, _)| file == place).map_or("", |(_, code)| without_tests(code));
                if !code.contains(words) {
                    wrong.push(format!("{file}: `{name}`: `{words}` is not in {place}"));
                }
            }
            Kept::TenantFree(why) => assert!(!why.is_empty()),
            Kept::Owned => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn state_is_found_in_every_form() {
    for (line, name) in [
        ("static KEPT: Mutex<u8> = Mutex::new(0);", Some("KEPT")),
        ("    pub(super) static mut COUNT: u8 = 0;", Some("COUNT")),
        ("pub(crate) struct Cache(Mutex<HashMap<u8, u8>>);", Some("Cache")),
        ("type Slot = Arc<tokio::sync::Mutex<State>>;", Some("Slot")),
        ("    pub known: std::sync::RwLock<u8>,", Some("known")),
        ("    count: Arc<AtomicU64>,", None),
        ("    let known: Mutex<u8> = Mutex::new(0);", None),
        ("    fn place(&self, known: &Mutex<u8>) -> Mutex<u8> {", None),
        ("    name: &'static str,", None),
        ("struct State {", None),
    ] {
        assert_eq!(declared_state(line), name, "{line}");
    }
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
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Guarantee"));
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
