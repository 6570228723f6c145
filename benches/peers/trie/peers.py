"""Prefix indexes in Python over the keys of a TSV graph: what they cost to build, and to ask.

    python benches/peers/trie/peers.py graph.tsv dict|genre|marisa [ROUNDS]

- dict: nested dictionaries, one for each node, as in article 8802;
- genre: the trie that GENRE (De Cao et al., 2021) decodes with, written anew with the same steps: lists of tokens are put into nested
  dictionaries, and looked up in them, by recursion over a copy of the rest of the list. It lists all sequences only, by generators one in
  another; here these begin at the node of the prefix;
- marisa: the package `marisa-trie`; a token is a character, and what may follow is collected from the keys with the prefix, for it lists no children.

Keys are sequences of characters `subject SEP relation SEP sense SEP`. One JSON object is printed. As for all others here, each question is asked
once before it is timed, and what it costs to look at the clock is subtracted.
"""

import gc
import json
import random
import resource
import sys
import time

SEP = "\x02"


def split_sense(name):
    """Subject and sense: at the matching full-width bracket at the end."""
    if not name.endswith("）"):
        return name, ""
    depth = 0
    for at in range(len(name) - 1, -1, -1):
        depth += (name[at] == "）") - (name[at] == "（")
        if depth == 0:
            subject, sense = name[:at], name[at + 1 : -1]
            return (subject, sense) if subject and sense else (name, "")
    return name, ""


def keys_of(path):
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            name, relation, _ = line.rstrip("\n").split("\t")
            subject, sense = split_sense(name)
            yield subject + SEP + relation + SEP + sense + SEP


class DictTrie:
    def __init__(self, keys):
        self.root = {}
        for key in keys:
            node = self.root
            for token in key:
                node = node.setdefault(token, {})

    def find(self, prefix):
        node = self.root
        for token in prefix:
            node = node[token]
        return node

    def following(self, prefix):
        return list(self.find(prefix))

    def completions(self, prefix):
        found, pending = [], [(prefix, self.find(prefix))]
        while pending:
            key, node = pending.pop()
            if not node:
                found.append(key)
            pending.extend((key + token, child) for token, child in node.items())
        return found


class GenreTrie:
    def __init__(self, keys):
        self.root = {}
        for key in keys:
            self.insert(list(key), self.root)

    def insert(self, sequence, node):
        if sequence:
            if sequence[0] not in node:
                node[sequence[0]] = {}
            self.insert(sequence[1:], node[sequence[0]])

    def find(self, rest, node):
        if not rest:
            return node
        return self.find(rest[1:], node[rest[0]]) if rest[0] in node else {}

    def following(self, prefix):
        return list(self.find(list(prefix), self.root).keys())

    def completions(self, prefix):
        def traverse(sequence, node):
            if node:
                for token in node:
                    yield from traverse(sequence + [token], node[token])
            else:
                yield sequence

        return list(traverse(list(prefix), self.find(list(prefix), self.root)))


class MarisaTrie:
    def __init__(self, keys):
        import marisa_trie

        self.trie = marisa_trie.Trie(keys)

    def following(self, prefix):
        return list({key[len(prefix) : len(prefix) + 1] for key in self.trie.iterkeys(prefix)})

    def completions(self, prefix):
        return self.trie.keys(prefix)


def clock():
    """What it costs to look at the clock twice."""
    times = []
    for _ in range(10_001):
        before = time.perf_counter()
        times.append(time.perf_counter() - before)
    return sorted(times)[len(times) // 2]


def measure(name, ask, questions):
    """Median and 99th percentile of what `ask` takes, each question asked once before."""
    for question in questions:
        ask(question)
    times = []
    for question in questions:
        before = time.perf_counter()
        ask(question)
        times.append(time.perf_counter() - before)
    times.sort()
    overhead = clock()
    at = lambda share: round(max(0, times[int((len(times) - 1) * share)] - overhead) * 1e6, 3)
    return {f"{name}_p50_us": at(0.5), f"{name}_p99_us": at(0.99)}


def main():
    path, kind = sys.argv[1], sys.argv[2]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 20_000
    started = time.process_time()
    trie = {"dict": DictTrie, "genre": GenreTrie, "marisa": MarisaTrie}[kind](keys_of(path))
    result = {"peer": kind, "build_cpu_s": round(time.process_time() - started, 2)}
    result["peak_memory_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)

    generator = random.Random(7)
    sample, count = [], 0
    for count, key in enumerate(keys_of(path), 1):
        if len(sample) < rounds:
            sample.append(key)
        elif (place := generator.randrange(count)) < rounds:
            sample[place] = key
    result["triples"] = count
    # As timeit does: what is collected now and then in a heap of millions of dictionaries is no question's own cost.
    gc.disable()
    # Below four tokens marisa-trie walks too much of the set: it is asked from there on only.
    least = 4 if kind == "marisa" else 0
    prefixes = [key[: generator.randint(min(least, len(key)), len(key))] for key in sample]
    result |= measure("next_tokens", trie.following, prefixes)
    result |= measure("completions", trie.completions, [key[: key.index(SEP) + 1] for key in sample])
    print(json.dumps(result))


main()
