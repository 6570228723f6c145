"""Constrained decoding under a trie, answers from a knowledge graph, and rankings of results tables.

Start with :class:`Trie`: a set of token sequences that a decoder may produce. ``kexue.hf`` puts it into ``transformers``' ``generate``.
"""

from kexue._kexue import KexueError
from kexue.trie import Trie

__all__ = ["KexueError", "Trie"]
__version__ = "0.1.0"
