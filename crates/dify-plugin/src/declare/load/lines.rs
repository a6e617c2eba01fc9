//! Gives problems the lines of their fields. Each file is read once more for that.

use std::path::Path;

use crate::declare::problem::Problem;
use crate::declare::source::Source;
use crate::declare::{files, yaml};

/// Fills the lines in.
pub(crate) fn fill(directory: &Path, problems: &mut [Problem]) {
    let needs_line = |problem: &&mut Problem| !problem.path.is_empty() && problem.line.is_none();
    let mut left: Vec<&mut Problem> = problems.iter_mut().filter(needs_line).collect();
    left.sort_by(|one, other| one.file.cmp(&other.file));
    for of_file in left.chunk_by_mut(|one, other| one.file == other.file) {
        let Some(source) = of_file.first().and_then(|problem| source_of(directory, &problem.file)) else { continue };
        for problem in of_file {
            problem.line = source.line_of(&problem.path);
        }
    }
}

/// The places of a file that can be read.
pub(crate) fn source_of(directory: &Path, file: &str) -> Option<Source> {
    let bytes = files::read(directory, file, yaml::MAX_YAML_BYTES).ok()?;
    Some(Source::new(&String::from_utf8(bytes).ok()?))
}
