# shellcheck shell=bash
# Functions that start programs in the background, each with NAME.log and NAME.pid in a folder, wait for them, and stop
# them again by those pids. To be sourced; nothing here ever signals a process by its name.

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# need PROGRAM HOW: ends when a tool is missing, and says how it is had.
need() { command -v "$1" >/dev/null || fail "$1 is missing. Install it by: $2"; }

# wait_until SECONDS COMMAND...: repeats a command until it succeeds; fails at the deadline.
wait_until() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || return 1
        sleep 0.1
    done
}

# began PID: when a process was started, in clock ticks since the machine was. Fails when it is gone, or a zombie.
began() {
    local stat
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    # The second field is the program's name in parentheses and may hold anything; the rest is plain numbers.
    read -ra stat <<<"${stat##*) }"
    [[ ${stat[0]} != [ZX] ]] && echo "${stat[19]}"
}

# start_program DIR NAME COMMAND...: in a session of its own, so that Ctrl-C reaches only us and we end it in our order;
# without our descriptors, so that make's and a lock's do not stay open in it.
start_program() {
    local dir=$1 name=$2
    shift 2
    setsid "$@" </dev/null >"$dir/$name.log" 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
    # Pids are used again: together with the time that it began, a pid is one process for good.
    echo "$! $(began $! || echo gone)" >"$dir/$name.pid"
}

# pid_of DIR NAME: the pid of a program that we started and that still runs; fails when there is none.
pid_of() {
    local pid since
    { read -r pid since <"$1/$2.pid"; } 2>/dev/null && [[ $(began "$pid") == "$since" ]] && echo "$pid"
}
runs() { pid_of "$1" "$2" >/dev/null; }
is_gone() { ! runs "$1" "$2"; }

# stop_program DIR NAME [SECONDS]: asks it to end, waits (15 s), then ends it by force. Returns when it is gone.
stop_program() {
    local dir=$1 name=$2 seconds=${3:-15} pid
    if pid=$(pid_of "$dir" "$name"); then
        kill -TERM "$pid" 2>/dev/null || true
        if ! wait_until "$seconds" is_gone "$dir" "$name"; then
            say "$name (pid $pid) did not end within $seconds s: killing it"
            kill -KILL "$pid" 2>/dev/null || true
            wait_until 15 is_gone "$dir" "$name" || say "$name (pid $pid) is still there"
        fi
    fi
    rm -f "$dir/$name.pid"
}

# await_program DIR NAME SECONDS CHECK...: waits until a check succeeds while the program runs; else shows its log's end.
# Returns 3, quietly, when the program ended because its port was taken: try another one.
await_program() {
    local dir=$1 name=$2 seconds=$3 deadline=$((SECONDS + $3))
    shift 3
    while runs "$dir" "$name"; do
        # The second look at the program: a check may be answered by another one at the same port.
        if "$@" && runs "$dir" "$name"; then return 0; fi
        if ((SECONDS >= deadline)); then
            say "$name is not ready after $seconds s. The end of $dir/$name.log:"
            tail -n 15 "$dir/$name.log" >&2
            return 1
        fi
        sleep 0.1
    done
    ! grep -qi 'address already in use' "$dir/$name.log" || return 3
    say "$name ended while starting. The end of $dir/$name.log:"
    tail -n 15 "$dir/$name.log" >&2
    return 1
}

# free_port: a loopback port that nobody listens at, below the range from which outgoing connections take theirs.
free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# http_get URL: the body of a plain-HTTP answer from loopback; fails unless it is a 200 within 5 s. Needs no curl.
http_get() {
    local url=${1#http://} answer
    local address=${url%%/*}
    # HTTP/1.0: the server closes when it is done and does not send chunks.
    # shellcheck disable=SC2016 # the inner shell expands these
    answer=$(timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1" || exit
        printf "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n" "$2" "$0" >&3 && cat <&3' \
        "${address%:*}" "${address##*:}" "/${url#*/}" 2>/dev/null | tr -d '\r') || return 1
    [[ $answer == "HTTP/1."?" 200"* ]] && printf '%s\n' "${answer#*$'\n\n'}"
}

# For scripts that clean up in a trap of EXIT: signals end the script, and so reach that trap.
exit_on_signals() {
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

# stop_jobs: ends what this shell itself started and what has no pid file (yet). For the end of a clean-up.
stop_jobs() {
    local pid
    for pid in $(jobs -p); do kill -KILL "$pid" 2>/dev/null || true; done
}
