"""Runs `kexue rank` and the same work in pandas and scipy alternately, and prints the ratios of the medians.

    python run.py --kexue target/release/kexue [--times 5]

Needs numpy, pandas and scipy. Ours is timed as a whole process, the peer without its imports. The tables are made up: a skill for each
system, a difficulty for each task, and noise. On a machine with other work to do, look at the processor time.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def write_table(path, rows, columns, seed):
    random = np.random.default_rng(seed)
    skill = random.normal(0.8, 0.6, (rows, 1))
    difficulty = random.normal(0, 0.8, (1, columns))
    scores = 100 / (1 + np.exp(-(skill - difficulty + random.normal(0, 0.35, (rows, columns)))))
    with open(path, "w") as out:
        out.write(",".join(["Model", *(f"task{index:02}" for index in range(columns))]) + "\n")
        for index, row in enumerate(scores):
            out.write(f"system{index:06}," + ",".join(f"{score:.2f}" for score in row) + "\n")


def ours(command):
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {command}\n{errors.decode()}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def peer(command):
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    report = json.loads(output.strip().splitlines()[-1])
    return report["seconds"], report["cpu_seconds"], report["memory_mib"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kexue", required=True)
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for what, rows, columns in [("show", 100_000, 50), ("flips", 1000, 50)]:
            path = Path(folder) / f"{rows}x{columns}.csv"
            write_table(path, rows, columns, seed=rows)
            command = [arguments.kexue, "rank", what, str(path), "--quiet", "--limit", "10"]
            runs = [(ours(command), peer([sys.executable, str(Path(__file__).with_name("peer.py")), what, str(path)]))
                    for _ in range(arguments.times)]
            medians = [[statistics.median(values) for values in zip(*side)] for side in zip(*runs)]
            (wall, cpu, memory), (peer_wall, peer_cpu, peer_memory) = medians
            print(f"{what}, {rows:,} × {columns}: ours {wall:.2f} s ({cpu:.2f} s of processor time, {memory:,.0f} MiB), "
                  f"pandas and scipy {peer_wall:.2f} s ({peer_cpu:.2f} s, {peer_memory:,.0f} MiB); "
                  f"ratio {peer_wall / wall:.1f}, of processor time {peer_cpu / cpu:.1f}", flush=True)


if __name__ == "__main__":
    main()
