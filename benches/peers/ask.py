"""Times `kexue ask` as a whole process, from its start to its end, and prints medians and ranges of wall time and peak memory."""

import argparse
import os
import statistics
import subprocess
import time

QUESTIONS = ["法国的首都是哪里？", "what is the melting point of iron?", "铁的原子序数是多少", "what currency do they use in Japan?"]


def once(kexue: str, question: str) -> tuple[float, float]:
    """Wall time in milliseconds and peak memory in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen([kexue, "ask", question], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = 1e3 * (time.perf_counter() - start)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        raise SystemExit(f"kexue ask {question!r} failed")
    return wall, usage.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kexue")
    parser.add_argument("--times", type=int, default=5)
    arguments = parser.parse_args()
    once(arguments.kexue, QUESTIONS[0])  # the file is in the system's cache from here on
    runs = [once(arguments.kexue, question) for _ in range(arguments.times) for question in QUESTIONS]
    for name, values in zip(("wall time, ms", "peak memory, MiB"), zip(*runs)):
        print(f"{name}: {statistics.median(values):.1f} ({min(values):.1f}–{max(values):.1f}), {len(values)} runs")


if __name__ == "__main__":
    main()
