"""`kexue.genre` against nested dictionaries that are asked as GENRE asks its own."""

import pickle
import random

import pytest

from kexue import KexueError
from kexue import Trie as PackedTrie
from kexue.genre import MarisaTrie, Trie

END, BOS = 1, 2


class NestedTrie:
    """The reference, by what GENRE's README and code say of each method."""

    def __init__(self, sequences):
        self.root, self.other, self.bos = {}, None, None
        for sequence in sequences:
            node = self.root
            for token in sequence:
                node = node.setdefault(token, {})

    def get(self, prefix):
        node = self.root
        for place, token in enumerate(prefix):
            if token not in node:
                return [] if self.other is None else self.other.get(prefix[place:])
            node = node[token]
        allowed = list(node)
        if self.other is not None and self.bos in allowed:
            allowed = [token for token in allowed if token != self.bos] + self.other.get([])
        return allowed


def titles(seed, count=80, first=()):
    draw = random.Random(seed)
    return [[*first, *(draw.randrange(3, 9) for _ in range(draw.randint(1, 5))), END] for _ in range(count)]


def prefixes(seed, count=400):
    draw = random.Random(seed)
    return [[draw.choice([BOS, END, *range(3, 10)]) for _ in range(draw.randint(0, 7))] for _ in range(count)]


@pytest.mark.parametrize("kind", [Trie, MarisaTrie])
def test_reading(kind):
    sequences = titles(0, first=[BOS])
    trie, reference = kind(sequences), NestedTrie(sequences)
    distinct = sorted(map(list, set(map(tuple, sequences))))
    asked = prefixes(1) + [sequence[:length] for sequence in sequences for length in range(len(sequence) + 1)]
    for prefix in asked:
        assert trie.get(prefix) == trie[prefix] == sorted(reference.get(prefix))
    assert list(trie) == distinct and len(trie) == len(distinct)
    assert kind(sequences, max_token_id=50_000).get([]) == [BOS] if kind is MarisaTrie else True
    loaded = kind.load_from_dict(reference.root)
    assert type(loaded) is kind and list(loaded) == distinct
    assert list(pickle.loads(pickle.dumps(trie))) == distinct


def test_another_trie_is_appended():
    # Titles, then BOS, then one of other titles; or what no title begins with.
    first = [sequence[:-1] + [draw] for sequence, draw in zip(titles(2), [BOS, END] * 40)]
    second = titles(3)
    reference, other = NestedTrie(first), NestedTrie(second)
    reference.other, reference.bos = other, BOS
    for appended in [Trie(second), other]:
        trie = Trie(first)
        trie.append(appended, BOS)
        chained = [one[:-1] + two[:length] for one in first[:20] for two in second[:10] for length in range(len(two) + 1)]
        for prefix in prefixes(4) + chained:
            assert sorted(trie.get(prefix)) == sorted(reference.get(prefix))


def test_a_packed_trie_is_taken_as_it_is(tmp_path):
    packed = PackedTrie.build(tmp_path / "titles.trie", titles(5))
    trie = Trie(packed)
    assert trie.trie is packed and trie.get([]) == packed.get([]) and Trie().get([]) == [] and list(Trie.load_from_dict({})) == []
    with pytest.raises(KexueError, match="make a new Trie"):
        trie.add([3])


def test_deep_dictionaries():
    node = {}
    for token in range(5000):
        node = {token: node}
    assert list(Trie.load_from_dict(node)) == [list(range(4999, -1, -1))]


def test_decodes_in_generate():
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=12, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0, eos_token_id=END, decoder_start_token_id=BOS
    )
    model = transformers.T5ForConditionalGeneration(config).eval()
    sequences = titles(6, first=[BOS])
    trie, reference = Trie(sequences), NestedTrie(sequences)

    def generate(asked):
        return model.generate(
            torch.tensor([[5, 6, END], [7, 8, END]]), max_length=10, num_beams=3,
            prefix_allowed_tokens_fn=lambda batch_id, sent: asked.get(sent.tolist()) or [END],
        ).tolist()  # fmt: skip

    found = generate(trie)
    assert found == generate(reference)
    for row in found:
        assert row[: row.index(END) + 1] in sequences
