//! Reads a ReAct response as it arrives: a synchronous state machine. However the text is cut, the outcome is the same; its
//! time is proportional to the text.
//!
//! An answer (`FinalAnswer:`) is passed on at once. Until it begins, the first `Action:` decides the round, and what follows
//! the action is the model's own guess at an observation and is ignored. JSON without a marker is an action only on a line
//! of its own, if it names a tool that there is, and if no marker follows: JSON within a thought is part of the thought.

use dify_plugin::serde_json::Value;

pub use super::action::Action;
use super::action::{clean, is_name};
use super::json::{Capture, Captured};
use super::marker::{self, Found, Marker};

/// Bytes of a line that may be the name of a tool with what is around it.
const MAX_HEAD_BYTES: usize = 256;

/// Bytes of a fence with the name of a language.
const MAX_FENCE_BYTES: usize = 40;

/// What the model wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A tool is to be called.
    Action(Action),
    /// The rest of the answer, after what [`Parser::push`] returned.
    Answer(String),
    /// An action that cannot be read, in the model's words.
    Malformed(String),
}

/// The end of a response.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// What the model thought.
    pub thought: String,
    /// What it wants.
    pub outcome: Outcome,
}

/// Takes text in pieces.
#[derive(Debug)]
pub struct Parser {
    tools: Vec<String>,
    state: State,
    /// What may become a marker.
    held: String,
    thought: String,
    /// Whether what follows begins a line, and whether it follows a space.
    is_line_start: bool,
    is_word_start: bool,
    /// An action without a marker.
    candidate: Option<Action>,
    /// Asterisks that may follow to close the emphasis of a marker.
    closes: usize,
    /// Whether JSON without a marker is looked for.
    reads_bare: bool,
    /// Characters that were looked at, for tests of the time that a text takes.
    #[cfg(test)]
    steps: usize,
}

#[derive(Debug)]
enum State {
    Thought,
    /// After `Action:`: fences, a name. `mark` is the marker as it was written, if it was within a line.
    Action {
        head: String,
        mark: Option<String>,
    },
    /// After the name: fences.
    AwaitsInput {
        name: String,
        head: String,
    },
    /// After `Action Input:`: blanks and fences, then a text.
    Input {
        name: String,
        text: String,
    },
    Json {
        name: Option<String>,
        capture: Capture,
    },
    /// JSON on a line of its own without a marker.
    Bare(Capture),
    Answer {
        has_begun: bool,
        blanks: String,
    },
    Done(Outcome),
}

impl Parser {
    /// A parser for these names of tools.
    pub fn new(tools: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            tools: tools.into_iter().map(Into::into).collect(),
            state: State::Thought,
            held: String::new(),
            thought: String::new(),
            is_line_start: true,
            is_word_start: true,
            candidate: None,
            closes: 0,
            reads_bare: true,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Finishes, and returns the steps that the whole text took.
    #[cfg(test)]
    pub(super) fn steps_to_finish(mut self) -> usize {
        self.end(&mut String::new());
        self.steps
    }

    /// Takes the next piece, and returns what it adds to the answer.
    pub fn push(&mut self, text: &str) -> String {
        let mut answer = String::new();
        for character in text.chars() {
            self.take(character, &mut answer);
        }
        answer
    }

    /// The end of the response.
    pub fn finish(mut self) -> Turn {
        let mut answer = String::new();
        self.end(&mut answer);
        let thought = self.thought.trim().to_owned();
        let outcome = match self.state {
            State::Done(outcome) => outcome,
            State::Answer { .. } => return Turn { thought, outcome: Outcome::Answer(answer) },
            _ => match self.candidate {
                Some(action) => action_or_answer(action),
                // A model that uses no marker answers.
                None => return Turn { thought: String::new(), outcome: Outcome::Answer(thought) },
            },
        };
        Turn { thought, outcome }
    }

    fn take(&mut self, character: char, answer: &mut String) {
        #[cfg(test)]
        {
            self.steps += 1;
        }
        if self.closes > 0 {
            if character == '*' {
                self.closes -= 1;
                return;
            }
            self.closes = 0;
        }
        match &mut self.state {
            State::Done(_) => {}
            State::Answer { has_begun, blanks } => {
                if character.is_whitespace() {
                    // Blanks before the answer and after it are no part of it.
                    if *has_begun {
                        blanks.push(character);
                    }
                } else {
                    *has_begun = true;
                    answer.push_str(blanks);
                    blanks.clear();
                    answer.push(character);
                }
            }
            State::Json { capture, .. } => {
                if capture.push(character) || capture.is_hopeless() {
                    self.end_json();
                }
            }
            State::Bare(capture) => {
                if capture.push(character) {
                    self.end_bare();
                }
            }
            State::Action { .. } => self.take_head(character, answer),
            State::Thought | State::AwaitsInput { .. } | State::Input { .. } => {
                self.held.push(character);
                self.drain(false, answer);
            }
        }
    }

    /// Reads what is held as far as it is certain; at the end, all of it.
    fn drain(&mut self, at_end: bool, answer: &mut String) {
        while !self.held.is_empty()
            && matches!(self.state, State::Thought | State::AwaitsInput { .. } | State::Input { .. })
        {
            #[cfg(test)]
            {
                self.steps += 1;
            }
            let found = match self.is_line_start || self.is_word_start {
                true => marker::read(&self.held, self.is_line_start),
                false => Found::No,
            };
            match found {
                Found::Partial if !at_end => return,
                Found::Marker { marker, length, closes } if self.accepts(marker) => {
                    let mark: String = self.held.drain(..length).collect();
                    self.mark(marker, mark, closes);
                }
                _ => {
                    let Some(character) = self.held.chars().next() else { return };
                    self.held.drain(..character.len_utf8());
                    self.plain(character);
                }
            }
        }
        // What is held belongs to another state now.
        if !self.held.is_empty() {
            for character in std::mem::take(&mut self.held).chars() {
                self.take(character, answer);
            }
        }
    }

    /// Whether a marker counts where it is: within a line, only those that no sentence contains.
    fn accepts(&self, marker: Marker) -> bool {
        match self.state {
            State::Thought => self.is_line_start || !matches!(marker, Marker::Thought | Marker::Observation),
            _ => self.is_line_start,
        }
    }

    fn mark(&mut self, marker: Marker, mark: String, closes: usize) {
        let was_line_start = std::mem::replace(&mut self.is_line_start, false);
        self.closes = closes;
        let state = std::mem::replace(&mut self.state, State::Thought);
        match (state, marker) {
            (State::AwaitsInput { name, .. }, Marker::ActionInput) => {
                self.state = State::Input { name, text: String::new() };
                return;
            }
            (State::AwaitsInput { name, .. }, _) => return self.act(Action::new(&name, Value::Null)),
            (
                State::Input { name, text },
                Marker::Observation | Marker::Thought | Marker::FinalAnswer | Marker::Action,
            ) => {
                return self.act(input_action(&name, &text));
            }
            (State::Input { name, text }, _) => {
                self.state = State::Input { name, text: text + &mark };
                return;
            }
            _ => {}
        }
        match marker {
            Marker::Thought => self.is_word_start = true,
            Marker::Observation => match self.candidate.take() {
                Some(action) => self.act(action),
                None => self.is_word_start = true,
            },
            Marker::Action => {
                let mark = (!was_line_start).then_some(mark);
                self.state = State::Action { head: String::new(), mark };
            }
            // Without a name before it: `Action_input: {…}` within a thought (official#3703).
            Marker::ActionInput => {
                self.state = State::Input { name: String::new(), text: String::new() };
            }
            Marker::FinalAnswer => {
                self.candidate = None;
                self.state = State::Answer { has_begun: false, blanks: String::new() };
            }
        }
    }

    /// A character that is no part of a marker.
    fn plain(&mut self, character: char) {
        let was_line_start = self.is_line_start;
        self.is_line_start = character == '\n' || was_line_start && character.is_whitespace();
        self.is_word_start = character.is_whitespace();
        match &mut self.state {
            State::Thought => {
                if self.reads_bare && was_line_start && character == '{' {
                    let mut capture = Capture::default();
                    capture.push(character);
                    self.state = State::Bare(capture);
                } else {
                    self.thought.push(character);
                }
            }
            State::AwaitsInput { name, head } => {
                if matches!(character, '{' | '[') && is_fence(head) {
                    let mut capture = Capture::default();
                    capture.push(character);
                    self.state = State::Json { name: Some(std::mem::take(name)), capture };
                    return;
                }
                head.push(character);
                if !is_fence(head) {
                    let action = Action::new(name, Value::Null);
                    self.act(action);
                } else if head.trim().is_empty() {
                    head.clear();
                }
            }
            State::Input { name, text } => {
                if matches!(character, '{' | '[') && is_fence(text) {
                    let mut capture = Capture::default();
                    capture.push(character);
                    self.state = State::Json { name: Some(std::mem::take(name)), capture };
                } else if !text.is_empty() || !character.is_whitespace() {
                    text.push(character);
                }
            }
            _ => {}
        }
    }

    /// After `Action:`, up to the JSON or the end of a name's line.
    fn take_head(&mut self, character: char, answer: &mut String) {
        let State::Action { head, mark } = &mut self.state else { return };
        let is_within_line = mark.is_some();
        if matches!(character, '{' | '[') && (is_fence(head) || !is_within_line && is_name(head)) {
            let name = (!is_fence(head)).then(|| clean(head).to_owned());
            let mut capture = Capture::default();
            capture.push(character);
            self.state = State::Json { name, capture };
            return;
        }
        if head.is_empty() && character.is_whitespace() {
            return;
        }
        head.push(character);
        if matches!(character, ':' | '：') && self.end_head_at_marker() {
            return;
        }
        let State::Action { head, .. } = &self.state else { return };
        if !is_fence(head) && (character == '\n' || is_within_line) {
            self.end_head(answer);
        }
    }

    /// Another marker follows `Action:`, or an input follows its name on the same line.
    fn end_head_at_marker(&mut self) -> bool {
        let State::Action { head, .. } = &mut self.state else { return false };
        if head.len() > MAX_HEAD_BYTES {
            return false;
        }
        if let Found::Marker { marker, closes, .. } = marker::read(head, true) {
            let mark = std::mem::take(head);
            (self.state, self.is_line_start) = (State::Thought, true);
            self.mark(marker, mark, closes);
            return true;
        }
        let starts = head.match_indices(char::is_whitespace).map(|(at, blank)| at + blank.len());
        let input = starts.into_iter().find(|start| {
            matches!(marker::read(&head[*start..], true), Found::Marker { marker: Marker::ActionInput, .. })
        });
        let Some(name) = input.map(|start| head[..start].to_owned()).filter(|name| is_name(name)) else { return false };
        self.state = State::Input { name: clean(&name).to_owned(), text: String::new() };
        true
    }

    /// The line after `Action:` is complete: a name, or no action at all.
    fn end_head(&mut self, answer: &mut String) {
        let State::Action { head, mark } = std::mem::replace(&mut self.state, State::Thought) else { return };
        match mark {
            None if is_name(&head) => {
                self.is_line_start = true;
                self.state = State::AwaitsInput { name: clean(&head).to_owned(), head: String::new() };
            }
            // A sentence about an action is a part of the thought.
            None => {
                self.is_line_start = head.ends_with('\n');
                self.is_word_start = self.is_line_start;
                self.thought.push_str(&head);
            }
            Some(mark) => {
                self.thought.push_str(&mark);
                self.thought.push(' ');
                (self.is_line_start, self.is_word_start) = (false, true);
                for character in head.chars() {
                    self.take(character, answer);
                }
            }
        }
    }

    fn end_json(&mut self) {
        let State::Json { name, capture } = std::mem::replace(&mut self.state, State::Thought) else { return };
        let captured = if capture.is_hopeless() { Captured::Broken } else { capture.finish() };
        match (captured, name) {
            (Captured::Value(input), Some(name)) if !name.is_empty() => self.act(Action::new(&name, input)),
            (Captured::Value(value), _) => match Action::read(&value, &self.tools) {
                Some(action) => self.act(action),
                None => self.state = State::Done(Outcome::Malformed(capture.raw)),
            },
            // `Action: search[the weather]`
            (_, Some(name)) if capture.raw.starts_with('[') && capture.raw.ends_with(']') => {
                let text = capture.raw[1..capture.raw.len() - 1].trim().to_owned();
                self.act(Action::new(&name, Value::String(text)));
            }
            _ => self.state = State::Done(Outcome::Malformed(capture.raw)),
        }
    }

    /// JSON without a marker is complete.
    fn end_bare(&mut self) {
        let State::Bare(capture) = std::mem::replace(&mut self.state, State::Thought) else { return };
        let action = match capture.finish() {
            Captured::Value(value) => Action::read(&value, &self.tools),
            _ => None,
        };
        match action.filter(|action| action.is_answer() || self.tools.contains(&action.name)) {
            Some(action) => self.candidate = Some(action),
            None => self.thought.push_str(&capture.raw),
        }
        (self.is_line_start, self.is_word_start) = (false, false);
    }

    fn act(&mut self, action: Action) {
        self.state = State::Done(action_or_answer(action));
    }

    /// The text is over.
    fn end(&mut self, answer: &mut String) {
        self.drain(true, answer);
        match &mut self.state {
            State::Json { capture, .. } => match capture.finish() {
                Captured::Cut => self.state = State::Done(Outcome::Malformed(std::mem::take(&mut capture.raw))),
                _ => self.end_json(),
            },
            // It was no JSON: what is in it may be a marker.
            State::Bare(capture) => {
                let raw = std::mem::take(&mut capture.raw);
                (self.state, self.reads_bare) = (State::Thought, false);
                self.thought.push('{');
                for character in raw.chars().skip(1) {
                    self.take(character, answer);
                }
                self.end(answer);
            }
            State::Action { head, mark } => {
                let is_empty = is_fence(head);
                if is_empty {
                    let text = mark.take().unwrap_or_default();
                    self.state = State::Thought;
                    self.thought.push_str(&text);
                } else {
                    self.end_head(answer);
                    self.end(answer);
                }
            }
            State::AwaitsInput { name, .. } => {
                let action = Action::new(name, Value::Null);
                self.act(action);
            }
            State::Input { name, text } if name.is_empty() => {
                let outcome = Outcome::Malformed(std::mem::take(text));
                self.state = State::Done(outcome);
            }
            State::Input { name, text } => {
                let action = input_action(name, text);
                self.act(action);
            }
            State::Thought | State::Answer { .. } | State::Done(_) => {}
        }
    }
}

/// Whether a text is nothing but the beginning of a fence with the name of a language.
fn is_fence(text: &str) -> bool {
    if text.len() > MAX_FENCE_BYTES {
        return false;
    }
    let word = text.trim_start_matches('`');
    match text.len() - word.len() {
        0 => word.trim().is_empty(),
        1 | 2 => word.is_empty(),
        _ => word.trim_end().chars().all(|character| character.is_ascii_alphanumeric() || "_-".contains(character)),
    }
}

/// An action whose input is a text: without quotation marks and fences around it.
fn input_action(name: &str, text: &str) -> Action {
    let text = text.trim().trim_matches('`').trim();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    Action::new(name, Value::String(text.to_owned()))
}

fn action_or_answer(action: Action) -> Outcome {
    if action.is_answer() { Outcome::Answer(action.into_answer()) } else { Outcome::Action(action) }
}
