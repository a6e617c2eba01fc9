//! Reads a package that anyone may have made: every size is limited, nothing is extracted, odd entries are named.

use std::collections::BTreeSet;
use std::io::{Cursor, Read};
use std::path::Path;

use serde_json::Value;
use zip::ZipArchive;

use super::{PackageError, archive, archive_check, atomic_file};
use crate::declare::{Manifest, yaml};

/// Largest file that is opened.
const MAX_FILE_BYTES: u64 = 256 * 1024 * 1024;

/// Most bytes that are unpacked in all.
const MAX_UNPACKED_BYTES: u64 = 256 * 1024 * 1024;

/// Largest manifest: YAML that nests takes longer than it is long.
const MAX_MANIFEST_BYTES: usize = 64 * 1024;

/// The part of a Unix mode that tells what a file is, and the kinds that are known.
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

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
    read_bytes(atomic_file::read_limited(path, MAX_FILE_BYTES)?).map_err(|error| match error {
        PackageError::Wrong(reason) => PackageError::Archive { path: path.display().to_string(), reason },
        other => other,
    })
}

/// Reads a package from memory.
pub fn read_bytes(bytes: Vec<u8>) -> Result<Contents, PackageError> {
    let wrong = |text: String| PackageError::Wrong(text);
    let packed = bytes.len();
    // Before the reader that unpacks, which takes longer over long names than they are.
    let names = archive_check::names(&bytes).map_err(wrong)?;
    let mut archive = ZipArchive::new(Cursor::new(bytes.as_slice())).map_err(|error| wrong(error.to_string()))?;
    // The reader goes by names of its own where an entry brings two.
    if archive.file_names().ne(names.iter().map(String::as_str)) {
        return Err(wrong("an entry has two names".to_owned()));
    }
    let comment = Some(String::from_utf8_lossy(archive.comment()).into_owned()).filter(|comment| !comment.is_empty());
    let mut contents = Contents { entries: Vec::new(), comment, warnings: Vec::new(), packed };
    let mut room = MAX_UNPACKED_BYTES;
    let mut seen = BTreeSet::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).map_err(|error| wrong(format!("entry {index}: {error}")))?;
        let path = file.name().to_owned();
        match file.unix_mode().unwrap_or_default() & KIND {
            0 => {}
            REGULAR if file.is_file() => {}
            FOLDER if file.is_dir() => {}
            LINK => return Err(wrong(format!("entry `{path}` is a link"))),
            _ => return Err(wrong(format!("entry `{path}` is not a regular file"))),
        }
        if file.is_dir() {
            contents.warnings.push(format!("`{path}` is a directory entry: Dify cannot compute the checksum"));
            continue;
        }
        let mut bytes = Vec::new();
        let told = file.size();
        (&mut file)
            .take(room + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| wrong(format!("entry `{path}`: {error}")))?;
        room = room
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| wrong(format!("it unpacks to more than {MAX_UNPACKED_BYTES} bytes")))?;
        if bytes.len() as u64 != told {
            return Err(wrong(format!("entry `{path}` has {} bytes and tells of {told}", bytes.len())));
        }
        if !seen.insert(path.to_lowercase()) {
            contents.warnings.push(format!("`{path}` is there in another case too: some systems keep one of both"));
        }
        if path.split('/').any(is_reserved) {
            contents.warnings.push(format!("`{path}` cannot be a file on Windows"));
        }
        contents.entries.push(Entry { path, bytes });
    }
    Ok(contents)
}

/// Whether Windows keeps this name for a device.
fn is_reserved(part: &str) -> bool {
    let name = part.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = |device| name.strip_prefix(device).is_some_and(|rest| matches!(rest.as_bytes(), [b'1'..=b'9']));
    matches!(name.as_str(), "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
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
        let text =
            self.file("manifest.yaml").ok_or_else(|| PackageError::Wrong("it has no manifest.yaml".to_owned()))?;
        if text.len() > MAX_MANIFEST_BYTES {
            return Err(PackageError::Wrong(format!("its manifest.yaml is larger than {MAX_MANIFEST_BYTES} bytes")));
        }
        match yaml::parse(&String::from_utf8_lossy(text)) {
            Ok(Value::Object(map)) => Ok(Manifest(map)),
            Ok(_) => Err(PackageError::Wrong("its manifest.yaml is not an object".to_owned())),
            Err(error) => Err(PackageError::Wrong(format!("its manifest.yaml {error}"))),
        }
    }
}
