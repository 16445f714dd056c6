#!/usr/bin/env bash
# Installs the real agents that tests drive against stand-ins for their APIs. They are large (Claude Code: 361 MB, Codex:
# 404 MB, Qwen Code: 55 MB, OpenCode: 354 MB, Gemini: 100 MB) and not ours, so they go outside the tree, once for all trees of a user, each version in a
# directory of its own, with its program in it under a name that does not depend on how its package is laid out.
# Usage: install-agents.sh [test|machine]
#   TEST_AGENTS_DIR=~/.cache/auto-claude-test   where; the tests look there as well (for Claude Code also at
#                                               AUTO_CLAUDE_TEST_CLAUDE=PROGRAM)
source "$(dirname "$0")/lib.sh"

# works PROGRAM VERSION: whether an installed program tells this version.
works() { [ -x "$1" ] && [[ " $("$1" --version 2>/dev/null) " = *" $2 "* ]]; }

# fetch HOME PROGRAM PACKAGE VERSION CANDIDATE…: installs a package, and links its program: the first candidate that works.
# The version is pinned in the name: without it npm picks an older one that fits an older node.
fetch() {
    local home=$1 name=$2 package=$3 version=$4 part log pattern candidate
    shift 4
    mkdir -p "$TEST_AGENTS_DIR"
    # Two runs at once each build their own; the first one that is done stays.
    part=$(mktemp -d "$TEST_AGENTS_DIR/part.XXXXXX")
    log=$part/npm.log
    # Its own cache, removed again: npm would keep another 174 MB for ever.
    timeout --foreground 600 npm install --prefix "$part" --cache "$part/npm-cache" --no-save --no-fund --no-audit --no-update-notifier \
        --fetch-retries=1 --fetch-retry-mintimeout=2000 --fetch-timeout=120000 \
        --loglevel=error "$package@$version" >"$log" 2>&1 || true
    rm -rf "$part/npm-cache"
    for pattern in "$@"; do
        # A pattern of paths below the part's directory: not quoted, so that it is one.
        # shellcheck disable=SC2231
        for candidate in "$part"/$pattern; do
            [ -x "$candidate" ] || continue
            ln -sfn "${candidate#"$part"/}" "$part/$name"
            if works "$part/$name" "$version"; then
                rm -f "$log"
                # Readable by a service user too: tests also run it without root's rights.
                chmod 755 "$part"
                mv -T "$part" "$home" 2>/dev/null || rm -rf "$part"
                return 0
            fi
        done
    done
    tail -n 3 "$log" >&2
    rm -rf "$part"
    return 1
}

# agent WHAT PACKAGE VERSION HOME PROGRAM CANDIDATE…: installs one agent, unless it is there.
agent() {
    local what=$1 package=$2 version=$3 home=$TEST_AGENTS_DIR/$4 name=$5 begun=$SECONDS
    shift 5
    works "$home/$name" "$version" && return 0
    if ! have npm; then
        skipped "the real $what CLI" "npm is not installed, so version $version could not be fetched"
        return 0
    fi
    say "npm: $what $version into $home (once)"
    # A version that does not work any more must not stand in the way of its successor.
    rm -rf "$home"
    if fetch "$home" "$name" "$package" "$version" "$@" && works "$home/$name" "$version"; then
        echo "installed in $((SECONDS - begun)) s, $(du -sh "$home" | cut -f1)"
    else
        skipped "the real $what CLI" "version $version could not be installed with npm (is the package registry reachable, is node new enough?)"
    fi
}

# npm may have been told to run no install scripts: then the link is a stub, but the program lies in its own package.
agent "Claude Code" @anthropic-ai/claude-code "$CLAUDE_VERSION" "claude-code-$CLAUDE_VERSION" claude \
    'node_modules/@anthropic-ai/claude-code/bin/claude.exe' 'node_modules/@anthropic-ai/claude-code-*/claude'
# The program itself; the one in .bin needs node to find it.
agent "Codex" @openai/codex "$CODEX_VERSION" "codex-$CODEX_VERSION" codex \
    'node_modules/@openai/codex-*/vendor/*/bin/codex' 'node_modules/.bin/codex'
agent "Qwen Code" @qwen-code/qwen-code "$QWEN_VERSION" "qwen-code-$QWEN_VERSION" qwen 'node_modules/.bin/qwen'
# Those of `make test-machine` only.
if [ "${1:-test}" = machine ]; then
    agent "Gemini" @google/gemini-cli "$GEMINI_VERSION" "gemini-cli-$GEMINI_VERSION" gemini 'node_modules/.bin/gemini'
    agent "OpenCode" opencode-ai "$OPENCODE_VERSION" "opencode-$OPENCODE_VERSION" opencode 'node_modules/.bin/opencode'
fi
