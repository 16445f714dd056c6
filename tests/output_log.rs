//! The output log: what was written comes back, whatever happened on the way.

#![expect(clippy::unwrap_used, reason = "a test: it may stop")]

#[path = "fault_kit/disk.rs"]
mod disk;

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;

use auto_claude::output::{
    ENTRY_BYTES, Entry, Filter, INDEX_NAME, LOG_NAME, Piece, Reader, Stream, TAIL_BYTES, Writer,
    text_of,
};
use auto_claude::task::Timestamp;
use disk::Disk;
use proptest::prelude::*;

const ROOMY: u64 = 1 << 40;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(1_800_000_000_000 + ms)
}

fn pieces(dir: &Path, filter: &Filter) -> Vec<Piece> {
    Reader::open(dir)
        .unwrap()
        .page(0, usize::MAX, filter)
        .unwrap()
        .pieces
}

fn bytes(dir: &Path, filter: &Filter) -> Vec<u8> {
    pieces(dir, filter)
        .into_iter()
        .flat_map(|piece| piece.bytes)
        .collect()
}

fn tail(dir: &Path, lines: usize, max_bytes: usize) -> String {
    let pieces = Reader::open(dir)
        .unwrap()
        .tail_lines(lines, max_bytes, &Filter::AGENT)
        .unwrap();
    text_of(&pieces)
}

const STDOUT: Filter = Filter {
    stderr: false,
    ..Filter::AGENT
};
const STDERR: Filter = Filter {
    stdout: false,
    ..Filter::AGENT
};

#[test]
fn nothing_written_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let task = dir.path().join("task");
    Writer::new(&task, 1, ROOMY).finish(at(0));
    assert!(!task.exists());
    let reader = Reader::open(&task).unwrap();
    assert_eq!(
        (reader.end().unwrap(), reader.attempts().unwrap().len()),
        (0, 0)
    );
    assert_eq!(tail(&task, 10, 1000), "");
    assert!(reader.page(0, 10, &Filter::ALL).unwrap().is_last());
}

#[test]
fn streams_attempts_and_times_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    for generation in [1, 2] {
        let mut writer = Writer::new(dir.path(), generation, ROOMY);
        let base = i64::from(generation) * 10_000;
        writer.append(Stream::Stdout, b"out one\n", at(base));
        writer.append(Stream::Stderr, b"err\n", at(base + 10));
        writer.append(Stream::Stdout, b"out two\n", at(base + 500));
        writer.append(Stream::Stdout, b"no newline", at(base + 550));
        writer.finish(at(base + 600));
        assert_eq!(writer.seen_bytes(), 30);
    }
    assert_eq!(bytes(dir.path(), &STDERR), b"err\nerr\n");
    let second = Filter {
        generation: Some(2),
        ..STDOUT
    };
    assert_eq!(bytes(dir.path(), &second), b"out one\nout two\nno newline");
    let times: Vec<i64> = pieces(dir.path(), &second)
        .iter()
        .map(|piece| piece.segment.time_ms - at(0).as_ms())
        .collect();
    assert_eq!(
        times,
        [20_000, 20_500],
        "bytes that come close together share an entry"
    );
    let attempts = Reader::open(dir.path()).unwrap().attempts().unwrap();
    assert_eq!(
        attempts
            .iter()
            .map(|span| (span.generation, span.last_ms - span.first_ms))
            .collect::<Vec<_>>(),
        [(1, 500), (2, 500)]
    );
    assert_eq!(attempts[0].end, attempts[1].start);
    // A person can read the file: each attempt begins on a line of its own.
    let log = fs::read_to_string(dir.path().join(LOG_NAME)).unwrap();
    assert!(
        log.contains("no newline\n--- attempt 2, 2027-01-15T"),
        "{log}"
    );
}

#[test]
fn beyond_the_limit_a_marker_and_the_tail_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(dir.path(), 1, 1000);
    let all: Vec<u8> = (0..300_000u32)
        .map(|n| b'a' + u8::try_from(n % 23).unwrap())
        .collect();
    for chunk in all.chunks(777) {
        writer.append(Stream::Stdout, chunk, at(0));
    }
    writer.append(Stream::Stderr, b"the end\n", at(1));
    writer.finish(at(2));
    assert_eq!(writer.seen_bytes(), 300_008);
    let kept = bytes(dir.path(), &STDOUT);
    assert_eq!(kept[..1000], all[..1000]);
    assert_eq!(kept[1000..], all[all.len() - (TAIL_BYTES - 8)..]);
    assert_eq!(bytes(dir.path(), &STDERR), b"the end\n");
    let meta = Filter {
        stdout: false,
        stderr: false,
        ..Filter::ALL
    };
    let meta = text_of(&pieces(dir.path(), &meta));
    assert!(
        meta.contains("output limit of 1000 bytes reached"),
        "{meta}"
    );
    assert!(
        meta.contains(&format!("{} bytes left out", 300_008 - 1000 - TAIL_BYTES)),
        "{meta}"
    );
}

#[test]
fn an_output_just_above_its_limit_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(dir.path(), 1, 10);
    writer.append(Stream::Stdout, b"0123456789abcdef", at(0));
    writer.finish(at(1));
    assert_eq!(bytes(dir.path(), &Filter::AGENT), b"0123456789abcdef");
}

#[test]
fn a_crash_between_log_and_index_costs_only_the_stream() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(dir.path(), 1, ROOMY);
    writer.append(Stream::Stderr, b"known\n", at(0));
    drop(writer);
    let append = |name: &str, bytes: &[u8]| {
        OpenOptions::new()
            .append(true)
            .open(dir.path().join(name))
            .unwrap()
            .write_all(bytes)
            .unwrap()
    };
    append(LOG_NAME, b"orphan");
    append(INDEX_NAME, b"torn entry");
    let last = pieces(dir.path(), &STDOUT).pop().unwrap();
    assert_eq!(
        (
            last.segment.stream,
            last.segment.generation,
            last.bytes.as_slice()
        ),
        (Stream::Unknown, 1, b"orphan".as_slice())
    );
    // The next attempt goes on behind it.
    let mut writer = Writer::new(dir.path(), 2, ROOMY);
    writer.append(Stream::Stdout, b"next\n", at(9));
    drop(writer);
    assert_eq!(
        bytes(
            dir.path(),
            &Filter {
                generation: Some(2),
                ..Filter::AGENT
            }
        ),
        b"next\n"
    );
    assert_eq!(
        bytes(
            dir.path(),
            &Filter {
                generation: Some(1),
                ..Filter::AGENT
            }
        ),
        b"known\norphan"
    );
}

#[test]
fn entries_of_bytes_that_a_power_loss_took_do_not_claim_new_ones() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(dir.path(), 1, ROOMY);
    writer.append(Stream::Stdout, b"0123456789", at(0));
    writer.append(Stream::Stderr, b"lost\n", at(0));
    drop(writer);
    let log = OpenOptions::new()
        .write(true)
        .open(dir.path().join(LOG_NAME))
        .unwrap();
    log.set_len(log.metadata().unwrap().len() - 10).unwrap();
    let mut writer = Writer::new(dir.path(), 2, ROOMY);
    writer.append(Stream::Stdout, b"new\n", at(1));
    drop(writer);
    assert_eq!(bytes(dir.path(), &STDOUT), b"01234new\n");
    assert_eq!(bytes(dir.path(), &STDERR), b"");
}

#[test]
fn a_damaged_entry_hides_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(dir.path(), 1, ROOMY);
    for n in 0..2000 {
        writer.append(
            if n % 2 == 0 {
                Stream::Stdout
            } else {
                Stream::Stderr
            },
            format!("{n}\n").as_bytes(),
            at(0),
        );
    }
    drop(writer);
    let all = bytes(dir.path(), &Filter::AGENT);
    let path = dir.path().join(INDEX_NAME);
    let mut index = fs::read(&path).unwrap();
    for place in [1, 2, 700, 1500] {
        index[place * ENTRY_BYTES + 7] ^= 1;
    }
    fs::write(&path, index).unwrap();
    assert_eq!(bytes(dir.path(), &Filter::AGENT), all);
    let unknown = pieces(dir.path(), &Filter::ALL)
        .iter()
        .filter(|piece| piece.segment.stream == Stream::Unknown)
        .count();
    assert_eq!(unknown, 3, "two that lie side by side are one");
    assert_eq!(tail(dir.path(), 3, 1000), "1997\n1998\n1999\n");
    assert_eq!(tail(dir.path(), 2000, 1 << 20).as_bytes(), all);
    assert_eq!(Entry::decode(&[0; ENTRY_BYTES]), None);
    fs::write(&path, vec![0xff; 5000 * ENTRY_BYTES]).unwrap();
    let first_line = bytes(dir.path(), &Filter::AGENT);
    assert!(
        first_line.ends_with(&all),
        "without an index everything is an agent's"
    );
}

#[test]
fn huge_lines_and_binary_are_just_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = Writer::new(dir.path(), 1, ROOMY);
    let line: Vec<u8> = (0..=255)
        .cycle()
        .filter(|byte| *byte != b'\n')
        .take(3_000_000)
        .collect();
    writer.append(Stream::Stdout, b"short\n", at(0));
    for chunk in line.chunks(65_537) {
        writer.append(Stream::Stdout, chunk, at(0));
    }
    drop(writer);
    assert_eq!(bytes(dir.path(), &Filter::AGENT)[6..], line);
    let cut = Reader::open(dir.path())
        .unwrap()
        .tail_lines(1, 1000, &Filter::AGENT)
        .unwrap();
    let cut: Vec<u8> = cut.into_iter().flat_map(|piece| piece.bytes).collect();
    assert_eq!(cut, line[line.len() - 1000..]);
}

#[test]
fn a_full_disk_loses_bytes_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let _disk = match Disk::tmpfs(dir.path(), "64k") {
        Ok(disk) => disk,
        Err(error) => return println!("SKIPPED: no disk was filled: {error}"),
    };
    let ballast = dir.path().join("ballast");
    let mut writer = Writer::new(dir.path(), 1, ROOMY);
    writer.append(Stream::Stdout, b"before\n", at(0));
    fs::write(&ballast, vec![0; 1 << 20]).unwrap_err();
    writer.append(Stream::Stdout, &[b'x'; 20_000], at(1));
    fs::remove_file(&ballast).unwrap();
    // Space that comes back is left to others for a while: the database needs it more.
    writer.append(Stream::Stdout, b"too early\n", at(500));
    let lost = writer.lost_bytes();
    writer.append(Stream::Stdout, b"after\n", at(501));
    writer.finish(at(502));
    let text = text_of(&pieces(dir.path(), &Filter::ALL));
    let kept = bytes(dir.path(), &Filter::AGENT);
    assert!(lost > 10_000, "{lost}");
    assert!(
        text.contains(&format!(
            "--- {lost} bytes of output lost: No space left on device"
        )),
        "{text}"
    );
    assert_eq!(kept.len() as u64, 7 + 20_000 + 10 - lost + 6);
    assert!(kept.starts_with(b"before\n") && kept.ends_with(b"after\n"));
    let loss = format!("{lost} bytes of output were lost: No space left on device (os error 28)");
    assert_eq!(writer.loss(), Some(loss));
}

/// A stream and some bytes, many of them beginnings and ends of UTF-8 sequences and lines.
fn chunk() -> impl Strategy<Value = (bool, Vec<u8>)> {
    let text = prop_oneof![
        ".{0,20}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..20),
        Just(b"\n".to_vec()),
        Just("é漢🦀\n".as_bytes().to_vec())
    ];
    (any::<bool>(), text)
}

proptest! {
    #[test]
    fn any_split_gives_the_same(chunks in proptest::collection::vec(chunk(), 0..30), step in 1usize..9, page in 1usize..50, lines in 0usize..12) {
        let dir = tempfile::tempdir().unwrap();
        let (whole, split) = (dir.path().join("whole"), dir.path().join("split"));
        let stream = |out: bool| if out { Stream::Stdout } else { Stream::Stderr };
        let (mut one, mut other) = (Writer::new(&whole, 1, ROOMY), Writer::new(&split, 1, ROOMY));
        let mut clock = 0;
        for (out, bytes) in &chunks {
            one.append(stream(*out), bytes, at(0));
            for part in bytes.chunks(step) {
                clock += 60;
                other.append(stream(*out), part, at(clock));
            }
        }
        for filter in [Filter::AGENT, STDOUT, STDERR] {
            let wanted: Vec<u8> = chunks.iter().filter(|(out, _)| if *out { filter.stdout } else { filter.stderr }).flat_map(|(_, bytes)| bytes.clone()).collect();
            prop_assert_eq!(&bytes(&whole, &filter), &wanted);
            prop_assert_eq!(&bytes(&split, &filter), &wanted);
            prop_assert_eq!(text_of(&pieces(&whole, &filter)), text_of(&pieces(&split, &filter)));
            // Page by page, from any place.
            let reader = Reader::open(&split).unwrap();
            let (mut paged, mut next) = (Vec::new(), 0);
            loop {
                let page = reader.page(next, page, &filter).unwrap();
                paged.extend(page.pieces.iter().flat_map(|piece| piece.bytes.clone()));
                if page.is_last() {
                    break;
                }
                next = page.next;
            }
            prop_assert_eq!(&paged, &wanted);
            // The last lines, against a plain definition of them.
            let mut rest: Vec<&[u8]> = wanted.split_inclusive(|byte| *byte == b'\n').collect();
            let last = rest.split_off(rest.len().saturating_sub(lines)).concat();
            let found: Vec<u8> = reader.tail_lines(lines, 1 << 20, &filter).unwrap().into_iter().flat_map(|piece| piece.bytes).collect();
            prop_assert_eq!(found, last);
        }
    }

    #[test]
    fn any_index_can_be_read(index in proptest::collection::vec(any::<u8>(), 0..200), entries in proptest::collection::vec((0u32..3, 0i64..9, 0u64..60, 0u32..60), 0..8), log in 0usize..60) {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes_of_index: Vec<u8> = entries.iter().flat_map(|(generation, time_ms, offset, length)| Entry { generation: *generation, stream: Stream::Stdout, time_ms: *time_ms, offset: *offset, length: *length }.encode()).collect();
        bytes_of_index.extend(index);
        fs::write(dir.path().join(INDEX_NAME), bytes_of_index).unwrap();
        fs::write(dir.path().join(LOG_NAME), vec![b'x'; log]).unwrap();
        // Whatever the index says, each byte comes once.
        prop_assert_eq!(bytes(dir.path(), &Filter::ALL).len(), log);
        Reader::open(dir.path()).unwrap().attempts().unwrap();
        tail(dir.path(), 3, 40);
    }
}
