//! The attempt's record: any bytes decode, and what decodes encodes to the same truth.
#![no_main]

use auto_claude::attempt::record::{
    Beat, Exit, Header, Read, Record, Sector, SectorValue, Started, decode, encode,
};
use auto_claude::task::Report;
use libfuzzer_sys::fuzz_target;

/// Checksum, format, number, length.
const PREFIX_BYTES: usize = 8;

fuzz_target!(|data: &[u8]| {
    let _ = Record::decode(data);
    // A checksum keeps random bytes out: the same bytes again as the payload of sound sectors.
    check::<Header>(data);
    check::<Started>(data);
    check::<Beat>(data);
    check::<Exit>(data);
    check::<Report>(data);
});

fn check<T: SectorValue + PartialEq + std::fmt::Debug>(payload: &[u8]) {
    let sector = sector(T::SECTOR, payload);
    if let Read::Value(value) = decode::<T>(&sector) {
        if let Ok(bytes) = encode(&value) {
            match decode::<T>(&bytes) {
                Read::Value(again) => assert!(
                    again == value || again == shortened(&value),
                    "{again:?} {value:?}"
                ),
                other => panic!("{value:?} became {other:?}"),
            }
        }
    }
}

/// What an encoder may make of a value that is too long.
fn shortened<T: SectorValue>(value: &T) -> T {
    let mut shorter = value.shortened();
    while let Some(next) = &shorter {
        if encode(next).is_ok() {
            break;
        }
        shorter = next.shortened();
    }
    shorter.unwrap_or_else(|| panic!("nothing could be left out"))
}

fn sector(which: Sector, payload: &[u8]) -> Vec<u8> {
    let length = payload.len().min(which.payload_bytes());
    let mut bytes = vec![0; which.bytes()];
    bytes[4] = 1;
    bytes[5] = which.number();
    bytes[6..PREFIX_BYTES].copy_from_slice(&u16::try_from(length).unwrap_or(0).to_le_bytes());
    bytes[PREFIX_BYTES..PREFIX_BYTES + length].copy_from_slice(&payload[..length]);
    let crc = crc32fast::hash(&bytes[4..]);
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes
}
