"""The trie as tensors against the trie, and what STATIC (youtube/static-constraint-decoding) tests of its index, asked of this one."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from kexue import Trie  # noqa: E402
from kexue.device import DeviceTrie  # noqa: E402

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


def sets():
    draw = np.random.default_rng(0)
    yield "short and long", [draw.integers(0, 90, draw.integers(0, 6)).tolist() for _ in range(500)], 100
    yield "dense", draw.integers(0, 300, (30_000, 2)).tolist() + draw.integers(0, 300, (2000, 4)).tolist(), 300
    yield "one", [[4, 5, 6]], 10
    yield "only the empty one", [[]], 10
    yield "none", [], 10
    yield "large tokens", [[70_000, 1], [70_000, 2**24 - 1], [3]], 70_010


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("end", [None, 2])
@pytest.mark.parametrize("name,sequences,vocabulary", list(sets()), ids=lambda value: value if isinstance(value, str) else "")
def test_masks_and_steps_are_those_of_the_trie(name, sequences, vocabulary, end, device):
    trie = Trie(sequences, end=end)
    on_device = trie.to_device(device, vocabulary)
    assert on_device.burst < max(64, vocabulary) and on_device.nbytes > 0
    draw = np.random.default_rng(1)
    beams = 200
    states, other = trie.root(beams), on_device.root(beams)
    for depth in range(6):
        mask = trie.mask(states, vocabulary)
        assert torch.equal(on_device.mask(other).cpu(), torch.from_numpy(mask))
        smaller = on_device.mask(other, vocabulary - 5).cpu()
        assert torch.equal(smaller, torch.from_numpy(mask[:, :-5]))
        logits = torch.randn(beams, vocabulary, device=device)
        masked = on_device.mask_logits(other, logits).cpu()
        assert torch.equal(masked.isfinite(), torch.from_numpy(mask))
        chosen = np.array([draw.choice(np.flatnonzero(row)) if row.any() and draw.random() < 0.9 else draw.integers(-3, vocabulary + 3) for row in mask])
        order = draw.integers(0, beams, beams)
        states, other = trie.step(states[order], chosen[order]), on_device.step(other[order], torch.from_numpy(chosen[order]).to(device))
    assert torch.equal(on_device.mask(other).cpu(), torch.from_numpy(trie.mask(states, vocabulary)))


def test_walk_and_other_end_tokens():
    trie = Trie([[1, 2], [1, 3, 4]])
    on_device = trie.to_device("cpu", 6).with_end(5)
    walked = on_device.walk(torch.tensor([[1, 2], [1, 3], [2, 2]]))
    assert on_device.mask(walked).int().tolist() == [[0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]]
    assert trie.to_device("cpu", 6).end is None


@pytest.mark.skipif("cuda" not in DEVICES, reason="needs a GPU")
def test_a_step_can_be_captured_in_a_cuda_graph():
    rows = np.random.default_rng(2).integers(0, 256, (20_000, 4))
    on_device = Trie(rows).to_device("cuda", 256)
    states, tokens = on_device.root(16), torch.zeros(16, dtype=torch.long, device="cuda")
    on_device.mask(on_device.step(states, tokens))
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        after = on_device.step(states, tokens)
        mask = on_device.mask(after)
    tokens.copy_(torch.from_numpy(rows[:16, 0]))
    graph.replay()
    expected = on_device.step(states, tokens)
    assert torch.equal(after, expected) and torch.equal(mask, on_device.mask(expected))


def test_nothing_waits_for_the_device():
    """The operations of a step have shapes that the states do not change, and read no number back: they can be traced without any."""
    from torch.fx.experimental.proxy_tensor import make_fx

    on_device = Trie(np.random.default_rng(3).integers(0, 256, (20_000, 3))).to_device("cpu", 256)

    def step(states, tokens):
        after = on_device.step(states, tokens)
        return after, on_device.mask(after)

    states = on_device.root(8)
    traced = make_fx(step, tracing_mode="fake", _allow_non_fake_inputs=True)(states, torch.zeros(8, dtype=torch.long))
    tokens = torch.tensor([3, 1, 4, 1, 5, 9, 2, 255])
    for found, expected in zip(traced(states, tokens), step(states, tokens)):
        assert torch.equal(found, expected)


# What STATIC's tests assert, restated. IDs of one length are a special case here, and there is no number of dense layers to choose.

FOUR_PATHS = np.array([[1, 2, 3, 4, 5], [1, 2, 3, 6, 7], [2, 3, 4, 5, 6], [1, 2, 8, 9, 0]])


def test_static_builder_every_path_can_be_followed_to_its_end():
    trie = Trie(FOUR_PATHS)
    on_device = trie.to_device("cpu", 10)
    assert on_device.mask(on_device.root(1)).nonzero()[:, 1].tolist() == [1, 2]  # the first tokens
    states = on_device.root(len(FOUR_PATHS))
    for column in torch.from_numpy(FOUR_PATHS).unbind(1):
        assert on_device.mask(states)[torch.arange(len(FOUR_PATHS)), column].all()
        states = on_device.step(states, column)
    assert not on_device.mask(states).any()  # all have ended
    assert on_device._ends[states[:, 0]].all() and (states[:, 0] != on_device._dead).all()
    branches = [len({tuple(path[: depth + 1]) for path in FOUR_PATHS.tolist() if path[:depth] == prefix}) for depth, prefix in
                enumerate([[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4]])]
    assert [len(trie.get(prefix)) for prefix in [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]] == branches == [2, 1, 2, 2, 1]


def beam_search(on_device: DeviceTrie, batch, beams, length, vocabulary, generator):
    """A beam search with random scores: what STATIC's decoder does with its random model."""
    device = on_device.device
    states = on_device.root(batch * beams)
    tokens = torch.zeros(batch, beams, 0, dtype=torch.long, device=device)
    scores = torch.full((batch, beams), -torch.inf, device=device)
    scores[:, 0] = 0
    for _ in range(length):
        logits = torch.rand(batch * beams, vocabulary, generator=generator).to(device)
        allowed = on_device.mask_logits(states, logits.log_softmax(-1)).view(batch, beams, vocabulary)
        scores, best = (scores.unsqueeze(2) + allowed).flatten(1).topk(beams, 1)
        parents, chosen = best // vocabulary, best % vocabulary
        rows = (parents + beams * torch.arange(batch, device=device).unsqueeze(1)).flatten()
        states = on_device.step(states[rows], chosen.flatten())
        tokens = torch.cat([tokens.gather(1, parents.unsqueeze(2).expand(-1, -1, tokens.shape[2])), chosen.unsqueeze(2)], 2)
    return tokens, scores


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("vocabulary,count,length,beams", [(100, 50, 5, 10), (50, 20, 8, 5)])
def test_static_decoder_every_output_is_in_the_set(vocabulary, count, length, beams, device):
    for seed in range(5):
        items = np.random.default_rng(seed).integers(0, vocabulary, (count, length))
        on_device = Trie(items).to_device(device, vocabulary)
        tokens, scores = beam_search(on_device, 2, beams, length, vocabulary, torch.Generator().manual_seed(seed))
        assert scores.isfinite().all()
        valid = set(map(tuple, items.tolist()))
        for row in tokens.cpu().reshape(-1, length).tolist():
            assert tuple(row) in valid
        assert all(len(set(map(tuple, rows))) == beams for rows in tokens.cpu().tolist())
