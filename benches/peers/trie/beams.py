"""A step of constrained decoding over random semantic IDs: which tokens may follow 140 beams, and where each goes on.

    python benches/peers/trie/beams.py [--items 1000000] [--static FOLDER] [--only kexue,static,...] [--rounds N]

Every peer gets the same items, eight random tokens of 2,048 each, and walks the same ones, drawn anew each round. A step is timed from the
states of the beams to a mask `[140, 2048]` of what may follow, and from the chosen tokens to the next states. Times are the processor time of one
thread, the median of the rounds at each token, so that other work on the machine counts little.

- kexue: `kexue.Trie`, packed bit masks and bool masks; and its tensors, `to_device("cpu")`
- static: `static_decoding` of youtube/static-constraint-decoding (FOLDER holds that repository), its PyTorch code on the CPU. A step is what its
  beam search does between the logits and the choice: from log-probabilities to candidates and their next states, for the masked ones only
- dict: nested dictionaries, the node of each beam kept
- genre: the trie that GENRE decodes with, written anew as in `peers.py`: the prefix is looked up from the root each time
- marisa: the package `marisa-trie`; a token is a character, and what may follow is collected from the keys with the prefix. From the third token
  on: at the first two it reads all keys, or thousands
"""

import argparse
import gc
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

LENGTH, VOCABULARY, BEAMS = 8, 2048, 140


class Kexue:
    def __init__(self, items, kind="bits"):
        from kexue import Trie

        self.trie = Trie(items)
        self.kind = kind
        self.bits = np.empty((BEAMS, VOCABULARY // 32), np.int32)
        self.bools = np.empty((BEAMS, VOCABULARY), bool)

    def bytes(self):
        return self.trie.nbytes

    def root(self):
        return self.trie.root(BEAMS)

    def mask(self, states):
        return self.trie.bitmask(states, out=self.bits) if self.kind == "bits" else self.trie.mask(states, out=self.bools)

    def step(self, states, tokens, depth):
        return self.trie.step(states, tokens, out=states)


class KexueTensors:
    def __init__(self, items):
        from kexue import Trie

        self.trie = Trie(items).to_device("cpu", VOCABULARY)

    def bytes(self):
        return self.trie.nbytes

    def root(self):
        return self.trie.root(BEAMS)

    def mask(self, states):
        return self.trie.mask(states)

    def step(self, states, tokens, depth):
        import torch

        return self.trie.step(states, torch.from_numpy(tokens))


class Static:
    def __init__(self, items):
        import torch
        from static_decoding.csr_utils import build_static_index

        items = np.unique(items.astype(np.int32), axis=0)
        csr, indptr, self.branches, start, dense, states = build_static_index(items, VOCABULARY, dense_lookup_layers=2)
        self.torch = torch
        tensors = [(csr, torch.long), (indptr, torch.long), (start, torch.bool), (dense, torch.bool), (states, torch.long)]
        self.csr, self.indptr, self.start, self.dense, self.states = (torch.tensor(array, dtype=dtype) for array, dtype in tensors)
        self.logprobs = torch.rand(BEAMS, VOCABULARY).log_softmax(1)
        self.depth = 0

    def bytes(self):
        return sum(tensor.nbytes for tensor in (self.csr, self.indptr, self.start, self.dense, self.states))

    def root(self):
        self.depth = 0
        return self.torch.zeros(BEAMS, dtype=self.torch.long)

    def mask(self, states):
        from static_decoding.decoding_pt import generate_and_apply_logprobs_mask

        infinite = self.torch.tensor(-float("inf"))
        if self.depth == 0:
            return self.torch.where(self.start, self.logprobs, infinite)
        if self.depth == 1:
            return self.torch.where(self.dense[states - 1], self.logprobs, infinite)
        self.found = generate_and_apply_logprobs_mask(
            self.logprobs, states, self.csr, self.indptr, self.branches[self.depth], VOCABULARY, self.logprobs.device
        )
        return self.found

    def step(self, states, tokens, depth):
        tokens = self.torch.from_numpy(tokens)
        self.depth = depth + 1
        if depth == 0:
            return tokens + 1
        if depth == 1:
            return self.dense_step(states, tokens)
        _, candidates, following = self.found
        return following.gather(1, (candidates == tokens[:, None]).byte().argmax(1, keepdim=True))[:, 0]

    def dense_step(self, states, tokens):
        return self.states[states - 1, tokens]


class Dict:
    def __init__(self, items):
        self.top = {}
        for item in items.tolist():
            node = self.top
            for token in item:
                node = node.setdefault(token, {})
        self.out = np.empty((BEAMS, VOCABULARY), bool)

    def bytes(self):
        return None

    def root(self):
        return [self.top] * BEAMS

    def mask(self, nodes):
        self.out.fill(False)
        for row, node in zip(self.out, nodes):
            row[list(node)] = True
        return self.out

    def step(self, nodes, tokens, depth):
        return [node[token] for node, token in zip(nodes, tokens.tolist())]


class Genre(Dict):
    def root(self):
        return [[] for _ in range(BEAMS)]

    def get(self, rest, node):
        if not rest:
            return list(node)
        return self.get(rest[1:], node[rest[0]]) if rest[0] in node else []

    def mask(self, prefixes):
        self.out.fill(False)
        for row, prefix in zip(self.out, prefixes):
            row[self.get(prefix, self.top)] = True
        return self.out

    def step(self, prefixes, tokens, depth):
        return [prefix + [token] for prefix, token in zip(prefixes, tokens.tolist())]


class Marisa:
    first = 2  # the first token it is asked at

    def __init__(self, items):
        import marisa_trie

        # Beyond the surrogates, which are no characters.
        self.base = 0xE000
        self.trie = marisa_trie.Trie("".join(map(chr, item)) for item in (items + self.base).tolist())
        self.out = np.empty((BEAMS, VOCABULARY), bool)

    def bytes(self):
        return len(self.trie.tobytes())

    def root(self):
        return [""] * BEAMS

    def mask(self, prefixes):
        self.out.fill(False)
        for row, prefix in zip(self.out, prefixes):
            for key in self.trie.keys(prefix):
                if len(key) > len(prefix):
                    row[ord(key[len(prefix)]) - self.base] = True
        return self.out

    def step(self, prefixes, tokens, depth):
        return [prefix + chr(self.base + token) for prefix, token in zip(prefixes, tokens.tolist())]


PEERS = {
    "kexue, bit masks": Kexue,
    "kexue, bool masks": lambda items: Kexue(items, "bools"),
    "kexue, PyTorch on the CPU": KexueTensors,
    "STATIC, PyTorch on the CPU": Static,
    "nested dictionaries": Dict,
    "GENRE's trie": Genre,
    "marisa-trie": Marisa,
}


def measure(make, items, rounds):
    gc.collect()
    start = time.process_time()
    peer = make(items)
    build = time.process_time() - start
    draw = np.random.default_rng(1)
    first = getattr(peer, "first", 0)
    times = [[] for _ in range(LENGTH)]
    for number in range(rounds + 3):
        walks = items[draw.integers(0, len(items), BEAMS)].astype(np.int64)
        states = peer.root()
        for depth in range(LENGTH):
            tokens = np.ascontiguousarray(walks[:, depth])
            gc.disable()
            begin = time.thread_time()
            if depth >= first:
                peer.mask(states)
            states = peer.step(states, tokens, depth)
            took = time.thread_time() - begin
            gc.enable()
            if number >= 3 and depth >= first:
                times[depth].append(1e6 * took)
    return {
        "microseconds": [float(np.median(of)) if of else None for of in times],
        "build_s": build,
        "index_mb": None if peer.bytes() is None else peer.bytes() / 1e6,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--static", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.static:
        sys.path.insert(0, str(arguments.static))
    if arguments.peer:
        try:
            import torch

            torch.set_num_threads(1)
        except ImportError:
            pass
        items = np.random.default_rng(0).integers(0, VOCABULARY, (arguments.items, LENGTH), dtype=np.int32)
        print(json.dumps(measure(PEERS[arguments.peer], items, arguments.rounds)))
        return
    # Each in a process of its own, so that its peak memory is its own.
    import subprocess

    print(f"{arguments.items} items, {BEAMS} beams: µs at each token, by the processor's time; build in s; index and peak memory in MB")
    heads = "".join(f"{depth:>8}" for depth in range(1, LENGTH + 1))
    print(f"{'':28}{heads}{'build':>9}{'index':>9}{'peak':>9}")
    for name in PEERS:
        if arguments.only and not any(part and part in name.lower() for part in arguments.only.lower().split(",")):
            continue
        if name.startswith("STATIC") and not arguments.static:
            print(f"{name:28}  not measured: give --static")
            continue
        command = [sys.executable, __file__, "--peer", name, "--items", str(arguments.items), "--rounds", str(arguments.rounds)]
        command += ["--static", str(arguments.static)] if arguments.static else []
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            print(f"{name:28}  failed: {(run.stderr.strip().splitlines() or ['no message'])[-1]}")
            continue
        found = json.loads(run.stdout)
        cells = "".join("       –" if of is None else f"{of:8.1f}" for of in found["microseconds"])
        index = "–" if found["index_mb"] is None else f"{found['index_mb']:.0f}"
        print(f"{name:28}{cells}{found['build_s']:9.1f}{index:>9}{found['peak_mb']:9.0f}", flush=True)


if __name__ == "__main__":
    main()
