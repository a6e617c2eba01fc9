//! Who is named as the author of a new plugin. Dify accepts few characters there.

use std::process::{Command, Stdio};

use super::name::identifier;

/// Maximum length in characters that Dify accepts.
const MAX_AUTHOR_CHARACTERS: usize = 64;

/// The author where nothing else is known; to be replaced before the plugin is published.
pub const PLACEHOLDER: &str = "your-name";

/// Returns the author that the user gave, else the one that Git knows, else a placeholder.
pub fn choose(given: Option<&str>) -> Result<String, String> {
    let Some(given) = given else { return Ok(of_git().unwrap_or_else(|| PLACEHOLDER.to_owned())) };
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if !given.is_empty() && given.len() <= MAX_AUTHOR_CHARACTERS && given.bytes().all(legal) {
        return Ok(given.to_owned());
    }
    let proposal = Some(identifier(given, MAX_AUTHOR_CHARACTERS)).filter(|proposal| !proposal.is_empty());
    let proposal = proposal.map_or_else(String::new, |proposal| format!("; did you mean `{proposal}`?"));
    Err(format!(
        "`{given}` cannot be the author: Dify accepts 1 to {MAX_AUTHOR_CHARACTERS} characters from a-z, 0-9, `-` and `_`{proposal}"
    ))
}

fn of_git() -> Option<String> {
    let output = Command::new("git").args(["config", "user.name"]).stdin(Stdio::null()).output().ok()?;
    let name = identifier(&String::from_utf8_lossy(&output.stdout), MAX_AUTHOR_CHARACTERS);
    (output.status.success() && !name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_dify_accepts() {
        for author in ["acme", "jane-doe_2", "7", &"a".repeat(64)] {
            assert_eq!(choose(Some(author)).as_deref(), Ok(author));
        }
        for (author, hint) in [
            ("Jane Doe", "did you mean `jane-doe`?"),
            ("Jörg", "did you mean `j-rg`?"),
            ("", "1 to 64 characters"),
            ("漢", "1 to 64 characters"),
            (&*"a".repeat(65), "did you mean"),
        ] {
            let error = choose(Some(author)).unwrap_err();
            assert!(error.contains(hint), "{error}");
        }
        assert!(choose(Some(&choose(None).unwrap())).is_ok());
    }
}
