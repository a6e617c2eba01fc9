//! Reads untrusted packages into memory: sizes are limited, nothing is extracted to disk, and invalid entries are
//! reported.

use std::collections::BTreeSet;
use std::io::{Cursor, Read};
use std::path::Path;

use serde_json::Value;
use zip::ZipArchive;

use super::{PackageError, archive, archive_check};
use crate::atomic_file;
use crate::declare::{Manifest, yaml};

/// Maximum size of a package file in bytes.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// Maximum total size of the unpacked files in bytes.
const MAX_UNPACKED_BYTES: u64 = 256 * 1024 * 1024;

/// Maximum size of the manifest in bytes, because parsing nested YAML is not linear.
const MAX_MANIFEST_BYTES: usize = 64 * 1024;

/// Mask of the file type in a Unix mode, and the known types.
const FILE_TYPE: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

/// One file of a package.
pub struct Entry {
    /// Path in the package.
    pub path: String,
    /// Contents.
    pub bytes: Vec<u8>,
}

/// A package that was read.
pub struct Contents {
    /// Files, in the archive's order.
    pub entries: Vec<Entry>,
    /// Archive comment, which contains the signature of a signed package.
    pub comment: Option<String>,
    /// Problems that Dify may have with this package.
    pub warnings: Vec<String>,
    /// Size of the package file in bytes.
    pub packed: usize,
}

/// Reads a package file.
pub fn read(path: &Path) -> Result<Contents, PackageError> {
    read_bytes(atomic_file::read_limited(path, MAX_FILE_BYTES)?).map_err(|error| match error {
        PackageError::Wrong(reason) => PackageError::Archive { path: path.display().to_string(), reason },
        other => other,
    })
}

/// Reads a package from memory.
pub fn read_bytes(bytes: Vec<u8>) -> Result<Contents, PackageError> {
    let wrong = |text: String| PackageError::Wrong(text);
    let packed = bytes.len();
    // Checked first, because the reader that unpacks does not process long names in linear time.
    let names = archive_check::names(&bytes).map_err(wrong)?;
    let mut archive = ZipArchive::new(Cursor::new(bytes.as_slice())).map_err(|error| wrong(error.to_string()))?;
    // The reader prefers the Unicode name if an entry has two.
    let is_same = archive.len() == names.len()
        && archive.file_names().zip(&names).all(|(read, name)| read.is_ok_and(|read| read == name.as_str()));
    if !is_same {
        return Err(wrong("an entry has two different names".to_owned()));
    }
    let comment = Some(String::from_utf8_lossy(archive.comment()).into_owned()).filter(|comment| !comment.is_empty());
    let mut contents = Contents { entries: Vec::new(), comment, warnings: Vec::new(), packed };
    let mut room = MAX_UNPACKED_BYTES;
    let mut seen = BTreeSet::new();
    for (index, path) in names.into_iter().enumerate() {
        let mut file = archive.by_index(index).map_err(|error| wrong(format!("entry {index}: {error}")))?;
        match file.unix_mode().unwrap_or_default() & FILE_TYPE {
            0 => {}
            REGULAR if file.is_file() => {}
            DIRECTORY if file.is_dir() => {}
            LINK => return Err(wrong(format!("entry `{path}` is a symbolic link"))),
            _ => return Err(wrong(format!("entry `{path}` is not a regular file"))),
        }
        if file.is_dir() {
            contents.warnings.push(format!("`{path}` is a directory entry; Dify cannot compute its checksum"));
            continue;
        }
        let mut bytes = Vec::new();
        let declared = file.size();
        (&mut file)
            .take(room + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| wrong(format!("entry `{path}`: {error}")))?;
        room = room
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| wrong(format!("the unpacked size exceeds {MAX_UNPACKED_BYTES} bytes")))?;
        if bytes.len() as u64 != declared {
            return Err(wrong(format!("entry `{path}` has {} bytes but declares {declared}", bytes.len())));
        }
        if !seen.insert(path.to_lowercase()) {
            contents.warnings.push(format!(
                "`{path}` differs from another entry only in case; some file systems keep only one of them"
            ));
        }
        if path.split('/').any(is_reserved) {
            contents.warnings.push(format!("`{path}` is not a valid file name on Windows"));
        }
        contents.entries.push(Entry { path, bytes });
    }
    Ok(contents)
}

/// Whether Windows reserves this name for a device.
fn is_reserved(part: &str) -> bool {
    let name = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = |device| name.strip_prefix(device).is_some_and(|rest| matches!(rest.as_bytes(), [b'1'..=b'9']));
    matches!(name.as_str(), "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

impl Contents {
    /// Returns a file by its path.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        self.entries.iter().find(|entry| entry.path == path).map(|entry| entry.bytes.as_slice())
    }

    /// Returns Dify's checksum.
    pub fn checksum(&self) -> String {
        archive::checksum(self.entries.iter().map(|entry| (entry.path.as_str(), entry.bytes.as_slice())))
    }

    /// Returns the total size of all unpacked files in bytes.
    pub fn unpacked(&self) -> usize {
        self.entries.iter().map(|entry| entry.bytes.len()).sum()
    }

    /// Parses the manifest.
    pub fn manifest(&self) -> Result<Manifest, PackageError> {
        let text =
            self.file("manifest.yaml").ok_or_else(|| PackageError::Wrong("manifest.yaml is missing".to_owned()))?;
        if text.len() > MAX_MANIFEST_BYTES {
            return Err(PackageError::Wrong(format!("manifest.yaml is larger than {MAX_MANIFEST_BYTES} bytes")));
        }
        match yaml::parse(&String::from_utf8_lossy(text)) {
            Ok(Value::Object(map)) => Ok(Manifest(map)),
            Ok(_) => Err(PackageError::Wrong("manifest.yaml is not an object".to_owned())),
            Err(error) => Err(PackageError::Wrong(format!("manifest.yaml {error}"))),
        }
    }
}
