//! `check --explain`: what a code means, the list of all codes, and the page that is made of them.

use std::process::ExitCode;

use crate::cli::terminal::{print_line, print_part, say};
use crate::declare::Code;
use crate::declare::codes::Explanation;
use crate::names::did_you_mean;

/// Prints the explanation of a code, or without one the list; as a page with `markdown`.
pub(super) fn run(code: &str, markdown: bool) -> anyhow::Result<ExitCode> {
    if markdown {
        print_part(&page())?;
        return Ok(ExitCode::SUCCESS);
    }
    if code.is_empty() {
        Code::ALL.iter().try_for_each(|code| print_line(&format!("{code}  {}", code.title())))?;
        return Ok(ExitCode::SUCCESS);
    }
    let Some(explanation) = Code::named(code).and_then(Code::explanation) else {
        let known = did_you_mean(code, Code::ALL.iter().map(|code| code.text()));
        say(&format!("error: there is no code `{code}`{known}; `check --explain` lists them"));
        return Ok(ExitCode::from(super::USAGE));
    };
    let Explanation { code, title, text, example, source, .. } = explanation;
    let example = example.lines().map(|line| format!("    {line}\n")).collect::<String>();
    print_part(&format!("{code}: {title}\n\n{}\n\n{example}\nSource: {source}\n", wrapped(text)))?;
    Ok(ExitCode::SUCCESS)
}

/// A text in lines of at most 80 characters.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        if let Some(line) = lines.last_mut().filter(|line| line.chars().count() + word.chars().count() < 80) {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines.join("\n")
}

/// The page about all codes.
fn page() -> String {
    let mut page = String::from(HEAD);
    for (letter, heading) in HEADINGS {
        page.push_str(&format!("\n## {heading}\n"));
        for code in Code::ALL.iter().filter(|code| code.text().starts_with(*letter)) {
            let Some(Explanation { title, text, example, source, .. }) = code.explanation() else { continue };
            let advice = if code.is_advice() { "\n\nReported with `--all`." } else { "" };
            page.push_str(&format!(
                "\n### {code}: {title}\n\n{text}{advice}\n\n```yaml\n{example}\n```\n\nSource: {source}\n"
            ));
        }
    }
    page
}

const HEADINGS: &[(&str, &str)] = &[
    ("D", "D: the plugin daemon refuses it"),
    ("A", "A: the Dify API refuses it"),
    ("R", "R: this runtime refuses it"),
    ("W", "W: Dify shows it differently, or ignores it"),
];

const HEAD: &str = "\
# What `check` reports: every code

<!-- Written by `dify-plugin-runtime check --explain --markdown`; change src/declare/codes/ of the library instead. -->

`check` prints each problem with its file, line and column, and a code that stays the same over releases:

```text
error[D012]: `type` must be one of secret-input, text-input, select, radio, switch, found \"secret-inputs\"
  --> provider/acme.yaml:14:13
   |
14 |       type: secret-inputs
   |             ^^^^^^^^^^^^^ did you mean `secret-input`?
   |
   = note: provider_credential_schema.credential_form_schemas[0].type of `api_key`
```

`check --explain D012` prints what is below about one code. `--format` chooses how problems are printed:

| Format | For |
|---|---|
| `human` | people; one mistake in many places is printed once, with the other places. Colours only in a terminal, and not with `NO_COLOR`; `--color always` or `never` overrides that |
| `short` | editors: `file:line:column: error[CODE]: message`, one per line |
| `json` | programs: one object per line with code, severity, message, file, path, line, column, end_line, end_column, help, suggestion, related, advice (nothing has to be changed) and the text for people as `rendered`. Members are only ever added |
| `github` | GitHub Actions: annotations at the lines of a pull request |
| `sarif` | code scanning: one document of SARIF 2.1.0 |

Lines and columns count from one, columns in Unicode code points. The exit code is 0 without problems or with warnings only, 1
with errors, and 2 if the command cannot be run as it is written. `--deny warnings` makes warnings fail, too. `--watch` checks
again after each change of a file.

A key that is in a mapping twice, an unknown name or a missing member is an error, because the daemon or the Dify API refuses the
package for it. What they accept and Dify's page then shows differently is a warning. Some of these ask for no change, because no
declaration avoids them; they are marked below, and `check` reports them with `--all`.
";
