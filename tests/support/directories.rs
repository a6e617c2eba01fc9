//! Plugin directories for tests that change their files.

use std::path::Path;

use tempfile::TempDir;

/// Creates a plugin directory with Xinference as its only provider.
pub fn one_provider() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for path in [
        "provider/xinference.yaml",
        "provider/_shared.yaml",
        "_assets/icon.svg",
        "_assets/xinference-small.svg",
        "_assets/xinference-large.svg",
    ] {
        let target = directory.path().join(path);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(root.join(path), target).unwrap();
    }
    let manifest = std::fs::read_to_string(root.join("manifest.yaml")).unwrap();
    let other = |line: &&str| line.trim().starts_with("- provider/") && !line.contains("xinference");
    let only: Vec<&str> = manifest.lines().filter(|line| !other(line)).collect();
    std::fs::write(directory.path().join("manifest.yaml"), only.join("\n")).unwrap();
    directory
}
