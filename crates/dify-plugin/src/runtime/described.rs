//! Providers of declarations that have no code of their own: a dialect makes them from the facts in the provider's file, or in
//! the file beside it. The dialect decides what the facts mean; here they are found, and its problems get files and lines.

use std::sync::Arc;

use crate::declare::{Code, Declarations, LoadedProvider, Problem, Problems, Severity, fill_lines, unowned};
use crate::model::{DeclaredProvider, Dialect, FactProblem, LeftOut, Provider, Served};
use crate::protocol::ModelType;

/// A dialect of this executable.
pub type Dialects<'a> = &'a [&'static dyn Dialect];

/// A provider that its declaration describes.
pub struct Described {
    /// Its code.
    pub provider: Arc<dyn Provider>,
    /// What of the declaration is not served.
    pub left_out: Vec<LeftOut>,
}

/// Providers that declarations describe, and what is wrong with them.
#[derive(Default)]
pub struct AllDescribed {
    /// The providers without problems.
    pub providers: Vec<Described>,
    /// Errors and warnings about facts.
    pub problems: Problems,
}

/// Makes the providers of all declarations without code.
pub fn providers(declarations: &Declarations, code: &[Arc<dyn Provider>], dialects: Dialects<'_>) -> AllDescribed {
    let mut all = AllDescribed::default();
    let mut problems = Vec::new();
    for loaded in &declarations.providers {
        let name = &loaded.declaration.provider;
        let has_code = code.iter().any(|provider| provider.name() == name);
        match find(loaded, dialects, &mut problems) {
            Some(facts) if has_code => problems.push(Problem::new(
                Code::UnusedFacts,
                facts.file,
                facts.path,
                format!("is not used, because provider `{name}` has code in this executable"),
            )),
            Some(facts) => all.providers.extend(make(loaded, &facts, &mut problems)),
            None if has_code || dialects.is_empty() => {}
            None => problems.push(no_facts(loaded, dialects)),
        }
    }
    let keys: Vec<&str> = dialects.iter().map(|dialect| dialect.key()).collect();
    problems.extend(unowned(declarations, &keys));
    fill_lines(&declarations.directory, &mut problems);
    all.problems = Problems(problems);
    all
}

/// Makes the provider of one declaration, if a dialect has facts about it. The problems have no lines.
pub fn provider(loaded: &LoadedProvider, dialects: Dialects<'_>) -> (Option<Described>, Problems) {
    let mut problems = Vec::new();
    let facts = find(loaded, dialects, &mut problems);
    let described = facts.and_then(|facts| make(loaded, &facts, &mut problems));
    (described, Problems(problems))
}

/// Facts about a provider, and where they are.
struct Facts<'a> {
    dialect: &'static dyn Dialect,
    value: &'a serde_json::Value,
    file: &'a str,
    /// The block in the file; empty for the whole file.
    path: &'a str,
}

/// Finds the facts about a provider. Those in a file of their own come first.
fn find<'a>(loaded: &'a LoadedProvider, dialects: Dialects<'_>, problems: &mut Vec<Problem>) -> Option<Facts<'a>> {
    for sidecar in &loaded.sidecars {
        if !dialects.iter().any(|dialect| dialect.key() == sidecar.key) {
            let known: Vec<&str> = dialects.iter().map(|dialect| dialect.key()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            let message =
                format!("is read by nothing: this executable has no dialect `{}`; it has: {known}", sidecar.key);
            problems.push(Problem::new(Code::UnusedFacts, &sidecar.file, "", message));
        }
    }
    let mut found: Option<Facts<'a>> = None;
    for dialect in dialects {
        let key = dialect.key();
        let sidecar = loaded.sidecars.iter().find(|sidecar| sidecar.key == key);
        let block = loaded.declaration.extra.get(key);
        let facts = match (sidecar, block) {
            (Some(sidecar), _) => Facts { dialect: *dialect, value: &sidecar.facts, file: &sidecar.file, path: "" },
            (None, Some(block)) => Facts { dialect: *dialect, value: block, file: &loaded.file, path: key },
            (None, None) => continue,
        };
        if let (Some(sidecar), Some(_)) = (sidecar, block) {
            let message = format!("is not used, because {} is used instead", sidecar.file);
            problems.push(Problem::new(Code::UnusedFacts, &loaded.file, key, message));
        }
        match &found {
            Some(first) => {
                let message = format!("is not used, because the facts for `{}` come first", first.dialect.key());
                problems.push(Problem::new(Code::UnusedFacts, facts.file, facts.path, message));
            }
            None => found = Some(facts),
        }
    }
    found
}

/// Lets the dialect make the provider; `None` if there are errors.
fn make(loaded: &LoadedProvider, facts: &Facts<'_>, problems: &mut Vec<Problem>) -> Option<Described> {
    let declared = DeclaredProvider::new(&loaded.declaration, &loaded.models, facts.value);
    match facts.dialect.provider(&declared) {
        Ok(Served { provider, left_out, warnings }) => {
            problems.extend(warnings.into_iter().map(|found| placed(loaded, facts, found)));
            Some(Described { provider, left_out })
        }
        Err(found) => {
            let start = problems.len();
            problems.extend(found.into_iter().map(|found| placed(loaded, facts, found)));
            if !problems[start..].iter().any(|problem| problem.severity == Severity::Error) {
                let message = format!("cannot be used by the dialect `{}`", facts.dialect.key());
                problems.push(Problem::new(Code::WrongFacts, facts.file, facts.path, message));
            }
            None
        }
    }
}

/// Gives a problem its file.
fn placed(loaded: &LoadedProvider, facts: &Facts<'_>, found: FactProblem) -> Problem {
    let of_model = |(model_type, name): &(ModelType, String)| {
        let is_it = |model: &crate::declare::ModelSchema| model.model_type == *model_type && model.model == *name;
        loaded.sources.get(loaded.models.iter().position(is_it)?).map(String::as_str)
    };
    let (file, prefix) = match found.model.as_ref().and_then(of_model) {
        Some(file) => (file, facts.dialect.key()),
        None => (facts.file, facts.path),
    };
    let path = match (prefix, found.path.as_str()) {
        ("", path) => path.to_owned(),
        (prefix, "") => prefix.to_owned(),
        (prefix, path) if path.starts_with('[') => format!("{prefix}{path}"),
        (prefix, path) => format!("{prefix}.{path}"),
    };
    let code = if found.severity == Severity::Error { Code::WrongFacts } else { Code::OddFacts };
    Problem::new(code, file, &path, found.message)
}

/// A declaration that nothing serves.
fn no_facts(loaded: &LoadedProvider, dialects: Dialects<'_>) -> Problem {
    let name = &loaded.declaration.provider;
    let blocks: Vec<String> = dialects.iter().map(|dialect| format!("`{}:`", dialect.key())).collect();
    let message = format!(
        "nothing serves provider `{name}`: this executable has no code for it, and its file has no block {}; add one (see \
         docs/provider-file.md), or use --from for the directory of a published plugin (`check --from DIR` shows what is \
         served)",
        blocks.join(" or ")
    );
    Problem::new(Code::Unserved, &loaded.file, "provider", message)
}
