//! The code blocks of a guide: language, file and text of each.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// The guides, and the template whose files their blocks are.
pub const GUIDES: &[(&str, &str)] = &[
    ("write-a-plugin", "tool"),
    ("write-a-tool", "tool"),
    ("write-an-endpoint", "endpoint"),
    ("write-an-agent-strategy", "agent-strategy"),
    ("write-a-datasource", "datasource-online-document"),
    ("write-a-trigger", "trigger"),
    ("write-a-model-provider", "model"),
    ("calls-back", "tool"),
    ("test-a-plugin", "tool"),
];

/// One code block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Name of the guide.
    pub guide: String,
    /// Line of its first line of code, from 1.
    pub line: usize,
    /// `rust`, `yaml`, `console` …
    pub language: String,
    /// What follows the language: the file that the block is a part of, with the template if it is another one
    /// (`datasource-online-drive src/files.rs`); the template of a `console` block, or the mistake that it shows.
    pub info: String,
    /// The code.
    pub text: String,
}

impl Block {
    /// Names the block in messages.
    pub fn place(&self) -> String {
        format!("docs/{}.md:{}", self.guide, self.line)
    }

    /// Returns the template and the file that the block is an excerpt of, unless it is code of its own.
    pub fn file(&self) -> Option<(&str, &str)> {
        let names: Vec<&str> = self.info.split_whitespace().collect();
        match names[..] {
            [file] => Some((template_of(&self.guide), file)),
            [template, file] if template != "add" => Some((template, file)),
            _ => None,
        }
    }

    /// Returns the name of its first function, which is not a method.
    pub fn function(&self) -> Option<&str> {
        let names = self
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("async fn ").or(line.strip_prefix("fn "))?.split('(').next());
        names.into_iter().next()
    }

    /// Returns the file, the text in it and the text to replace that with, of a block that shows what a mistake looks like
    /// (`mistake in tools/forecast.yaml: type: string → type: strng`).
    pub fn mistake(&self) -> Option<(&str, &str, &str)> {
        let (file, change) = self.info.strip_prefix("mistake in ")?.split_once(": ")?;
        let (right, wrong) = change.split_once(" → ")?;
        Some((file, right, wrong))
    }

    /// Returns the template and the YAML file that the block is to be added to.
    pub fn addition(&self) -> Option<(&str, &str)> {
        self.info.strip_prefix("add to ").map(|file| (template_of(&self.guide), file))
    }
}

/// Returns the template of a guide.
pub fn template_of(guide: &str) -> &'static str {
    GUIDES.iter().find(|(name, _)| *name == guide).map_or("tool", |(_, template)| template)
}

/// Reads the blocks of every guide in a directory.
pub fn read(docs: &Path) -> io::Result<Vec<Block>> {
    let mut blocks = Vec::new();
    for (guide, _) in GUIDES {
        blocks.extend(parse(guide, &fs::read_to_string(docs.join(format!("{guide}.md")))?));
    }
    Ok(blocks)
}

/// Returns the items of the library that guides link to, as paths below the library (`plugin::Call`).
pub fn links(docs: &Path) -> io::Result<BTreeSet<String>> {
    const REFERENCE: &str = "https://docs.rs/dify-plugin/latest/dify_plugin/";
    let mut items = BTreeSet::new();
    for (guide, _) in GUIDES {
        let text = fs::read_to_string(docs.join(format!("{guide}.md")))?;
        for link in text.split(REFERENCE).skip(1) {
            // `plugin/struct.Call.html`
            let page = link.split(')').next().unwrap_or_default();
            let (module, file) = page.rsplit_once('/').unwrap_or(("", page));
            let name = file.split('.').nth(1).unwrap_or(file);
            items.insert(format!("{}::{name}", module.replace('/', "::")));
        }
    }
    Ok(items)
}

/// Reads the blocks of one guide.
pub fn parse(guide: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        let fence = line.strip_prefix("```");
        match (open.as_mut(), fence) {
            (None, None) => {}
            (None, Some(info)) => {
                let (language, info) = info.split_once(' ').unwrap_or((info, ""));
                open = Some(Block {
                    guide: guide.to_owned(),
                    line: number + 2,
                    language: language.to_owned(),
                    info: info.to_owned(),
                    text: String::new(),
                });
            }
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
        }
    }
    blocks
}
