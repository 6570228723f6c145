"""The same model behind FastAPI and Hugging Face's `generate` with a trie of Python dicts: what `kexue serve` is measured against.

Questions that arrive together are decoded together, up to 32, so that the peer is not slower than it must be. Needs the requirements of
`benches/peers/qa` and `fastapi`, `uvicorn`.

    python benches/serve/fastapi_peer.py --run RUN --kg KG.tsv --port PORT
"""

import argparse
import queue
import sys
import threading
import tomllib
from pathlib import Path
from types import SimpleNamespace

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parent.parent / "peers" / "qa"))
from hf_beam import SEP, Answerer, Config, Trie, UniLMForGeneration, Vocabulary, parts_of, read_keys  # noqa: E402

BATCH = 32


class Ask(BaseModel):
    question: str


def load(run: Path, kg: Path) -> Answerer:
    table = tomllib.loads((run / "config.toml").read_text(encoding="utf-8"))
    vocabulary = Vocabulary.load(run / "vocab.txt")
    model = UniLMForGeneration(Config.from_table(table["model"]))
    model.model.load(load_file(run / "model.safetensors"))
    model.eval()
    trie = Trie()
    for key in read_keys(kg, False):
        trie.add([token for part in key for token in [*vocabulary.encode(part), SEP]])
    return Answerer(model, vocabulary, trie, SimpleNamespace(beams=3, early_stopping=False, renormalise=True))


def decode(answerer: Answerer, waiting: queue.Queue) -> None:
    """Answers what waits, in batches, for ever."""
    while True:
        batch = [waiting.get()]
        while len(batch) < BATCH and not waiting.empty():
            batch.append(waiting.get())
        with torch.inference_mode():
            answers = answerer.batch([question for question, _, _ in batch])
        for (_, done, place), answer in zip(batch, answers):
            place.append(answer)
            done.set()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--kg", type=Path, required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    answerer = load(arguments.run, arguments.kg)
    waiting: queue.Queue = queue.Queue()
    threading.Thread(target=decode, args=(answerer, waiting), daemon=True).start()
    app = FastAPI()

    @app.post("/v1/ask")
    def ask(request: Ask) -> dict:
        done, place = threading.Event(), []
        waiting.put((request.question.strip(), done, place))
        done.wait()
        tokens, score = place[0]
        subject, relation, sense = parts_of(tokens, answerer.vocabulary)
        return {"subject": subject, "relation": relation, "sense": sense, "log_probability": score}

    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="error")


if __name__ == "__main__":
    main()
