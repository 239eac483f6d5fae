# shellcheck shell=bash
# How the tutorial tells its story: a heading, a command as one would type it with what came back, and what must hold.
# Wants `dir`, a folder for its own use. To be sourced.

[[ -t 1 ]] && bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m' || bold='' dim='' plain=''
steps=0 shown=

step() {
    steps=$((steps + 1))
    printf '\n%s%d. %s%s\n' "$bold" "$steps" "$1" "$plain"
    [[ $# -lt 2 ]] || fold -s -w 100 <<<"${2//$'\n'/ }"
}

# show COMMAND: one line of shell, printed and run. When it fails the story ends.
show() {
    printf '\n  %s$ %s%s\n' "$bold" "$1" "$plain"
    # In the background, since bash hears of Ctrl-C only when no program is in the foreground.
    setsid bash -c "$1" </dev/null >"$dir/shown" 2>&1 &
    shown=$!
    local status=0
    wait "$shown" || status=$?
    shown=
    sed 's/^/  /' "$dir/shown"
    ((status == 0)) || not_held "this command to succeed" "status $status"
}

# expect SECONDS WHAT PATTERN COMMAND: repeats a command until what it prints matches an extended regular expression.
expect() {
    local deadline=$((SECONDS + $1)) began=$EPOCHREALTIME seen
    until seen=$(bash -c "$4" 2>&1 </dev/null) && [[ $seen =~ $3 ]]; do
        ((SECONDS < deadline)) || not_held "$2
  by           $4
  to match     $3
  within       $1 s" "$seen"
        sleep 0.2
    done
    local ms=$(((${EPOCHREALTIME/./} - ${began/./}) / 1000))
    printf '  %sok: %s (%d.%03d s)%s\n' "$dim" "$2" $((ms / 1000)) $((ms % 1000)) "$plain"
}

# stop_shown: ends the command that is being shown, if any. For the clean-up.
stop_shown() { [[ ! $shown ]] || kill -TERM -- "-$shown" 2>/dev/null || true; }

not_held() {
    printf '\n%sStep %d did not hold.%s\n  expected     %s\n  last seen    %s\n' "$bold" "$steps" "$plain" "$1" "$2" >&2
    exit 1
}
