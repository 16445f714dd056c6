//! Logs as SQLite writes them, torn as a loss of power tears them, damaged as nothing of ours does.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const PAGE: usize = 512;
const FRAME: usize = FRAME_HEADER_BYTES + PAGE;
const SECTOR: usize = SECTOR_BYTES as usize;

/// A log under construction.
#[derive(Debug, Clone)]
struct Log {
    bytes: Vec<u8>,
    big_endian: bool,
    salts: [u8; 8],
    checksum: Checksum,
    /// Frames of each transaction.
    transactions: Vec<std::ops::Range<usize>>,
}

impl Log {
    fn new(big_endian: bool, salt: u32) -> Self {
        let mut bytes = Vec::new();
        let magic = MAGIC | u32::from(big_endian);
        for word in [magic, VERSION, PAGE as u32, 1, salt, !salt] {
            bytes.extend(word.to_be_bytes());
        }
        let checksum = sum(big_endian, [0, 0], &bytes);
        let salts = bytes[16..24].try_into().unwrap();
        bytes.extend(checksum.iter().flat_map(|word| word.to_be_bytes()));
        Self {
            bytes,
            big_endian,
            salts,
            checksum,
            transactions: Vec::new(),
        }
    }

    fn frames(&self) -> usize {
        (self.bytes.len() - HEADER_BYTES) / FRAME
    }

    /// Appends a transaction of so many frames.
    fn commit(&mut self, frames: usize, content: u8) {
        let first = self.frames();
        for n in 0..frames {
            let size = if n + 1 == frames { 40_u32 } else { 0 };
            self.append(n as u32 + 1, size, content.wrapping_add(n as u8));
        }
        self.transactions.push(first..first + frames);
    }

    fn append(&mut self, page: u32, size: u32, content: u8) {
        let mut head = [page.to_be_bytes(), size.to_be_bytes()].concat();
        let page = [content; PAGE];
        let begun = sum(self.big_endian, self.checksum, &head);
        self.checksum = sum(self.big_endian, begun, &page);
        head.extend(self.salts);
        head.extend(self.checksum.iter().flat_map(|word| word.to_be_bytes()));
        self.bytes.extend(head);
        self.bytes.extend(page);
    }

    /// The log as it lies on disk: over what an earlier round has left.
    fn over(&self, earlier: &Self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        if let Some(left) = earlier.bytes.get(bytes.len()..) {
            bytes.extend(left);
        }
        bytes
    }
}

fn verdict(bytes: &[u8]) -> Option<String> {
    damage(bytes, Some(PAGE as u32)).unwrap()
}

/// Where frame `n` (from 0) begins.
fn place(n: usize) -> usize {
    HEADER_BYTES + n * FRAME
}

/// Three transactions: frames 0 and 1, 2, 3 to 5.
fn three() -> Log {
    let mut log = Log::new(false, 7);
    log.commit(2, 1);
    log.commit(1, 2);
    log.commit(3, 3);
    log
}

#[test]
fn a_sound_log_and_none_are_sound() {
    assert_eq!(verdict(&[]), None);
    assert_eq!(verdict(&three().bytes), None);
    let mut log = Log::new(true, 7);
    log.commit(2, 1);
    assert_eq!(verdict(&log.bytes), None);
    assert_eq!(damage(&log.bytes[..], None).unwrap(), None);
}

#[test]
fn every_bit_of_the_header_counts() {
    let log = three();
    for bit in 0..HEADER_BYTES * 8 {
        let mut bytes = log.bytes.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(verdict(&bytes).is_some(), "bit {bit}");
        // Without a frame behind it, nothing can be lost.
        assert_eq!(verdict(&bytes[..HEADER_BYTES]), None);
    }
    assert!(verdict(&vec![0; HEADER_BYTES + FRAME]).is_some(), "zeros");
    let other = damage(&log.bytes[..], Some(4096)).unwrap().unwrap();
    assert!(other.contains("512") && other.contains("4096"), "{other}");
}

#[test]
fn damage_before_an_acknowledged_transaction_is_told() {
    let log = three();
    // A page, a page's number, a checksum, in the first and the second transaction.
    for byte in [
        place(0) + 30,
        place(0),
        place(1) + 200,
        place(1) + 3,
        place(2) + 100,
        place(2) + 9,
    ] {
        let mut bytes = log.bytes.clone();
        bytes[byte] ^= 0x10;
        assert!(verdict(&bytes).is_some(), "byte {byte}");
    }
    let mut gone = log.bytes.clone();
    gone[place(0)..place(1)].fill(0);
    assert!(verdict(&gone).is_some(), "a frame of zeros");
}

#[test]
fn damage_in_the_last_transaction_cannot_be_told_from_a_torn_end() {
    let log = three();
    for frame in 3..6 {
        let mut bytes = log.bytes.clone();
        bytes[place(frame) + 100] ^= 1;
        assert_eq!(verdict(&bytes), None, "frame {frame}");
    }
}

#[test]
fn what_a_failed_commit_left_behind_is_no_proof() {
    // Its sync failed; a shorter transaction was written over its beginning and acknowledged.
    let mut failed = three();
    failed.commit(4, 9);
    let mut log = three();
    log.commit(1, 20);
    assert_eq!(verdict(&log.over(&failed)), None);
    // The power goes while the next one is written over the rest.
    log.commit(2, 30);
    let mut bytes = log.over(&failed);
    bytes[place(7) + 50] ^= 1;
    assert_eq!(verdict(&bytes), None);
}

#[test]
fn a_torn_mark_of_an_earlier_round_is_no_proof() {
    // Every place of a frame relative to the sectors: the mark of the frame that was torn is the earlier round's.
    let mut earlier = Log::new(false, 1);
    (0..130).for_each(|n| earlier.commit(1, n));
    for before in 0..125 {
        let mut log = Log::new(false, 2);
        (0..before).for_each(|n| log.commit(1, n as u8));
        log.commit(3, 77);
        let whole = log.over(&earlier);
        let torn = place(before);
        let edge = torn.next_multiple_of(SECTOR);
        let mut bytes = whole.clone();
        bytes[torn..edge].copy_from_slice(&earlier.bytes[torn..edge]);
        assert_eq!(verdict(&bytes), None, "{before} transactions before");
    }
}

fn logs() -> impl Strategy<Value = Log> {
    let transactions = prop::collection::vec((1_usize..6, any::<u8>()), 1..12);
    (any::<bool>(), any::<u32>(), transactions).prop_map(|(big_endian, salt, transactions)| {
        let mut log = Log::new(big_endian, salt);
        for (frames, content) in transactions {
            log.commit(frames, content);
        }
        log
    })
}

proptest! {
    #[test]
    fn a_log_that_ends_anywhere_is_sound(log in logs(), earlier in logs(), end in any::<Index>()) {
        prop_assume!(log.salts != earlier.salts);
        let end = end.index(log.bytes.len() + 1);
        prop_assert_eq!(verdict(&log.bytes[..end]), None);
        // In whole sectors it goes over what an earlier round has left.
        let end = end / SECTOR * SECTOR;
        if end >= HEADER_BYTES {
            let cut = Log { bytes: log.bytes[..end].to_vec(), ..log };
            prop_assert_eq!(verdict(&cut.over(&earlier)), None);
        }
    }

    #[test]
    fn a_transaction_torn_in_any_way_is_sound(
        log in logs(),
        earlier in logs(),
        lost in prop::collection::vec(any::<bool>(), 40),
    ) {
        prop_assume!(log.salts != earlier.salts);
        let last = log.transactions.last().unwrap().clone();
        let mut bytes = log.over(&earlier);
        // Sectors of the last transaction that never reached the disk hold what was there before.
        for sector in place(last.start) / SECTOR..=(place(last.end) - 1) / SECTOR {
            if !lost[sector % lost.len()] {
                continue;
            }
            let from = (sector * SECTOR).max(place(last.start));
            let to = ((sector + 1) * SECTOR).min(place(last.end));
            let former = earlier.bytes.iter().copied().chain(std::iter::repeat(0)).skip(from);
            bytes[from..to]
                .iter_mut()
                .zip(former)
                .for_each(|(byte, former)| *byte = former);
        }
        prop_assert_eq!(verdict(&bytes), None);
    }

    #[test]
    fn damage_three_transactions_before_the_end_is_always_told(
        log in logs(),
        byte in any::<Index>(),
        flip in 1_u8..,
    ) {
        prop_assume!(log.transactions.len() > 3);
        let sure = log.transactions[log.transactions.len() - 4].end;
        let mut bytes = log.bytes.clone();
        bytes[byte.index(place(sure))] ^= flip;
        prop_assert!(verdict(&bytes).is_some());
    }

    #[test]
    fn any_bytes_get_a_verdict(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let _ = verdict(&bytes);
        let mut log = Log::new(false, 1);
        log.bytes.extend(bytes);
        prop_assert_eq!(verdict(&log.bytes), None);
    }
}
