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
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(failed)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let temporary = folder.join(format!(".{name}.{}.part", std::process::id()));
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
