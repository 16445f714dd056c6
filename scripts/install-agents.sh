#!/usr/bin/env bash
# Installs the real agents that tests drive against a stand-in for their API. They are large (Claude Code: 361 MB) and not
# ours, so they go outside the tree, once for all trees of a user, each version in a directory of its own.
# Usage: install-agents.sh [test|machine]
#   TEST_AGENTS_DIR=~/.cache/auto-claude-test   where; the tests look there as well (or at AUTO_CLAUDE_TEST_CLAUDE=PROGRAM)
source "$(dirname "$0")/lib.sh"

# The program of an installed version, under a name that does not depend on how its package is laid out.
claude_home=$TEST_AGENTS_DIR/claude-code-$CLAUDE_VERSION
claude_works() { [ -x "$1/claude" ] && [ "$("$1/claude" --version 2>/dev/null)" = "$CLAUDE_VERSION (Claude Code)" ]; }

# The version is pinned in the name: without it npm picks an older one that fits an older node. The program needs no node.
install_claude() {
    local part log program
    mkdir -p "$TEST_AGENTS_DIR"
    # Two runs at once each build their own; the first one that is done stays.
    part=$(mktemp -d "$TEST_AGENTS_DIR/part.XXXXXX")
    log=$part/npm.log
    # Its own cache, removed again: npm would keep another 174 MB for ever.
    timeout --foreground 600 npm install --prefix "$part" --cache "$part/npm-cache" --no-save --no-fund --no-audit --no-update-notifier \
        --fetch-retries=1 --fetch-retry-mintimeout=2000 --fetch-timeout=120000 \
        --loglevel=error "@anthropic-ai/claude-code@$CLAUDE_VERSION" >"$log" 2>&1 || true
    rm -rf "$part/npm-cache"
    # npm may have been told to run no install scripts: then the link is a stub, but the program lies in its own package.
    for program in node_modules/@anthropic-ai/claude-code/bin/claude.exe node_modules/@anthropic-ai/claude-code-*/claude; do
        (cd "$part" && [ -x "$program" ]) || continue
        ln -sfn "$program" "$part/claude"
        if claude_works "$part"; then
            rm -f "$log"
            # Readable by a service user too: tests also run it without root's rights.
            chmod 755 "$part"
            mv -T "$part" "$claude_home" 2>/dev/null || rm -rf "$part"
            return 0
        fi
    done
    tail -n 3 "$log" >&2
    rm -rf "$part"
    return 1
}

if claude_works "$claude_home"; then
    exit 0
fi
if ! have npm; then
    skipped "the real Claude Code CLI" "npm is not installed, so version $CLAUDE_VERSION could not be fetched"
    exit 0
fi
say "npm: Claude Code $CLAUDE_VERSION into $claude_home (once, 361 MB)"
# A version that does not work any more must not stand in the way of its successor.
rm -rf "$claude_home"
if install_claude && claude_works "$claude_home"; then
    echo "installed in $((SECONDS - STARTED_S)) s, $(du -sh "$claude_home" | cut -f1)"
else
    skipped "the real Claude Code CLI" "version $CLAUDE_VERSION could not be installed with npm (is the package registry reachable?)"
fi
