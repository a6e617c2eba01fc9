//! The files that a provider's glob pattern for models matches. Patterns work as in the daemon: `*` does not match `/`,
//! and a `_position.yaml` is never a model.

use std::path::Path;

use glob::{MatchOptions, Pattern};

/// A `*` ends at a separator.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// Returns the model files that match a pattern, sorted; an error if the pattern is invalid or points outside the
/// package.
pub(super) fn model_files(directory: &Path, glob: &str) -> Result<Vec<String>, String> {
    let pattern = Pattern::new(glob).map_err(|error| format!("is not a valid glob pattern: {error}"))?;
    let fixed = glob.split(['*', '?', '[']).next().unwrap_or_default();
    let start = fixed.rsplit_once('/').map_or("", |(directory, _)| directory);
    // In a pattern, a backslash escapes the next character.
    let leads_out = !start.is_empty() && !is_inside(directory, start);
    if leads_out || glob.contains('\\') || glob.starts_with('/') || glob.split('/').any(|part| part == "..") {
        return Err(format!("`{glob}` must be a pattern inside the package"));
    }
    let mut files = Vec::new();
    walk(directory, start, &mut files);
    files.retain(|file| pattern.matches_with(file, OPTIONS) && !file.ends_with("_position.yaml"));
    files.sort();
    Ok(files)
}

/// Whether a directory, with links resolved, is inside another. A missing one is inside.
fn is_inside(root: &Path, directory: &str) -> bool {
    match root.join(directory).canonicalize() {
        Ok(real) => root.canonicalize().is_ok_and(|root| real.starts_with(root)),
        Err(_) => true,
    }
}

fn walk(root: &Path, directory: &str, files: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(root.join(directory)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if directory.is_empty() { name } else { format!("{directory}/{name}") };
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !path.starts_with('.') && path != "target" => walk(root, &path, files),
            Ok(kind) if kind.is_file() => files.push(path),
            _ => {}
        }
    }
}
