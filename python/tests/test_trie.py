"""`kexue.Trie` against the set of sequences that it holds."""

import multiprocessing
import pickle
import random

import numpy as np
import pytest

from kexue import KexueError, Trie


def random_set(seed, sequences, vocabulary, longest):
    draw = random.Random(seed)
    lengths = [draw.randint(0, longest) for _ in range(sequences)]
    return sorted({tuple(draw.randrange(vocabulary) for _ in range(length)) for length in lengths})


def following(sequences, prefix, end):
    """What may follow a prefix, by the definition."""
    prefix = tuple(prefix)
    tokens = {sequence[len(prefix)] for sequence in sequences if sequence[: len(prefix)] == prefix and len(sequence) > len(prefix)}
    if end is not None and prefix in sequences:
        tokens.add(end)
    return sorted(tokens)


@pytest.mark.parametrize("vocabulary", [3, 200])
@pytest.mark.parametrize("end", [None, 1])
def test_single_prefixes(vocabulary, end):
    sequences = random_set(1, 300, vocabulary, 5)
    trie = Trie(random.Random(2).sample(sequences, len(sequences)), end=end)
    assert len(trie) == len(sequences)
    assert [tuple(sequence) for sequence in trie] == sequences
    for key, sequence in enumerate(sequences):
        assert trie.key(sequence) == key and sequence in trie
        for length in range(len(sequence) + 1):
            prefix = sequence[:length]
            assert trie.get(prefix) == trie[list(prefix)] == following(sequences, prefix, end)
            below = [list(other) for other in sequences if other[:length] == prefix]
            assert trie.count(prefix) == len(below)
            assert trie.completions(prefix) == below
            assert trie.completions(prefix, limit=2) == below[:2]
    assert trie.get([vocabulary]) == [] and trie.count([vocabulary]) == 0 and [vocabulary] not in trie
    assert trie.get([-1]) == [] and trie.get([2**40]) == []


@pytest.mark.parametrize("end", [None, 5])
def test_batches_walk_as_single_prefixes_do(end):
    sequences = random_set(3, 2000, 70, 4)
    trie = Trie(sequences, end=end)
    draw = random.Random(4)
    beams, vocabulary = 50, 77
    states, prefixes = trie.root(beams), [[] for _ in range(beams)]
    mask, bits = np.ones((beams, vocabulary), bool), np.full((beams, 3), -1, np.int32)
    for _ in range(6):
        assert trie.mask(states, out=mask) is mask and trie.bitmask(states, out=bits) is bits
        offsets, tokens = trie.lists(states)
        for beam, prefix in enumerate(prefixes):
            dead = prefix is None
            expected = ([] if end is None else [end]) if dead else following(sequences, prefix, end)
            assert np.flatnonzero(mask[beam]).tolist() == expected
            assert [t for t in range(96) if bits[beam, t // 32] >> (t % 32) & 1] == expected
            assert tokens[offsets[beam] : offsets[beam + 1]].tolist() == expected
        counts = [0 if prefix is None else trie.count(prefix) for prefix in prefixes]
        assert trie.counts(states).tolist() == counts
        keys = [-1 if prefix is None or trie.key(prefix) is None else trie.key(prefix) for prefix in prefixes]
        assert trie.keys(states).tolist() == keys
        # Beams are reordered by index, as a search does, and go on.
        order = np.array([draw.randrange(beams) for _ in range(beams)])
        states, prefixes, allowed = states[order], [prefixes[i] for i in order], mask[order]
        chosen = []
        for row, prefix in zip(allowed, prefixes):
            options = np.flatnonzero(row).tolist()
            chosen.append(draw.choice(options) if options and draw.random() < 0.9 else draw.choice([-1, 69, 76]))
        before = states.copy()
        after = trie.step(states, chosen)
        assert (states == before).all()
        assert trie.step(states, np.array(chosen, np.int32), out=states, mask=bits) is states
        assert (states == after).all() and (bits == trie.bitmask(states, 96)).all()
        prefixes = [
            None if prefix is None or not trie.count(prefix + [token]) else prefix + [token] for prefix, token in zip(prefixes, chosen)
        ]


def test_states_of_prefixes():
    trie = Trie([[1, 2, 3], [1, 4]], end=0)
    states = trie.states([[1], [], [1, 2, 3], [9]])
    assert trie.mask(states, 5).astype(int).tolist() == [[0, 0, 1, 0, 1], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0]]
    assert (trie.states(np.array([[1, 2], [1, 4]])) == trie.step(trie.states([[1], [1]]), [2, 4])).all()


def test_all_forms_of_sequences_are_the_same():
    rows = np.random.default_rng(0).integers(0, 2**11, (5000, 4))
    expected = Trie(rows.tolist()).to_bytes()
    forms = [rows, rows.astype(np.int32), np.asfortranarray(rows), rows[::-1], list(rows), map(tuple, rows.tolist()), rows.astype(object)]
    for form in forms:
        assert Trie(form).to_bytes() == expected
    padded = np.concatenate([rows, np.full((len(rows), 3), -100)], 1)
    assert Trie(padded, pad=-100).to_bytes() == expected


def test_arrow():
    pyarrow = pytest.importorskip("pyarrow")
    lists = [[3, 1], [], [2], [3, 1, 2]]
    expected = Trie(lists).to_bytes()
    for form in [
        pyarrow.array(lists),
        pyarrow.array([[9], *lists, [8]], pyarrow.large_list(pyarrow.int32()))[1:-1],
        pyarrow.chunked_array([lists[:1], lists[1:]]),
    ]:
        assert Trie(form).to_bytes() == expected
    assert len(Trie(pyarrow.array([[1, 2], [3, 4]], pyarrow.list_(pyarrow.int64(), 2)))) == 2
    with pytest.raises(KexueError, match="nulls"):
        Trie(pyarrow.array([[1], None]))
    with pytest.raises(KexueError, match="lists of integers"):
        Trie(pyarrow.array(["a"]))


def test_files_are_built_in_bounded_memory_and_mapped(tmp_path):
    sequences = random_set(5, 5000, 300, 6)
    path = tmp_path / "items.trie"
    built = Trie.build(path, iter(sequences), memory=20_000, end=7)
    opened = Trie.open(path, end=7)
    assert opened.to_bytes() == built.to_bytes() == Trie(sequences).to_bytes() == path.read_bytes()
    assert sorted(tmp_path.iterdir()) == [path]
    assert opened.path == str(path) and opened.end == 7 and opened.nbytes == path.stat().st_size
    opened.verify()
    loaded = Trie.open(path, load=True)
    assert loaded.to_bytes() == path.read_bytes() and (loaded.mask(loaded.root(1), 300) == opened.mask(opened.root(1), 300)).all()


def _mask_in_another_process(trie):
    return trie.path, trie.mask(trie.root(1), 300).tolist()


def test_pickles_by_path_or_bytes(tmp_path):
    sequences = random_set(6, 200, 300, 3)
    in_file = Trie.build(tmp_path / "items.trie", sequences, end=3)
    in_memory = Trie(sequences, end=3)
    assert len(pickle.dumps(in_file)) < 300 < len(pickle.dumps(in_memory))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        results = pool.map(_mask_in_another_process, [in_file, in_memory])
    mask = in_memory.mask(in_memory.root(1), 300).tolist()
    assert results == [(in_file.path, mask), (None, mask)]


def test_an_empty_set():
    for end, allowed in [(None, []), (4, [4])]:
        trie = Trie(end=end)
        assert len(trie) == 0 and list(trie) == [] and trie.get([]) == []
        assert np.flatnonzero(trie.mask(trie.root(1), 8)).tolist() == allowed


def test_bad_input_is_named(tmp_path):
    trie = Trie([[1, 2]])
    for call, message in [
        (lambda: Trie([[1], [2, -1]]), "sequence 1 has the token -1; expected 0 to 16777215"),
        (lambda: Trie([[1 << 24]]), "sequence 0 has the token 16777216"),
        (lambda: Trie([1, 2]), "sequences must be lists of token ids"),
        (lambda: Trie("abc"), "found str"),
        (lambda: Trie(["abc"]), "sequences must be lists of token ids"),
        (lambda: Trie(np.zeros(3, int)), r"shape \[sequences, tokens\]; found \[3\]"),
        (lambda: Trie(np.zeros((3, 3))), "must be integers; found float64"),
        (lambda: Trie([], end=-1), "end must be a token"),
        (lambda: Trie.from_bytes(b"something else"), "this is not an index"),
        (lambda: Trie.from_bytes(trie.to_bytes()[:-1]), "damaged"),
        (lambda: trie.step(trie.root(2), [1]), "1 tokens were given for 2 states"),
        (lambda: trie.step([[1, 2]], [1]), r"shape \[beams, 3\]"),
        (lambda: trie.step(trie.root(1), [0.5]), "tokens must be integers; found float64"),
        (lambda: trie.mask(trie.root(1)), "size of the vocabulary"),
        (lambda: trie.mask(trie.root(2), out=np.zeros((1, 5), bool)), r"shape \[2, any\]; found bool \[1, 5\]"),
        (lambda: trie.mask(trie.root(1), out=np.zeros((1, 10), bool)[:, ::2]), "contiguous"),
        (lambda: trie.mask([[1 << 40, 0, 0]], 3), "does not belong to this index"),
        (lambda: trie.lists(trie.root(1), out=(np.zeros(2, int), np.zeros(0, int))), "no room"),
    ]:
        with pytest.raises(KexueError, match=message):
            call()
    (tmp_path / "text").write_text("not a trie")
    with pytest.raises(KexueError, match="text: this is not an index"):
        Trie.open(tmp_path / "text")
    with pytest.raises(FileNotFoundError, match="absent.trie"):
        Trie.open(tmp_path / "absent.trie")
    with pytest.raises(OSError):
        Trie.build(tmp_path / "no" / "folder.trie", [[1]])


def test_any_numbers_as_states_are_survived():
    trie = Trie(random_set(8, 300, 90, 4), end=2)
    draw = np.random.default_rng(9)
    for _ in range(300):
        states = draw.integers(-(2**63), 2**63 - 1, (1, 3), dtype=np.int64)
        states[0, 0] %= 8 * trie.nodes
        for call in [lambda: trie.mask(states, 90), lambda: trie.step(states, [1]), lambda: trie.keys(states), lambda: trie.counts(states)]:
            try:
                call()
            except KexueError:
                pass
