//! Reads a package that anyone may have made: every size is limited, nothing is extracted, odd entries are named.

use std::collections::BTreeSet;
use std::io::{Cursor, Read};
use std::path::Path;

use serde_json::Value;
use zip::ZipArchive;

use super::{PackageError, archive, output};
use crate::declare::Manifest;

/// Largest file that is opened.
const LARGEST_FILE: u64 = 256 * 1024 * 1024;

/// Most bytes that are unpacked in all.
const MOST_UNPACKED: u64 = 256 * 1024 * 1024;

/// Most entries.
const MOST_ENTRIES: usize = 10_000;

/// One file of a package.
pub struct Entry {
    /// Its path.
    pub path: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// A package that was read.
pub struct Contents {
    /// Its files, in the archive's order.
    pub entries: Vec<Entry>,
    /// The archive's comment: the signature, when there is one.
    pub comment: Option<String>,
    /// What Dify would stumble over.
    pub warnings: Vec<String>,
    /// Bytes of the file.
    pub packed: usize,
}

/// Reads a package whole.
pub fn read(path: &Path) -> Result<Contents, PackageError> {
    read_bytes(output::read_limited(path, LARGEST_FILE)?).map_err(|error| match error {
        PackageError::Wrong(reason) => PackageError::Archive { path: path.display().to_string(), reason },
        other => other,
    })
}

/// Reads a package from memory.
pub fn read_bytes(bytes: Vec<u8>) -> Result<Contents, PackageError> {
    let wrong = |text: String| PackageError::Wrong(text);
    let packed = bytes.len();
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| wrong(error.to_string()))?;
    if archive.len() > MOST_ENTRIES {
        return Err(wrong(format!("it has {} entries, at most {MOST_ENTRIES} are read", archive.len())));
    }
    let comment = Some(String::from_utf8_lossy(archive.comment()).into_owned()).filter(|comment| !comment.is_empty());
    let mut contents = Contents { entries: Vec::new(), comment, warnings: Vec::new(), packed };
    let mut room = MOST_UNPACKED;
    let mut seen = BTreeSet::new();
    for index in 0..archive.len() {
        let file = archive.by_index(index).map_err(|error| wrong(format!("entry {index}: {error}")))?;
        let path = file.name().to_owned();
        if file.enclosed_name().is_none() || path.contains('\\') || path.starts_with('/') {
            return Err(wrong(format!("entry `{}` leads out of the package", path.escape_debug())));
        }
        if file.is_symlink() {
            return Err(wrong(format!("entry `{path}` is a link")));
        }
        if file.is_dir() {
            contents.warnings.push(format!("`{path}` is a directory entry: Dify cannot compute the checksum"));
            continue;
        }
        let mut bytes = Vec::new();
        file.take(room + 1).read_to_end(&mut bytes).map_err(|error| wrong(format!("entry `{path}`: {error}")))?;
        room = room
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| wrong(format!("it unpacks to more than {MOST_UNPACKED} bytes")))?;
        if !seen.insert(path.clone()) {
            contents.warnings.push(format!("`{path}` stands twice"));
        }
        contents.entries.push(Entry { path, bytes });
    }
    Ok(contents)
}

impl Contents {
    /// A file by its path.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.entries.iter().find(|entry| entry.path == path).map(|entry| entry.bytes.as_slice())
    }

    /// Dify's checksum.
    pub fn checksum(&self) -> String {
        archive::checksum(self.entries.iter().map(|entry| (entry.path.as_str(), entry.bytes.as_slice())))
    }

    /// Bytes of all files, unpacked.
    pub fn unpacked(&self) -> usize {
        self.entries.iter().map(|entry| entry.bytes.len()).sum()
    }

    /// The manifest.
    pub fn manifest(&self) -> Result<Manifest, PackageError> {
        let yaml =
            self.file("manifest.yaml").ok_or_else(|| PackageError::Wrong("it has no manifest.yaml".to_owned()))?;
        match serde_yaml::from_slice(yaml) {
            Ok(Value::Object(map)) => Ok(Manifest(map)),
            Ok(_) => Err(PackageError::Wrong("its manifest.yaml is not an object".to_owned())),
            Err(error) => Err(PackageError::Wrong(format!("its manifest.yaml is not YAML: {error}"))),
        }
    }
}
