#!/usr/bin/env bash
# `make build`: the release binaries. The first build takes one to three minutes, so it says so.
source "$(dirname "$0")/lib.sh"
need_cargo
[ -x target/release/auto-claude ] || echo "Building auto-claude and taskctl (the first time this takes a few minutes)…"
release_cargo build --release --bins
mkdir -p target/release
# By rename: a daemon that runs keeps its own file.
for program in auto-claude taskctl; do
    install -m 0755 "target/$(host_triple)/release/$program" "target/release/.$program.new"
    mv "target/release/.$program.new" "target/release/$program"
done
