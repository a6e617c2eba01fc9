//! Names that the code reads from model parameters and credentials, taken from the code itself instead of a list.

use std::collections::BTreeSet;
use std::path::Path;

/// Code of directories and files below `src` of this package or of the library, or below `crates`, without tests,
/// comments and whitespace.
pub struct Code(String);

impl Code {
    pub fn of(paths: &[&str]) -> Self {
        let roots =
            ["src", "crates/dify-plugin/src", "crates"].map(|root| Path::new(env!("CARGO_MANIFEST_DIR")).join(root));
        let mut code = String::new();
        for path in paths {
            add(&roots.iter().map(|root| root.join(path)).find(|path| path.exists()).unwrap(), &mut code);
        }
        Self(code)
    }

    /// Whether a name is written anywhere.
    pub fn names(&self, name: &str) -> bool {
        self.0.contains(&format!("\"{name}\""))
    }

    /// The first name of each access that one of these texts begins (`parameters.text(`).
    pub fn read_by(&self, accesses: &[&str]) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        for access in accesses {
            for (at, _) in self.0.match_indices(access) {
                let rest = self.0[at + access.len()..].trim_start_matches(['&', '[']);
                if let Some((name, _)) = rest.strip_prefix('"').and_then(|rest| rest.split_once('"')) {
                    names.insert(name);
                }
            }
        }
        names
    }
}

fn add(path: &Path, code: &mut String) {
    if path.is_dir() {
        let mut entries: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries.iter().for_each(|entry| add(entry, code));
        return;
    }
    let stem = path.file_stem().unwrap().to_string_lossy();
    if path.extension().is_none_or(|extension| extension != "rs") || stem.ends_with("tests") {
        return;
    }
    if path.components().any(|part| part.as_os_str() == "tests") {
        return;
    }
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        // Blanks inside texts go, too; names have none.
        code.extend(line.chars().filter(|character| !character.is_whitespace()));
    }
    code.push('\n');
}
