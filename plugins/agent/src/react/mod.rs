//! The strategy `ReAct`: the model writes `Thought`, `Action` and `FinalAnswer` as text, which is read by [`parser`].

mod action;
mod json;
mod marker;
mod parser;
mod prompt;
pub(crate) mod strategy;

#[cfg(test)]
mod tests;
