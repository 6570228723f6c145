"""Voting results of the Python package `votenrank`, as numbers for the tests of kexue-rank.

    python votenrank_goldens.py --package DIR > crates/kexue-rank/tests/goldens/votenrank_made_up.json
    python votenrank_goldens.py --package DIR --leaderboards DIR > crates/kexue-rank/tests/goldens/votenrank.json

DIR of --package holds the package `votenrank` (of the paper Vote'n'Rank). Without --leaderboards the tables are made up: small
scores with many ties and weights in halves; those whose true ties the package's floating sums break are left out.

DIR of --leaderboards holds glue_votenrank.csv, superglue_votenrank.csv and value_votenrank.csv. The tables are prepared as the paper does: cells with two metrics are two
columns of weight one half, the diagnostic columns weigh nothing, GLUE is its first 30 rows, rows with a missing cell are left
out, and VALUE is also taken with its missing cells. Systems are given by their row in the file, counted from 0.
"""

import argparse
import json
import random
import sys
import types
from pathlib import Path

import pandas as pd

RULES = ["plurality", "borda", "dowdall", "copeland", "minimax", "threshold", "baldwin", "condorcet"]
PAIRWISE = ["copeland", "minimax", "condorcet"]
SETTINGS = {"copeland": {"slice_type": "difference"}, "minimax": {"score_type": "winning_votes"}}


def stub_imports():
    """The package imports a power meter that ranking does not use."""
    for name in ["experiment_impact_tracker", "experiment_impact_tracker.data_interface",
                 "experiment_impact_tracker.data_utils", "experiment_impact_tracker.utils"]:
        sys.modules[name] = types.ModuleType(name)
    sys.modules["experiment_impact_tracker.data_interface"].DataInterface = None
    sys.modules["experiment_impact_tracker.data_utils"].load_initial_info = None
    sys.modules["experiment_impact_tracker.utils"].gather_additional_info = None


def prepare(path, drop, pairs, silent, head=None):
    table = pd.read_csv(path).drop(columns=drop)
    table = table.drop(columns=["Model"]).replace("-", None)
    if head is not None:
        table = table.head(head)
    weights = {}
    for column in pairs:
        parts = table[column].str.split("/", expand=True)
        for number in (0, 1):
            table[f"{column}_{number}"] = parts[number]
            weights[f"{column}_{number}"] = 0.0 if column in silent else 0.5
        table = table.drop(columns=[column])
    for column in silent:
        if column not in pairs:
            weights[column] = 0.0
    return table.astype(float), weights


def results(board, rules):
    found = {}
    for rule in rules:
        settings = SETTINGS.get(rule, {})
        entry = {"winners": sorted(getattr(board, f"{rule}_election")(**settings))}
        if hasattr(board, f"{rule}_ranking"):
            ranking = getattr(board, f"{rule}_ranking")(**settings)
            entry["points"] = [round(float(ranking.loc[model]), 9) for model in board.models]
        found[rule] = entry
    return {"rows": [int(model) for model in board.models], "rules": found}


def breaks_a_tie(found):
    """Whether a system has the best points but for rounding, and is not elected."""
    for entry in found["rules"].values():
        if "points" in entry and entry["winners"]:
            best = max(entry["points"])
            tied = [index for index, points in enumerate(entry["points"]) if abs(points - best) < 1e-7]
            if tied != entry["winners"]:
                return True
    return False


def made_up(leaderboard, count):
    random.seed(8783)
    cases = []
    while len(cases) < count:
        systems, tasks = random.randrange(2, 7), random.randrange(2, 7)
        rows = [[random.randrange(6) for _ in range(tasks)] for _ in range(systems)]
        weights = [random.randrange(1, 5) / 2 for _ in range(tasks)]
        names = [f"T{task}" for task in range(tasks)]
        table = pd.DataFrame(rows, columns=names).astype(float)
        found = results(leaderboard(table, weights=dict(zip(names, weights))), RULES)
        if not breaks_a_tie(found):
            cases.append({"scores": rows, "weights": weights, "rules": found["rules"]})
    return cases


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--package", type=Path, required=True)
    parser.add_argument("--leaderboards", type=Path)
    arguments = parser.parse_args()
    stub_imports()
    sys.path.insert(0, str(arguments.package))
    from votenrank import Leaderboard

    if arguments.leaderboards is None:
        cases = (json.dumps(case) for case in made_up(Leaderboard, 40))
        print("[\n" + ",\n".join(cases) + "\n]")
        return
    at = arguments.leaderboards
    described = ["Rank", "Name", "URL", "Score"]
    glue, glue_weights = prepare(at / "glue_votenrank.csv", described, ["MRPC", "STS-B", "QQP"], ["AX"], head=30)
    sglue, sglue_weights = prepare(at / "superglue_votenrank.csv", described, ["CB", "MultiRC", "ReCoRD", "AX-g"],
                                   ["AX-g", "AX-b"])
    value, value_weights = prepare(at / "value_votenrank.csv", ["Mean-Rank", "Meta-Ave"], [], [])
    out = {
        "glue": results(Leaderboard(glue.dropna(), weights=glue_weights), RULES),
        "superglue": results(Leaderboard(sglue.dropna(), weights=sglue_weights), RULES),
        "value": results(Leaderboard(value.dropna(), weights=value_weights), RULES),
        "value_with_missing": results(Leaderboard(value, weights=value_weights), PAIRWISE),
    }
    json.dump(out, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
