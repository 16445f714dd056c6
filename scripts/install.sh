#!/usr/bin/env bash
# `make install` and `make uninstall`. Usage: install.sh install|uninstall
#   PREFIX=/usr/local   programs, man pages, completions
#   DESTDIR=            put before every path, for packages; then nothing of this machine is looked at
#   UNIT_DIR, USER_UNIT_DIR, SYSUSERS_DIR: by default the distribution's directories for PREFIX=/usr, else those in /etc
# Neither starts nor stops a service. State and configuration are never removed.
source "$(dirname "$0")/lib.sh"

action=${1:-}
PREFIX=${PREFIX:-/usr/local}
DESTDIR=${DESTDIR:-}
if [ "$PREFIX" = /usr ]; then
    systemd_dir=/usr/lib/systemd sysusers_default=/usr/lib/sysusers.d
else
    systemd_dir=/etc/systemd sysusers_default=/etc/sysusers.d
fi
UNIT_DIR=${UNIT_DIR:-$systemd_dir/system}
USER_UNIT_DIR=${USER_UNIT_DIR:-$systemd_dir/user}
SYSUSERS_DIR=${SYSUSERS_DIR:-$sysusers_default}
CONFIG_FILE=/etc/auto-claude/config.toml
BIN_DIR=$PREFIX/bin
MAN_DIR=$PREFIX/share/man/man1
BASH_DIR=$PREFIX/share/bash-completion/completions
ZSH_DIR=$PREFIX/share/zsh/site-functions
FISH_DIR=$PREFIX/share/fish/vendor_completions.d
PROGRAMS=(auto-claude taskctl)

# put MODE SOURCE TARGET: TARGET without DESTDIR.
put() {
    install -D -m "$1" "$2" "$DESTDIR$3"
    echo "  $DESTDIR$3"
}

# put_unit SOURCE TARGET: with the programs' true place in its command lines.
put_unit() {
    local filled
    filled=$work/$(basename "$1")
    sed -E "s#(^|[ =])/usr(/local)?/bin/(auto-claude|taskctl)#\1$BIN_DIR/\3#g" "$1" >"$filled"
    put 0644 "$filled" "$2"
}

# The files of systemd/, by what they are: unit files for the system, for users, and the service's own user.
units() { find systemd -maxdepth 1 \( -name '*.service' -o -name '*.socket' -o -name '*.slice' -o -name '*.timer' -o -name '*.target' \) | sort; }
user_units() { find systemd/user -maxdepth 1 -type f \( -name '*.service' -o -name '*.socket' -o -name '*.timer' \) 2>/dev/null | sort; }
sysusers() { find systemd -path '*sysusers*' -type f -name '*.conf' | sort; }

# auto-claude.sysusers.conf → auto-claude.conf
sysusers_name() { basename "$1" | sed 's/\.sysusers\.conf$/.conf/'; }

default_config() {
    local candidate
    for candidate in config/config.toml config/auto-claude.toml config/*.toml; do
        [ -f "$candidate" ] && { echo "$candidate"; return; }
    done
    die "there is no configuration file in config/"
}

check_before_install() {
    local program
    for program in "${PROGRAMS[@]}"; do
        [ -x "target/release/$program" ] || die "target/release/$program is not there. Run 'make build' first (as yourself, not as root)"
    done
    if [ -z "$DESTDIR" ] && [ "$(id -u)" != 0 ]; then
        local dir
        for dir in "$PREFIX" "$(dirname "$systemd_dir")"; do
            [ -w "$dir" ] || die "no right to write to $dir. Run 'sudo make install', or give PREFIX= and DESTDIR="
        done
    fi
}

do_install() {
    check_before_install
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    local program file
    for program in "${PROGRAMS[@]}"; do
        put 0755 "target/release/$program" "$BIN_DIR/$program"
        "target/release/$program" completions bash >"$work/bash"
        "target/release/$program" completions zsh >"$work/zsh"
        "target/release/$program" completions fish >"$work/fish"
        put 0644 "$work/bash" "$BASH_DIR/$program"
        put 0644 "$work/zsh" "$ZSH_DIR/_$program"
        put 0644 "$work/fish" "$FISH_DIR/$program.fish"
        mkdir "$work/man-$program"
        "target/release/$program" man "$work/man-$program" >/dev/null
        for file in "$work/man-$program"/*.1; do put 0644 "$file" "$MAN_DIR/$(basename "$file")"; done
    done
    for file in $(units); do put_unit "$file" "$UNIT_DIR/$(basename "$file")"; done
    for file in $(user_units); do put_unit "$file" "$USER_UNIT_DIR/$(basename "$file")"; done
    for file in $(sysusers); do
        put 0644 "$file" "$SYSUSERS_DIR/$(sysusers_name "$file")"
    done
    if [ -e "$DESTDIR$CONFIG_FILE" ]; then
        echo "  $DESTDIR$CONFIG_FILE is kept as it is"
    else
        put 0644 "$(default_config)" "$CONFIG_FILE"
    fi
    [ -n "$DESTDIR" ] || cat <<'END'

Installed. To run it as a service:
  systemd-sysusers && systemctl daemon-reload
  systemctl enable --now auto-claude.socket auto-claude.service
END
}

do_uninstall() {
    if [ -z "$DESTDIR" ] && have systemctl && systemctl is-active --quiet auto-claude.service 2>/dev/null; then
        die "auto-claude.service is running. Stop it first: systemctl disable --now auto-claude.socket auto-claude.service"
    fi
    local program file targets=()
    for program in "${PROGRAMS[@]}"; do
        targets+=("$BIN_DIR/$program" "$BASH_DIR/$program" "$ZSH_DIR/_$program" "$FISH_DIR/$program.fish" "$MAN_DIR/$program.1")
        for file in "$DESTDIR$MAN_DIR/$program"-*.1; do targets+=("${file#"$DESTDIR"}"); done
    done
    for file in $(units); do targets+=("$UNIT_DIR/$(basename "$file")"); done
    for file in $(user_units); do targets+=("$USER_UNIT_DIR/$(basename "$file")"); done
    for file in $(sysusers); do
        targets+=("$SYSUSERS_DIR/$(sysusers_name "$file")")
    done
    for file in "${targets[@]}"; do
        [ -e "$DESTDIR$file" ] || continue
        rm -f "$DESTDIR$file"
        echo "  removed $DESTDIR$file"
    done
    echo "Kept: $DESTDIR$CONFIG_FILE and the state directories (by default /var/lib/auto-claude)."
}

case $action in
    install) do_install ;;
    uninstall) do_uninstall ;;
    *) die "usage: install.sh install|uninstall" ;;
esac
