//! Rejects ambiguous archives, which different ZIP readers could interpret differently.
//!
//! Dify reads packages with other code than this runtime, and a signature covers the contents only. Duplicate entries,
//! names that differ between headers, or extra bytes could therefore have a different meaning in Dify.
//!
//! The ZIP reader that unpacks packages hides duplicate entries and names, so this module uses another reader that
//! exposes the headers.

use std::collections::BTreeSet;

use rawzip::{Error, ZipArchive};

use crate::declare::files::is_plain;

/// Maximum number of entries.
const MAX_ENTRIES: u64 = 10_000;

/// Maximum length of an entry name in bytes, a quarter of the path limit of file systems.
const MAX_NAME_BYTES: usize = 1024;

/// Returns the entry names in central-directory order, or the reason why the archive is ambiguous.
pub(super) fn names(bytes: &[u8]) -> Result<Vec<String>, String> {
    let malformed = |error: Error| error.to_string();
    let archive = ZipArchive::from_slice(bytes).map_err(malformed)?;
    if archive.end_offset() != bytes.len() as u64 {
        return Err("unexpected data after the end of the archive".to_owned());
    }
    if archive.entries_hint() > MAX_ENTRIES {
        return Err(format!("too many entries: {} (at most {MAX_ENTRIES} are supported)", archive.entries_hint()));
    }
    let (mut names, mut known, mut spans) = (Vec::new(), BTreeSet::new(), Vec::new());
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry().map_err(malformed)? {
        if names.len() as u64 == MAX_ENTRIES {
            return Err(format!("too many entries (at most {MAX_ENTRIES} are supported)"));
        }
        let name = valid_name(entry.file_path().as_bytes())?.to_owned();
        if !known.insert(name.clone()) {
            return Err(format!("duplicate entry `{name}`"));
        }
        let contents = archive.get_entry(entry.wayfinder()).map_err(malformed)?;
        if contents.local_header().file_path().as_bytes() != name.as_bytes() {
            return Err(format!("entry `{name}` has a different name in its local header"));
        }
        spans.push((entry.local_header_offset(), contents.compressed_data_range().1));
        names.push(name);
    }
    let declared = archive.entries_hint();
    if declared != names.len() as u64 {
        return Err(format!("the archive declares {declared} entries but contains {}", names.len()));
    }
    let is_directory = |name: &&String| {
        let inner = format!("{name}/");
        known.range(inner.clone()..).next().is_some_and(|next| next.starts_with(&inner))
    };
    if let Some(name) = known.iter().filter(|name| !name.ends_with('/')).find(is_directory) {
        return Err(format!("`{name}` is both a file and a directory"));
    }
    spans.sort_unstable();
    if spans.first().is_some_and(|(from, _)| *from > 0) {
        return Err("unexpected data before the first entry".to_owned());
    }
    spans.push((archive.directory_offset(), archive.eocd_offset()));
    match spans.windows(2).any(|pair| pair[1].0 < pair[0].1) {
        true => Err("two entries overlap".to_owned()),
        false => Ok(names),
    }
}

/// Checks that a name is a plain relative path without control characters.
fn valid_name(name: &[u8]) -> Result<&str, String> {
    if name.len() > MAX_NAME_BYTES {
        return Err(format!("the name of an entry has {} bytes (at most {MAX_NAME_BYTES} are supported)", name.len()));
    }
    let name = std::str::from_utf8(name).map_err(|_| "the name of an entry is not valid UTF-8".to_owned())?;
    let directory = name.strip_suffix('/').unwrap_or(name);
    if name.chars().any(char::is_control) {
        return Err(format!("the name of entry `{}` contains a control character", name.escape_debug()));
    }
    if !is_plain(directory) {
        return Err(format!("entry `{name}` is not a plain relative path inside the package"));
    }
    Ok(name)
}
