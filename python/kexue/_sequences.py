"""Token sequences in any form, as blocks of flat arrays."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from kexue._arrays import array_of, integers
from kexue._kexue import Builder, KexueError

#: Sequences of an iterable that are passed on together, and rows of a matrix.
BLOCK = 1 << 16


def add_sequences(builder: Builder, sequences: Any, pad: int | None) -> None:
    """Gives sequences to a builder: a matrix, an Arrow array of lists, or an iterable of anything with integers in it."""
    if hasattr(sequences, "__arrow_c_stream__") or hasattr(sequences, "__arrow_c_array__"):
        for tokens, offsets in _arrow(sequences):
            builder.push(tokens, offsets, pad)
        return
    if isinstance(sequences, (str, bytes, dict)):
        raise KexueError(f"sequences must be lists of token ids; found {type(sequences).__name__}")
    if isinstance(sequences, np.ndarray) or hasattr(sequences, "__dlpack__"):
        matrix = array_of(sequences, "sequences")
        if matrix.dtype != object:
            if matrix.ndim != 2:
                raise KexueError(f"an array of sequences must have the shape [sequences, tokens]; found {list(matrix.shape)}")
            for start in range(0, len(matrix), BLOCK):
                builder.push_rows(integers(matrix[start : start + BLOCK], "sequences"), pad)
            return
    for tokens, offsets in _blocks(iter(sequences)):
        builder.push(tokens, offsets, pad)


def _blocks(sequences: Iterator[Iterable[int]]) -> Iterator[tuple[Any, Any]]:
    while block := list(itertools.islice(sequences, BLOCK)):
        try:
            lists = [sequence if hasattr(sequence, "__len__") else list(sequence) for sequence in block]
            offsets = np.zeros(len(lists) + 1, np.int64)
            np.cumsum([len(sequence) for sequence in lists], out=offsets[1:])  # type: ignore[arg-type]
            tokens = np.fromiter(itertools.chain.from_iterable(lists), np.int64, count=int(offsets[-1]))
        except (TypeError, ValueError, OverflowError) as error:
            raise KexueError(f"sequences must be lists of token ids ({error})") from error
        yield tokens, offsets


def _arrow(sequences: Any) -> Iterator[tuple[Any, Any]]:
    try:
        import pyarrow
    except ImportError:
        raise KexueError("Arrow arrays are read by pyarrow; install it, or give lists") from None
    if hasattr(sequences, "__arrow_c_stream__"):
        chunks = pyarrow.chunked_array(sequences).chunks
    else:
        chunks = [pyarrow.array(sequences)]
    for chunk in chunks:
        if pyarrow.types.is_fixed_size_list(chunk.type):
            chunk = chunk.cast(pyarrow.list_(chunk.type.value_type))
        if not (pyarrow.types.is_list(chunk.type) or pyarrow.types.is_large_list(chunk.type)):
            raise KexueError(f"an Arrow array of sequences must hold lists of integers; found {chunk.type}")
        if chunk.null_count or chunk.flatten().null_count:
            raise KexueError("an Arrow array of sequences must not hold nulls")
        # The values from 0 on, which an array that is a part of another does not begin with.
        values = integers(chunk.values.to_numpy(zero_copy_only=False), "sequences")
        yield values, integers(chunk.offsets.to_numpy(), "offsets")
