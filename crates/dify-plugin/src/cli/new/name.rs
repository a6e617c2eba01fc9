//! Names of plugins: what Dify accepts in a manifest, Cargo as a package, and Rust as a crate.

/// Maximum length of a name in characters; crates.io accepts no longer one.
const MAX_NAME_CHARACTERS: usize = 64;

/// Keywords of Rust, in any edition, and reserved ones.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod",
    "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static", "struct", "super", "trait", "true",
    "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// Crates of the standard library and of the toolchain, and those that the templates use.
const CRATES: &[&str] = &[
    "alloc",
    "core",
    "proc_macro",
    "std",
    "test",
    "async_stream",
    "dify_plugin",
    "futures_util",
    "hex",
    "hmac",
    "mimalloc",
    "schemars",
    "serde",
    "serde_json",
    "sha2",
    "tokio",
];

/// Directories that Cargo creates beside an executable of this name.
const BUILD_DIRECTORIES: &[&str] = &["build", "deps", "examples", "incremental"];

/// Words that are not strings in YAML, for one of the programs that read it.
const YAML_WORDS: &[&str] = &["false", "n", "no", "null", "off", "on", "true", "y", "yes"];

/// Names of devices, which are not file names on Windows.
const DEVICES: &[&str] = &["aux", "con", "nul", "prn"];

/// A valid name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginName(String);

impl PluginName {
    /// Checks a name. The error describes what is wrong, and proposes a valid name where there is a close one.
    pub fn parse(name: &str) -> Result<Self, String> {
        let Some(problem) = problem(name) else { return Ok(Self(name.to_owned())) };
        let proposal = identifier(name, MAX_NAME_CHARACTERS);
        let proposal = match self::problem(&proposal) {
            None => format!("; did you mean `{proposal}`?"),
            Some(_) => String::new(),
        };
        Err(format!("`{name}` cannot be the name of a plugin: {problem}{proposal}"))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the crate in Rust code.
    pub fn crate_name(&self) -> String {
        self.0.replace('-', "_")
    }

    /// The name for people: `my-weather` is `My weather`.
    pub fn title(&self) -> String {
        let words: Vec<&str> = self.0.split(['-', '_']).filter(|word| !word.is_empty()).collect();
        let text = words.join(" ");
        let mut characters = text.chars();
        characters.next().map(|first| first.to_ascii_uppercase().to_string() + characters.as_str()).unwrap_or_default()
    }
}

fn problem(name: &str) -> Option<String> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    if name.is_empty() {
        return Some("it is empty".to_owned());
    }
    if name.len() > MAX_NAME_CHARACTERS {
        return Some(format!("it has more than {MAX_NAME_CHARACTERS} characters"));
    }
    if !name.bytes().all(legal) {
        return Some("use only a-z, 0-9, `-` and `_`".to_owned());
    }
    if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        return Some("it must begin with a letter".to_owned());
    }
    if name.ends_with(['-', '_']) {
        return Some("it must end with a letter or a digit".to_owned());
    }
    let crate_name = name.replace('-', "_");
    let is_in = |list: &[&str]| list.contains(&crate_name.as_str());
    if is_in(KEYWORDS) {
        return Some("it is a keyword of Rust".to_owned());
    }
    if is_in(CRATES) {
        return Some("a crate that every plugin can use has this name".to_owned());
    }
    if is_in(BUILD_DIRECTORIES) {
        return Some("Cargo uses this name for a directory of its own".to_owned());
    }
    if is_yaml_word(&crate_name) {
        return Some("it is not a string in YAML".to_owned());
    }
    let is_port = |name: &str| {
        let number = name.strip_prefix("com").or(name.strip_prefix("lpt"));
        number.is_some_and(|number| number.len() == 1 && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    (is_in(DEVICES) || is_port(&crate_name)).then(|| "Windows reserves it for a device".to_owned())
}

/// Whether a word without quotation marks is not a string in YAML.
pub fn is_yaml_word(word: &str) -> bool {
    YAML_WORDS.contains(&word)
}

/// Returns a text in the characters of a name: other ones become hyphens, without repetition and not at the ends.
pub fn identifier(text: &str, max_characters: usize) -> String {
    let mut found = String::new();
    for character in text.chars() {
        match character {
            'a'..='z' | '0'..='9' | '_' => found.push(character),
            'A'..='Z' => found.push(character.to_ascii_lowercase()),
            _ if found.ends_with('-') => {}
            _ => found.push('-'),
        }
    }
    found.truncate(max_characters);
    found.trim_matches(['-', '_']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_dify_cargo_and_rust_accept() {
        for (name, crate_name, title) in [
            ("weather", "weather", "Weather"),
            ("my-weather_2", "my_weather_2", "My weather 2"),
            ("a", "a", "A"),
            ("tool", "tool", "Tool"),
            ("plugin", "plugin", "Plugin"),
            ("x--y", "x__y", "X y"),
            (&"a".repeat(64), &"a".repeat(64), &format!("A{}", "a".repeat(63))),
        ] {
            let parsed = PluginName::parse(name).unwrap();
            assert_eq!((parsed.as_str(), &*parsed.crate_name(), &*parsed.title()), (name, crate_name, title));
        }
    }

    #[test]
    fn rejects_other_names_with_the_reason() {
        for (name, reason) in [
            ("", "it is empty"),
            (&*"a".repeat(65), "more than 64 characters"),
            ("Weather", "use only a-z, 0-9, `-` and `_`; did you mean `weather`?"),
            ("my weather", "did you mean `my-weather`?"),
            ("wetter/../x", "use only"),
            ("../x", "use only"),
            (".", "use only"),
            ("прогноз", "use only"),
            ("a\nb", "use only"),
            ("@@name@@", "use only"),
            ("2fast", "begin with a letter"),
            ("-x", "begin with a letter"),
            ("_x", "begin with a letter; did you mean `x`?"),
            ("x-", "end with a letter or a digit; did you mean `x`?"),
            ("async", "keyword"),
            ("self", "keyword"),
            ("gen", "keyword"),
            ("test", "a crate"),
            ("std", "a crate"),
            ("dify-plugin", "a crate"),
            ("serde_json", "a crate"),
            ("serde-json", "a crate"),
            ("deps", "Cargo uses"),
            ("null", "not a string in YAML"),
            ("on", "not a string in YAML"),
            ("con", "Windows"),
            ("com1", "Windows"),
        ] {
            let error = PluginName::parse(name).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        assert!(PluginName::parse("com10").is_ok() && PluginName::parse("comx").is_ok());
    }
}
