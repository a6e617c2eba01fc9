//! Gives problems the lines of their fields. A file is read once more for each, so there is an end to that.

use std::collections::BTreeMap;
use std::path::Path;

use crate::declare::problem::Problem;
use crate::declare::{files, yaml};

/// Bytes that are read again for all problems of a directory.
const MAX_BYTES: usize = 16 * 1024 * 1024;

/// Fills the lines in.
pub(crate) fn fill(directory: &Path, problems: &mut [Problem]) {
    let mut texts: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut left = MAX_BYTES;
    for problem in problems.iter_mut().filter(|problem| !problem.path.is_empty() && problem.line.is_none()) {
        let text = texts.entry(problem.file.clone()).or_insert_with(|| text_of(directory, &problem.file));
        let Some(text) = text else { continue };
        // Each part of a path may need a reading of its own.
        let cost = text.len() * (1 + problem.path.matches(['.', '[']).count());
        let Some(rest) = left.checked_sub(cost) else { return };
        left = rest;
        problem.line = yaml::line_of(text, &problem.path);
    }
}

/// A file that was parsed before without an error.
fn text_of(directory: &Path, file: &str) -> Option<String> {
    let text = String::from_utf8(files::read(directory, file, yaml::MAX_YAML_BYTES).ok()?).ok()?;
    yaml::parse(&text).is_ok().then_some(text)
}
