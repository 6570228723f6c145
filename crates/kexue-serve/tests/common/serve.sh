# Sourced by the tests that drive a running service: a folder $work with the embedded graph and its model as files, a file of tokens, and
# `serve FLAGS…`, which starts $kexue on a free port and sets $address. Services and folder are removed at the end.
kexue=$(realpath "$1")
work=$(mktemp -d)
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT

data=$(dirname "${BASH_SOURCE[0]}")/../../../kexue-qa/data/default
cp -r "$data/model" "$work/model"
cp "$data/graph.index" "$work/graph.idx"
token=a-token-that-allows-changes
echo "$token" > "$work/tokens"

serve() {
    : > "$work/log"
    "$kexue" serve --listen 127.0.0.1:0 --no-log "$@" 2> "$work/log" &
    pids+=($!)
    for _ in $(seq 100); do
        address=$(sed -n 's/^kexue serve: //p' "$work/log")
        [ -n "$address" ] && return
        sleep 0.1
    done
    cat "$work/log" >&2
    return 1
}
