//! The attempt's record as bytes: four sectors of 512 bytes and a report of 2 KiB in one preallocated file, each with a
//! checksum of its own.
//!
//! `header` (daemon, at creation), `started` (worker, before the spawn; once more with the agent's pid), `beat` (worker,
//! every few seconds, never synced) and `exit` (worker at the end, or whoever closes the attempt under its lock). A sector
//! is written whole, so a torn write is a bad checksum and never half a truth. All zeros is "not written".
//!
//! `report` (worker, before `exit`; synced together with it) is what an agent said about its run. It is longer than what a
//! disk writes at once: torn, it is unreadable, and the outcome in `exit` stands without it. While the agent runs it holds
//! what concerns its account, as a hint that is never synced.
//!
//! A written sector, little endian: CRC-32 of all that follows (4 bytes), format (1), number of the sector (1), length of
//! the payload (2), the payload as JSON, zeros. The number makes a sector that landed at another's place unreadable.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::task::{AttemptId, Outcome, Report, Timestamp};

/// One sector: what a disk writes at once.
pub const SECTOR_BYTES: usize = 512;
/// The whole file: one block.
pub const RECORD_BYTES: usize = 4096;

/// Checksum, format, number, length.
const PREFIX_BYTES: usize = 8;
const CRC_BYTES: usize = 4;
/// Version of the layout described above.
const FORMAT: u8 = 1;

/// Where each sector lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sector {
    /// Offset 0.
    Header,
    /// Offset 512.
    Started,
    /// Offset 1024.
    Beat,
    /// Offset 1536.
    Exit,
    /// Offset 2048, to the end of the file.
    Report,
}

impl Sector {
    /// The sector's number, from 0.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Header => 0,
            Self::Started => 1,
            Self::Beat => 2,
            Self::Exit => 3,
            Self::Report => 4,
        }
    }

    /// How long it is.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Header | Self::Started | Self::Beat | Self::Exit => SECTOR_BYTES,
            Self::Report => RECORD_BYTES - self.offset(),
        }
    }

    /// Longest payload.
    #[must_use]
    pub const fn payload_bytes(self) -> usize {
        self.bytes() - PREFIX_BYTES
    }

    /// Where it begins in the file.
    #[must_use]
    pub const fn offset(self) -> usize {
        self.number() as usize * SECTOR_BYTES
    }
}

/// Written by the daemon when it creates the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Which attempt.
    pub attempt: AttemptId,
    /// The boot in which the file was created.
    pub boot_id: String,
    /// Protocol version of the daemon that created it.
    pub version: u32,
}

/// A process that cannot be mistaken for another one of the same boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessStamp {
    /// Its pid.
    pub pid: i32,
    /// Clock ticks after boot (`/proc/PID/stat`, field 22).
    pub start_ticks: u64,
}

/// Written and synced by the worker before it spawns the agent; once more, unsynced, with the agent's stamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The boot.
    pub boot_id: String,
    /// The worker.
    pub worker: ProcessStamp,
    /// The agent, once spawned.
    pub agent: Option<ProcessStamp>,
    /// When.
    pub started_at: Timestamp,
}

/// The worker's proof of life. The first one is due one interval after the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// `CLOCK_MONOTONIC` of this boot, milliseconds.
    pub monotonic_ms: u64,
    /// Bytes of output seen so far.
    pub output_bytes: u64,
}

/// How the attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The outcome.
    pub outcome: Outcome,
    /// When.
    pub ended_at: Timestamp,
    /// Bytes of output seen.
    pub output_bytes: u64,
}

/// One sector as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read<T> {
    /// All zeros.
    Blank,
    /// A value with a good checksum.
    Value(T),
    /// Anything else.
    Damaged,
}

impl<T> Read<T> {
    /// The value, when there is one.
    #[must_use]
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Blank | Self::Damaged => None,
        }
    }
}

/// The whole record as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The header.
    pub header: Read<Header>,
    /// The start.
    pub started: Read<Started>,
    /// The last proof of life.
    pub beat: Read<Beat>,
    /// The end.
    pub exit: Read<Exit>,
    /// What an agent said about its run.
    pub report: Read<Report>,
}

/// What a sector can hold.
pub trait SectorValue: Serialize + DeserializeOwned {
    /// Where it lies.
    const SECTOR: Sector;

    /// The same truth in fewer bytes, for a value that does not fit; `None` when nothing can be left out.
    #[must_use]
    fn shortened(&self) -> Option<Self> {
        None
    }
}

impl SectorValue for Header {
    const SECTOR: Sector = Sector::Header;
}

impl SectorValue for Started {
    const SECTOR: Sector = Sector::Started;
}

impl SectorValue for Beat {
    const SECTOR: Sector = Sector::Beat;
}

impl SectorValue for Exit {
    const SECTOR: Sector = Sector::Exit;

    /// An outcome always fits: only the words for a person can be long (JSON writes a control character in six bytes).
    fn shortened(&self) -> Option<Self> {
        let detail = &self.outcome.detail;
        if detail.is_empty() {
            return None;
        }
        let half = detail.floor_char_boundary(detail.len() / 2);
        let mut shorter = self.clone();
        shorter.outcome.detail.truncate(half);
        Some(shorter)
    }
}

impl SectorValue for Report {
    const SECTOR: Sector = Sector::Report;

    /// What money and holds need goes last: tokens by model, then the windows, are told without.
    fn shortened(&self) -> Option<Self> {
        let mut shorter = self.clone();
        if !self.tokens.is_empty() {
            shorter.tokens.clear();
        } else if !self.windows.is_empty() {
            shorter.windows.clear();
        } else {
            return None;
        }
        Some(shorter)
    }
}

/// A value is too long for a sector.
#[derive(Debug, thiserror::Error)]
#[error("sector {sector:?} would need {bytes} bytes of {}", sector.payload_bytes())]
pub struct EncodeError {
    sector: Sector,
    bytes: usize,
}

/// The bytes of one sector.
///
/// # Errors
/// When the value does not fit; an [`Exit`] always does (its detail is shortened).
pub fn encode<T: SectorValue>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let payload = serde_json::to_vec(value).unwrap_or_default();
    if payload.is_empty() || payload.len() > T::SECTOR.payload_bytes() {
        return match value.shortened() {
            Some(shorter) => encode(&shorter),
            None => Err(EncodeError {
                sector: T::SECTOR,
                bytes: payload.len(),
            }),
        };
    }
    let mut bytes = vec![0; T::SECTOR.bytes()];
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    bytes[4] = FORMAT;
    bytes[5] = T::SECTOR.number();
    bytes[6..PREFIX_BYTES].copy_from_slice(&length.to_le_bytes());
    bytes[PREFIX_BYTES..PREFIX_BYTES + payload.len()].copy_from_slice(&payload);
    let crc = crate::crc::crc32(&bytes[CRC_BYTES..]);
    bytes[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
    Ok(bytes)
}

/// What a sector's bytes say. Total: any bytes give an answer.
#[must_use]
pub fn decode<T: SectorValue>(bytes: &[u8]) -> Read<T> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Read::Blank;
    }
    if bytes.len() != T::SECTOR.bytes() {
        return Read::Damaged;
    }
    let crc = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let length = usize::from(u16::from_le_bytes([bytes[6], bytes[7]]));
    let known =
        bytes[4] == FORMAT && bytes[5] == T::SECTOR.number() && length <= T::SECTOR.payload_bytes();
    if !known || crc != crate::crc::crc32(&bytes[CRC_BYTES..]) {
        return Read::Damaged;
    }
    match serde_json::from_slice(&bytes[PREFIX_BYTES..PREFIX_BYTES + length]) {
        Ok(value) => Read::Value(value),
        Err(_) => Read::Damaged,
    }
}

impl Record {
    /// What a record file's bytes say. A sector that lies wholly behind the end of the file counts as not written.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        Self {
            header: decode(sector(bytes, Sector::Header)),
            started: decode(sector(bytes, Sector::Started)),
            beat: decode(sector(bytes, Sector::Beat)),
            exit: decode(sector(bytes, Sector::Exit)),
            report: decode(sector(bytes, Sector::Report)),
        }
    }
}

fn sector(bytes: &[u8], which: Sector) -> &[u8] {
    let end = bytes.len().min(which.offset() + which.bytes());
    bytes.get(which.offset()..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
