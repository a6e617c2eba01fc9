//! The text of a diagnostic, as rustc prints its own: headline, place, the lines with their marks, and notes below.

use std::collections::HashMap;

use annotate_snippets::{Annotation, AnnotationKind, Element, Level, Origin, Renderer, Snippet};

use super::excerpt::Excerpt;
use super::{Diagnostic, words};

/// Columns of the text; longer lines are cut around their marks.
const WIDTH: usize = 120;

/// Lines between two marks that are shown in one piece.
const NEAR: usize = 20;

/// Further places of a repeated problem that are listed.
const MAX_LISTED: usize = 4;

/// How the text looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Style {
    /// Without colours.
    Plain,
    /// With colours of a terminal.
    Styled,
}

/// A problem, and others that are the same mistake elsewhere.
pub type Repeats<'a> = (&'a Diagnostic, Vec<&'a Diagnostic>);

/// Joins the problems that are one mistake: the same code, message and field, in many files or items.
pub fn repeats(diagnostics: &[Diagnostic]) -> Vec<Repeats<'_>> {
    let mut groups: Vec<Repeats<'_>> = Vec::new();
    let mut known: HashMap<_, usize> = HashMap::new();
    for diagnostic in diagnostics {
        let field = without_indices(words::last(&diagnostic.path)).to_owned();
        let key = (diagnostic.code, diagnostic.message.as_str(), field);
        match known.get(&key) {
            // What is marked in several places is shown in full.
            Some(group) if diagnostic.related.is_empty() => groups[*group].1.push(diagnostic),
            _ => {
                known.insert(key, groups.len());
                groups.push((diagnostic, Vec::new()));
            }
        }
    }
    groups
}

fn without_indices(name: &str) -> &str {
    name.find('[').map_or(name, |bracket| &name[..bracket])
}

/// The text of a diagnostic, and the places of others like it. It has no line break at its end.
pub fn render(diagnostic: &Diagnostic, more: &[&Diagnostic], style: Style) -> String {
    let level = if diagnostic.is_error() { Level::ERROR } else { Level::WARNING };
    let mut group = level.primary_title(diagnostic.headline()).id(diagnostic.code.text()).elements(marks(diagnostic));
    for note in notes(diagnostic, more) {
        group = group.element(Level::NOTE.message(note));
    }
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.clone()));
    }
    let renderer = match style {
        Style::Plain => Renderer::plain(),
        Style::Styled => Renderer::styled(),
    };
    renderer.term_width(WIDTH).render(&[group])
}

/// The lines with their marks, those of one file that are near each other in one piece.
fn marks(diagnostic: &Diagnostic) -> Vec<Element<'_>> {
    let Some(primary) = &diagnostic.excerpt else {
        let origin = Origin::path(diagnostic.file.as_str());
        let (line, column) = (diagnostic.start.line, diagnostic.start.column);
        return match diagnostic.path.is_empty() && line == 1 {
            true => vec![Element::from(origin)],
            false => vec![Element::from(origin.line(line).char_column(column))],
        };
    };
    let mut together = vec![(primary, AnnotationKind::Primary)];
    let mut apart = Vec::new();
    for place in &diagnostic.related {
        let Some(excerpt) = &place.excerpt else { continue };
        match place.file == diagnostic.file && excerpt.line.abs_diff(primary.line) <= NEAR {
            true => together.push((excerpt, AnnotationKind::Context)),
            false => apart.push(snippet(&place.file, &[(excerpt, AnnotationKind::Context)])),
        }
    }
    let mut elements = vec![snippet(&diagnostic.file, &together)];
    elements.append(&mut apart);
    elements
}

fn snippet<'a>(file: &'a str, marked: &[(&'a Excerpt, AnnotationKind)]) -> Element<'a> {
    let first = marked.iter().map(|(excerpt, _)| excerpt.line).min().unwrap_or(1);
    let last = marked.iter().map(|(excerpt, _)| excerpt.line).max().unwrap_or(1);
    let mut text = String::new();
    let mut annotations: Vec<Annotation<'_>> = Vec::new();
    for line in first..=last {
        let start = text.len();
        let mut here = marked.iter().filter(|(excerpt, _)| excerpt.line == line).peekable();
        if let Some((excerpt, _)) = here.peek() {
            // The mark furthest to the right has the most of the line.
            let longest = marked.iter().filter(|(other, _)| other.line == line).map(|(other, _)| &other.text);
            text.push_str(longest.max_by_key(|text| text.len()).unwrap_or(&excerpt.text));
        }
        for (excerpt, kind) in here {
            let span = start + excerpt.mark.start..start + excerpt.mark.end;
            annotations.push(kind.span(span).label(excerpt.label.as_deref()));
        }
        text.push('\n');
    }
    Snippet::source(text).line_start(first).path(file).annotations(annotations).into()
}

fn notes(diagnostic: &Diagnostic, more: &[&Diagnostic]) -> Vec<String> {
    let mut notes = Vec::new();
    let is_plain = words::last(&diagnostic.path) == diagnostic.path;
    match &diagnostic.variable {
        Some(variable) => notes.push(format!("{} of `{variable}`", diagnostic.path)),
        None if !is_plain => notes.push(diagnostic.path.clone()),
        None => {}
    }
    if !more.is_empty() {
        let place = |other: &&Diagnostic| format!("{}:{}", other.file, other.start.line);
        let listed: Vec<String> = more.iter().take(MAX_LISTED).map(place).collect();
        let rest = if more.len() > MAX_LISTED { ", …" } else { "" };
        notes.push(format!("and {} more: {}{rest}", more.len(), listed.join(", ")));
    }
    notes
}
