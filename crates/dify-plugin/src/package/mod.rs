//! From a checkout to a `.difypkg`: what goes in, how it is written, signed, checked and shown.
//!
//! Source: `dify-plugin-daemon: pkg/plugin_packager/`, `internal/core/local_runtime/`.

pub mod archive;
mod archive_check;
pub mod atomic_file;
pub mod build;
pub mod elf;
pub mod inspect;
pub mod older;
pub mod readme;
pub mod signature;
pub mod target;
pub mod wheel;

pub use target::Target;

/// Why a package cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A file that cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// Why.
        reason: std::io::Error,
    },
    /// An archive that is none, or that is damaged.
    #[error("{path}: not a readable package: {reason}")]
    Archive {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// Anything else; says what is wrong and the way out.
    #[error("{0}")]
    Wrong(String),
}

impl PackageError {
    /// A file that cannot be read or written.
    pub fn file(path: &std::path::Path, reason: std::io::Error) -> Self {
        Self::File { path: path.display().to_string(), reason }
    }
}
