"""What `kexue rank show` and `kexue rank flips` do, with pandas and scipy. Prints one JSON object with its own times.

    python peer.py show|flips FILE

Times start after the imports and include reading the file. `flips` does less than `kexue rank flips`: it looks for one swap between
the two means for each pair whose order differs, and says nothing of other exponents.
"""

import json
import resource
import sys
import time

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.stats import gmean, hmean, rankdata


def show(path):
    table = pd.read_csv(path, index_col="Model")
    if table.isna().to_numpy().any():
        sys.exit("missing cells")
    averages = pd.DataFrame({"AM": table.mean(axis=1), "GM": gmean(table, axis=1), "HM": hmean(table, axis=1)}, index=table.index)
    ranks = averages.rank(method="min", ascending=False).astype(int)
    out = averages.join(ranks, rsuffix=" #").sort_values("AM", ascending=False)
    print(out.head(10).to_string())
    return {"rows": len(out)}


def log_power_mean(p, logs):
    return logs.mean() if p == 0 else np.log(np.exp(p * logs).mean()) / p


def flips(path, resamples=1000):
    table = pd.read_csv(path, index_col="Model").to_numpy()
    logs = np.log(table)
    am, hm = table.mean(axis=1), hmean(table, axis=1)
    first, second = np.nonzero((am[:, None] > am[None, :]) & (hm[:, None] < hm[None, :]))
    swaps = [brentq(lambda p: log_power_mean(p, logs[a]) - log_power_mean(p, logs[b]), -1, 1) for a, b in zip(first, second)]

    random = np.random.default_rng(0)
    tasks = table.shape[1]
    counts = random.multinomial(tasks, np.full(tasks, 1 / tasks), size=resamples)
    ranks = rankdata(-(table @ counts.T) / tasks, method="min", axis=0)
    low, high = np.quantile(ranks, [0.025, 0.975], axis=1)
    ahead = (ranks[:-1] < ranks[1:]).mean(axis=1)

    reversed_pairs = []
    order = np.sign(am[:, None] - am[None, :])
    for task in range(tasks):
        less = np.delete(table, task, axis=1).mean(axis=1)
        reversed_pairs.append(int((order * np.sign(less[:, None] - less[None, :]) < 0).sum() // 2))
    return {"flips": len(swaps), "intervals": float((high - low).mean()), "ahead": float(ahead.mean()), "reversed": sum(reversed_pairs)}


def main():
    what, path = sys.argv[1:]
    wall, cpu = time.perf_counter(), time.process_time()
    result = {"show": show, "flips": flips}[what](path)
    result |= {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu,
               "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
