//! Names that a user typed: the one that was probably meant. For the command line, and for dialects that check facts.

/// Longest distance of a name that is suggested, as a share of its length.
const MAX_DISTANCE_SHARE: usize = 3;

/// Returns the known name that is close to the one that was typed, if there is one.
pub fn similar<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (plain_typed, typed) = (plain(typed), typed.to_lowercase());
    // Of names that differ in case and hyphens only, nothing else is closer.
    let distance = |name: &str| match plain(name) == plain_typed {
        true => 0,
        false => strsim::damerau_levenshtein(&typed, &name.to_lowercase()),
    };
    let (distance, name) = known.into_iter().map(|name| (distance(name), name)).min()?;
    (distance <= name.chars().count().div_ceil(MAX_DISTANCE_SHARE)).then_some(name)
}

/// A name without case, `-`, `_` and spaces.
fn plain(name: &str) -> String {
    name.chars().filter(|letter| !matches!(letter, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Returns ` (did you mean X?)` if a known name is close to the one that was typed, or else nothing.
pub(crate) fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    similar(typed, known).map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_close_names_only() {
        let known = ["forecast", "odd", "push_event", "tts-1-hd-2"];
        for (typed, expected) in [
            ("forcast", " (did you mean `forecast`?)"),
            ("FORECAST", " (did you mean `forecast`?)"),
            ("push-event", " (did you mean `push_event`?)"),
            ("ood", " (did you mean `odd`?)"),
            ("TTS1HD2", " (did you mean `tts-1-hd-2`?)"),
            ("Push Event", " (did you mean `push_event`?)"),
            ("temperature", ""),
            ("", ""),
        ] {
            assert_eq!(did_you_mean(typed, known), expected, "{typed}");
        }
        assert_eq!(did_you_mean("x", []), "");
    }
}
