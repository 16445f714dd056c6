//! `docs/cli.md` is what the command lines' definitions say. `UPDATE_DOCS=1` writes it anew.

use std::path::Path;

#[test]
fn docs_cli_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    let wanted = auto_claude::cli::docs::markdown();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == wanted,
        "docs/cli.md is not what the command line says; run: UPDATE_DOCS=1 cargo test docs"
    );
}

#[test]
fn exit_codes_are_ascending_and_named_once() {
    let all = auto_claude::cli::exit::ALL;
    for pair in all.windows(2) {
        assert!(pair[0].code < pair[1].code, "{pair:?}");
        assert_ne!(pair[0].name, pair[1].name);
    }
}
