"""Prefix indexes in Python over the keys of a TSV graph: what they cost to build, and to ask.

    python benches/peers/trie/peers.py graph.tsv dict|genre|marisa [ROUNDS]

- dict: nested dictionaries, one for each node, as in article 8802;
- genre: the trie that GENRE (De Cao et al., 2021) decodes with, from its published idea: nested dictionaries, `get(prefix)` walks from
  the root and lists the keys of the last one;
- marisa: the package `marisa-trie`; a token is a character, and what may follow is collected from the keys with the prefix, for it lists no children.

Keys are sequences of characters `subject SEP relation SEP sense SEP`. One JSON object is printed.
"""

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


class GenreTrie(DictTrie):
    """The same nested dictionaries, walked by recursion over a copy of the rest of the prefix at each step."""

    def following(self, prefix):
        def get(rest, node):
            if not rest:
                return list(node.keys())
            if rest[0] in node:
                return get(rest[1:], node[rest[0]])
            return []

        return get(list(prefix), self.root)


class MarisaTrie:
    def __init__(self, keys):
        import marisa_trie

        self.trie = marisa_trie.Trie(keys)

    def following(self, prefix):
        return list({key[len(prefix) : len(prefix) + 1] for key in self.trie.iterkeys(prefix)})

    def completions(self, prefix):
        return self.trie.keys(prefix)


def measure(name, times):
    times.sort()
    print_at = lambda share: times[int((len(times) - 1) * share)] * 1e6
    return {f"{name}_p50_us": round(print_at(0.5), 3), f"{name}_p99_us": round(print_at(0.99), 3)}


def main():
    path, kind = sys.argv[1], sys.argv[2]
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
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
    # Below four tokens marisa-trie walks too much of the set: it is asked from there on only.
    least = 4 if kind == "marisa" else 0
    times = []
    for key in sample:
        prefix = key[: generator.randint(min(least, len(key)), len(key))]
        before = time.perf_counter()
        trie.following(prefix)
        times.append(time.perf_counter() - before)
    result |= measure("next_tokens", times)
    times = []
    for key in sample:
        prefix = key[: key.index(SEP) + 1]
        before = time.perf_counter()
        trie.completions(prefix)
        times.append(time.perf_counter() - before)
    result |= measure("completions", times)
    print(json.dumps(result))


main()
