//! Reads a ReAct response as it arrives: a synchronous state machine. However the text is cut, the outcome is the same; its
//! time is proportional to the text.
//!
//! An answer (`FinalAnswer:`) is passed on at once. Until it begins, the first `Action:` decides the round, and what follows
//! the action is the model's own guess at an observation and is ignored. JSON without a marker is an action only on a line
//! of its own, if it names a tool that there is, and if no marker follows: JSON within a thought is part of the thought.

mod ending;

use dify_plugin::serde_json::Value;

pub use super::action::Action;
use super::json::Capture;
use super::marker::{self, Found, Marker};
use ending::{action_or_answer, input_action, is_fence};

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
                Found::Marker { marker, length, closes } if self.accepts(marker, &self.held[..length]) => {
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

    /// Whether a marker counts where it is: within a line, only one that no sentence contains.
    fn accepts(&self, marker: Marker, mark: &str) -> bool {
        let is_certain = mark.starts_with(char::is_uppercase) || !mark.trim().contains([' ', '_']);
        match self.state {
            _ if self.is_line_start => true,
            State::Thought => is_certain && !matches!(marker, Marker::Thought | Marker::Observation),
            _ => false,
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
}
