"""Averages of results tables over equal columns: ranks by every mean, rank flips, votes, and a check of printed averages.

A table is a DataFrame of pandas or polars, or the name of a file (CSV, TSV, Markdown, LaTeX, JSON) or a list of names. Results hold tables of
the same library; from files, of pandas where that is installed, else lists of dicts. A cell may hold several metrics, such as ``93.9/91.8``,
and may be missing.

Every function takes the same arguments about the table:

- ``system``: the columns that name the systems; by default the first with text, or the index of a pandas DataFrame that has names;
- ``columns``: the columns to rank by, or ``"common"`` for those that no system lacks; ``without``: columns to leave out;
- ``claims``: columns that are printed averages; ``lower``, ``higher``: columns of which a lower or a higher score is better;
- ``systems``: the rows; ``head``: the first so many; ``drop_rows``: rows with a missing score are left out;
- ``drop_unranked``: rows are left out to which the table gives no rank;
- ``metrics``: ``average``, ``split``, ``first`` or ``last`` of a cell with several;
- ``merge``, ``groups``: columns by name, ``{name: [columns]}``, made into one or weighed together; ``weights``: ``{column or group: weight}``;
- ``macro_average``: every group counts once; ``lower_as``: ``complement`` (of ``lower_total``, 100) or ``reciprocal``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from kexue import _kexue
from kexue._kexue import KexueError

__all__ = ["Check", "Flips", "Ranking", "Votes", "check", "flips", "show", "vote"]


@dataclass(frozen=True)
class Ranking:
    """Averages and ranks."""

    #: A row a system, best first: ``system``, and for each mean its average (``AM``) and rank (``AM rank``).
    table: Any
    #: Means that could not be taken: ``mean`` and ``reason``.
    refused: list[dict[str, str]]
    #: How the table was read.
    notes: list[str]


@dataclass(frozen=True)
class Flips:
    """What changes with the mean, and with the tasks."""

    #: Pairs of systems that change places between the two means: ``ahead``, ``behind``, ``first``, ``second`` and ``swaps`` (exponents).
    pairs: Any
    #: A row a system: ``system``, ``rank``, its ``best`` and ``worst`` rank over all exponents, and the bootstrap interval ``low`` to ``high``.
    systems: Any
    #: How many ``pairs`` there are, and how many are ``dominated``, ``never`` swap, are ``identical``, or are ``swapping``.
    stability: dict[str, int]
    #: A row a task: ``task`` and how many pairs are ``reversed`` without it.
    left_out: Any
    notes: list[str]


@dataclass(frozen=True)
class Votes:
    """The outcome of voting rules."""

    #: A row a rule: ``rule``, ``winners``, and ``refused`` where it could not be used.
    rules: Any
    #: A row a system: its rank by each rule that ranks.
    ranks: Any
    notes: list[str]


@dataclass(frozen=True)
class Check:
    """Which rules reproduce printed averages."""

    #: Whether all averages compare like with like.
    consistent: bool
    #: What does not.
    findings: list[str]
    #: What no rule explains.
    not_explained: list[str]
    #: All that was found of each claim.
    claims: list[dict[str, Any]]
    notes: list[str]


def show(table: Any, means: Iterable[str | float] = (), **choice: Any) -> Ranking:
    """Ranks by means: ``am``, ``gm``, ``hm``, ``median``, ``min``, ``max`` or an exponent; by default the first three."""
    results, frame = _results(table, choice)
    found = json.loads(results.show([str(mean) for mean in means]))
    rows = []
    for system in found["systems"]:
        row = {"system": system["system"]}
        for mean, values in system["means"].items():
            row |= {mean: values["average"], f"{mean} rank": values["rank"]}
        rows.append(row)
    return Ranking(frame(rows), found["refused"], found["notes"])


def flips(
    table: Any,
    between: tuple[str | float, str | float] = ("am", "hm"),
    *,
    resamples: int = 10_000,
    seed: int = 0,
    level: float = 0.95,
    **choice: Any,
) -> Flips:
    """Which systems change places between two means, at which exponents, and how sure the ranks are over resampled tasks."""
    results, frame = _results(table, choice)
    found = json.loads(results.flips((str(between[0]), str(between[1])), resamples, seed, level))
    systems = [
        {
            "system": system["system"],
            "rank": system["rank"],
            "best": system["ranks_over_exponents"]["best"],
            "worst": system["ranks_over_exponents"]["worst"],
            **system["bootstrap"],
        }
        for system in found["systems"]
    ]
    left_out = [{"task": left["task"], "reversed": left["reversed"]} for left in found["left_out"]]
    pairs = frame(found["flips"], ["ahead", "behind", "first", "second", "swaps"])
    return Flips(pairs, frame(systems), found["stability"], frame(left_out, ["task", "reversed"]), found["notes"])


def vote(table: Any, rules: Iterable[str] = (), *, ties: str = "share", missing: str = "refuse", **choice: Any) -> Votes:
    """Lets the tasks vote: ``plurality``, ``borda``, ``dowdall``, ``copeland``, ``minimax``, ``condorcet``, ``threshold``, ``baldwin``.

    ``ties`` are ``share``, ``best``, ``worst`` or ``votenrank``; ``missing`` scores ``refuse``, ``pairwise`` or ``last``.
    """
    results, frame = _results(table, choice)
    found = json.loads(results.vote(list(rules), ties, missing))
    ranked = [rule for rule in found["rules"] if rule["ranks"] is not None]
    ranks = [{"system": name} | {rule["rule"]: rule["ranks"][row] for rule in ranked} for row, name in enumerate(found["systems"])]
    outcomes = [{"rule": rule["rule"], "winners": rule["winners"], "refused": rule["refused"]} for rule in found["rules"]]
    return Votes(frame(outcomes), frame(ranks), found["notes"])


def check(table: Any, means: Iterable[str | float] = (), *, digits: int | None = None, **choice: Any) -> Check:
    """Finds the rules that reproduce the averages printed in a table. ``digits`` are those behind the mark of the claims."""
    results, _ = _results(table, choice)
    found = json.loads(results.check([str(mean) for mean in means], digits))
    return Check(found["consistent"], found["findings"], found["not_explained"], found["claims"], found["notes"])


def _results(table: Any, choice: dict[str, Any]) -> tuple[_kexue.Results, Any]:
    """The table with its choice, and what makes a table of rows."""
    choice = {name: _plain(name, value) for name, value in choice.items() if value is not None}
    if choice.get("columns") == "common":
        choice |= {"columns": None, "common": True}
    paths = [table] if isinstance(table, (str, os.PathLike)) else table
    if isinstance(paths, (list, tuple)) and paths and all(isinstance(path, (str, os.PathLike)) for path in paths):
        return _kexue.Results("", None, [os.fspath(path) for path in paths], json.dumps(choice)), _rows_of_any
    library = type(table).__module__.split(".")[0]
    if library == "pandas":
        named = not _is_counted(table.index)
        csv = table.to_csv(index=named, index_label=table.index.name or "system" if named else None)
        return _kexue.Results("the DataFrame", csv.encode(), [], json.dumps(choice)), _pandas_rows
    if library == "polars":
        import polars

        def rows_of_polars(rows: list[dict[str, Any]], columns: list[str] | None = None) -> Any:
            return polars.DataFrame(rows, schema=None if rows else columns)

        return _kexue.Results("the DataFrame", table.write_csv().encode(), [], json.dumps(choice)), rows_of_polars
    raise KexueError(f"a table is a DataFrame of pandas or polars, or names of files; found {type(table).__name__}")


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return [[key, item if isinstance(item, (int, float)) else list(item)] for key, item in value.items()]
    if isinstance(value, str) and name not in ("columns", "metrics", "lower_as"):
        return [value]
    if isinstance(value, str) and name == "columns" and value != "common":
        return [value]
    return value if isinstance(value, (str, int, float, bool)) else list(value)


def _is_counted(index: Any) -> bool:
    return type(index).__name__ == "RangeIndex" and index.name is None


def _pandas_rows(rows: list[dict[str, Any]], columns: list[str] | None = None) -> Any:
    import pandas

    return pandas.DataFrame(rows, columns=None if rows else columns)


def _rows_of_any(rows: list[dict[str, Any]], columns: list[str] | None = None) -> Any:
    try:
        return _pandas_rows(rows, columns)
    except ImportError:
        return rows
