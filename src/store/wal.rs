//! Whether a write-ahead log is whole: bytes in, verdict out.
//!
//! SQLite takes a log up to its first frame that does not fit, and forgets the rest without a word. That is right for the
//! torn end that a loss of power leaves, and wrong for a log that was damaged later: then acknowledged work is in the rest.
//! Here the two are told apart before SQLite looks.
//!
//! A log is a header and frames. A frame is a page, the number of the page, the size of the database when it ends a
//! transaction (else 0), the log's *salts*, and a checksum over itself that begins with the checksum of the frame before.
//! So a frame *links* to the one before it: nobody can have made it who had not that one's checksum.
//!
//! - **The header** is synced before the first frame is written. A log with frames and a wrong header was damaged.
//! - **The end** may hold what was left of one transaction whose sync never returned, in any order. Nothing was ever
//!   appended to its last frame: a commit returns after its sync, and the next transaction begins after that.
//! - **The proof**: behind the first frame that does not fit, a frame that links to the end of a transaction. That
//!   transaction was synced and acknowledged, and SQLite would not get to it.
//!
//! Frames with other salts are of an earlier round of the log and mean nothing. What cannot be told from a torn end, damage
//! in the last transaction, is taken for one.

use std::io::{self, Read};

/// A header is so long.
const HEADER_BYTES: usize = 32;
/// What stands in a frame before its page.
const FRAME_HEADER_BYTES: usize = 24;
/// The header begins with this, or with 1 more when checksums read words big-endian.
const MAGIC: u32 = 0x377f_0682;
/// The one version of the format that there is.
const VERSION: u32 = 3_007_000;
/// Pages are as large as a power of two in these bounds.
const PAGE_MIN_BYTES: u32 = 512;
const PAGE_MAX_BYTES: u32 = 65_536;
/// What a disk writes whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// Two words that run over the whole log.
type Checksum = [u32; 2];

/// What is wrong with the log that `log` reads, in a few words; `None` when nothing is. `page_bytes` is the page size of
/// the database it belongs to, where that is known.
///
/// # Errors
/// When it cannot be read.
pub(super) fn damage(mut log: impl Read, page_bytes: Option<u32>) -> io::Result<Option<String>> {
    let mut bytes = [0; HEADER_BYTES];
    // Without frames there is nothing in it: a header alone may not even be synced yet.
    if !fill(&mut log, &mut bytes)? {
        return Ok(None);
    }
    let mut frame = Vec::new();
    let header = match Header::read(&bytes, page_bytes) {
        Ok(header) => {
            frame.resize(FRAME_HEADER_BYTES + header.page_bytes, 0);
            header
        }
        Err(reason) => {
            let holds_more = fill(&mut log, &mut [0])?;
            return Ok(holds_more.then_some(reason));
        }
    };
    let mut before = Frame {
        checksum: header.checksum,
        links: true,
        ends: false,
    };
    // The first frame that does not fit.
    let mut gap = None;
    let mut number = 0_u64;
    while fill(&mut log, &mut frame)? {
        number += 1;
        let (next, fits) = header.frame(&frame, number, &before);
        match gap {
            None if fits => {}
            None => gap = Some(number),
            Some(gap) if next.links && before.ends => {
                return Ok(Some(format!(
                    "frame {gap} does not fit, and frame {number} was written after a commit behind it"
                )));
            }
            Some(_) => {}
        }
        before = next;
    }
    Ok(None)
}

/// What all frames share.
struct Header {
    big_endian: bool,
    page_bytes: usize,
    salts: [u8; 8],
    checksum: Checksum,
}

/// What the next frame needs to know of one.
struct Frame {
    /// As it stands in the frame.
    checksum: Checksum,
    /// It was made from the frame before it.
    links: bool,
    /// It ends a transaction.
    ends: bool,
}

impl Header {
    fn read(bytes: &[u8; HEADER_BYTES], page_bytes: Option<u32>) -> Result<Self, String> {
        let magic = word(bytes, 0);
        if magic & !1 != MAGIC {
            return Err(format!("its header begins with {magic:#010x}"));
        }
        let big_endian = magic != MAGIC;
        let checksum = [word(bytes, 24), word(bytes, 28)];
        if sum(big_endian, [0, 0], &bytes[..24]) != checksum {
            return Err(String::from("its header does not fit its checksum"));
        }
        let version = word(bytes, 4);
        if version != VERSION {
            return Err(format!("it is of version {version}"));
        }
        let size = word(bytes, 8);
        if !(size.is_power_of_two() && (PAGE_MIN_BYTES..=PAGE_MAX_BYTES).contains(&size)) {
            return Err(format!("its pages have {size} bytes"));
        }
        if let Some(wanted) = page_bytes.filter(|wanted| *wanted != size) {
            return Err(format!(
                "its pages have {size} bytes, those of the database {wanted}"
            ));
        }
        let mut salts = [0; 8];
        salts.copy_from_slice(&bytes[16..24]);
        Ok(Self {
            big_endian,
            page_bytes: size as usize,
            salts,
            checksum,
        })
    }

    /// Looks at a frame, and says whether SQLite would take it behind the one before.
    fn frame(&self, bytes: &[u8], number: u64, before: &Frame) -> (Frame, bool) {
        let checksum = [word(bytes, 16), word(bytes, 20)];
        let links = bytes[8..16] == self.salts && {
            let begun = sum(self.big_endian, before.checksum, &bytes[..8]);
            sum(self.big_endian, begun, &bytes[FRAME_HEADER_BYTES..]) == checksum
        };
        let frame_bytes = (FRAME_HEADER_BYTES + self.page_bytes) as u64;
        let place = HEADER_BYTES as u64 + (number - 1) * frame_bytes;
        // Of a frame that does not fit, the mark may be of an earlier round of the log: when a sector's edge, and so a torn
        // write, lies between the mark and the checksum that the next frame links to.
        let in_one_sector = place % SECTOR_BYTES + FRAME_HEADER_BYTES as u64 <= SECTOR_BYTES;
        let frame = Frame {
            checksum,
            links,
            ends: word(bytes, 4) != 0 && (links || in_one_sector),
        };
        (frame, links && word(bytes, 0) != 0)
    }
}

/// The log's checksum over `bytes` (a multiple of 8), begun with `start`.
fn sum(big_endian: bool, start: Checksum, bytes: &[u8]) -> Checksum {
    let [mut first, mut second] = start;
    for pair in bytes.as_chunks::<8>().0 {
        let [a, b, c, d, e, f, g, h] = *pair;
        let (left, right) = if big_endian {
            (
                u32::from_be_bytes([a, b, c, d]),
                u32::from_be_bytes([e, f, g, h]),
            )
        } else {
            (
                u32::from_le_bytes([a, b, c, d]),
                u32::from_le_bytes([e, f, g, h]),
            )
        };
        first = first.wrapping_add(left).wrapping_add(second);
        second = second.wrapping_add(right).wrapping_add(first);
    }
    [first, second]
}

/// The big-endian word at `place`; every caller's slice is long enough.
fn word(bytes: &[u8], place: usize) -> u32 {
    bytes[place..place + 4]
        .iter()
        .fold(0, |word, byte| word << 8 | u32::from(*byte))
}

/// Fills `bytes`; false when the end came before.
fn fill(from: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match from.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
