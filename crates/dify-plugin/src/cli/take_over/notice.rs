//! The licence of what was taken over, and the statement of changes that it requires.

use super::rewrite::newer_dify;
use super::scratch::Scratch;
use super::{Report, TakenProvider};
use crate::declare::Declarations;

/// The licence of the plugins in the tables of this executable.
const APACHE: &str = include_str!("apache-2.0.txt");

/// Writes `NOTICE.md`, and a licence where the directory has none and it is known.
pub(super) fn write<'a>(
    scratch: &Scratch,
    declarations: &Declarations,
    providers: impl Iterator<Item = &'a TakenProvider>,
) -> anyhow::Result<()> {
    let providers: Vec<&TakenProvider> = providers.collect();
    let has_license = declarations.directory.join("LICENSE").is_file();
    let is_known = providers.iter().all(|provider| provider.source.is_table());
    let license = match (has_license, is_known) {
        (true, _) => "Their licence is in the file LICENSE.",
        (false, true) => {
            scratch.write("LICENSE", APACHE.as_bytes())?;
            "They are licensed under the Apache License, Version 2.0, in the file LICENSE."
        }
        (false, false) => "The directory that they come from has no file LICENSE; their licence is that of its author.",
    };
    let manifest = &declarations.manifest;
    let mut text = format!(
        "# Notice\n\nThis package contains the declarations (manifest, provider and model files), icons and pages of the Dify \
         plugin `{}/{}` {}, by its authors. {license}\n\n## Changes\n\n\
         - The plugin's own code is not part of this package: `main.py` starts a native executable instead, `{}` {}.\n\
         - Files in `provider/` that have a second extension were added: they describe to the executable how the provider is \
         called.\n\
         - `manifest.yaml` names this executable's form of the package; `requirements.txt`, `uv.toml` and `wheels/` were \
         added.\n",
        manifest.text("author"),
        manifest.text("name"),
        manifest.text("version"),
        env!("CARGO_PKG_NAME"),
        env!("CARGO_PKG_VERSION"),
    );
    if let Some(version) = newer_dify(declarations, providers.iter().copied()) {
        text.push_str(&format!(
            "- `manifest.yaml` names Dify {version} as the oldest version, which the models need.\n"
        ));
    }
    for provider in providers {
        for line in Report::of(provider).left_out_lines() {
            text.push_str(&format!("- Removed from provider `{}`: {line}\n", provider.loaded.declaration.provider));
        }
    }
    scratch.write("NOTICE.md", text.as_bytes())
}
