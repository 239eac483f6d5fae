# shellcheck shell=bash
# Programs built from published Go modules, once for each version, into a cache outside the tree. To be sourced:
#
#   programs_begin WHAT NAME FILE...                  sets bin, the folder of the programs that these files decide
#   programs_have PROGRAM...                          whether all of them are there
#   programs_lock                                     waits while somebody else builds the same
#   programs_build NAME MODULE PACKAGE SECONDS        builds what is not there yet; flags may hold linker flags

flags="-s -w"

say() { printf '%s: %s\n' "$what" "$*" >&2; }
fail() { say "$*"; exit 1; }

# version_of MODULE FILE: the version that a go.mod requires.
version_of() { sed -nE "s,^(require)?[[:space:]]*$1 v([0-9.]+)( .*)?\$,\2,p" "$2"; }

programs_begin() {
    local hash name=$2
    what=$1
    shift 2
    # The folder is named after all that decides what comes out.
    hash=$( (cat "$@"; echo "$flags") | sha256sum | cut -c1-10)
    bin=${HUBTWIN_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hubtwin}/$name-$(uname -m)-$hash
}

programs_have() {
    local name
    for name in "$@"; do [[ -x $bin/$name ]] || return 1; done
}

programs_lock() {
    command -v go >/dev/null ||
        fail "go is missing (1.26 or newer). Install it by: apt-get install golang-go, or from https://go.dev/doc/install"
    mkdir -p "$bin"
    exec {lock}>"$bin/.lock"
    flock -n "$lock" || { say "somebody else is building the same: waiting"; flock "$lock"; }
}

# Builds beside the program's place, and moves it there when it is whole.
programs_build() {
    local name=$1 module=$2 package=$3 about=$4 began=$SECONDS
    [[ ! -x $bin/$name ]] || return 0
    say "building $name (about $about s on two cores) ..."
    (cd "$module" && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "$flags" -o "$bin/.$name" "$package") ||
        fail "building $name failed; go's own messages stand above"
    mv "$bin/.$name" "$bin/$name"
    say "built $name in $((SECONDS - began)) s"
}
