//! Writes ZIP archives byte by byte, so that any part of them can be inconsistent.

/// An entry whose headers can differ from its contents.
#[derive(Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    pub local_name: Option<Vec<u8>>,
    pub data: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    pub crc: u32,
    pub packed: u32,
    pub unpacked: u32,
    /// Unix mode.
    pub mode: u32,
    /// Offset of the entry in the central directory.
    pub offset: Option<u32>,
    pub extra: Vec<u8>,
}

/// Creates a stored file.
pub fn entry(name: impl AsRef<[u8]>, data: &[u8]) -> Entry {
    let size = u32::try_from(data.len()).unwrap();
    Entry {
        name: name.as_ref().to_vec(),
        local_name: None,
        data: data.to_vec(),
        method: 0,
        flags: 0x800,
        crc: crc(data),
        packed: size,
        unpacked: size,
        mode: 0o100_644,
        offset: None,
        extra: Vec::new(),
    }
}

/// Returns the CRC-32 checksum of an entry.
pub fn crc(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1)))
    })
}

/// An archive, and what its end says of it.
pub struct Archive {
    pub entries: Vec<Entry>,
    pub before: Vec<u8>,
    pub after: Vec<u8>,
    pub comment: Vec<u8>,
    pub comment_length: Option<u16>,
    pub count: Option<u16>,
    pub directory_start: Option<u32>,
    pub directory_size: Option<u32>,
}

/// An archive that does not lie.
pub fn archive(entries: Vec<Entry>) -> Archive {
    Archive {
        entries,
        before: Vec::new(),
        after: Vec::new(),
        comment: Vec::new(),
        comment_length: None,
        count: None,
        directory_start: None,
        directory_size: None,
    }
}

fn push(out: &mut Vec<u8>, numbers: &[(u32, usize)]) {
    for (number, bytes) in numbers {
        out.extend_from_slice(&number.to_le_bytes()[..*bytes]);
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

impl Archive {
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.before.clone();
        let mut directory = Vec::new();
        for entry in &self.entries {
            let offset = entry.offset.unwrap_or(length(&out));
            let local_name = entry.local_name.as_ref().unwrap_or(&entry.name);
            let common = [
                (u32::from(entry.flags), 2),
                (u32::from(entry.method), 2),
                (0, 2),
                (0x21, 2),
                (entry.crc, 4),
                (entry.packed, 4),
                (entry.unpacked, 4),
            ];
            push(&mut out, &[(0x0403_4b50, 4), (20, 2)]);
            push(&mut out, &common);
            push(&mut out, &[(length(local_name), 2), (0, 2)]);
            out.extend_from_slice(local_name);
            out.extend_from_slice(&entry.data);
            push(&mut directory, &[(0x0201_4b50, 4), (0x0314, 2), (20, 2)]);
            push(&mut directory, &common);
            push(&mut directory, &[(length(&entry.name), 2), (length(&entry.extra), 2), (0, 2), (0, 2), (0, 2)]);
            push(&mut directory, &[(entry.mode << 16, 4), (offset, 4)]);
            directory.extend_from_slice(&entry.name);
            directory.extend_from_slice(&entry.extra);
        }
        let start = self.directory_start.unwrap_or(length(&out));
        let size = self.directory_size.unwrap_or(length(&directory));
        let count = u32::from(self.count.unwrap_or(u16::try_from(self.entries.len()).unwrap()));
        out.extend_from_slice(&directory);
        push(&mut out, &[(0x0605_4b50, 4), (0, 2), (0, 2), (count, 2), (count, 2), (size, 4), (start, 4)]);
        push(&mut out, &[(self.comment_length.map_or(length(&self.comment), u32::from), 2)]);
        out.extend_from_slice(&self.comment);
        out.extend_from_slice(&self.after);
        out
    }
}
