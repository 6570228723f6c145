"""A trie in Hugging Face's ``generate``: as a logits processor, or as ``prefix_allowed_tokens_fn``.

Needs PyTorch and transformers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from transformers import LogitsProcessor

from kexue._kexue import KexueError
from kexue.trie import Trie

if TYPE_CHECKING:
    from kexue.device import DeviceTrie

__all__ = ["PrefixConstrained"]


class PrefixConstrained(LogitsProcessor):  # type: ignore[misc]
    """Lets ``generate`` produce sequences of a trie only: greedy, beam search or sampling, in batches.

    ::

        trie = Trie(tokenizer(titles).input_ids, end=model.config.eos_token_id)
        model.generate(**inputs, num_beams=4, logits_processor=[PrefixConstrained(trie)])

    What stands in ``input_ids`` when ``generate`` first calls is the prompt: the start token of an encoder–decoder, the padded prompts of a
    decoder. What comes after it must be a sequence of the trie, and then the end token. A row that has ended, or has left the trie (such as
    beams of probability 0, which ``generate`` fills its list with where there are fewer sequences than beams), is allowed the end token alone,
    so that no row is ever without a choice.

    One object serves one call of ``generate``. With ``prompt_length``, the number of tokens in ``input_ids`` before generation, it keeps
    nothing between calls and serves any number.

    Args:
        trie: a :class:`~kexue.Trie`, or the tensors of one on the model's device (:meth:`~kexue.Trie.to_device`).
        end: the model's end-of-sequence token; the trie's ``end`` where it is left out.
        prompt_length: the number of tokens before generation.
    """

    # It is not told where the prompt of each request ends.
    supports_continuous_batching = False

    def __init__(self, trie: Trie | DeviceTrie, *, end: int | None = None, prompt_length: int | None = None) -> None:
        if end is not None and end != trie.end:
            trie = trie.with_end(end)
        if trie.end is None:
            raise KexueError("the trie has no end token; give `end`, the model's end-of-sequence token")
        if prompt_length is not None and prompt_length < 0:
            raise KexueError(f"prompt_length must be 0 or more; found {prompt_length}")
        self.trie = trie
        self.prompt_length = prompt_length
        self._seen: tuple[int, int] | None = None

    def _start(self, length: int) -> int:
        """Where generation begins in rows of this length."""
        if self.prompt_length is not None:
            if length < self.prompt_length:
                raise KexueError(f"input_ids has {length} tokens, fewer than prompt_length={self.prompt_length}")
            return self.prompt_length
        start, last = self._seen or (length, length)
        if not last <= length <= last + 1:
            raise KexueError(
                f"input_ids has {length} tokens after {last}: one PrefixConstrained serves one call of generate; make a new one, or give prompt_length"
            )
        self._seen = (start, length)
        return start

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """The scores ``[rows, vocabulary]``, minus infinity where a token may not follow the row's ``input_ids [rows, tokens]``."""
        generated = input_ids[:, self._start(input_ids.shape[1]) :]
        if not isinstance(self.trie, Trie):
            mask = self.trie.mask(self.trie.walk(generated), scores.shape[-1])
            return scores.masked_fill(~mask, -torch.inf)
        mask = self.trie.mask(self.trie.walk(generated.cpu().numpy()), scores.shape[-1])
        if not mask.any(axis=1).all():
            raise KexueError(f"no token that may follow is within the model's vocabulary of {scores.shape[-1]}")
        return scores.masked_fill(~torch.from_numpy(mask).to(scores.device), -torch.inf)

    def prefix_allowed_tokens_fn(self, batch_id: int, input_ids: torch.Tensor) -> list[int]:
        """The tokens that may follow one row, for ``generate(prefix_allowed_tokens_fn=…)``, which calls it for row after row."""
        del batch_id
        generated = input_ids[self._start(input_ids.shape[0]) :]
        if not isinstance(self.trie, Trie):
            raise KexueError("prefix_allowed_tokens_fn asks row by row; give the Trie itself, or use the logits processor")
        allowed: list[int] = self.trie.lists(self.trie.walk(generated.cpu().numpy()[None]))[1].tolist()
        return allowed
