#!/usr/bin/env bash
# `make docs`: writes the generated documents anew. The same tests that check that they are fresh write them when
# UPDATE_DOCS=1 is set (their names hold the word `docs`); then they are run once more, so that what was written is what is checked.
source "$(dirname "$0")/lib.sh"
need_cargo
say "writing"
UPDATE_DOCS=1 cargo test --locked --features crashpoints,sim --quiet docs
say "checking"
cargo test --locked --features crashpoints,sim --quiet docs
git --no-pager diff --stat -- docs README.md 2>/dev/null || true
