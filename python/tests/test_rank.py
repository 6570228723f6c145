"""Rankings of tables of pandas, polars, and files."""

import math

import pytest

from kexue import KexueError, rank

CSV = "Model,A,B,C,Average\nx,90,50,70,70\ny,60,64,80,68\nz,60,71,,65.5\n"


@pytest.fixture(params=["pandas", "pandas with an index", "polars", "file"])
def table(request, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(CSV)
    if request.param == "file":
        return str(path)
    library = pytest.importorskip(request.param.split()[0])
    frame = library.read_csv(path)
    return frame.set_index("Model") if "index" in request.param else frame


def columns(frame):
    """The columns of a table of any library."""
    if isinstance(frame, list):
        return {name: [row[name] for row in frame] for name in frame[0]} if frame else {}
    return {name: frame[name].to_list() for name in frame.columns}


def test_show(table):
    with pytest.raises(KexueError, match="C"):
        rank.show(table)  # C of z is missing
    found = rank.show(table, columns="common")
    ranks = columns(found.table)
    assert ranks["system"] == ["x", "z", "y"] and ranks["AM"] == [70, 65.5, 62] and ranks["AM rank"] == [1, 2, 3]
    if not isinstance(table, str):
        assert type(found.table) is type(table)
    only = columns(rank.show(table, ["hm", 2], columns=["A", "B"], systems=["x", "y"]).table)
    assert math.isclose(only["HM"][only["system"].index("x")], 2 / (1 / 90 + 1 / 50))


def test_flips(table):
    found = rank.flips(table, ("am", "min"), columns="common", resamples=200)
    pairs = columns(found.pairs)
    assert ("x" in pairs["ahead"]) and found.stability["pairs"] == 3
    systems = columns(found.systems)
    assert systems["system"][0] == "x" and all(low <= high for low, high in zip(systems["low"], systems["high"]))
    assert columns(found.left_out)["task"] == ["A", "B"]


def test_vote(table):
    found = rank.vote(table, ["borda", "condorcet"], columns="common")
    assert columns(found.rules)["rule"] == ["borda", "condorcet"]
    assert set(columns(found.ranks)["system"]) == {"x", "y", "z"}
    with pytest.raises(KexueError, match="rules must be one of plurality"):
        rank.vote(table, ["loudest"], columns="common")


def test_check(table):
    found = rank.check(table)
    assert not found.consistent and "different columns" in found.findings[0]
    assert found.claims[0]["rules"]


def test_bad_input_is_named(tmp_path):
    with pytest.raises(KexueError, match="found int"):
        rank.show(3)
    with pytest.raises(OSError, match="absent.csv"):
        rank.show(tmp_path / "absent.csv")
    (tmp_path / "table.csv").write_text(CSV)
    with pytest.raises(KexueError, match="unknown field `colums`"):
        rank.show(tmp_path / "table.csv", colums="common")
    with pytest.raises(KexueError, match="metrics must be one of average, split, first, last; found `best`"):
        rank.show(tmp_path / "table.csv", columns="common", metrics="best")
    with pytest.raises(KexueError, match="Z"):
        rank.show(tmp_path / "table.csv", columns=["A", "Z"])
