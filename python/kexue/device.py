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
    ``[dense, vocabulary]`` of its children, -1 where there is none. The children of all others are read at once, ``[beams, burst]``, where
    ``burst`` is the most children that such a node has.
    """

    def __init__(self, trie: Trie, device: Any = "cpu", vocabulary: int | None = None) -> None:
        """Copies the trie to a device.

        ``vocabulary`` is the number of tokens of the masks where it is not given with each call; tokens beyond are left out.
        """
        labels, children, tails, tail_tokens, ends = trie._native.flatten()
        self.device = torch.device(device)
        self.end = trie.end
        self.vocabulary = vocabulary
        nodes = len(labels)
        children, tails = torch.from_numpy(children), torch.from_numpy(tails)
        labels, tail_tokens = torch.from_numpy(labels), torch.from_numpy(tail_tokens)
        largest = max((int(part.max()) for part in (labels, tail_tokens) if len(part)), default=0)
        self._labels_end = largest + 1
        degrees = children[1:] - children[:-1]
        threshold = max(_DENSE, -(-self._labels_end // _DENSE_SHARE))
        dense = torch.nonzero(degrees >= threshold).squeeze(1)
        # The last row is that of all nodes that are not dense.
        table = torch.full((len(dense) + 1, self._labels_end), -1, dtype=torch.int32)
        if len(dense):
            of = torch.repeat_interleave(torch.arange(len(dense)), degrees[dense])
            starts = torch.cumsum(degrees[dense], 0) - degrees[dense]
            child = children[dense][of] + torch.arange(len(of)) - starts[of]
            table[of, labels[child].long()] = child.to(torch.int32)
        sparse = torch.where(degrees >= threshold, 0, degrees)
        self.burst = int(sparse.max()) if nodes else 0
        if nodes >= 2**31 - 1 or len(tail_tokens) >= 2**31 - 1:
            raise KexueError("the trie has too many nodes for tensors of 32 bits; split it")
        # One more node, which dead beams stand at: without a tail and children.
        self._dead = nodes
        small = torch.int16 if largest < 2**15 else torch.int32
        none = torch.zeros(1, dtype=torch.int64)
        last = tails[-1:] if len(tails) else none
        self._children = self._put(torch.cat([children, children[-1:]]).to(torch.int32))
        self._tails = self._put(torch.cat([tails, last]).to(torch.int32))
        self._labels = self._put(torch.cat([labels.to(small), none.to(small)]))
        self._tail_tokens = self._put(torch.cat([tail_tokens.to(small), none.to(small)]))
        self._ends = self._put(torch.cat([torch.from_numpy(ends), torch.ones(1, dtype=torch.bool)]))
        self._dense = self._put(dense)
        self._table = self._put(table)
        self._offsets = self._put(torch.arange(self.burst))
        self._root = (0, 0) if len(trie) else (nodes, int(last))

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
        """Node, place in the tails, whether inside a tail, the tail's token, the dense row, the burst's labels and which of them are."""
        node, place = states.unbind(1)
        in_tail = place < self._tails[node + 1]
        tail_token = self._tail_tokens[torch.where(in_tail, place, 0)].long()
        row = torch.searchsorted(self._dense, node.contiguous())
        if len(self._dense):
            near = row.clamp(max=len(self._dense) - 1)
            row = torch.where((self._dense[near] == node) & ~in_tail, near, len(self._dense))
        first = self._children[node].long()
        index = first.unsqueeze(1) + self._offsets
        inside = (index < self._children[node + 1].unsqueeze(1)) & ~in_tail.unsqueeze(1)
        inside &= (row == len(self._dense)).unsqueeze(1)
        labels = self._labels[torch.where(inside, index, 0)].long()
        return node, place, in_tail, tail_token, row, first, labels, inside

    def mask(self, states: torch.Tensor, vocabulary: int | None = None) -> torch.Tensor:
        """Which tokens may follow, bool ``[beams, vocabulary]``."""
        vocabulary = self.vocabulary if vocabulary is None else vocabulary
        if vocabulary is None:
            raise KexueError("give the size of the vocabulary")
        node, _, in_tail, tail_token, row, _, labels, inside = self._read(states)
        # What is not allowed is written to a column behind the last, as are tokens beyond the vocabulary.
        mask = torch.zeros((len(states), vocabulary + 1), dtype=torch.bool, device=states.device)
        common = min(vocabulary, self._labels_end)
        mask[:, :common] = self._table[row, :common] >= 0
        mask.scatter_(1, torch.where(inside, labels.clamp(max=vocabulary), vocabulary), True)
        tail = torch.where(in_tail, tail_token.clamp(max=vocabulary), vocabulary)
        mask.scatter_(1, tail.unsqueeze(1), True)
        if self.end is not None and self.end < vocabulary:
            mask[:, self.end] |= self._ends[node] & ~in_tail
        return mask[:, :vocabulary]

    def step(self, states: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """The states ``[beams, 2]`` after one more token each, ``[beams]``."""
        node, place, in_tail, tail_token, row, first, labels, inside = self._read(states)
        tokens = tokens.long()
        hit = inside & (labels == tokens.unsqueeze(1))
        if self.burst:
            found = torch.where(hit.any(1), first + hit.byte().argmax(1), -1)
        else:
            found = torch.full_like(tokens, -1)
        known = (tokens >= 0) & (tokens < self._labels_end)
        dense = torch.where(known, self._table[row, torch.where(known, tokens, 0)].long(), -1)
        child = torch.maximum(found, dense)
        child = torch.where(child >= 0, child, self._dead)
        stays = in_tail & (tail_token == tokens)
        next_node = torch.where(in_tail, torch.where(stays, node, self._dead), child)
        next_place = torch.where(stays, place + 1, self._tails[next_node].long())
        return torch.stack([next_node, next_place], 1)

    def walk(self, tokens: torch.Tensor) -> torch.Tensor:
        """The states ``[rows, 2]`` after the tokens of each row, ``[rows, tokens]``, from the root on."""
        states = self.root(len(tokens))
        for column in tokens.unbind(1):
            states = self.step(states, column)
        return states

    def mask_logits(self, states: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """The logits ``[beams, vocabulary]``, minus infinity where a token may not follow."""
        return logits.masked_fill(~self.mask(states, logits.shape[-1]), -torch.inf)
