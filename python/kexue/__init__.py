"""Constrained decoding under a trie, answers from a knowledge graph, and rankings of results tables.

- :class:`Trie`: a set of token sequences that a decoder may produce; ``kexue.hf`` puts it into ``transformers``' ``generate``,
  ``kexue.device`` onto a GPU, and ``kexue.genre`` gives it the interface of GENRE's tries
- :class:`KnowledgeGraph`, :class:`Asker`: facts, and questions answered with them
- :mod:`kexue.rank`: means, flips, votes and checks of results tables
"""

from kexue import rank
from kexue._kexue import KexueError
from kexue.ask import Answer, Asker, Candidate
from kexue.graph import Fact, KnowledgeGraph
from kexue.trie import Trie

__all__ = ["Answer", "Asker", "Candidate", "Fact", "KexueError", "KnowledgeGraph", "Trie", "rank"]
__version__ = "0.1.0"
