//! The rows of the recovery table as they stand in the documentation.

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table on one page")]
fn every_row_of_the_table() {
    let base = Facts {
        row: Row::Open,
        content: Content::Empty,
        boot: Boot::This,
        lock: Lock::Free,
        worker: Worker::Unknown,
        heartbeat: Heartbeat::Fresh,
        wait: Wait::Waiting,
        tree: Tree::NotSwept,
    };
    let swept = Facts {
        tree: Tree::Empty,
        ..base
    };
    let held = Facts {
        lock: Lock::Held,
        ..base
    };
    let running = Facts {
        content: Content::Started,
        worker: Worker::Alive,
        ..held
    };
    let orphaned = Facts {
        worker: Worker::Dead,
        ..running
    };
    let table = [
        ("empty, free, this boot", base, Plan::Sweep),
        ("the same, swept", swept, Plan::CloseNeverRan),
        (
            "empty, free, other boot",
            Facts {
                boot: Boot::Other,
                ..base
            },
            Plan::Sweep,
        ),
        (
            "the same, swept",
            Facts {
                boot: Boot::Other,
                ..swept
            },
            Plan::CloseLost,
        ),
        ("empty, held", held, Plan::WaitForHolder),
        (
            "empty, held, too long",
            Facts {
                wait: Wait::Over,
                ..held
            },
            Plan::EndHolder,
        ),
        ("started, held, alive", running, Plan::Adopt),
        (
            "started, held, alive, silent",
            Facts {
                heartbeat: Heartbeat::Stale,
                ..running
            },
            Plan::EndHolder,
        ),
        ("started, held, dead", orphaned, Plan::Sweep),
        (
            "the same, swept",
            Facts {
                tree: Tree::Empty,
                ..orphaned
            },
            Plan::WaitForHolder,
        ),
        (
            "a number from another boot",
            Facts {
                boot: Boot::Other,
                ..running
            },
            Plan::Sweep,
        ),
        (
            "started, free",
            Facts {
                content: Content::Started,
                ..base
            },
            Plan::Sweep,
        ),
        (
            "the same, swept",
            Facts {
                content: Content::Started,
                ..swept
            },
            Plan::CloseLost,
        ),
        (
            "exit, free",
            Facts {
                content: Content::Exit,
                ..base
            },
            Plan::CommitExitThenWaitTree,
        ),
        (
            "the same, swept",
            Facts {
                content: Content::Exit,
                ..swept
            },
            Plan::CommitExit,
        ),
        (
            "exit, held",
            Facts {
                content: Content::Exit,
                ..held
            },
            Plan::CommitExitThenWaitTree,
        ),
        (
            "settled, held",
            Facts {
                row: Row::Settled,
                content: Content::Exit,
                ..held
            },
            Plan::WaitForHolder,
        ),
        (
            "settled, free",
            Facts {
                row: Row::Settled,
                content: Content::Exit,
                ..swept
            },
            Plan::Release,
        ),
        (
            "unreadable, free",
            Facts {
                content: Content::Unreadable,
                ..swept
            },
            Plan::SetAsideAndLose,
        ),
        (
            "unreadable, held",
            Facts {
                content: Content::Unreadable,
                ..held
            },
            Plan::WaitForHolder,
        ),
        (
            "missing",
            Facts {
                content: Content::Missing,
                ..swept
            },
            Plan::CloseLost,
        ),
        (
            "of no row",
            Facts {
                row: Row::Unknown,
                ..running
            },
            Plan::Sweep,
        ),
        (
            "of no row, swept",
            Facts {
                row: Row::Unknown,
                content: Content::Exit,
                ..swept
            },
            Plan::KeepFile,
        ),
        (
            "past",
            Facts {
                row: Row::Past,
                content: Content::Exit,
                ..base
            },
            Plan::Discard,
        ),
        (
            "stuck",
            Facts {
                content: Content::Started,
                tree: Tree::Stuck,
                ..base
            },
            Plan::HoldSlot,
        ),
    ];
    for (name, facts, expected) in table {
        assert_eq!(plan(&facts), expected, "{name}: {facts:?}");
    }
}
