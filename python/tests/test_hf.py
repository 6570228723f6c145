"""`kexue.hf.PrefixConstrained` in `generate`, against a dict trie, with tiny random models."""

import random

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from kexue import KexueError, Trie  # noqa: E402
from kexue.hf import PrefixConstrained  # noqa: E402

VOCABULARY, PAD, END = 100, 0, 1


class DictTrie:
    """The reference: nested dictionaries, whose sequences end with the end token."""

    def __init__(self, sequences):
        self.root = {}
        for sequence in sequences:
            node = self.root
            for token in [*sequence, END]:
                node = node.setdefault(token, {})

    def get(self, prefix):
        node = self.root
        for token in prefix:
            node = node.get(token, {})
        # Nothing follows the end token: `generate` pads there.
        return list(node) or [END]


def draw_sequences(seed, count=60):
    draw = random.Random(seed)
    sequences = {tuple(draw.randrange(2, VOCABULARY if draw.random() < 0.3 else 8) for _ in range(draw.randint(1, 5))) for _ in range(count)}
    sequences |= {(5,), (5, 6)}  # one is the beginning of another
    return sorted(sequences)


SEQUENCES = draw_sequences(0)


@pytest.fixture(scope="module")
def encoder_decoder():
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2,
        pad_token_id=PAD, eos_token_id=END, decoder_start_token_id=PAD, initializer_factor=20.0,
    )  # fmt: skip
    return transformers.T5ForConditionalGeneration(config).eval()


@pytest.fixture(scope="module")
def decoder():
    torch.manual_seed(1)
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2, n_positions=64,
        bos_token_id=END, eos_token_id=END, pad_token_id=PAD, initializer_range=1.0,
    )  # fmt: skip
    return transformers.GPT2LMHeadModel(config).eval()


def prompts(batch, lengths, seed=0):
    """Random prompts, padded on the left."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, VOCABULARY, (batch, max(lengths)), generator=draw)
    mask = torch.ones_like(ids)
    for row in range(batch):
        pad = max(lengths) - lengths[row % len(lengths)]
        ids[row, :pad], mask[row, :pad] = PAD, 0
    return {"input_ids": ids, "attention_mask": mask}


def generated(outputs, start):
    """The sequences without prompt, end and padding; the end must be there."""
    found = []
    for row in outputs[:, start:].tolist():
        assert END in row
        end = row.index(END)
        assert all(token in (PAD, END) for token in row[end:])
        found.append(tuple(row[:end]))
    return found


STRATEGIES = {
    "greedy": {},
    "beam": {"num_beams": 4, "num_return_sequences": 3},
    "beam longer than needed": {"num_beams": 3, "length_penalty": 2.0, "early_stopping": "never"},
    "sampling": {"do_sample": True, "num_return_sequences": 4, "temperature": 2.0, "top_k": 0},
    "beam sampling": {"do_sample": True, "num_beams": 3, "temperature": 2.0},
}


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", ["encoder_decoder", "decoder"])
def test_generates_the_set_as_a_dict_trie_does(kind, strategy, request):
    model = request.getfixturevalue(kind)
    inputs = prompts(5, [7, 3, 5])
    start = 1 if kind == "encoder_decoder" else inputs["input_ids"].shape[1]
    settings = {**inputs, **STRATEGIES[strategy], "max_new_tokens": 8}
    reference = DictTrie(SEQUENCES)
    trie = Trie(SEQUENCES, end=END)

    def run(**how):
        torch.manual_seed(3)
        with torch.no_grad():
            return model.generate(**settings, **how)

    expected = run(prefix_allowed_tokens_fn=lambda _, ids: reference.get(ids[start:].tolist()))
    ways = {
        "processor": {"logits_processor": [PrefixConstrained(trie)]},
        "processor with prompt_length": {"logits_processor": [PrefixConstrained(trie, prompt_length=start)]},
        "function": {"prefix_allowed_tokens_fn": PrefixConstrained(trie).prefix_allowed_tokens_fn},
        "device": {"logits_processor": [PrefixConstrained(trie.to_device("cpu"))]},
        "end token in the sequences": {"logits_processor": [PrefixConstrained(Trie([[*s, END] for s in SEQUENCES]), end=END)]},
    }
    for way, how in ways.items():
        found = run(**how)
        assert torch.equal(found, expected), way
        assert set(generated(found, start)) <= set(SEQUENCES), way


def test_different_prompts_give_different_answers(decoder):
    inputs = prompts(12, [7, 3, 5])
    found = decoder.generate(**inputs, max_new_tokens=8, logits_processor=[PrefixConstrained(Trie(SEQUENCES, end=END))])
    assert len(set(generated(found, 7))) > 3


def test_left_padding_changes_nothing(decoder):
    """A prompt alone and in a batch of longer ones is followed by the same."""
    trie = Trie(SEQUENCES, end=END)
    inputs = prompts(4, [6, 2, 4, 3])
    together = generated(decoder.generate(**inputs, max_new_tokens=8, logits_processor=[PrefixConstrained(trie)]), 6)
    for row, length in enumerate([6, 2, 4, 3]):
        alone = {"input_ids": inputs["input_ids"][row : row + 1, -length:], "attention_mask": torch.ones(1, length, dtype=torch.long)}
        found = decoder.generate(**alone, max_new_tokens=8, logits_processor=[PrefixConstrained(trie)])
        assert generated(found, length) == [together[row]]


def test_fewer_sequences_than_beams(decoder):
    """What `generate` fills its list with has probability 0; the sequences that there are come first."""
    trie = Trie([[5], [5, 6]], end=END)
    inputs = prompts(2, [3])
    out = decoder.generate(
        **inputs, max_new_tokens=4, num_beams=4, num_return_sequences=2, return_dict_in_generate=True, output_scores=True,
        logits_processor=[PrefixConstrained(trie)],
    )  # fmt: skip
    assert torch.isfinite(out.sequences_scores).all()
    found = generated(out.sequences, 3)
    assert set(found[:2]) == set(found[2:]) == {(5,), (5, 6)}


def test_existing_code_of_genre_runs(encoder_decoder):
    """GENRE's use: sequences with the start and end tokens, and `get` on all that was produced so far."""
    trie = Trie([[PAD, *sequence, END] for sequence in SEQUENCES])
    inputs = prompts(3, [6])
    with torch.no_grad():
        found = encoder_decoder.generate(
            **inputs, max_new_tokens=8, num_beams=3, prefix_allowed_tokens_fn=lambda _, sent: trie.get(sent.tolist()) or [END]
        )
    assert set(generated(found, 1)) <= set(SEQUENCES)


def test_misuse_is_named(decoder):
    trie = Trie(SEQUENCES, end=END)
    processor = PrefixConstrained(trie)
    inputs = prompts(2, [4])
    decoder.generate(**inputs, max_new_tokens=8, logits_processor=[processor])
    with pytest.raises(KexueError, match="one PrefixConstrained serves one call of generate"):
        decoder.generate(**inputs, max_new_tokens=8, logits_processor=[processor])
    serves_many = PrefixConstrained(trie, prompt_length=4)
    first, second = (decoder.generate(**inputs, max_new_tokens=8, logits_processor=[serves_many]) for _ in range(2))
    assert torch.equal(first, second)
    with pytest.raises(KexueError, match="has no end token"):
        PrefixConstrained(Trie(SEQUENCES))
    with pytest.raises(KexueError, match="fewer than prompt_length=9"):
        PrefixConstrained(trie, prompt_length=9)(torch.zeros(1, 4, dtype=torch.long), torch.zeros(1, VOCABULARY))
    with pytest.raises(KexueError, match="vocabulary of 3"):
        PrefixConstrained(Trie([[7]], end=9))(torch.zeros(1, 4, dtype=torch.long), torch.zeros(1, 3))
