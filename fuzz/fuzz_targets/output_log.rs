//! The output log and its index, whatever bytes are in them: every byte of the log is in exactly one segment, every way of
//! reading ends, and a writer can go on behind it.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use auto_claude::output::{Entry, Filter, INDEX_NAME, LOG_NAME, Reader, Stream, Writer, text_of};
use auto_claude::task::Timestamp;
use libfuzzer_sys::fuzz_target;

static DIR: OnceLock<PathBuf> = OnceLock::new();

fuzz_target!(|data: &[u8]| {
    let [mode, log_bytes, rest @ ..] = data else {
        return;
    };
    let (log, index) = rest.split_at(rest.len().min(usize::from(*log_bytes) * 8));
    // Random bytes do not pass an entry's checksum: in every second input they are the fields of sound entries.
    let index = if mode % 2 == 0 {
        index.to_vec()
    } else {
        index
            .chunks(8)
            .flat_map(|fields| entry(fields).encode())
            .collect()
    };
    let dir = DIR.get_or_init(|| {
        let dir = Path::new("/dev/shm").join(format!("auto-claude-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap_or_else(|error| panic!("{error}"));
        dir
    });
    let written = std::fs::write(dir.join(LOG_NAME), log)
        .and_then(|()| std::fs::write(dir.join(INDEX_NAME), &index));
    written.unwrap_or_else(|error| panic!("{error}"));
    read(dir, log.len() as u64);
    let mut writer = Writer::new(dir, 9, 1 << 20);
    writer.append(Stream::Stdout, b"more\n", Timestamp::from_ms(1));
    writer.finish(Timestamp::from_ms(2));
    assert_eq!(writer.lost_bytes(), 0);
    let bytes = std::fs::read(dir.join(LOG_NAME)).unwrap_or_default();
    assert!(
        bytes.starts_with(log) && bytes.ends_with(b"more\n"),
        "a writer only appends"
    );
    read(dir, bytes.len() as u64);
});

fn read(dir: &Path, length: u64) {
    let reader = Reader::open(dir).unwrap_or_else(|error| panic!("{error}"));
    let mut position = 0;
    for segment in reader.segments().unwrap_or_else(|error| panic!("{error}")) {
        let segment = segment.unwrap_or_else(|error| panic!("{error}"));
        assert!(
            segment.offset == position && segment.length > 0,
            "{segment:?} at {position}"
        );
        position += segment.length;
    }
    assert_eq!(position, length, "every byte is in a segment");
    let _ = reader.attempts();
    for filter in [
        Filter::ALL,
        Filter::AGENT,
        Filter {
            generation: Some(1),
            ..Filter::ALL
        },
    ] {
        let mut offset = 0;
        for _ in 0..64 {
            let page = reader
                .page(offset, 100, &filter)
                .unwrap_or_else(|error| panic!("{error}"));
            assert!(page.next > offset || page.is_last(), "a page goes on");
            offset = page.next;
            let _ = text_of(&page.pieces);
        }
        let tail = reader
            .tail_lines(3, 200, &filter)
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(tail.iter().map(|piece| piece.bytes.len()).sum::<usize>() <= 200);
    }
}

fn entry(fields: &[u8]) -> Entry {
    let byte = |place: usize| fields.get(place).copied().unwrap_or(0);
    let stream = [Stream::Stdout, Stream::Stderr, Stream::Meta][usize::from(byte(0) % 3)];
    // Most offsets near the log, some far away.
    let offset = if byte(6) == 255 {
        u64::MAX - u64::from(byte(2))
    } else {
        u64::from(byte(2)) * 8 + u64::from(byte(3))
    };
    let length = if byte(6) == 254 {
        u32::MAX
    } else {
        u32::from(byte(4))
    };
    Entry {
        generation: u32::from(byte(1) % 4),
        stream,
        time_ms: i64::from(byte(5)),
        offset,
        length,
    }
}
