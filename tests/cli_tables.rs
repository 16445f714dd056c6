//! Tables on terminals of any width.

use auto_claude::cli::output;
use auto_claude::cli::render::table::{Column, cut, droppable, keep, render};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_table_is_never_wider_than_asked(
        width in output::MIN_COLUMNS..140,
        names in proptest::collection::vec("[a-z 日本語é-]{0,60}", 1..5),
    ) {
        const COLUMNS: [Column; 4] = [keep("ID"), cut("NAME"), droppable("A", 1), droppable("B", 2)];
        let rows: Vec<Vec<String>> =
            names.iter().map(|name| vec!["task_0123456789abc".into(), name.clone(), "x".repeat(20), "y".repeat(20)]).collect();
        let lines = render(&COLUMNS, &rows, width);
        prop_assert_eq!(lines.len(), names.len() + 1);
        for line in lines {
            prop_assert!(line.chars().count() <= width, "{} > {width}: {line:?}", line.chars().count());
        }
    }
}

#[test]
fn a_narrow_terminal_cuts_what_it_cannot_show() {
    const COLUMNS: [Column; 4] = [keep("ID"), keep("STATE"), cut("NAME"), droppable("TRY", 1)];
    let row = [
        "task_0123456789abc",
        "needs_human_review",
        "a name that is cut",
        "1",
    ];
    let rows = [row.map(str::to_owned).to_vec()];
    let lines = |width| render(&COLUMNS, &rows, width);
    assert_eq!(
        lines(100)[1],
        "task_0123456789abc  needs_human_review  a name that is cut  1"
    );
    for width in output::MIN_COLUMNS..100 {
        let lines = lines(width);
        assert_eq!(lines.len(), 2, "{lines:?}");
        for line in &lines {
            assert!(line.chars().count() <= width, "{width}: {line:?}");
        }
        // The id names the task; a beginning of it does, too.
        let id: String = lines[1]
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        assert!(
            row[0].starts_with(&id) && id.len() >= 12.min(width),
            "{width}: {lines:?}"
        );
        assert!(width < 24 || id == row[0], "{width}: {lines:?}");
    }
}
