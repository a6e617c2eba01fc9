//! The files of a plugin directory. The directory may come from anyone: files outside of it are not read, whatever a
//! declaration or a link contains; neither are special files, nor files larger than their type needs.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Whether a path stays inside the directory on every platform and as displayed: relative, with plain components.
pub fn is_plain(path: &str) -> bool {
    // A colon follows a drive letter, or precedes a stream of a file.
    !path.contains(['\\', ':'])
        && !path.chars().any(char::is_control)
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// Resolves a file of a directory; an error says why it is not in the directory.
pub fn find(directory: &Path, path: &str) -> Result<PathBuf, String> {
    if !is_plain(path) {
        return Err("must be a path inside the package".to_owned());
    }
    let file = directory.join(path);
    let unreadable = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    let real = fs::canonicalize(&file).map_err(unreadable)?;
    if !fs::canonicalize(directory).is_ok_and(|directory| real.starts_with(directory)) {
        return Err("must be a path inside the package; it is a link that leads out".to_owned());
    }
    // A pipe would block, a device might never end.
    if !fs::metadata(&real).map_err(unreadable)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    Ok(file)
}

/// Reads a file of a directory that has at most `largest` bytes.
pub fn read(directory: &Path, path: &str, largest: u64) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let file = File::open(find(directory, path)?).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(largest + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > largest {
        return Err(format!("is larger than {largest} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_plain_relative_paths() {
        for (path, plain) in [
            ("a", true),
            ("_assets/icon.svg", true),
            ("a/..b/c.", true),
            ("", false),
            ("/etc/passwd", false),
            ("..", false),
            ("../a", false),
            ("a/../../b", false),
            ("a/./b", false),
            ("./a", false),
            ("a//b", false),
            ("a/", false),
            ("a\\..\\b", false),
            ("C:/a", false),
            ("a\nb", false),
            ("a\0", false),
        ] {
            assert_eq!(is_plain(path), plain, "{path:?}");
        }
    }

    #[test]
    fn rejects_links_to_the_outside_and_special_files() {
        use std::os::unix::fs::symlink;
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        let directory = tempfile::tempdir().unwrap();
        let inside = |name: &str| directory.path().join(name);
        fs::write(inside("a"), "abc").unwrap();
        symlink(inside("a"), inside("near")).unwrap();
        symlink(outside.path().join("secret"), inside("far")).unwrap();
        symlink(outside.path(), inside("nested")).unwrap();
        symlink("/dev/zero", inside("device")).unwrap();
        symlink("nowhere", inside("broken")).unwrap();
        symlink("loop", inside("loop")).unwrap();
        for (path, expected) in [
            ("a", None),
            ("near", None),
            ("far", Some("leads out")),
            ("nested/secret", Some("leads out")),
            ("device", Some("leads out")),
            ("broken", Some("does not exist")),
            ("loop", Some("cannot be read")),
            ("../a", Some("inside the package")),
            ("b", Some("does not exist")),
        ] {
            let read = read(directory.path(), path, 3);
            assert_eq!(read.clone().err().is_some(), expected.is_some(), "{path}: {read:?}");
            assert!(expected.is_none_or(|expected| read.clone().unwrap_err().contains(expected)), "{path}: {read:?}");
        }
        assert!(read(directory.path(), "a", 2).unwrap_err().contains("larger than 2 bytes"));
        let fifo = inside("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert!(read(directory.path(), "fifo", 3).unwrap_err().contains("not a regular file"));
    }
}
