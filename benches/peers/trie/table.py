"""The table of `run`: ours beside each peer, from what they printed.

    python benches/peers/trie/table.py kexue.txt peers.jsonl

`kexue.txt` is what `measure_index build` and `query` print. What a peer does not offer, or was not asked, is left empty.
"""

import json
import re
import sys

ROWS = [
    ("next tokens from the root, p50 · p99 (µs)", ["next_tokens_p50_us", "next_tokens_p99_us"]),
    ("completions of a subject, p50 · p99 (µs)", ["completions_p50_us", "completions_p99_us"]),
    ("subjects in 30 characters, p50 · p99 (µs)", ["mentions_p50_us", "mentions_p99_us"]),
    ("build (s), wall", ["build_s"]),
    ("build (s), processor", ["build_cpu_s"]),
    ("peak memory (MB)", ["peak_memory_mb"]),
    ("size (MB)", ["mb"]),
]
OURS = {
    "next_tokens": "next tokens from the root down a prefix",
    "completions": "all completions of a subject",
    "mentions": "subjects in 30 characters",
}


def ours(text):
    result = {"peer": "kexue"}
    for name, line in OURS.items():
        found = re.search(rf"^{line}.*p50 +([\d.]+) µs +p99 +([\d.]+) µs", text, re.MULTILINE)
        result[f"{name}_p50_us"], result[f"{name}_p99_us"] = map(float, found.groups())
    found = re.search(r"^build +([\d.]+) s · peak memory ([\d.]+) MB", text, re.MULTILINE)
    result["build_s"], result["peak_memory_mb"] = map(float, found.groups())
    result["mb"] = float(re.search(r"^index +([\d.]+) MB without objects", text, re.MULTILINE).group(1))
    return result


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        columns = [ours(file.read())]
    with open(sys.argv[2], encoding="utf-8") as lines:
        columns += [json.loads(line) for line in lines]
    for column in columns:
        if "bytes" in column:
            column["mb"] = round(column["bytes"] / 1e6, 1)
    print("| | " + " | ".join(column["peer"] for column in columns) + " |")
    print("| --- " * (len(columns) + 1) + "|")
    for title, names in ROWS:
        cells = [" · ".join(f"{column[name]:g}" for name in names if name in column) for column in columns]
        print(f"| {title} | " + " | ".join(cells) + " |")
    print("\nOurs is built with objects, and its size is without; the peers have none. yada has the subjects only; marisa-trie is asked from four tokens on.")


main()
