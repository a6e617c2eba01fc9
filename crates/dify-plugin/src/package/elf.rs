//! Checks in the ELF header of an executable that it is static and for the right CPU.

use super::{PackageError, Target};

/// Program header type of an interpreter, which means that the file needs a dynamic loader.
const INTERPRETER: u32 = 3;

/// Checks that the file is a static executable for the target.
pub fn check(file: &str, bytes: &[u8], target: Target) -> Result<(), PackageError> {
    let invalid =
        |what: String| PackageError::Wrong(format!("{file}: {what}; build it with `{}`", target.build_command()));
    if bytes.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(invalid("is not a 64-bit Linux executable".to_owned()));
    }
    let word = |at: usize| bytes.get(at..at + 2).map_or(0, |raw| u16::from_le_bytes([raw[0], raw[1]]));
    let machine = word(18);
    if machine != target.elf_machine() {
        let found = Target::ALL.iter().find(|other| other.elf_machine() == machine);
        let found = found.map_or_else(|| format!("machine {machine}"), |other| other.to_string());
        return Err(invalid(format!("is an executable for {found}, not for {target}")));
    }
    let table = bytes.get(32..40).and_then(|raw| raw.try_into().ok()).map_or(0, u64::from_le_bytes);
    let (size, count) = (u64::from(word(54)), u64::from(word(56)));
    for number in 0..count {
        let at = usize::try_from(table.saturating_add(number * size)).unwrap_or(usize::MAX);
        let header_type =
            bytes.get(at..at.saturating_add(4)).and_then(|raw| raw.try_into().ok()).map(u32::from_le_bytes);
        if header_type == Some(INTERPRETER) {
            return Err(invalid("is dynamically linked; a static executable is required".to_owned()));
        }
    }
    Ok(())
}
