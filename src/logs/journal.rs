//! Whether stderr is the journal, and the levels it understands.

use tracing::Level;

/// The prefix by which the journal knows a line's level (sd-daemon(3)).
pub(super) fn level_prefix(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// Whether `stderr` is the stream that `journal_stream` (the variable `JOURNAL_STREAM`: device, colon, inode) names.
/// The variable alone says nothing: it is inherited by processes whose stderr has been sent elsewhere.
pub(super) fn is_journal(journal_stream: Option<&str>, device: u64, inode: u64) -> bool {
    let Some((stream_device, stream_inode)) = journal_stream.and_then(|text| text.split_once(':'))
    else {
        return false;
    };
    stream_device.parse() == Ok(device) && stream_inode.parse() == Ok(inode)
}

/// [`is_journal`] for this process.
pub(super) fn stderr_is_journal() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").ok();
    rustix::fs::fstat(std::io::stderr())
        .is_ok_and(|about| is_journal(stream.as_deref(), about.st_dev, about.st_ino))
}
