//! All parts of a text, so that each of many forms is looked up in the time that it takes to read it: a suffix automaton
//! (Blumer and others, "The smallest automaton recognizing the subwords of a text", 1985).
//!
//! It knows nothing of secrets: it says how long the longest marked part is that ends at each place of the text. The text
//! is what it holds in memory, never the forms.

use std::collections::BTreeMap;

use super::{Extent, MIN_SECRET_BYTES};
use crate::steps;

/// Parts of a text that end at the same places.
#[derive(Default)]
struct State {
    /// By the letter that follows.
    next: BTreeMap<u8, usize>,
    /// The longest of the parts.
    length: usize,
    /// Where the ends of shorter parts go on that end at more places.
    shorter: Option<usize>,
    deepest: Deepest,
}

/// The longest marked parts that end at a place.
#[derive(Clone, Copy, Default)]
pub(super) struct Deepest {
    /// That give a form away wherever they stand.
    pub(super) anywhere: usize,
    /// That do so before a cut.
    pub(super) before_a_cut: usize,
}

pub(super) struct Index {
    states: Vec<State>,
    /// The state of the text up to each of its bytes.
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

    /// Gives the shorter parts of a state one of their own: they end at one more place from now on.
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

    /// Marks a form, as far as it stands in the text.
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
            deepest.before_a_cut = deepest.before_a_cut.max(depth);
            if extent == Extent::Beginning || depth == form.len() {
                deepest.anywhere = deepest.anywhere.max(depth);
            }
        }
    }

    /// The longest marked parts that end at each byte of the text.
    pub(super) fn deepest(mut self) -> Vec<Deepest> {
        let mut order: Vec<usize> = (1..self.states.len()).collect();
        order.sort_by_key(|state| self.states[*state].length);
        steps::count(order.len());
        for state in order {
            let shorter = self.states[state].shorter.map(|shorter| self.states[shorter].deepest).unwrap_or_default();
            let deepest = &mut self.states[state].deepest;
            deepest.anywhere = deepest.anywhere.max(shorter.anywhere);
            deepest.before_a_cut = deepest.before_a_cut.max(shorter.before_a_cut);
        }
        self.ends.iter().map(|end| self.states[*end].deepest).collect()
    }
}
