//! What an archive says of itself, compared with what it is: where readers of archives could disagree, nothing is read.
//!
//! Dify reads a package with other code than this, and a signature covers contents only: a second entry of a name, a name
//! that differs from place to place or bytes beside the archive could mean one thing here and another thing there.
//!
//! The reader that unpacks keeps one entry of each name and shows one name of each entry, so another one looks at the
//! headers themselves.

use std::collections::BTreeSet;

use rawzip::{Error, ZipArchive};

use crate::declare::files::is_plain;

/// Most entries.
const MAX_ENTRIES: u64 = 10_000;

/// Longest name of an entry; file systems take no longer path than four times as much.
const MAX_NAME_BYTES: usize = 1024;

/// The names of an archive in the directory's order, or what is odd about it.
pub(super) fn names(bytes: &[u8]) -> Result<Vec<String>, String> {
    let damaged = |error: Error| error.to_string();
    let archive = ZipArchive::from_slice(bytes).map_err(damaged)?;
    if archive.end_offset() != bytes.len() as u64 {
        return Err("there are bytes behind its end".to_owned());
    }
    if archive.entries_hint() > MAX_ENTRIES {
        return Err(format!("it has {} entries, at most {MAX_ENTRIES} are read", archive.entries_hint()));
    }
    let (mut names, mut known, mut spans) = (Vec::new(), BTreeSet::new(), Vec::new());
    let mut entries = archive.entries();
    while let Some(entry) = entries.next_entry().map_err(damaged)? {
        if names.len() as u64 == MAX_ENTRIES {
            return Err(format!("at most {MAX_ENTRIES} entries are read"));
        }
        let name = legal_name(entry.file_path().as_bytes())?.to_owned();
        if !known.insert(name.clone()) {
            return Err(format!("`{name}` stands twice"));
        }
        let contents = archive.get_entry(entry.wayfinder()).map_err(damaged)?;
        if contents.local_header().file_path().as_bytes() != name.as_bytes() {
            return Err(format!("entry `{name}` has another name at its contents"));
        }
        spans.push((entry.local_header_offset(), contents.compressed_data_range().1));
        names.push(name);
    }
    let told = archive.entries_hint();
    if told != names.len() as u64 {
        return Err(format!("it tells of {told} entries and has {}", names.len()));
    }
    let is_directory = |name: &&String| {
        let inner = format!("{name}/");
        known.range(inner.clone()..).next().is_some_and(|next| next.starts_with(&inner))
    };
    if let Some(name) = known.iter().filter(|name| !name.ends_with('/')).find(is_directory) {
        return Err(format!("`{name}` is a file and a folder"));
    }
    spans.sort_unstable();
    if spans.first().is_some_and(|(from, _)| *from > 0) {
        return Err("there are bytes before its first entry".to_owned());
    }
    spans.push((archive.directory_offset(), archive.eocd_offset()));
    match spans.windows(2).any(|pair| pair[1].0 < pair[0].1) {
        true => Err("two of its entries overlap".to_owned()),
        false => Ok(names),
    }
}

/// A relative path that means the same everywhere and shows as what it is.
fn legal_name(name: &[u8]) -> Result<&str, String> {
    if name.len() > MAX_NAME_BYTES {
        return Err(format!("an entry has a name of {} bytes, more than {MAX_NAME_BYTES}", name.len()));
    }
    let name = std::str::from_utf8(name).map_err(|_| "an entry has a name that is not UTF-8".to_owned())?;
    let directory = name.strip_suffix('/').unwrap_or(name);
    if name.chars().any(char::is_control) {
        return Err(format!("entry `{}` has a control character in its name", name.escape_debug()));
    }
    if !is_plain(directory) {
        return Err(format!("entry `{name}` leads out of the package, or is no plain path"));
    }
    Ok(name)
}
