//! Files with the header of an executable, which nothing can run.

/// Returns a file with the header of an executable; `machine` is 62 for x86-64 and 183 for ARM64.
pub fn elf(machine: u16, interpreter: bool) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    file[18..20].copy_from_slice(&machine.to_le_bytes());
    file[32..40].copy_from_slice(&64u64.to_le_bytes());
    file[54..56].copy_from_slice(&56u16.to_le_bytes());
    file[56..58].copy_from_slice(&1u16.to_le_bytes());
    file.extend_from_slice(&(if interpreter { 3u32 } else { 1 }).to_le_bytes());
    file.resize(4096, 0);
    file
}
