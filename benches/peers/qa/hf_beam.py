"""Questions answered the way Hugging Face's `generate` constrains a beam search: what `kexue` is measured against.

Batches of left-padded questions, a logit for every token of the vocabulary at every step, a cache of keys and values that follows the
beams, and `prefix_allowed_tokens_fn` over a trie of Python dicts that masks what the knowledge graph does not hold. Weights, vocabulary
and configuration are those of a run folder of ours.

    python benches/peers/qa/hf_beam.py --run RUN --kg KG.tsv --questions QUESTIONS --renormalise --predictions OUT.tsv

With `--renormalise` the probabilities are those of ours without look-ahead, mentions and rescoring: a softmax over the allowed tokens.
Without it they are a softmax over the vocabulary, which is Hugging Face's default.
"""

import argparse
import collections
import gc
import gzip
import io
import json
import resource
import statistics
import sys
import time
import tomllib
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import GenerationMixin, PretrainedConfig, PreTrainedModel, StoppingCriteria, StoppingCriteriaList
from transformers.modeling_outputs import CausalLMOutputWithPast

sys.path.insert(0, str(Path(__file__).parent.parent))
from unilm import Config, UniLM  # noqa: E402

PAD, CLS, SEP, BYTES, FIRST_CHARACTER = 0, 1, 2, 4, 260
MAGIC = "kexue-vocabulary 1"


class Vocabulary:
    """Characters with byte fallback, as `kexue-text` numbers them."""

    def __init__(self, characters: list[str], fold_case: bool):
        self.characters, self.fold_case = characters, fold_case
        self.tokens = {character: FIRST_CHARACTER + index for index, character in enumerate(characters)}

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        header, *lines = path.read_text(encoding="utf-8").split("\n")
        if header not in (f"{MAGIC} keep-case", f"{MAGIC} fold-case"):
            sys.exit(f"{path}:1: expected `{MAGIC} keep-case` or `{MAGIC} fold-case`, found `{header}`")
        characters = [chr(int(line[3:-1], 16)) if line.startswith("\\u{") else line for line in lines if line]
        return cls(characters, header.endswith("fold-case"))

    @classmethod
    def count(cls, texts, most: int = 20_000) -> "Vocabulary":
        counts = collections.Counter()
        for text in texts:
            counts.update(text)
        return cls([character for character, _ in counts.most_common(most)], False)

    def __len__(self) -> int:
        return FIRST_CHARACTER + len(self.characters)

    def encode(self, text: str) -> list[int]:
        tokens = []
        for character in text:
            if self.fold_case and character.isascii():
                character = character.lower()
            token = self.tokens.get(character)
            tokens.extend([token] if token is not None else [BYTES + byte for byte in character.encode()])
        return tokens

    def decode(self, tokens: list[int]) -> str:
        data = bytearray()
        for token in tokens:
            if token >= FIRST_CHARACTER:
                data += self.characters[token - FIRST_CHARACTER].encode()
            elif token >= BYTES:
                data.append(token - BYTES)
        return data.decode(errors="replace")


def lines_of(path: Path):
    """Lines of a text file, unpacked where it ends in `.gz` or `.zst`."""
    if path.suffix == ".zst":
        import zstandard

        with path.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as reader:
            yield from io.TextIOWrapper(reader, encoding="utf-8", newline="\n")
    elif path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
            yield from file
    else:
        with path.open(encoding="utf-8", newline="\n") as file:
            yield from file


def split_sense(name: str) -> tuple[str, str]:
    """`甲（乙）（丙）` is `甲（乙）` with sense `丙`."""
    if name.endswith("）"):
        depth = 0
        for at in range(len(name) - 1, -1, -1):
            depth += {"）": 1, "（": -1}.get(name[at], 0)
            if depth == 0:
                subject, sense = name[:at], name[at + 1 : -1]
                return (subject, sense) if subject and sense else (name, "")
    return name, ""


def read_keys(path: Path, inverse: bool) -> set[tuple[str, str, str]]:
    """The distinct (S, P, M) of a graph `S⇥P⇥O`."""
    keys = set()
    for line in lines_of(path):
        fields = line.removesuffix("\n").removesuffix("\r").split("\t")
        if len(fields) != 3:
            continue
        subject, sense = split_sense(fields[0])
        keys.add((subject, fields[1], sense))
        if inverse:
            subject, sense = split_sense(fields[2])
            keys.add((subject, f"~{fields[1]}", sense))
    return keys


def read_questions(path: Path) -> list[str]:
    """The texts of a file of questions, in any of the forms that `kexue` reads."""
    questions = []
    for line in lines_of(path):
        line = line.rstrip("\r\n")
        if line.startswith("{"):
            questions.append(json.loads(line)["question"])
        elif line.count("\t") == 1:
            questions.append(line.split("\t")[0].replace("[", "", 1).replace("]", "", 1))
        elif line.strip():
            questions.append(line.split("\t")[0])
    return [question.strip() for question in questions]


class Trie:
    """Nested dicts, walked from the root for every prefix, as GENRE and its followers do."""

    def __init__(self):
        self.root, self.depth = {}, 0

    def add(self, tokens: list[int]) -> None:
        node = self.root
        for token in tokens:
            node = node.setdefault(token, {})
        self.depth = max(self.depth, len(tokens))

    def allowed(self, prefix: list[int]) -> list[int]:
        node = self.root
        for token in prefix:
            node = node.get(token)
            if node is None:
                return []
        return list(node)


class UniLMConfig(PretrainedConfig):
    model_type = "kexue-unilm"


class UniLMForGeneration(PreTrainedModel, GenerationMixin):
    """What `generate` asks of a model, around `UniLM`."""

    config_class = UniLMConfig
    _supports_sdpa = True

    def __init__(self, config: Config):
        super().__init__(
            UniLMConfig(
                vocab_size=config.vocab_size,
                hidden_size=config.d_model,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                is_decoder=True,
            )
        )
        self.model = UniLM(config, longest=4096)

    def forward(self, input_ids, attention_mask=None, past_key_values=None, **_):
        length = input_ids.shape[1]
        if attention_mask is None:  # `generate` leaves out a mask that masks nothing
            past = past_key_values.get_seq_length() if past_key_values is not None else 0
            attention_mask = torch.ones(input_ids.shape[0], past + length, dtype=torch.long)
        seen = attention_mask.bool()
        mask = None
        if not seen.all():
            # Queries that are padding may see everything: a row that sees nothing would be NaN.
            mask = (seen[:, None, :] | ~seen[:, -length:, None])[:, None]
        positions = (attention_mask.cumsum(-1) - 1).clamp(min=0)[:, -length:]
        # The whole prompt sees itself, and a later token all before it: in both cases everything there is so far.
        visible = attention_mask.sum(-1, keepdim=True).expand(-1, length)
        hidden = self.model(input_ids, mask, positions, visible, past_key_values)
        logits = self.model.logits(hidden[:, -1:])
        return CausalLMOutputWithPast(logits=logits, past_key_values=past_key_values)


class Closed(StoppingCriteria):
    """Done where the third separator after the prompt stands."""

    def __init__(self, prompt_length: int):
        self.prompt_length = prompt_length

    def __call__(self, input_ids, scores, **_):
        return (input_ids[:, self.prompt_length :] == SEP).sum(-1) >= 3


class Answerer:
    def __init__(self, model: UniLMForGeneration, vocabulary: Vocabulary, trie: Trie, arguments):
        self.model, self.vocabulary, self.trie, self.arguments = model, vocabulary, trie, arguments

    def batch(self, questions: list[str]) -> list[tuple[list[int], float]]:
        """Tokens and log-probability of the best answer to each."""
        prompts = [[CLS, *self.vocabulary.encode(question), SEP] for question in questions]
        length = max(map(len, prompts))
        input_ids = torch.tensor([[PAD] * (length - len(prompt)) + prompt for prompt in prompts])
        attention_mask = torch.tensor([[0] * (length - len(prompt)) + [1] * len(prompt) for prompt in prompts])

        def allowed(_, sequence):
            # A beam that has no right to be (its probability is 0, or it is closed already) goes on with padding.
            return self.trie.allowed(sequence[length:].tolist()) or [PAD]

        output = self.model.generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            num_beams=self.arguments.beams,
            do_sample=False,
            max_new_tokens=self.trie.depth,
            length_penalty=0.0,
            early_stopping=self.arguments.early_stopping,
            renormalize_logits=self.arguments.renormalise,
            prefix_allowed_tokens_fn=allowed,
            stopping_criteria=StoppingCriteriaList([Closed(length)]),
            return_dict_in_generate=True,
            output_scores=True,  # without it there are no scores of sequences
            pad_token_id=PAD,
            use_cache=True,
        )
        answers = []
        for sequence, score in zip(output.sequences[:, length:].tolist(), output.sequences_scores.tolist()):
            separators = [at for at, token in enumerate(sequence) if token == SEP]
            answers.append((sequence[: separators[2] + 1], score))
        return answers

    def log_probability(self, question: str, answer: list[int]) -> float:
        """Of an answer, once more: without batch, padding, cache and beams."""
        prompt = [CLS, *self.vocabulary.encode(question), SEP]
        model = self.model.model
        hidden = model.hidden(torch.tensor([prompt + answer]), torch.tensor([len(prompt)]))[0]
        logits = model.logits(hidden[len(prompt) - 1 : -1])
        total = 0.0
        for at, token in enumerate(answer):
            allowed = self.trie.allowed(answer[:at])
            row = logits[at, allowed] if self.arguments.renormalise else logits[at]
            index = allowed.index(token) if self.arguments.renormalise else token
            total += row.log_softmax(-1)[index].item()
        return total


def parts_of(answer: list[int], vocabulary: Vocabulary) -> list[str]:
    """The texts of subject, relation and sense."""
    ends = [at for at, token in enumerate(answer) if token == SEP]
    starts = [0, *(end + 1 for end in ends)]
    return [vocabulary.decode(answer[start:end]) for start, end in zip(starts, ends)]


def peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, help="folder with config.toml, vocab.txt, model.safetensors; without it, random weights")
    parser.add_argument("--kg", type=Path, required=True)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--limit", type=int, help="only so many questions")
    parser.add_argument("--predictions", type=Path, help="where to write question, S, P, M, log-probability")
    parser.add_argument("--inverse", action="store_true", help="inverse relations too")
    parser.add_argument("--renormalise", action="store_true", help="probabilities among the allowed tokens")
    parser.add_argument("--early-stopping", action="store_true", help="stop at as many closed answers as beams")
    parser.add_argument("--beams", type=int, default=3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1, help="answer everything so many times; the median counts")
    parser.add_argument("--compare", type=Path, help="answers of `kexue qa predict` to the same questions: count those that agree")
    parser.add_argument("--check", type=int, default=0, help="compute so many log-probabilities once more, the plain way")
    for name, default in (("d-model", 256), ("layers", 4), ("heads", 4), ("d-ffn", 1024)):
        parser.add_argument(f"--{name}", type=int, default=default, help="of random weights")
    parser.add_argument("--norm-placement", choices=("pre", "post"), default="pre", help="of random weights")
    parser.add_argument("--scale-base", type=float, help="of random weights: the entropy-invariant scale's base")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    report = {"beams": arguments.beams, "batch": arguments.batch, "threads": arguments.threads}

    start = time.perf_counter()
    keys = read_keys(arguments.kg, arguments.inverse)
    report["read_graph_s"] = time.perf_counter() - start

    start = time.perf_counter()
    if arguments.run:
        table = tomllib.loads((arguments.run / "config.toml").read_text(encoding="utf-8"))
        vocabulary = Vocabulary.load(arguments.run / "vocab.txt")
        model = UniLMForGeneration(Config.from_table(table["model"]))
        model.model.load(load_file(arguments.run / "model.safetensors"))
    else:
        vocabulary = Vocabulary.count(part for key in sorted(keys) for part in key)
        torch.manual_seed(0)
        sizes = (arguments.d_model, arguments.layers, arguments.heads, arguments.d_ffn)
        model = UniLMForGeneration(Config(len(vocabulary), *sizes, arguments.norm_placement, arguments.scale_base))
        for parameter in model.parameters():
            if parameter.ndim == 2:
                torch.nn.init.normal_(parameter, std=0.06)
    model.eval()
    report["load_model_s"] = time.perf_counter() - start
    report["vocabulary"] = len(vocabulary)

    before, start = peak_memory(), time.perf_counter()
    gc.disable()  # it would walk the growing trie again and again
    trie = Trie()
    for key in keys:
        tokens = []
        for part in key:
            tokens += [*vocabulary.encode(part), SEP]
        trie.add(tokens)
    gc.freeze()
    gc.enable()
    report["keys"] = len(keys)
    del keys
    report["build_trie_s"] = time.perf_counter() - start
    report["trie_mib"] = peak_memory() - before

    questions = read_questions(arguments.questions)[: arguments.limit]
    # Questions of one length share a batch, so that there is little padding.
    order = sorted(range(len(questions)), key=lambda index: len(questions[index]))
    groups = [order[at : at + arguments.batch] for at in range(0, len(order), arguments.batch)]
    answerer = Answerer(model, vocabulary, trie, arguments)
    answers = [None] * len(questions)
    seconds, cpu_seconds = [], []
    with torch.inference_mode():
        answerer.batch(questions[:1])  # what is done but once
        for _ in range(arguments.rounds):
            start, cpu_start = time.perf_counter(), time.process_time()
            for group in groups:
                for index, answer in zip(group, answerer.batch([questions[index] for index in group])):
                    answers[index] = answer
            seconds.append(time.perf_counter() - start)
            cpu_seconds.append(time.process_time() - cpu_start)
        for index in range(min(arguments.check, len(questions))):
            again = answerer.log_probability(questions[index], answers[index][0])
            if abs(again - answers[index][1]) > 1e-3:
                sys.exit(f"`{questions[index]}`: log-probability {answers[index][1]}, computed plainly {again}")
    report["questions"] = len(questions)
    report["decode_s"] = statistics.median(seconds)
    report["questions_per_second"] = len(questions) / report["decode_s"]
    report["questions_per_second_cpu"] = len(questions) / statistics.median(cpu_seconds)
    report["peak_memory_mib"] = peak_memory()

    facts = [parts_of(tokens, vocabulary) for tokens, _ in answers]
    if arguments.compare:
        # Theirs is `S（M） ||| P ||| O`, one JSON object for each question.
        theirs = [json.loads(line)["answer"].split(" ||| ")[:2] for line in lines_of(arguments.compare)]
        mine = [[f"{subject}（{sense}）" if sense else subject, relation] for subject, relation, sense in facts]
        if len(theirs) < len(mine):
            sys.exit(f"{arguments.compare}: {len(theirs)} answers to {len(mine)} questions")
        report["same_answers"] = sum(a == b for a, b in zip(mine, theirs))
    if arguments.predictions:
        with arguments.predictions.open("w", encoding="utf-8") as file:
            for question, fact, (_, score) in zip(questions, facts, answers):
                file.write("\t".join([question, *fact, f"{score:.6f}"]) + "\n")
    print(json.dumps({name: round(value, 3) if isinstance(value, float) else value for name, value in report.items()}))


if __name__ == "__main__":
    main()
