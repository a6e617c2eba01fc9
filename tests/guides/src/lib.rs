//! What the guides in `docs/` and the templates of `new` contain, as data: code blocks and files. The build script writes their
//! code where the tests of this package compile it, so that no guide shows code that does not compile, and no template is
//! released that does not pass its own tests.
//!
//! It judges nothing: that is the task of the tests.

pub mod blocks;
pub mod templates;
