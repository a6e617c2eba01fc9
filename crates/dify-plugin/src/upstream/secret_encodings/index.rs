//! Index of all substrings of a text, so that each of many forms is searched in linear time: a suffix automaton (Blumer
//! et al., "The smallest automaton recognizing the subwords of a text", 1985).
//!
//! Knows nothing of secrets: it returns the length of the longest marked substring that ends at each position. It keeps
//! the text in memory, never the forms.

use std::collections::BTreeMap;

use super::{Extent, MIN_SECRET_BYTES};
use crate::steps;

/// Set of substrings that end at the same positions.
#[derive(Default)]
struct State {
    /// Transitions by the next byte.
    next: BTreeMap<u8, usize>,
    /// Length of the longest substring.
    length: usize,
    /// Suffix link: the state of the longest suffix that ends at more positions.
    shorter: Option<usize>,
    deepest: Deepest,
}

/// Lengths of the longest marked substrings that end at a position.
#[derive(Clone, Copy, Default)]
pub(super) struct Deepest {
    /// Length that reveals a form anywhere.
    pub(super) anywhere: usize,
    /// Length that reveals a form where the text is truncated.
    pub(super) when_truncated: usize,
}

pub(super) struct Index {
    states: Vec<State>,
    /// State after each byte of the text.
    ends: Vec<usize>,
}

impl Index {
    pub(super) fn of(text: &[u8]) -> Self {
        let mut index = Self { states: vec![State::default()], ends: Vec::with_capacity(text.len()) };
        let mut last = 0;
        for byte in text {
            last = index.append(last, *byte);
            index.ends.push(last);
        }
        index
    }

    fn append(&mut self, last: usize, byte: u8) -> usize {
        let current = self.states.len();
        self.states.push(State { length: self.states[last].length + 1, shorter: Some(0), ..State::default() });
        let mut at = Some(last);
        while let Some(state) = at {
            steps::count(1);
            let Some(target) = self.states[state].next.get(&byte).copied() else {
                self.states[state].next.insert(byte, current);
                at = self.states[state].shorter;
                continue;
            };
            let is_next = self.states[target].length == self.states[state].length + 1;
            let shorter = if is_next { target } else { self.split(state, target, byte) };
            self.states[current].shorter = Some(shorter);
            break;
        }
        current
    }

    /// Moves the shorter substrings of a state to a state of their own, because they end at one more position.
    fn split(&mut self, before: usize, target: usize, byte: u8) -> usize {
        let twin = self.states.len();
        let State { next, shorter, .. } = &self.states[target];
        steps::count(next.len());
        let (next, shorter) = (next.clone(), *shorter);
        self.states.push(State { next, shorter, length: self.states[before].length + 1, ..State::default() });
        let mut at = Some(before);
        while let Some(state) = at
            && let Some(known) = self.states[state].next.get_mut(&byte)
            && *known == target
        {
            steps::count(1);
            *known = twin;
            at = self.states[state].shorter;
        }
        self.states[target].shorter = Some(twin);
        twin
    }

    /// Marks a form as far as it appears in the text.
    pub(super) fn mark(&mut self, form: &[u8], extent: Extent) {
        let mut at = 0;
        for (index, byte) in form.iter().enumerate() {
            steps::count(1);
            let Some(next) = self.states[at].next.get(byte) else { return };
            at = *next;
            let depth = index + 1;
            if depth < MIN_SECRET_BYTES {
                continue;
            }
            let deepest = &mut self.states[at].deepest;
            deepest.when_truncated = deepest.when_truncated.max(depth);
            if extent == Extent::Beginning || depth == form.len() {
                deepest.anywhere = deepest.anywhere.max(depth);
            }
        }
    }

    /// Returns the longest marked substrings that end at each byte of the text.
    pub(super) fn deepest(mut self) -> Vec<Deepest> {
        let mut order: Vec<usize> = (1..self.states.len()).collect();
        order.sort_by_key(|state| self.states[*state].length);
        steps::count(order.len());
        for state in order {
            let shorter = self.states[state].shorter.map(|shorter| self.states[shorter].deepest).unwrap_or_default();
            let deepest = &mut self.states[state].deepest;
            deepest.anywhere = deepest.anywhere.max(shorter.anywhere);
            deepest.when_truncated = deepest.when_truncated.max(shorter.when_truncated);
        }
        self.ends.iter().map(|end| self.states[*end].deepest).collect()
    }
}
