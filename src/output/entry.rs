//! One entry of the index as bytes.
//!
//! 32 bytes, little endian: CRC-32 of the rest (4), generation (4), time in milliseconds since the epoch (8), offset in
//! the log (8), length (4), stream (1), format (1), two magic bytes. Entries lie at multiples of their size, so one that
//! is damaged hides no other.

use serde::{Deserialize, Serialize};

/// Size of an entry.
pub const ENTRY_BYTES: usize = 32;

const CRC_BYTES: usize = 4;
const FORMAT: u8 = 1;
const MAGIC: [u8; 2] = *b"oX";

/// Who wrote some bytes of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// The agent's standard output.
    Stdout,
    /// The agent's standard error.
    Stderr,
    /// A line of ours.
    Meta,
    /// Nobody knows: the worker died between writing the bytes and their entry, or the entry is damaged. Never in a file.
    Unknown,
}

/// A run of bytes of one stream of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The attempt's generation.
    pub generation: u32,
    /// Who wrote them.
    pub stream: Stream,
    /// When the first of them came, milliseconds since the epoch.
    pub time_ms: i64,
    /// Where they begin in the log.
    pub offset: u64,
    /// How many there are.
    pub length: u32,
}

impl Entry {
    /// The first byte behind them.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset.saturating_add(self.length as u64)
    }

    /// The entry's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[4..8].copy_from_slice(&self.generation.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.time_ms.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.offset.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.length.to_le_bytes());
        bytes[28] = match self.stream {
            Stream::Stdout => 1,
            Stream::Stderr => 2,
            Stream::Meta => 3,
            Stream::Unknown => 0,
        };
        bytes[29] = FORMAT;
        bytes[30..].copy_from_slice(&MAGIC);
        let crc = crate::crc::crc32(&bytes[CRC_BYTES..]);
        bytes[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The entry in these bytes; `None` when they hold none. Total.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ENTRY_BYTES] = bytes.try_into().ok()?;
        let crc = u32::from_le_bytes(bytes[..CRC_BYTES].try_into().ok()?);
        if bytes[30..] != MAGIC
            || bytes[29] != FORMAT
            || crc != crate::crc::crc32(&bytes[CRC_BYTES..])
        {
            return None;
        }
        let stream = match bytes[28] {
            1 => Stream::Stdout,
            2 => Stream::Stderr,
            3 => Stream::Meta,
            _ => return None,
        };
        Some(Self {
            generation: u32::from_le_bytes(bytes[4..8].try_into().ok()?),
            stream,
            time_ms: i64::from_le_bytes(bytes[8..16].try_into().ok()?),
            offset: u64::from_le_bytes(bytes[16..24].try_into().ok()?),
            length: u32::from_le_bytes(bytes[24..28].try_into().ok()?),
        })
    }
}
