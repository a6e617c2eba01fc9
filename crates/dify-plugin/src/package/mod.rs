//! Builds, signs, verifies and inspects `.difypkg` packages.
//!
//! Source: `dify-plugin-daemon: pkg/plugin_packager/`, `internal/core/local_runtime/`.

pub mod archive;
mod archive_check;
pub mod build;
pub mod elf;
pub mod inspect;
pub mod keys;
pub mod older;
pub mod readme;
pub mod signature;
pub mod target;
pub mod wheel;

pub use target::Target;

use crate::atomic_file::FileError;

/// Why a package cannot be built or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// A file that cannot be read or written.
    #[error("{path}: {reason}")]
    File {
        /// Path of the file.
        path: String,
        /// Reason.
        reason: std::io::Error,
    },
    /// A file that is not a package, or is corrupt.
    #[error("{path}: not a valid package: {reason}")]
    Archive {
        /// Path of the file.
        path: String,
        /// Reason.
        reason: String,
    },
    /// Any other error, with a suggested fix if there is one.
    #[error("{0}")]
    Wrong(String),
}

impl From<FileError> for PackageError {
    fn from(error: FileError) -> Self {
        match error {
            FileError::Io { path, reason } => Self::File { path, reason },
            FileError::Wrong(reason) => Self::Wrong(reason),
        }
    }
}

impl PackageError {
    /// Creates the error for a file that cannot be read or written.
    pub fn file(path: &std::path::Path, reason: std::io::Error) -> Self {
        Self::File { path: path.display().to_string(), reason }
    }
}
