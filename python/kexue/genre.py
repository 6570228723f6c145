"""The interface of GENRE's tries, so that code that decodes with them runs on :class:`kexue.Trie` unchanged.

::

    from kexue.genre import Trie              # was: from genre.trie import Trie

    trie = Trie([[2, 7, 1], [2, 8, 1]])       # the sequences hold their end token, as GENRE's do
    generate(..., prefix_allowed_tokens_fn=lambda batch_id, sent: trie.get(sent.tolist()))

GENRE is facebookresearch/GENRE (De Cao et al., "Autoregressive Entity Retrieval", 2021).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from kexue import trie as _trie
from kexue._kexue import KexueError

__all__ = ["MarisaTrie", "Trie"]


class Trie:
    """A set of token sequences with the methods of GENRE's ``Trie``.

    What is different: tokens that may follow are listed in ascending order, a sequence that is given twice counts once, and a sequence that is
    the beginning of another one is listed too. Nothing can be added: :meth:`add` raises.

    ``sequences`` is whatever :class:`kexue.Trie` takes, or a :class:`kexue.Trie`, such as one that is mapped from a file.
    """

    def __init__(self, sequences: Any = ()) -> None:
        #: The set itself, for batches of beams; what is appended is not in it.
        self.trie = sequences if isinstance(sequences, _trie.Trie) else _trie.Trie(sequences)
        self.append_trie: Any = None
        self.bos_token_id: int | None = None

    @classmethod
    def load_from_dict(cls, trie_dict: dict[int, Any]) -> Trie:
        """The trie of nested dictionaries: each token leads to the dictionary of those that may follow it."""
        return cls(_paths(trie_dict))

    def append(self, trie: Any, bos_token_id: int) -> None:
        """Goes on with another trie, anything with ``get``, where ``bos_token_id`` may follow, or where no sequence begins so."""
        self.append_trie = trie
        self.bos_token_id = bos_token_id

    def add(self, sequence: Sequence[int]) -> None:
        """Raises: the set is packed when it is made."""
        raise KexueError("a packed trie takes no more sequences; make a new Trie of all of them")

    def get(self, prefix_sequence: Sequence[int]) -> list[int]:
        """The tokens that may follow a prefix."""
        allowed = self.trie.get(prefix_sequence)
        if self.append_trie is None:
            return allowed
        if not allowed:
            inside = self._inside(prefix_sequence)
            return [] if inside == len(prefix_sequence) else list(self.append_trie.get(list(prefix_sequence[inside:])))
        if self.bos_token_id in allowed:
            return [token for token in allowed if token != self.bos_token_id] + list(self.append_trie.get([]))
        return allowed

    def _inside(self, prefix: Sequence[int]) -> int:
        """How many of the tokens sequences begin with."""
        low, high = 0, len(prefix)
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self.trie.count(prefix[:middle]) else (low, middle - 1)
        return low

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.trie)

    def __len__(self) -> int:
        return len(self.trie)

    def __getitem__(self, value: Sequence[int]) -> list[int]:
        return self.get(value)


class MarisaTrie(Trie):
    """The same under the name of GENRE's second trie; its settings are not needed."""

    def __init__(self, sequences: Any = (), cache_fist_branch: bool = True, max_token_id: int = 256001) -> None:
        del cache_fist_branch, max_token_id
        super().__init__(sequences)


def _paths(trie_dict: dict[int, Any]) -> Iterable[list[int]]:
    """The sequences that nested dictionaries stand for; depth is limited by memory alone."""
    path: list[int] = []
    pending = [iter(trie_dict.items())]
    while pending:
        found = next(pending[-1], None)
        if found is None:
            pending.pop()
            del path[-1:]
            continue
        token, below = found
        path.append(token)
        if below:
            pending.append(iter(below.items()))
        else:
            yield list(path)
            path.pop()
