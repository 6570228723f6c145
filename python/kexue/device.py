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

    A state is four numbers, ``[beams, 4]`` of int64: a node, the tokens that are read to tell what may follow, from and to, and the node's row
    among the dense ones. Nodes are numbered level by level, so that the labels of each node's children are neighbours; a tail is the tokens that
    must follow a node's label before there is a choice, of which one is read.

    What is allowed is found in two ways. A *dense* node, one with at least 64 children and a 16th of the vocabulary, has a row in a table
    ``[dense, vocabulary]`` of its children, -1 where there is none, and in one of what is allowed. The children of all others are read at once,
    ``[beams, burst]``, where ``burst`` is the most children that such a node has.
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
        self._none = len(dense)
        small = torch.int16 if largest < 2**15 else torch.int32
        # The labels of the nodes, a gap, the tokens of the tails, and as many more as are read of the last node.
        gap = torch.zeros(1, dtype=torch.int32)
        self._tokens = self._put(torch.cat([labels, gap, tail_tokens, gap.expand(self.burst)]).to(small))
        bounds = torch.stack([torch.cat([children, children[-1:]]), torch.cat([tails, tails[-1:]]) + nodes + 1], 1)
        self._bounds = self._put(bounds.to(torch.int32))
        self._ends = self._put(torch.cat([ends, torch.ones(1, dtype=torch.bool)]))
        self._rows = self._put(rows)
        self._table = self._put(table)
        self._allowed = self._put(allowed)
        self._offsets = self._put(torch.arange(self.burst))
        root = self._put(torch.tensor([0 if len(trie) else nodes]))
        self._root = self._at(root, self._bounds[root, 1].long())

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
        """The states of so many beams before their first token, ``[beams, 4]``."""
        return self._root.expand(beams, 4).contiguous()

    def _at(self, node: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        """The states at a place of each node's tail, or behind it."""
        # The bounds of a node and of the next one.
        first, _, end, tail_end = self._bounds.as_strided((self._dead + 1, 4), (2, 1))[node].unbind(1)
        in_tail = place < tail_end
        row = torch.where(in_tail, self._none, self._rows[node.clamp(max=len(self._rows) - 1)])
        return torch.stack([node, torch.where(in_tail, place, first), torch.where(in_tail, place + 1, end), row], 1)

    def _read(self, start: torch.Tensor, end: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The numbers of what is read, ``[beams, burst]``, the tokens there, and whether they are the beam's own.

        Of a dense node it is the first children, which its row of the table holds too.
        """
        index = start.unsqueeze(1) + self._offsets
        return index, self._tokens[index], index < end.unsqueeze(1)

    def mask(self, states: torch.Tensor, vocabulary: int | None = None) -> torch.Tensor:
        """Which tokens may follow, bool ``[beams, vocabulary]``."""
        vocabulary = self.vocabulary if vocabulary is None else vocabulary
        if vocabulary is None:
            raise KexueError("give the size of the vocabulary")
        node, start, end, row = states.unbind(1)
        _, tokens, inside = self._read(start, end)
        # What is not a beam's own is written to a column behind the last, as are tokens beyond the vocabulary.
        width = self._allowed.shape[1]
        mask = self._allowed[:, : vocabulary + 1].index_select(0, row)
        if width <= vocabulary:
            mask = torch.nn.functional.pad(mask, (0, vocabulary + 1 - width))
        column = torch.where(inside, tokens.long(), vocabulary)
        mask.scatter_(1, column.clamp(max=vocabulary) if self._labels_end > vocabulary else column, True)
        if self.end is not None and self.end < vocabulary:
            mask[:, self.end] |= self._ends[node] & (start <= self._dead)
        return mask[:, :vocabulary]

    def step(self, states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The states ``[beams, 4]`` after one more token each, ``[beams]``."""
        node, start, end, row = states.unbind(1)
        index, labels, inside = self._read(start, end)
        # The child, or the place of the tail's token; -1 where the token is neither. Tokens that are none read the table's last column.
        found = torch.where(inside & (labels == tokens.unsqueeze(1)), index, -1).amax(1)
        found = torch.maximum(found, self._table[row, tokens.long().clamp(-1, self._labels_end)])
        alive = found >= 0
        in_tail = start > self._dead
        next_node = torch.where(alive, torch.where(in_tail, node, found), self._dead)
        return self._at(next_node, torch.where(alive & in_tail, start + 1, self._bounds[next_node, 1]))

    def walk(self, tokens: torch.Tensor) -> torch.Tensor:
        """The states ``[rows, 4]`` after the tokens of each row, ``[rows, tokens]``, from the root on."""
        states = self.root(len(tokens))
        for column in tokens.unbind(1):
            states = self.step(states, column)
        return states

    def mask_logits(self, states: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """The logits ``[beams, vocabulary]``, minus infinity where a token may not follow."""
        return torch.where(self.mask(states, logits.shape[-1]), logits, -torch.inf)
