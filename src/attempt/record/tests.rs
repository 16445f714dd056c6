use proptest::prelude::*;

use super::*;
use crate::task::OutcomeKind;

fn exit(detail: &str) -> Exit {
    let mut outcome = Outcome::of(OutcomeKind::DependencyFailed);
    outcome.exit_code = Some(-2_147_483_648);
    outcome.signal = Some(-2_147_483_648);
    outcome.core_dumped = true;
    outcome.descendant_held_pipe = true;
    outcome.detail = detail.to_owned();
    Exit {
        outcome,
        ended_at: Timestamp::from_ms(Timestamp::MIN_MS),
        output_bytes: u64::MAX,
    }
}

#[test]
fn an_exit_always_fits_and_only_its_words_are_shortened() {
    let long = exit(&"\u{1}é".repeat(100));
    let Read::Value(read) = decode::<Exit>(&encode(&long).unwrap()) else {
        unreachable!("an exit that cannot be read")
    };
    assert!(long.outcome.detail.starts_with(&read.outcome.detail));
    assert!(read.outcome.detail.len() > 20, "no more than is needed");
    assert_eq!(
        Exit {
            outcome: Outcome {
                detail: String::new(),
                ..read.outcome
            },
            ..read
        },
        exit("")
    );
}

#[test]
fn a_value_fills_its_sector_to_the_last_byte() {
    let header = |boot_bytes| Header {
        attempt: "task_0000000000000.1".parse().unwrap(),
        boot_id: "b".repeat(boot_bytes),
        version: 1,
    };
    let empty = serde_json::to_vec(&header(0)).unwrap().len();
    let most = SECTOR_BYTES - PREFIX_BYTES - empty;
    let bytes = encode(&header(most)).unwrap();
    assert_eq!(bytes.len(), SECTOR_BYTES);
    assert_eq!(decode(&bytes), Read::Value(header(most)));
    assert!(encode(&header(most + 1)).is_err());
}

#[test]
fn a_good_checksum_excuses_no_other_format_place_or_length() {
    let good = encode(&Beat {
        monotonic_ms: 1,
        output_bytes: 2,
    })
    .unwrap();
    let damage: [fn(&mut [u8]); 4] = [
        |bytes| bytes[4] += 1,
        |bytes| bytes[5] += 1,
        |bytes| bytes[6..8].fill(0xff),
        |bytes| bytes[6..8].fill(0),
    ];
    for (which, damage) in damage.into_iter().enumerate() {
        let mut bytes = good.clone();
        damage(&mut bytes);
        let crc = crate::crc::crc32(&bytes[CRC_BYTES..]);
        bytes[..CRC_BYTES].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode::<Beat>(&bytes), Read::Damaged, "{which}");
    }
}

#[test]
fn a_value_too_long_is_refused() {
    let attempt = "task_0000000000000.1".parse().unwrap();
    assert!(
        encode(&Header {
            attempt,
            boot_id: "b".repeat(600),
            version: 1
        })
        .is_err()
    );
}

#[test]
fn a_sector_at_anothers_place_is_damaged() {
    let bytes = encode(&Beat {
        monotonic_ms: 1,
        output_bytes: 2,
    })
    .unwrap();
    assert_eq!(decode::<Exit>(&bytes), Read::Damaged);
    assert_eq!(
        decode::<Beat>(&bytes),
        Read::Value(Beat {
            monotonic_ms: 1,
            output_bytes: 2
        })
    );
}

#[test]
fn a_report_always_fits_and_money_and_hold_go_last() {
    let name = "é".repeat(300);
    let tokens = crate::task::Tokens {
        input: u64::MAX,
        output: u64::MAX,
        cache_read: u64::MAX,
        cache_write: u64::MAX,
    };
    let report = Report {
        session: Some(name.clone()),
        model: Some(name.clone()),
        version: Some(name.clone()),
        cost_micro_usd: Some(u64::MAX),
        tokens: (0..50).map(|n| (format!("{n:02}{name}"), tokens)).collect(),
        windows: (0..50)
            .map(|n| crate::task::Window {
                name: format!("{n}{name}"),
                used_permille: u32::MAX,
                resets_at: Some(Timestamp::from_ms(Timestamp::MAX_MS)),
            })
            .collect(),
        block: Some(crate::task::Block {
            model: Some(name),
            until: Some(Timestamp::from_ms(0)),
            ..crate::task::Block::of(crate::task::BlockKind::Model)
        }),
        ..Report::default()
    }
    .bounded();
    let Read::Value(read) = decode::<Report>(&encode(&report).unwrap()) else {
        unreachable!("a report that cannot be read")
    };
    assert_eq!(read.block, report.block);
    assert_eq!(read.cost_micro_usd, report.cost_micro_usd);
    assert_eq!(read.session, report.session);
    assert_eq!((read.tokens.len(), read.windows), (0, report.windows));
}

#[test]
fn all_sectors_lie_beside_each_other_each_at_its_place() {
    let attempt = "task_0000000000000.1".parse().unwrap();
    let worker = ProcessStamp {
        pid: 7,
        start_ticks: 8,
    };
    let boot_id = "b".to_owned();
    let record = Record {
        header: Read::Value(Header {
            attempt,
            boot_id: boot_id.clone(),
            version: 1,
        }),
        started: Read::Value(Started {
            boot_id,
            worker,
            agent: None,
            started_at: Timestamp::from_ms(3),
        }),
        beat: Read::Value(Beat {
            monotonic_ms: 4,
            output_bytes: 5,
        }),
        exit: Read::Value(exit("words")),
        report: Read::Value(Report {
            turns: 6,
            ..Report::default()
        }),
    };
    let mut file = vec![0; RECORD_BYTES];
    let mut put = |at: usize, bytes: Vec<u8>| file[at..at + bytes.len()].copy_from_slice(&bytes);
    put(0, encode(record.header.value().unwrap()).unwrap());
    put(512, encode(record.started.value().unwrap()).unwrap());
    put(1024, encode(record.beat.value().unwrap()).unwrap());
    put(1536, encode(record.exit.value().unwrap()).unwrap());
    put(2048, encode(record.report.value().unwrap()).unwrap());
    assert_eq!(Record::decode(&file), record);
}

#[test]
fn an_empty_file_is_blank_throughout() {
    let blank = Record {
        header: Read::Blank,
        started: Read::Blank,
        beat: Read::Blank,
        exit: Read::Blank,
        report: Read::Blank,
    };
    assert_eq!(Record::decode(&[]), blank);
    assert_eq!(Record::decode(&[0; RECORD_BYTES]), blank);
}

proptest! {
    #[test]
    fn any_bytes_decode(bytes in proptest::collection::vec(any::<u8>(), 0..RECORD_BYTES)) {
        let _ = Record::decode(&bytes);
    }

    #[test]
    fn a_torn_sector_is_damaged(cut in 1..SECTOR_BYTES, detail in ".{0,60}") {
        let old = encode(&exit("")).unwrap();
        let new = encode(&exit(&detail)).unwrap();
        let mut torn = new.clone();
        torn[cut..].copy_from_slice(&old[cut..]);
        prop_assume!(torn != old && torn != new);
        prop_assert_eq!(decode::<Exit>(&torn), Read::Damaged);
    }

    #[test]
    fn one_flipped_bit_is_damaged(bit in 0..SECTOR_BYTES * 8) {
        let mut bytes = encode(&exit("some words")).unwrap();
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(decode::<Exit>(&bytes), Read::Damaged);
    }
}
