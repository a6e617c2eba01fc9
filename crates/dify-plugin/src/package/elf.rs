//! Is this file the right executable? Reads an ELF header, no more: right CPU, and static.

use super::{PackageError, Target};

/// Program header type of an interpreter: the file needs a loader of the system.
const INTERPRETER: u32 = 3;

/// Refuses what would not start on the target, and says which it is.
pub fn check(file: &str, bytes: &[u8], target: Target) -> Result<(), PackageError> {
    let wrong =
        |what: String| PackageError::Wrong(format!("{file}: {what}; build it with `{}`", target.build_command()));
    if bytes.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(wrong("is not a 64-bit Linux executable".to_owned()));
    }
    let word = |at: usize| bytes.get(at..at + 2).map_or(0, |raw| u16::from_le_bytes([raw[0], raw[1]]));
    let machine = word(18);
    if machine != target.elf_machine() {
        let found = Target::ALL.iter().find(|other| other.elf_machine() == machine);
        let found = found.map_or_else(|| format!("machine {machine}"), |other| other.to_string());
        return Err(wrong(format!("is an executable for {found}, not for {target}")));
    }
    let table = bytes.get(32..40).and_then(|raw| raw.try_into().ok()).map_or(0, u64::from_le_bytes);
    let (size, count) = (u64::from(word(54)), u64::from(word(56)));
    for number in 0..count {
        let at = usize::try_from(table.saturating_add(number * size)).unwrap_or(usize::MAX);
        let kind = bytes.get(at..at.saturating_add(4)).and_then(|raw| raw.try_into().ok()).map(u32::from_le_bytes);
        if kind == Some(INTERPRETER) {
            return Err(wrong("is linked dynamically and would not start everywhere".to_owned()));
        }
    }
    Ok(())
}
