//! Writes files atomically, and secrets with permissions for their owner only.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Why a file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system's reason.
    #[error("{path}: {reason}")]
    Io {
        /// Path of the file.
        path: String,
        /// Reason.
        reason: io::Error,
    },
    /// Any other reason.
    #[error("{0}")]
    Wrong(String),
}

impl FileError {
    fn io(path: &Path, reason: io::Error) -> Self {
        Self::Io { path: path.display().to_string(), reason }
    }
}

/// Writes a file atomically: an existing file stays unchanged until the new one is complete.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write(path, bytes, 0o644, |temporary, path| fs::rename(temporary, path))
}

/// Writes a secret with permissions for its owner only. Never overwrites an existing file, even if two processes run at
/// the same time.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    write(path, bytes, 0o600, |temporary, path| {
        fs::hard_link(temporary, path)?;
        fs::remove_file(temporary)
    })
    .map_err(|error| match error {
        FileError::Io { reason, .. } if reason.kind() == ErrorKind::AlreadyExists => {
            FileError::Wrong(format!("{} already exists; keys are never overwritten", path.display()))
        }
        error => error,
    })
}

/// Writes a temporary file in the same directory and moves it to its place with `put`.
fn write(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    put: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> Result<(), FileError> {
    let failed = |error| FileError::io(path, error);
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(failed)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // A unique name, even if another thread or a killed process wrote the same file.
    let temporary = directory.join(format!(".{name}.{}.part", uuid::Uuid::new_v4()));
    let written =
        fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
    written.and_then(|()| put(&temporary, path)).map_err(|error| {
        // Remove the incomplete file; an error here is ignored.
        let _ = fs::remove_file(&temporary);
        failed(error)
    })
}

/// Reads a regular file of at most `limit` bytes. Devices and pipes are rejected, because they may never end.
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, FileError> {
    let metadata = fs::metadata(path).map_err(|error| FileError::io(path, error))?;
    if !metadata.is_file() {
        return Err(FileError::Wrong(format!("{} is not a regular file", path.display())));
    }
    if metadata.len() > limit {
        return Err(FileError::Wrong(format!(
            "{} has {} bytes (at most {limit} are supported)",
            path.display(),
            metadata.len()
        )));
    }
    fs::read(path).map_err(|error| FileError::io(path, error))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Starts eight concurrent writers of one file, each with its own content, and returns those that succeeded.
    fn race(path: &Path, write: fn(&Path, &[u8]) -> Result<(), FileError>) -> Vec<u8> {
        thread::scope(|scope| {
            let writers: Vec<_> =
                (0..8u8).map(|number| (number, scope.spawn(move || write(path, &vec![number; 300_000])))).collect();
            let ended = writers.into_iter().map(|(number, writer)| (number, writer.join().unwrap()));
            ended.filter(|(_, outcome)| outcome.is_ok()).map(|(number, _)| number).collect()
        })
    }

    #[test]
    fn concurrent_writers_leave_one_complete_file_only() {
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            let (package, key) = (directory.path().join("p.difypkg"), directory.path().join("k.pem"));
            assert_eq!(race(&package, write_whole).len(), 8);
            let winners = race(&key, write_secret);
            assert_eq!(winners.len(), 1, "a key is never overwritten");
            let assert_complete = |path: &Path| {
                let bytes = fs::read(path).unwrap();
                assert!(bytes.len() == 300_000 && bytes.iter().all(|byte| *byte == bytes[0]));
                bytes[0]
            };
            assert_complete(&package);
            assert_eq!(assert_complete(&key), winners[0]);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        }
    }
}
