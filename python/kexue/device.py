"""A trie as flat tensors, masked and stepped by vectorised PyTorch code on any device.

Needs PyTorch.
"""

from __future__ import annotations

from typing import Any

import torch

from kexue._kexue import KexueError
from kexue.trie import Trie

__all__ = ["DeviceTrie"]

#: Nodes with at least this many children, and a share of the vocabulary, are dense: a table has the child of each token.
_DENSE = 64
_DENSE_SHARE = 16


class DeviceTrie:
    """The tensors of a :class:`~kexue.Trie` on a device.

    Every operation has the same shapes whatever the states are, and none waits for the device, so that a decoding step can be captured in a
    CUDA graph. Sequences may be of any lengths.

    A state is two numbers, ``[beams, 2]`` of int64: a node, and a place in the list of all tails. Nodes are numbered level by level, so that
    the children of each are neighbours; a tail is the tokens that must follow a node's label before there is a choice.

    What is allowed is found in two ways. A *dense* node, one with at least 64 children and a 16th of the vocabulary, has a row in a table
    ``[dense, vocabulary]`` of its children, -1 where there is none, and in one of what is allowed. The children of all others are read at once,
    ``[beams, burst]``, where ``burst`` is the most children that such a node has; the next token of a tail is read with them.
    """

    def __init__(self, trie: Trie, device: Any = "cpu", vocabulary: int | None = None) -> None:
        """Copies the trie to a device.

        ``vocabulary`` is the number of tokens of the masks where it is not given with each call; tokens beyond are left out.
        """
        arrays = trie._native.flatten()
        labels, children, tails, tail_tokens, ends = (torch.from_numpy(array) for array in arrays)
        self.device = torch.device(device)
        self.end = trie.end
        self.vocabulary = vocabulary
        nodes = len(labels)
        if nodes + len(tail_tokens) >= 2**31 - 1:
            raise KexueError("the trie has too many nodes for tensors of 32 bits; split it")
        largest = max((int(part.max()) for part in (labels, tail_tokens) if len(part)), default=0)
        self._labels_end = largest + 1
        degrees = children[1:] - children[:-1]
        threshold = max(_DENSE, -(-self._labels_end // _DENSE_SHARE))
        dense = torch.nonzero(degrees >= threshold).squeeze(1)
        # The last row is that of all nodes that are not dense, and the last column that of no token.
        table = torch.full((len(dense) + 1, self._labels_end + 1), -1, dtype=torch.int32)
        if len(dense):
            of = torch.repeat_interleave(torch.arange(len(dense)), degrees[dense])
            starts = torch.cumsum(degrees[dense], 0) - degrees[dense]
            child = children[dense][of] + torch.arange(len(of)) - starts[of]
            table[of, labels[child].long()] = child.to(torch.int32)
        allowed = torch.zeros((len(dense) + 1, max(self._labels_end, vocabulary or 0) + 1), dtype=torch.bool)
        allowed[:, : self._labels_end + 1] = table >= 0
        # The row of each node up to the last that is dense, and behind it that of all others.
        rows = torch.full((int(dense[-1]) + 2 if len(dense) else 1,), len(dense))
        rows[dense] = torch.arange(len(dense))
        sparse = torch.where(degrees >= threshold, 0, degrees)
        self.burst = max(1, int(sparse.max()) if nodes else 0)
        # One more node, which dead beams stand at: without a tail and children.
        self._dead = nodes
        last = int(tails[-1]) if len(tails) else 0
        bounds = torch.stack([torch.cat([children, children[-1:]]), torch.cat([tails, tails[-1:]])], 1)
        small = torch.int16 if largest < 2**15 else torch.int32
        self._none = len(dense)
        self._bounds = self._put(bounds.to(torch.int32))
        # The labels of the nodes, then the tokens of the tails.
        self._tokens = self._put(torch.cat([labels, tail_tokens, torch.zeros(1, dtype=torch.int32)]).to(small))
        self._tails_at = nodes
        self._ends = self._put(torch.cat([ends, torch.ones(1, dtype=torch.bool)]))
        self._rows = self._put(rows)
        self._table = self._put(table)
        self._allowed = self._put(allowed)
        self._offsets = self._put(torch.arange(self.burst))
        self._root = (0, 0) if len(trie) else (nodes, last)

    def _put(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(self.device)

    def with_end(self, end: int | None) -> DeviceTrie:
        """The same tensors with another end token."""
        other = object.__new__(DeviceTrie)
        other.__dict__.update(self.__dict__)
        other.end = end
        return other

    @property
    def nbytes(self) -> int:
        """The bytes of all tensors."""
        return sum(tensor.nbytes for tensor in vars(self).values() if isinstance(tensor, torch.Tensor))

    def root(self, beams: int) -> torch.Tensor:
        """The states of so many beams before their first token, ``[beams, 2]``."""
        return self._put(torch.tensor(self._root)).expand(beams, 2).contiguous()

    def _read(self, states: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Node, place in the tails, whether inside a tail, the dense row; the numbers of what is read of each beam, whether they are its own, and
        the tokens there. These are children, numbered as nodes, or the next token of a tail."""
        node, place = states.unbind(1)
        # The bounds of a node and of the next one.
        first, _, end, tail_end = self._bounds.as_strided((self._dead + 1, 4), (2, 1))[node].unbind(1)
        in_tail = place < tail_end
        row = torch.where(in_tail, self._none, self._rows[node.clamp(max=len(self._rows) - 1)])
        end = torch.where(row == self._none, end, first)
        start = torch.where(in_tail, self._tails_at + place, first)
        end = torch.where(in_tail, start + 1, end)
        index = start.unsqueeze(1) + self._offsets
        inside = index < end.unsqueeze(1)
        tokens = self._tokens[torch.where(inside, index, 0)]
        return node, place, in_tail, row, index, inside, tokens

    def mask(self, states: torch.Tensor, vocabulary: int | None = None) -> torch.Tensor:
        """Which tokens may follow, bool ``[beams, vocabulary]``."""
        vocabulary = self.vocabulary if vocabulary is None else vocabulary
        if vocabulary is None:
            raise KexueError("give the size of the vocabulary")
        node, _, in_tail, row, _, inside, tokens = self._read(states)
        # What is not read of a beam is written to a column behind the last, as are tokens beyond the vocabulary.
        width = self._allowed.shape[1]
        mask = self._allowed[:, : vocabulary + 1].index_select(0, row)
        if width <= vocabulary:
            mask = torch.nn.functional.pad(mask, (0, vocabulary + 1 - width))
        column = torch.where(inside, tokens.long(), vocabulary)
        mask.scatter_(1, column.clamp(max=vocabulary) if self._labels_end > vocabulary else column, True)
        if self.end is not None and self.end < vocabulary:
            mask[:, self.end] |= self._ends[node] & ~in_tail
        return mask[:, :vocabulary]

    def step(self, states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The states ``[beams, 2]`` after one more token each, ``[beams]``."""
        node, place, in_tail, row, index, inside, labels = self._read(states)
        found = torch.where(inside & (labels == tokens.unsqueeze(1)), index, -1).amax(1)
        # Tokens that are none read the last column.
        child = torch.maximum(found, self._table[row, tokens.long().clamp(-1, self._labels_end)])
        alive = child >= 0
        next_node = torch.where(alive, torch.where(in_tail, node, child), self._dead)
        next_place = torch.where(in_tail & alive, place + 1, self._bounds[next_node, 1])
        return torch.stack([next_node, next_place], 1)

    def walk(self, tokens: torch.Tensor) -> torch.Tensor:
        """The states ``[rows, 2]`` after the tokens of each row, ``[rows, tokens]``, from the root on."""
        states = self.root(len(tokens))
        for column in tokens.unbind(1):
            states = self.step(states, column)
        return states

    def mask_logits(self, states: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """The logits ``[beams, vocabulary]``, minus infinity where a token may not follow."""
        return torch.where(self.mask(states, logits.shape[-1]), logits, -torch.inf)
