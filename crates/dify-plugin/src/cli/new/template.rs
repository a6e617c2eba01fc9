//! The templates: which files make up each kind of plugin, and what is filled into them. Their texts are files in `templates/`.
//!
//! A placeholder is a name between two pairs of `@`, which mean nothing in Rust, TOML, YAML or a workflow of GitHub.

use clap::ValueEnum;

use super::library::Library;
use super::name::{self, PluginName};

/// A kind of plugin, as `--kind` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Tools for agents and workflows
    Tool,
    /// HTTP endpoints
    Endpoint,
    /// Strategies of agent nodes
    AgentStrategy,
    /// Sources of knowledge
    Datasource,
    /// Events that start workflows
    Trigger,
    /// Model providers
    Model,
}

/// A type of datasource, as `--type` names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DatasourceType {
    /// Pages of websites
    WebsiteCrawl,
    /// Documents of another service
    #[default]
    OnlineDocument,
    /// Files of another service
    OnlineDrive,
}

/// A template: a kind of plugin, and the type of a datasource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Template(usize);

/// Files of a template: their paths, and their texts.
type Files = &'static [(&'static str, &'static str)];

macro_rules! files {
    ($directory:literal: $($path:literal),+ $(,)?) => {
        &[$((
            $path,
            include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/templates/", $directory, "/", $path, ".tmpl")),
        )),+]
    };
}

/// Files of every template.
const COMMON: Files = files!("common":
    ".difyignore", ".env.example", ".github/workflows/package.yaml", ".gitignore", "Cargo.toml", "PRIVACY.md", "README.md",
    "_assets/icon.svg", "rustfmt.toml", "src/main.rs",
);

/// What differs between the templates.
struct Entry {
    kind: Kind,
    datasource_type: Option<DatasourceType>,
    /// Name of its directory.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests compare the directory with the list"))]
    directory: &'static str,
    title: &'static str,
    first_command: &'static str,
    /// Features of the library in addition to [`SERVING`].
    features: &'static [&'static str],
    /// Dependencies in addition to the library.
    dependencies: &'static [&'static str],
    /// Credential fields that can come from the environment, without the prefix of the plugin.
    variables: &'static [&'static str],
    files: Files,
}

/// Features of the library that every plugin is served with.
const SERVING: &[&str] = &["client", "ring", "serverless"];

const ASYNC_STREAM: &str = "async-stream = \"0.3\"";
const FUTURES_UTIL: &str = "futures-util = { version = \"0.3\", default-features = false, features = [\"std\"] }";
const HEX: &str = "hex = \"0.4\"";
const HMAC: &str = "hmac = \"0.13\"";
const SCHEMARS: &str = "schemars = \"1\"";
const SERDE: &str = "serde = { version = \"1\", features = [\"derive\"] }";
const SHA2: &str = "sha2 = \"0.11\"";
const TOKIO: &str = "tokio = { version = \"1\", features = [\"io-util\", \"net\", \"rt\"] }";
const URL: &str = "url = \"2\"";

const TEMPLATES: &[Entry] = &[
    Entry {
        kind: Kind::Tool,
        datasource_type: None,
        directory: "tool",
        title: "tool plugin",
        first_command: "cargo run -- try forecast --param place=Riga",
        features: &[],
        dependencies: &[SCHEMARS, SERDE],
        variables: &[],
        files: files!("tool":
            "manifest.yaml", "provider/@@name@@.yaml", "src/forecast.rs", "src/lib.rs", "tests/plugin.rs",
            "tools/forecast.yaml",
        ),
    },
    Entry {
        kind: Kind::Endpoint,
        datasource_type: None,
        directory: "endpoint",
        title: "endpoint plugin",
        first_command: "cargo run -- try --request \"GET /hello?name=Riga\"",
        features: &[],
        dependencies: &[ASYNC_STREAM, SERDE, URL],
        variables: &["GREETING"],
        files: files!("endpoint":
            "endpoints/@@name@@.yaml", "endpoints/ask.yaml", "endpoints/hello.yaml", "manifest.yaml", "src/lib.rs",
            "src/routes.rs", "tests/plugin.rs",
        ),
    },
    Entry {
        kind: Kind::AgentStrategy,
        datasource_type: None,
        directory: "agent-strategy",
        title: "agent strategy plugin",
        first_command: "cargo run -- try function_calling --param query=\"What is 6 times 7?\" --llm 42",
        features: &[],
        dependencies: &[SCHEMARS, SERDE],
        variables: &[],
        files: files!("agent-strategy":
            "manifest.yaml", "provider/@@name@@.yaml", "src/function_calling.rs", "src/lib.rs",
            "strategies/function_calling.yaml", "tests/plugin.rs",
        ),
    },
    Entry {
        kind: Kind::Datasource,
        datasource_type: Some(DatasourceType::WebsiteCrawl),
        directory: "datasource-website-crawl",
        title: "datasource plugin (website crawl)",
        first_command: "cargo run -- try site --param url=https://example.com --param limit=2",
        features: &[],
        dependencies: &[SCHEMARS, SERDE],
        variables: &[],
        files: files!("datasource-website-crawl":
            "datasources/site.yaml", "manifest.yaml", "provider/@@name@@.yaml", "src/lib.rs", "src/site.rs",
            "tests/plugin.rs",
        ),
    },
    Entry {
        kind: Kind::Datasource,
        datasource_type: Some(DatasourceType::OnlineDocument),
        directory: "datasource-online-document",
        title: "datasource plugin (online document)",
        first_command: "cargo run -- try pages --credential token=secret",
        features: &[],
        dependencies: &[SCHEMARS, SERDE],
        variables: &["TOKEN"],
        files: files!("datasource-online-document":
            "datasources/pages.yaml", "manifest.yaml", "provider/@@name@@.yaml", "src/lib.rs", "src/pages.rs",
            "tests/plugin.rs",
        ),
    },
    Entry {
        kind: Kind::Datasource,
        datasource_type: Some(DatasourceType::OnlineDrive),
        directory: "datasource-online-drive",
        title: "datasource plugin (online drive)",
        first_command: "cargo run -- try files --credential token=secret",
        features: &[],
        dependencies: &[SERDE, URL],
        variables: &["TOKEN"],
        files: files!("datasource-online-drive":
            "datasources/files.yaml", "manifest.yaml", "provider/@@name@@.yaml", "src/files.rs", "src/lib.rs",
            "src/oauth.rs", "tests/plugin.rs",
        ),
    },
    Entry {
        kind: Kind::Trigger,
        datasource_type: None,
        directory: "trigger",
        title: "trigger plugin",
        first_command: "cargo run -- try --request \"POST /\" --body '{\"branch\": \"main\", \"commits\": 3}'",
        features: &[],
        dependencies: &[HEX, HMAC, SCHEMARS, SERDE, SHA2],
        variables: &["SECRET"],
        files: files!("trigger":
            "events/push.yaml", "manifest.yaml", "provider/@@name@@.yaml", "src/lib.rs", "src/push.rs",
            "src/signature.rs", "tests/plugin.rs",
        ),
    },
    Entry {
        kind: Kind::Model,
        datasource_type: None,
        directory: "model",
        title: "model plugin",
        first_command: "cargo run -- try Hello",
        features: &["http2", "models"],
        dependencies: &[ASYNC_STREAM, FUTURES_UTIL, SERDE, TOKIO, URL],
        variables: &["API_KEY", "BASE_URL"],
        files: files!("model":
            "manifest.yaml", "models/llm/chat.yaml", "provider/@@name@@.yaml", "src/chat.rs", "src/lib.rs",
            "src/mock_server.rs", "tests/plugin.rs",
        ),
    },
];

impl Template {
    /// Returns the template of a kind. Only a datasource has a type.
    pub fn of(kind: Kind, datasource_type: Option<DatasourceType>) -> Result<Self, String> {
        let wanted = match kind {
            Kind::Datasource => Some(datasource_type.unwrap_or_default()),
            _ if datasource_type.is_some() => return Err("--type belongs to --kind datasource".to_owned()),
            _ => None,
        };
        let is_wanted = |entry: &Entry| entry.kind == kind && entry.datasource_type == wanted;
        TEMPLATES.iter().position(is_wanted).map(Self).ok_or_else(|| "there is no template of this kind".to_owned())
    }

    fn entry(self) -> &'static Entry {
        &TEMPLATES[self.0]
    }

    /// What the template makes, for people.
    pub fn title(self) -> &'static str {
        self.entry().title
    }

    /// The command that shows a first answer at the terminal.
    pub fn first_command(self) -> &'static str {
        self.entry().first_command
    }

    /// Returns the files of a crate: paths and texts.
    pub fn files(self, name: &PluginName, author: &str, library: &Library) -> Vec<(String, String)> {
        let values = self.values(name, author, library);
        let files = COMMON.iter().chain(self.entry().files);
        files.map(|(path, text)| (fill(path, &values), fill(text, &values))).collect()
    }

    /// Returns the values of all placeholders.
    fn values(self, name: &PluginName, author: &str, library: &Library) -> Vec<(&'static str, String)> {
        let entry = self.entry();
        let now = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second()).unwrap_or_default();
        let prefix = name.crate_name().to_ascii_uppercase();
        let variables: String = entry.variables.iter().map(|field| format!("{prefix}_{field}=\n")).collect();
        let features: Vec<String> =
            SERVING.iter().chain(entry.features).map(|feature| format!("\"{feature}\"")).collect();
        vec![
            ("name", name.as_str().to_owned()),
            ("crate", name.crate_name()),
            ("title", name.title()),
            ("author", yaml_string(author)),
            ("library", library.source.clone()),
            ("features", features.join(", ")),
            ("dependencies", entry.dependencies.iter().map(|line| format!("{line}\n")).collect()),
            (
                "variables",
                match &*variables {
                    "" => String::new(),
                    _ => {
                        format!("\n# What `cargo run -- try` fills in for credentials that are not given.\n{variables}")
                    }
                },
            ),
            ("first_command", entry.first_command.to_owned()),
            ("rust_version", env!("CARGO_PKG_RUST_VERSION").to_owned()),
            ("created_at", now.to_string()),
        ]
    }
}

/// The name of an author as a string of YAML. One such as `7` or `no` would be something else without quotation marks.
fn yaml_string(author: &str) -> String {
    let is_plain = author.starts_with(|first: char| first.is_ascii_lowercase()) && !name::is_yaml_word(author);
    if is_plain { author.to_owned() } else { format!("\"{author}\"") }
}

/// Fills in every placeholder in one pass, so that a value is never looked at again.
fn fill(text: &str, values: &[(&str, String)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("@@") {
        let after = &rest[start + 2..];
        let value = after.find("@@").and_then(|end| {
            let (_, value) = values.iter().find(|(name, _)| *name == &after[..end])?;
            Some((value, end + 2))
        });
        let (kept, length) = match value {
            Some((value, length)) => (value.as_str(), length),
            None => ("@@", 0),
        };
        filled.push_str(&rest[..start]);
        filled.push_str(kept);
        rest = &after[length..];
    }
    filled + rest
}

#[cfg(test)]
mod tests;
