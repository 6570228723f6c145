"""A set of token sequences that is asked by prefix, alone or for a batch of beams."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from kexue import _kexue
from kexue._arrays import array_of, fresh, integers, room, states_of
from kexue._kexue import KexueError
from kexue._sequences import add_sequences

if TYPE_CHECKING:
    from kexue.device import DeviceTrie

#: Sequences that are listed at a time when a trie is iterated over.
_PAGE = 4096


class Trie:
    """A set of token sequences: which tokens may follow a prefix, and which sequences begin with it.

    ::

        trie = Trie([[7, 1], [7, 2, 3], [8]], end=0)
        trie.get([7])  # [1, 2]
        trie.get([8])  # [0]: the sequence is complete, only the end token may follow

    ``sequences`` is any iterable of sequences of integers, a matrix ``[sequences, tokens]`` of NumPy, PyTorch or JAX, or an Arrow array of
    lists, in any order and of any lengths. Tokens are 0 to 2**24 - 1, sequences shorter than 2**21 tokens. With ``pad``, each sequence ends
    before its first token ``pad``.

    ``end`` is the token that follows a complete sequence, mostly the model's end-of-sequence id. Leave it out where the sequences hold it
    themselves.

    A beam is a row of three numbers, its *state*. States of a batch are an array ``[beams, 3]`` of int64 and may be copied, stored and
    reordered like any numbers (``states[order]``). A beam whose token is not allowed is *dead*, and so is one after the end token: it stays
    dead whatever follows, and is allowed the end token alone, or nothing where the trie has none. A negative token (padding) makes a beam
    dead too.

    Results are NumPy arrays, which ``torch.from_dlpack`` and ``jax.dlpack.from_dlpack`` take without a copy.

    Sequences are numbered in lexicographic order; the number is the sequence's *key*.
    """

    __slots__ = ("_native", "_end", "_path")

    def __init__(self, sequences: Any = (), *, end: int | None = None, pad: int | None = None) -> None:
        builder = _kexue.Builder(None, None)
        add_sequences(builder, sequences, pad)
        self._set(builder.finish(None, _end_token(end)), end, None)

    def _set(self, native: _kexue.Trie, end: int | None, path: str | None) -> None:
        self._native = native
        self._end = end
        self._path = path

    @classmethod
    def _made(cls, native: _kexue.Trie, end: int | None, path: str | None) -> Trie:
        trie = cls.__new__(cls)
        trie._set(native, end, path)
        return trie

    @classmethod
    def build(
        cls, path: str | os.PathLike[str], sequences: Any, *, end: int | None = None, pad: int | None = None, memory: int = 1 << 28
    ) -> Trie:
        """Writes the trie to a file and opens it.

        Sequences beyond ``memory`` bytes wait in temporary files beside it. The file appears whole or not at all. ``end`` is not kept in it.
        """
        path = os.path.abspath(path)
        builder = _kexue.Builder(memory, os.path.dirname(path))
        add_sequences(builder, sequences, pad)
        return cls._made(builder.finish(path, _end_token(end)), end, path)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, end: int | None = None, load: bool = False) -> Trie:
        """Opens a file that :meth:`build` has written.

        It is mapped into memory: that takes the same time whatever its size, and processes that open the same file share its memory. With
        ``load`` it is read into memory of this process's own, in large pages where the system has them: steps of many beams at random places are
        then faster, but nothing is shared.
        """
        path = os.path.abspath(path)
        return cls._made(_kexue.Trie.open(path, _end_token(end), load), end, path)

    @classmethod
    def from_bytes(cls, data: bytes, *, end: int | None = None) -> Trie:
        """The trie in the bytes of such a file."""
        return cls._made(_kexue.Trie.from_bytes(data, _end_token(end)), end, None)

    def to_bytes(self) -> bytes:
        """The bytes of the trie's file."""
        return self._native.to_bytes()

    def __reduce__(self) -> tuple[Any, ...]:
        # A trie in a file travels as the file's path: the process that unpickles it maps the same memory.
        if self._path is not None:
            return _reopened, (self._path, None, self._end)
        return _reopened, (None, self.to_bytes(), self._end)

    def with_end(self, end: int | None) -> Trie:
        """The same set with another end token; the memory is shared."""
        return self._made(self._native.with_end(_end_token(end)), end, self._path)

    def to_device(self, device: Any = "cpu", vocabulary: int | None = None) -> DeviceTrie:
        """The trie as PyTorch tensors on a device, with masks and steps that never wait for it; see :class:`kexue.device.DeviceTrie`."""
        from kexue.device import DeviceTrie

        return DeviceTrie(self, device, vocabulary)

    def verify(self) -> None:
        """Checks the checksums of all the trie's data, which opening does not read. Raises :class:`KexueError` where one does not fit."""
        self._native.verify()

    @property
    def end(self) -> int | None:
        """The token that follows a complete sequence."""
        return self._end

    @property
    def path(self) -> str | None:
        """The file that the trie is mapped from."""
        return self._path

    @property
    def nbytes(self) -> int:
        """The size of the trie in bytes, in memory or mapped."""
        return self._native.nbytes

    @property
    def nodes(self) -> int:
        """The number of nodes."""
        return self._native.nodes

    def __repr__(self) -> str:
        source = "" if self._path is None else f", path={self._path!r}"
        return f"<kexue.Trie of {len(self)} sequences, end={self._end}{source}>"

    # One prefix at a time.

    def __len__(self) -> int:
        return len(self._native)

    def __iter__(self) -> Iterator[list[int]]:
        skip = 0
        while page := self._native.completions([], skip, _PAGE):
            yield from page
            skip += len(page)

    def __contains__(self, sequence: Sequence[int]) -> bool:
        return self.key(sequence) is not None

    def __getitem__(self, prefix: Sequence[int]) -> list[int]:
        return self.get(prefix)

    def get(self, prefix: Sequence[int]) -> list[int]:
        """The tokens that may follow a prefix, ascending; none where no sequence begins so, or nothing follows."""
        prefix = _tokens(prefix)
        # A beam that is dead is allowed the end token; after a prefix of no sequence comes nothing.
        return self._native.allowed(prefix) if self._native.count(prefix) else []

    def allowed(self, prefix: Sequence[int]) -> list[int]:
        """The same as :meth:`get`."""
        return self.get(prefix)

    def key(self, sequence: Sequence[int]) -> int | None:
        """The number of a sequence, ``None`` where it is not in the set."""
        return self._native.key(_tokens(sequence))

    def count(self, prefix: Sequence[int] = ()) -> int:
        """How many sequences begin with a prefix."""
        return self._native.count(_tokens(prefix))

    def completions(self, prefix: Sequence[int] = (), limit: int | None = None) -> list[list[int]]:
        """The sequences that begin with a prefix, whole, in order; at most ``limit``."""
        return self._native.completions(_tokens(prefix), 0, (1 << 62) if limit is None else limit)

    # Batches of beams.

    def root(self, beams: int) -> NDArray[np.int64]:
        """The states of so many beams before their first token, ``[beams, 3]``."""
        states = fresh((beams, 3), np.int64)
        self._native.root(states)
        return states

    def step(self, states: Any, tokens: Any, *, out: Any = None, mask: Any = None) -> NDArray[np.int64]:
        """The states ``[beams, 3]`` after one more token each, ``[beams]``.

        ``out`` is filled and returned instead of a new array; it may be ``states`` itself. ``mask`` is filled with what is allowed then, as
        :meth:`mask` (bool, ``[beams, vocabulary]``) or :meth:`bitmask` (int32, ``[beams, words]``) do.
        """
        tokens = integers(tokens, "tokens")
        if tokens.ndim != 1:
            raise KexueError(f"tokens must have the shape [beams]; found {list(tokens.shape)}")
        if out is None:
            states = states_of(states)
            out = target = fresh(states.shape, np.int64)
            target[:] = states
        else:
            target = room(out, np.int64, (None, 3), "out")
            if out is not states:
                target[:] = states_of(states)
        self._native.step(target, tokens)
        if mask is not None:
            fill = self.bitmask if array_of(mask, "mask").dtype == np.int32 else self.mask
            fill(target, out=mask)
        return out  # type: ignore[no-any-return]

    def walk(self, tokens: Any) -> NDArray[np.int64]:
        """The states ``[rows, 3]`` after the tokens of each row, ``[rows, tokens]``, from the root on."""
        tokens = integers(tokens, "tokens")
        if tokens.ndim != 2:
            raise KexueError(f"tokens must have the shape [rows, tokens]; found {list(tokens.shape)}")
        states = fresh((len(tokens), 3), np.int64)
        self._native.walk(tokens, states)
        return states

    def states(self, prefixes: Iterable[Sequence[int]]) -> NDArray[np.int64]:
        """The states ``[beams, 3]`` after prefixes of any lengths."""
        walks = [self.walk([_tokens(prefix)]) for prefix in prefixes]
        return np.concatenate(walks) if walks else self.root(0)

    def mask(self, states: Any, vocabulary: int | None = None, *, out: Any = None) -> NDArray[np.bool_]:
        """Which tokens may follow, bool ``[beams, vocabulary]``. With ``out``, that is filled and returned. Tokens beyond are left out."""
        states = states_of(states)
        if out is None:
            out = fresh((len(states), _size(vocabulary)), np.bool_)
        target = room(out, np.bool_, (len(states), None), "out")
        self._native.fill_bytes(states, target.view(np.uint8))
        return out  # type: ignore[no-any-return]

    def bitmask(self, states: Any, vocabulary: int | None = None, *, out: Any = None) -> NDArray[np.int32]:
        """Which tokens may follow, int32 ``[beams, ceil(vocabulary / 32)]``: bit ``t % 32`` of word ``t // 32`` is token ``t``.

        This is the layout of xgrammar and llguidance. With ``out``, that is filled and returned. Tokens beyond are left out.
        """
        states = states_of(states)
        if out is None:
            out = fresh((len(states), -(-_size(vocabulary) // 32)), np.int32)
        target = room(out, np.int32, (len(states), None), "out")
        self._native.fill_bits(states, target)
        return out  # type: ignore[no-any-return]

    def lists(self, states: Any, *, out: tuple[Any, Any] | None = None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The allowed tokens one beam after another, as ``(offsets [beams + 1], tokens)``: those of beam ``b`` are
        ``tokens[offsets[b]:offsets[b + 1]]``, ascending.

        With ``out``, a pair of int64 arrays of which the second may be longer, these are filled and returned.
        """
        states = states_of(states)
        if out is not None:
            offsets = room(out[0], np.int64, (len(states) + 1,), "offsets")
            self._native.lists(states, offsets, room(out[1], np.int64, (None,), "tokens"))
            return out
        offsets = fresh((len(states) + 1,), np.int64)
        tokens = fresh((self._native.listed(states),), np.int64)
        count = self._native.lists(states, offsets, tokens)
        return offsets, tokens[:count]

    def keys(self, states: Any) -> NDArray[np.int64]:
        """The key of the sequence that is complete at each state, -1 where none is, ``[beams]``."""
        states = states_of(states)
        keys = fresh((len(states),), np.int64)
        self._native.keys(states, keys)
        return keys

    def counts(self, states: Any) -> NDArray[np.int64]:
        """How many sequences begin as each beam does, ``[beams]``."""
        states = states_of(states)
        counts = fresh((len(states),), np.int64)
        self._native.counts(states, counts)
        return counts


def _reopened(path: str | None, data: bytes | None, end: int | None) -> Trie:
    if path is not None:
        return Trie.open(path, end=end)
    return Trie.from_bytes(data or b"", end=end)


def _end_token(end: int | None) -> int | None:
    if end is not None and not 0 <= end < 1 << 24:
        raise KexueError(f"end must be a token, 0 to 16777215; found {end}")
    return end


def _tokens(tokens: Any) -> list[int]:
    if isinstance(tokens, list):
        return tokens
    return [int(token) for token in (tokens.tolist() if hasattr(tokens, "tolist") else tokens)]


def _size(vocabulary: int | None) -> int:
    if vocabulary is None:
        raise KexueError("give the size of the vocabulary, or an array to fill as `out`")
    return vocabulary
