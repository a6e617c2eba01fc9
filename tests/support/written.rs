//! Plugin directories that a test writes file by file, with changes.

use tempfile::TempDir;

/// Creates a directory with these files. A change is a file, a text in it, and the replacement of its first occurrence.
pub fn directory(files: &[(&str, &str)], changes: &[(&str, &str, &str)]) -> TempDir {
    let directory = TempDir::new().unwrap();
    for (path, text) in files {
        let mut text = (*text).to_owned();
        for (_, from, to) in changes.iter().filter(|(file, ..)| file == path) {
            assert!(text.contains(from), "{path} has no `{from}`");
            text = text.replacen(from, to, 1);
        }
        let file = directory.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    directory
}
