//! The steps of a path such as `tools[2].parameters[0].type`, for edits. Places for messages are found in
//! [`crate::declare::source`], where keys may have dots.

/// A step of a path.
#[derive(Clone, Copy)]
pub(super) enum Step<'a> {
    /// A member of a mapping.
    Key(&'a str),
    /// An item of a list.
    Index(usize),
}

/// The steps of a path like `tools[2].parameters[0].type`.
pub(super) fn steps(path: &str) -> Vec<Step<'_>> {
    let parts = path.split(['.', '[']).filter(|part| !part.is_empty());
    let step = |part: &str| part.strip_suffix(']').and_then(|index| index.parse().ok());
    parts.map(|part| step(part).map_or(Step::Key(part), Step::Index)).collect()
}
