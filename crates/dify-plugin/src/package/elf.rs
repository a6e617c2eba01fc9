//! Checks of an executable that it is static, for the right CPU, and without what only authors need.

use super::{PackageError, Target};

/// Program header type of an interpreter, which means that the file needs a dynamic loader.
const INTERPRETER: u32 = 3;

/// What an executable with the workbench contains, backwards: an executable with this code must not contain it, too.
const WORKBENCH_BACKWARDS: &[u8] = b"egakcap on ni si tahw dna hcnebkrow-nigulp-yfid";

/// Checks that the file is a static executable for the target, and holds no workbench.
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
    let workbench: Vec<u8> = WORKBENCH_BACKWARDS.iter().rev().copied().collect();
    if memchr::memmem::find(bytes, &workbench).is_some() {
        return Err(invalid("contains the workbench, which is for authors only".to_owned()));
    }
    Ok(())
}
