//! An agent's output, which a model writes half of: any bytes are read, and how they are split is no matter. The first byte
//! chooses the driver and the size of the pieces.
#![no_main]

use std::sync::LazyLock;

use auto_claude::agent::rules::Rules;
use auto_claude::agent::{Driver, ProcessEnd, Reading, Transcript, Verdict};
use auto_claude::task::{OutcomeKind, Report, Timestamp};
use libfuzzer_sys::fuzz_target;

static DRIVERS: LazyLock<Vec<Driver>> = LazyLock::new(|| {
    let mut drivers: Vec<Driver> = [false, true]
        .into_iter()
        .map(|resumed| Driver::Claude {
            session: String::new(),
            resumed,
        })
        .collect();
    for text in [
        include_str!("../../config/agents/codex.toml"),
        include_str!("../../config/agents/qwen.toml"),
        include_str!("../../config/agents/gemini.toml"),
        include_str!("../../config/agents/opencode.toml"),
        include_str!("../../config/agents/cursor.toml"),
    ] {
        let rules = Rules::from_toml(text).unwrap_or_else(|error| panic!("{error}"));
        drivers.push(Driver::Rules {
            rules: Box::new(rules),
            resumed: false,
        });
    }
    drivers
});

fn verdict(driver: &Driver, pieces: impl Iterator<Item = Vec<u8>>) -> Verdict {
    let mut reading = Reading::new(driver);
    for piece in pieces {
        reading.stdout(&piece);
        reading.stderr(&piece);
    }
    reading.finish(&ProcessEnd {
        exit_code: Some(0),
        signal: None,
        stop_sent: false,
        now: Timestamp::from_ms(1_795_203_678_000),
    })
}

fn words<'a>(driver: &Driver, pieces: impl Iterator<Item = &'a [u8]>) -> String {
    let mut transcript = match driver {
        Driver::Claude { .. } => Transcript::of_claude(),
        Driver::Rules { rules, .. } => Transcript::of_described(rules),
    };
    let mut words = String::new();
    for piece in pieces {
        transcript.push(piece, &mut words);
    }
    transcript.end(&mut words);
    words
}

fuzz_target!(|data: &[u8]| {
    let Some((first, stream)) = data.split_first() else {
        return;
    };
    let choice = usize::from(*first);
    let driver = &DRIVERS[choice % DRIVERS.len()];
    let size = 1 + choice / DRIVERS.len();
    let whole = verdict(driver, std::iter::once(stream.to_vec()));
    let split = verdict(driver, stream.chunks(size).map(<[u8]>::to_vec));
    assert_eq!(whole, split, "how the bytes are split is no matter");
    assert!(whole.detail.len() <= 200 && !whole.detail.contains('\n'));
    assert_eq!(
        whole.report.clone().bounded(),
        whole.report,
        "a report is bounded"
    );
    let said = words(driver, std::iter::once(stream));
    assert_eq!(
        said,
        words(driver, stream.chunks(size)),
        "nor is it for its words"
    );
    assert!(
        said.chars()
            .all(|letter| !letter.is_control() || matches!(letter, '\n' | '\t'))
    );
    // A success is said in so many words.
    let says = |word: &[u8]| stream.windows(word.len()).any(|part| part == word);
    assert!(whole.kind != OutcomeKind::Succeeded || says(b"{"));
    assert!(whole.kind != OutcomeKind::Limited || whole.report.block.is_some());
    assert!(whole.report != Report::default() || whole.kind != OutcomeKind::Limited);
});
