"""Runs ours and a peer in turn and prints both medians, their ratio and peak memory.

Each command prints a JSON object as its last line on standard output; `--key` names the figure in it, of which more is better.

A machine with other work to do has no such figure worth printing. There `--less ARGUMENTS --more ARGUMENTS --work N` measures processor time
instead: each command runs with either arguments, and N is how much more work the latter are. Start and loading cancel out. A command that
knows its own processor time prints the figure with `_cpu` after its name, and runs once.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile


def run(command: str, arguments: str) -> tuple[dict, float, float]:
    """What it printed, its processor time in seconds, its peak memory in MiB."""
    words = [*shlex.split(command), *shlex.split(arguments)]
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True)
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            errors.seek(0)
            sys.exit(f"failed: {shlex.join(words)}\n{errors.read()}")
    return json.loads(text.strip().splitlines()[-1]), usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--key", required=True)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--ours", required=True)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--less", help="measure processor time: arguments for a little work")
    parser.add_argument("--more", required=True, help="arguments for the work to be measured")
    parser.add_argument("--work", type=float, help="with --less: tokens, questions, … in the difference of both")
    arguments = parser.parse_args()

    def measure(command: str) -> tuple[float, float]:
        report, seconds, memory = run(command, arguments.more)
        if arguments.less is None:
            return report[arguments.key], memory
        own = report.get(f"{arguments.key}_cpu")
        return own or arguments.work / (seconds - run(command, arguments.less)[1]), memory

    ours, peer = [], []
    for _ in range(arguments.times):
        ours.append(measure(arguments.ours))
        peer.append(measure(arguments.peer))
    unit = arguments.key.replace("_", " ")
    if arguments.less is not None:
        unit = unit.replace("per second", "per second of processor time")
    (our_speed, our_memory), (peer_speed, peer_memory) = (map(statistics.median, zip(*rows)) for rows in (ours, peer))
    spread = [f"{min(rows)[0]:,.1f}–{max(rows)[0]:,.1f}" for rows in (ours, peer)]
    print(
        f"{arguments.name}, {unit}: ours {our_speed:,.1f} ({spread[0]}), peer {peer_speed:,.1f} ({spread[1]}), "
        f"ratio {our_speed / peer_speed:.2f}; memory {our_memory:,.0f} MiB against {peer_memory:,.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
