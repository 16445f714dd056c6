//! What our driver makes of a run: the contract between it and the real CLI.

use auto_claude::agent::{Driver, ProcessEnd, Reading, Verdict};
use auto_claude::task::Timestamp;

use super::Ended;

impl Ended {
    /// The driver's verdict. The output is read whole, byte by byte, and in pieces of odd sizes: the verdict is one.
    pub fn verdict(&self) -> Verdict {
        let driver = Driver::Claude {
            session: self.session(),
            resumed: self.resumed,
        };
        let end = ProcessEnd {
            exit_code: self.code(),
            signal: self.signal(),
            stop_sent: self.stop_sent,
            now: Timestamp::from_ms(self.ended_at_ms),
        };
        let read = |piece: usize| {
            let mut reading = Reading::new(&driver);
            for bytes in self.stdout.chunks(piece) {
                reading.stdout(bytes);
            }
            for bytes in self.stderr.as_bytes().chunks(piece) {
                reading.stderr(bytes);
            }
            reading.finish(&end)
        };
        let verdict = read(usize::MAX);
        for piece in [1, 7, 4093] {
            assert_eq!(read(piece), verdict, "in pieces of {piece} bytes");
        }
        verdict
    }

    /// The verdict in one line: `Limited five_hour`, `Limited model opus`, `Limited network Refused`, `Succeeded`.
    pub fn judged(&self) -> String {
        let verdict = self.verdict();
        let mut text = format!("{:?}", verdict.kind);
        if let Some(block) = &verdict.report.block {
            text.push(' ');
            text.push_str(block.kind.name());
            if let Some(model) = &block.model {
                text.push(' ');
                text.push_str(model);
            }
            if let Some(trouble) = block.trouble {
                text.push_str(&format!(" {trouble:?}"));
            }
        }
        text
    }
}
