"""Arrays in and out without a copy: NumPy, PyTorch and JAX see the same memory, by DLPack."""

import numpy as np
import pytest

from kexue import Trie

ROWS = np.random.default_rng(0).integers(0, 300, (5000, 4))


def results():
    trie = Trie(ROWS, end=7)
    states = trie.walk(ROWS[:9, :2])
    offsets, tokens = trie.lists(states)
    return {
        "root": trie.root(9), "walk": states, "step": trie.step(states, ROWS[:9, 2]), "mask": trie.mask(states, 300),
        "bitmask": trie.bitmask(states, 300), "offsets": offsets, "tokens": tokens, "keys": trie.keys(states), "counts": trie.counts(states),
    }  # fmt: skip


class OnlyDLPack:
    """An array of a library that NumPy knows nothing of."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **keywords):
        return self.array.__dlpack__(**keywords)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("name", results())
def test_numpy(name):
    result = results()[name]
    assert np.from_dlpack(OnlyDLPack(result)).ctypes.data == result.ctypes.data


@pytest.mark.parametrize("name", results())
def test_torch(name):
    torch = pytest.importorskip("torch")
    result = results()[name]
    tensor = torch.from_dlpack(result)
    assert tensor.data_ptr() == result.ctypes.data and tensor.tolist() == result.tolist()


@pytest.mark.parametrize("name", results())
def test_jax(name):
    jax = pytest.importorskip("jax")
    # Without it JAX has no 64-bit integers, and converts states.
    jax.config.update("jax_enable_x64", True)
    result = results()[name]
    array = jax.dlpack.from_dlpack(result)
    assert array.unsafe_buffer_pointer() == result.ctypes.data and array.tolist() == result.tolist()


def test_arrays_of_other_libraries_are_read_and_filled():
    trie = Trie(ROWS, end=7)
    states, mask, bits = trie.root(5), np.empty((5, 300), bool), np.empty((5, 10), np.int32)
    expected = trie.step(states, ROWS[:5, 0])
    assert trie.step(OnlyDLPack(states), OnlyDLPack(ROWS[:5, 0].copy())).tolist() == expected.tolist()
    trie.step(OnlyDLPack(states), ROWS[:5, 0], out=OnlyDLPack(states), mask=OnlyDLPack(mask))
    trie.bitmask(states, out=OnlyDLPack(bits))
    assert (states == expected).all() and (mask == trie.mask(expected, 300)).all() and (bits == trie.bitmask(expected, 300)).all()


def test_tensors_are_read_and_filled():
    torch = pytest.importorskip("torch")
    trie = Trie(ROWS, end=7)
    states, mask = torch.from_dlpack(trie.root(5)), torch.empty((5, 300), dtype=torch.bool)
    tokens = torch.from_numpy(ROWS[:5, 0].copy())
    expected = trie.step(trie.root(5), ROWS[:5, 0])
    assert trie.step(states, tokens, out=states, mask=mask) is states
    assert states.tolist() == expected.tolist() and mask.tolist() == trie.mask(expected, 300).tolist()


def test_jax_arrays_are_read():
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    trie = Trie(ROWS, end=7)
    states = jax.dlpack.from_dlpack(trie.root(5))
    assert np.asarray(states).ctypes.data == states.unsafe_buffer_pointer()
    expected = trie.step(trie.root(5), ROWS[:5, 0])
    assert trie.step(states, jax.numpy.asarray(ROWS[:5, 0])).tolist() == expected.tolist()
    # A beam search reorders states by index.
    assert trie.mask(states[jax.numpy.array([1, 0])], 300).tolist() == trie.mask(trie.root(2), 300).tolist()
