//! The crash matrix: for every crash point and several hits, daemon or worker dies there as by SIGKILL, a daemon is started
//! again, and every promise is checked.
//!
//! `MATRIX_ONLY=point:hit cargo test --features crashpoints --test crash_matrix` repeats one case. Without the feature the
//! file holds only the check that no point is forgotten.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on stops")]

#[cfg(feature = "crashpoints")]
#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "crashpoints")]
#[path = "../crash_kit/mod.rs"]
mod crash_kit;
#[cfg_attr(
    not(feature = "crashpoints"),
    expect(dead_code, reason = "only the names matter without the feature")
)]
mod points;
#[cfg(feature = "crashpoints")]
mod scenes;

use std::collections::BTreeSet;
use std::path::Path;

use points::POINTS;

/// The points in the sources are the points of the matrix: none forgotten, none that is not there.
#[test]
fn every_crash_point_is_in_the_matrix() {
    let mut found = BTreeSet::new();
    collect(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    let listed: BTreeSet<String> = POINTS.iter().map(|point| point.name.to_owned()).collect();
    assert_eq!(found, listed);
    assert_eq!(listed.len(), POINTS.len(), "each is listed once");
}

fn collect(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        found.extend(
            text.split("crash::point(\"")
                .skip(1)
                .map(|rest| rest.split('"').next().unwrap().to_owned()),
        );
    }
}

#[cfg(feature = "crashpoints")]
mod matrix {
    use crate::points::Scene;
    use crate::scenes::all_of;

    #[test]
    fn crash_matrix_of_the_daemon() {
        all_of(&[Scene::Daemon], None);
    }

    #[test]
    fn crash_matrix_of_the_worker() {
        all_of(&[Scene::Worker], None);
    }

    #[test]
    fn crash_matrix_of_starts_and_recovery() {
        all_of(
            &[
                Scene::Recovery,
                Scene::Record,
                Scene::Maintenance,
                Scene::Restore,
            ],
            None,
        );
    }

    #[test]
    #[ignore = "soak: every point that is passed again and again, the first twelve hits"]
    fn soak_crash_matrix() {
        all_of(&[Scene::Daemon, Scene::Worker, Scene::Recovery], Some(12));
    }
}
