//! What the code of a plugin has, held against the files that declare it: [`check`] names each difference, and [`update`]
//! edits the files so that none is left. The code decides names, types and ranges; the files decide texts.
//!
//! What Dify accepts in those files is in [`super::rules`].

mod files;
mod package;
mod parameters;
mod texts;

use std::path::Path;

use super::codes;
use super::datasource::DatasourceType;
use super::kind::PluginKind;
use super::permission::Permission;
use super::problem::{Problem, Problems, Severity};
use super::shape::Shape;
pub use files::FileChange;
use files::Files;

/// What the code of a plugin has.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Code {
    /// Its providers, at most one of a kind.
    pub providers: Vec<CodeProvider>,
    /// The permissions that it needs.
    pub needs: Vec<Permission>,
}

/// A provider that has code.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CodeProvider {
    /// What it provides.
    pub kind: PluginKind,
    /// Its name; empty for endpoints.
    pub name: String,
    /// What its datasources are sources of, if that is one type.
    pub provider_type: Option<DatasourceType>,
    /// Its tools, strategies, datasources or events.
    pub parts: Vec<CodePart>,
}

/// A tool, a strategy, a datasource or an event that has code.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CodePart {
    /// Its name.
    pub name: String,
    /// Its parameters, unless it cannot have any.
    pub parameters: Option<Shape>,
}

/// A place of a file that is not what the code has.
#[derive(Clone, Debug, PartialEq)]
struct Difference {
    file: String,
    path: String,
    severity: Severity,
    /// What differs.
    message: String,
    /// What the fix does.
    change: String,
    fix: Fix,
}

impl Difference {
    fn code(&self) -> codes::Code {
        if self.severity == Severity::Error { codes::Code::Difference } else { codes::Code::OddDifference }
    }
}

/// How a difference is removed.
#[derive(Clone, Debug, PartialEq)]
enum Fix {
    /// By the author.
    None,
    /// By writing the file.
    Create(serde_json::Value),
    /// By setting the value at the path.
    Set(serde_json::Value),
    /// By removing what is at the path.
    Remove,
    /// By inserting an item into the list at the path.
    Insert(usize, serde_json::Value),
}

/// Differences between the code and the files of a plugin directory. A plugin without code is not compared.
pub fn check(directory: &Path, code: &Code) -> Vec<Problem> {
    let mut files = Files::new(directory);
    let differences = package::differences(&mut files, code, false).into_iter();
    let problems = differences.filter(|difference| difference.path != package::VERSION).map(|difference| {
        let hint = if difference.fix == Fix::None { "" } else { "; run `declare`" };
        let message = format!("{}{hint}", difference.message);
        Problem::new(difference.code(), &difference.file, &difference.path, message)
    });
    let mut problems: Vec<Problem> = problems.collect();
    super::fill_lines(directory, &mut problems);
    problems
}

/// The changes that remove the differences. With `keep`, parameters and parts that the code does not have stay.
///
/// Nothing is written. An error names what cannot be changed, or read.
pub fn update(directory: &Path, code: &Code, keep: bool) -> Result<Vec<FileChange>, Problems> {
    /// More changes than a plugin has declarations.
    const MAX_CHANGES: usize = 10_000;

    let mut files = Files::new(directory);
    for _ in 0..MAX_CHANGES {
        let differences = package::differences(&mut files, code, keep);
        files.check_readable()?;
        let Some(next) = differences.iter().find(|difference| difference.fix != Fix::None) else {
            let left = differences.into_iter().filter(|difference| difference.severity == Severity::Error);
            let left: Vec<Problem> =
                left.map(|left| Problem::new(codes::Code::Difference, &left.file, &left.path, left.message)).collect();
            return if left.is_empty() { Ok(files.changes()) } else { Err(Problems(left)) };
        };
        files.apply(next).map_err(|error| {
            let message = format!("{error}: {}; change it by hand", next.message);
            Problems(vec![Problem::new(codes::Code::NotEditable, &next.file, &next.path, message)])
        })?;
    }
    let message = "the files still differ from the code after many changes".to_owned();
    Err(Problems(vec![Problem::new(codes::Code::Difference, "manifest.yaml", "", message)]))
}
