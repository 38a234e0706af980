# shellcheck shell=sh
# Sourced by the scripts in this directory, with $root set to the checkout (a physical path).
#
# kademlua_env PARTS makes sure that $root/.venv holds the project and each of PARTS ("base", or extras
# of setup.cfg: "crypto,disk" for what a node can do, "http", "docs", "test"), and sets $python. If the
# stamp in .venv differs, bin/_setup.py installs.

say() { printf 'kademlua: %s\n' "$*" >&2; }

kademlua_env() {
    python=${root:?}/.venv/bin/python
    checksum=$(cksum <"$root/setup.cfg") || exit 1
    stamped "$1" && return
    base=$(find_python) || exit 1
    "$base" -I "$root/bin/_setup.py" "$root" "$checksum" "$1" </dev/null || exit
}

# The stamp has three lines: setup.cfg's checksum, the installed parts, and the checkout
# (a copied or moved .venv would still run the code of the old place).
stamped() {
    [ -x "$python" ] && [ -r "$root/.venv/kademlua.stamp" ] || return 1
    { IFS= read -r is_checksum && IFS= read -r is_parts && IFS= read -r is_root; } \
        <"$root/.venv/kademlua.stamp" || return 1
    [ "$is_checksum" = "$checksum" ] && [ "$is_root" = "$root" ] || return 1
    for part in $1; do
        case " $is_parts " in *" $part "*) ;; *) return 1 ;; esac
    done
}

# Prints the first suitable Python: $PYTHON if set, else .venv's own, else those of PATH.
find_python() {
    old='' bare=''
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- "$python" python3 python3.14 python3.13 python3.12 python3.11
    fi
    for candidate; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        code=0
        version=$("$candidate" -c '
import sys
print("%d.%d.%d" % sys.version_info[:3])
if sys.version_info < (3, 11):
    sys.exit(3)
try:
    import ensurepip, venv
except ImportError:
    sys.exit(4)
' 2>/dev/null </dev/null) || code=$?
        case $code in
            0) printf '%s\n' "$candidate"; return ;;
            3) old=${old:-"$candidate is Python $version"} ;;
            4) bare=${bare:-"$version"} ;;
        esac
    done
    if [ -n "$bare" ]; then
        say "Python $bare has no venv and ensurepip: install them" \
            "(Debian, Ubuntu: apt install python${bare%.*}-venv)"
    else
        [ -n "$old" ] || old="${PYTHON:-python3} is not there or does not run"
        say "needs Python 3.11 or newer, but $old: install one" \
            "(Debian, Ubuntu: apt install python3 python3-venv) or name one with PYTHON=/path/to/it"
    fi
    return 1
}

# Fails if compiled modules (bin/compile) are older than a source: they would run in its place.
check_compiled() {
    for library in "$root"/kademlua/compiled__mypyc.*.so; do
        [ -e "$library" ] || return 0
        newer=$(find "$root/kademlua" "$root/setup.py" -name '*.py' -newer "$library" | head -n 1)
        [ -z "$newer" ] || {
            say "${newer#"$root/"} is newer than the compiled modules: run bin/compile," \
                "or bin/compile --clean to use the sources"
            return 1
        }
    done
}
