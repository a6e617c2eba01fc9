//! The facts about one model: those of the provider, merged with the blocks whose pattern matches the model's name and with
//! the block in the model's own file. What it is not: the meaning of any key.

use serde_json::{Map, Value};

/// Key of a choice, which is replaced as a whole.
const CHOICE: &str = "by";

/// Merges `over` into `base`: maps are merged, everything else is replaced; null removes a key.
pub fn merge(base: &mut Map<String, Value>, over: &Map<String, Value>) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (_, Value::Null) => {
                base.shift_remove(key);
            }
            (Some(Value::Object(inner)), Value::Object(value))
                if !inner.contains_key(CHOICE) && !value.contains_key(CHOICE) =>
            {
                merge(inner, value);
            }
            (Some(slot), _) => *slot = value.clone(),
            (None, _) => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Whether a name matches a pattern in which `*` is any text and `?` any character.
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut place) = (0, 0);
    // Where the last star is, and the name's first character after what it covers.
    let mut star: Option<(usize, usize)> = None;
    while place < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(letter) if *letter == '?' || *letter == name[place] => {
                at += 1;
                place += 1;
            }
            _ => match &mut star {
                Some((begin, covered)) => {
                    *covered += 1;
                    (at, place) = (*begin + 1, *covered);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|letter| *letter == '*')
}

/// Whether a pattern is a name.
pub fn is_exact(pattern: &str) -> bool {
    !pattern.contains(['*', '?'])
}

/// Returns the places of the blocks that apply to a model, in the order in which they are merged: patterns as they are
/// written, then exact names.
pub fn applying<'b>(blocks: impl Iterator<Item = &'b str> + Clone, model: &str) -> Vec<usize> {
    let of = |exact: bool| {
        blocks.clone().enumerate().filter(move |(_, pattern)| is_exact(pattern) == exact && matches(pattern, model))
    };
    of(false).chain(of(true)).map(|(place, _)| place).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn merges_maps_and_replaces_the_rest() {
        for (base, over, expected) in [
            (json!({"a": 1}), json!({"b": 2}), json!({"a": 1, "b": 2})),
            (
                json!({"a": {"x": 1, "y": [1]}}),
                json!({"a": {"y": [2], "z": 3}}),
                json!({"a": {"x": 1, "y": [2], "z": 3}}),
            ),
            (json!({"a": {"x": 1}}), json!({"a": 2}), json!({"a": 2})),
            (json!({"a": 2}), json!({"a": {"x": 1}}), json!({"a": {"x": 1}})),
            (json!({"a": {"x": 1}}), json!({"a": {"x": null}}), json!({"a": {}})),
            (json!({"a": {"x": 1}}), json!({"a": {"by": "c", "when": {}}}), json!({"a": {"by": "c", "when": {}}})),
            (json!({"a": {"by": "c", "when": {}}}), json!({"a": {"x": 1}}), json!({"a": {"x": 1}})),
        ] {
            let (Value::Object(mut merged), Value::Object(over)) = (base, over) else { panic!("not maps") };
            merge(&mut merged, &over);
            assert_eq!(Value::Object(merged), expected);
        }
    }

    #[test]
    fn matches_patterns() {
        for (pattern, name, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*", "org/model:free", true),
            ("gpt-5*", "gpt-5-mini", true),
            ("gpt-5*", "xgpt-5", false),
            ("*/kimi-*", "Pro/moonshotai/kimi-k2", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
            ("a.b[1]", "a.b[1]", true),
            ("", "", true),
            ("", "a", false),
            ("模*", "模型", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
        assert!(!matches(&"*a".repeat(30), &"a".repeat(29)));
    }

    #[test]
    fn exact_names_come_last() {
        let blocks = ["m-1", "*", "m-*", "n"];
        assert_eq!(applying(blocks.into_iter(), "m-1"), [1, 2, 0]);
        assert_eq!(applying(blocks.into_iter(), "n"), [1, 3]);
        assert_eq!(applying(["x"].into_iter(), "n"), [0usize; 0]);
    }
}
