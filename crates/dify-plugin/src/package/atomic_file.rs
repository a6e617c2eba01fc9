//! Writing what others will read: whole or not at all, and keys for their owner only.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::PackageError;

/// Writes a file whole: an existing one stays as it is until the new one is complete.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), PackageError> {
    write(path, bytes, 0o644, |temporary, path| fs::rename(temporary, path))
}

/// Writes a secret for its owner only; an existing file is not overwritten, also not by a second start at the same time.
pub fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), PackageError> {
    write(path, bytes, 0o600, |temporary, path| {
        fs::hard_link(temporary, path)?;
        fs::remove_file(temporary)
    })
    .map_err(|error| match error {
        PackageError::File { reason, .. } if reason.kind() == ErrorKind::AlreadyExists => {
            PackageError::Wrong(format!("{} exists already; a key is never overwritten", path.display()))
        }
        error => error,
    })
}

/// Writes a file beside its place, and has it `put` there.
fn write(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    put: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> Result<(), PackageError> {
    let failed = |error| PackageError::file(path, error);
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(directory).map_err(failed)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // Nobody else's, also not that of another thread or of a process that was killed.
    let temporary = directory.join(format!(".{name}.{}.part", uuid::Uuid::new_v4()));
    let written =
        fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
    written.and_then(|()| put(&temporary, path)).map_err(|error| {
        // What could not be finished is not left behind; failing to remove it changes nothing.
        let _ = fs::remove_file(&temporary);
        failed(error)
    })
}

/// Reads a file of at most `limit` bytes; a device or a pipe, which may never end, is refused.
pub fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, PackageError> {
    let about = fs::metadata(path).map_err(|error| PackageError::file(path, error))?;
    if !about.is_file() {
        return Err(PackageError::Wrong(format!("{} is not a regular file", path.display())));
    }
    if about.len() > limit {
        return Err(PackageError::Wrong(format!("{} has {} bytes, more than {limit}", path.display(), about.len())));
    }
    fs::read(path).map_err(|error| PackageError::file(path, error))
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    /// Eight writers of one file at the same time, each with content of its own; who of them succeeded.
    fn race(path: &Path, write: fn(&Path, &[u8]) -> Result<(), PackageError>) -> Vec<u8> {
        thread::scope(|scope| {
            let writers: Vec<_> =
                (0..8u8).map(|number| (number, scope.spawn(move || write(path, &vec![number; 300_000])))).collect();
            let ended = writers.into_iter().map(|(number, writer)| (number, writer.join().unwrap()));
            ended.filter(|(_, outcome)| outcome.is_ok()).map(|(number, _)| number).collect()
        })
    }

    #[test]
    fn writers_at_the_same_time_leave_one_whole_file_and_nothing_else() {
        for _ in 0..20 {
            let directory = tempfile::tempdir().unwrap();
            let (package, key) = (directory.path().join("p.difypkg"), directory.path().join("k.pem"));
            assert_eq!(race(&package, write_whole).len(), 8);
            let winners = race(&key, write_secret);
            assert_eq!(winners.len(), 1, "a key is never overwritten");
            let whole = |path: &Path| {
                let bytes = fs::read(path).unwrap();
                assert!(bytes.len() == 300_000 && bytes.iter().all(|byte| *byte == bytes[0]));
                bytes[0]
            };
            whole(&package);
            assert_eq!(whole(&key), winners[0]);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
        }
    }
}
