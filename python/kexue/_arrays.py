"""Arrays of any library in and out, without a copy where their memory is the processor's."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kexue._kexue import KexueError


def array_of(values: Any, what: str) -> NDArray[Any]:
    """The values as a NumPy array: lists, NumPy, and whatever speaks NumPy's or DLPack's protocol (PyTorch, JAX)."""
    if isinstance(values, np.ndarray):
        return values
    try:
        if hasattr(values, "__dlpack__") and not hasattr(values, "__array__"):
            return np.from_dlpack(values)
        return np.asarray(values)
    except (TypeError, RuntimeError, BufferError, ValueError) as error:
        raise KexueError(f"{what} cannot be read as an array on the processor ({error}); for tensors on a GPU use Trie.to_device") from error


#: JAX takes the memory of an array without a copy where it begins at a multiple of these bytes.
_ALIGNMENT = 64


def fresh(shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    """A new array for results, whose memory PyTorch and JAX take without a copy; it is not filled."""
    length = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.empty(length + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + length].view(dtype).reshape(shape)


def integers(values: Any, what: str) -> NDArray[np.int64]:
    """The values as contiguous 64-bit integers."""
    array = array_of(values, what)
    if array.dtype.kind not in "iu" and array.size > 0:
        raise KexueError(f"{what} must be integers; found {array.dtype}")
    return np.ascontiguousarray(array, dtype=np.int64)


def states_of(states: Any) -> NDArray[np.int64]:
    """States, [beams, 3]."""
    array = integers(states, "states")
    if array.ndim != 2 or array.shape[1] != 3:
        raise KexueError(f"states must have the shape [beams, 3], as Trie.root gives them; found {list(array.shape)}")
    return array


def room(out: Any, dtype: type, shape: tuple[int | None, ...], what: str) -> NDArray[Any]:
    """The memory of an array that is written to; ``None`` in a shape stands for any length."""
    array = array_of(out, what)
    fits = array.ndim == len(shape) and all(asked in (None, found) for asked, found in zip(shape, array.shape))
    if array.dtype != np.dtype(dtype) or not fits:
        wanted = ", ".join("any" if asked is None else str(asked) for asked in shape)
        raise KexueError(f"{what} must have the type {np.dtype(dtype)} and the shape [{wanted}]; found {array.dtype} {list(array.shape)}")
    if not array.flags.writeable or not array.flags.c_contiguous:
        raise KexueError(f"{what} must be contiguous and writable")
    return array
