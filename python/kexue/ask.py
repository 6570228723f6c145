"""Questions answered with facts of a graph, or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, overload

from kexue import _kexue
from kexue._kexue import KexueError
from kexue.graph import KnowledgeGraph

__all__ = ["Answer", "Asker", "Candidate"]


@dataclass(frozen=True)
class Candidate:
    """A fact, and how probable it is that it is the answer, if one of the facts is."""

    subject: str
    sense: str | None
    relation: str
    objects: list[str]
    probability: float
    #: What learned rescoring adds to its logit and why, when asked for: ``name``, ``value``, ``logit``.
    evidence: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Answer:
    """What is answered to a question."""

    question: str
    #: Whether the best candidate is probable enough to be the answer.
    known: bool
    #: Whether the answer was pinned.
    pinned: bool
    #: How probable it is that the graph lacks what is asked for.
    lacking: float
    #: How probable it is that the best fact answers the question.
    confidence: float
    #: Why one fact may not answer the question: ``chain``, ``comparison``, ``count``, …
    composite: str | None
    #: The best fact and its runners-up.
    candidates: list[Candidate]
    #: Where several things are asked at once, the answer to each.
    parts: list[Answer] = field(default_factory=list)
    #: How words of the question were read that spell no name of the graph.
    readings: list[dict[str, Any]] = field(default_factory=list)
    #: The choices on the way, when asked for.
    choices: list[dict[str, Any]] = field(default_factory=list)

    @property
    def objects(self) -> list[str]:
        """The answer: the objects of the best fact, none where it is not known."""
        return self.candidates[0].objects if self.known and self.candidates else []

    def __str__(self) -> str:
        if self.parts:
            return "; ".join(f"{part.question}: {part}" for part in self.parts)
        return "; ".join(self.objects) or "I don't know"

    @classmethod
    def _of(cls, fields: dict[str, Any]) -> Answer:
        candidates = [Candidate(**candidate) for candidate in fields.pop("candidates")]
        parts = [cls._of(part) for part in fields.pop("parts", [])]
        return cls(**fields, candidates=candidates, parts=parts)


class Asker:
    """A model that answers questions from a graph.

    ::

        asker = Asker()  # the graph that comes with the package: countries and chemical elements
        asker.ask("法国的首都是哪里？").objects  # ['巴黎']

        asker = Asker(KnowledgeGraph.open("my.idx"), "runs/my-model")
        answers = asker.ask(["…", "…"])
    """

    __slots__ = ("_native", "_graph")

    def __init__(self, graph: KnowledgeGraph | None = None, model: str | os.PathLike[str] | None = None) -> None:
        """``model`` is the folder of a run of ``kexue qa train``. Without both, the embedded graph and model answer."""
        if (graph is None) != (model is None):
            raise KexueError("give both a graph and a model, or neither for the embedded ones")
        if graph is None or model is None:
            self._native = _kexue.Asker.embedded()
            self._graph = KnowledgeGraph._of(self._native.graph())
        else:
            self._native = _kexue.Asker.open(graph._native, os.fspath(model))
            self._graph = graph

    @property
    def graph(self) -> KnowledgeGraph:
        """The graph that is asked. Changes made through it count at once."""
        return self._graph

    @overload
    def ask(self, questions: str, *, min_confidence: float = ..., top: int = ..., explain: bool = ...) -> Answer: ...  # type: ignore[overload-overlap]
    @overload
    def ask(self, questions: Iterable[str], *, min_confidence: float = ..., top: int = ..., explain: bool = ...) -> list[Answer]: ...

    def ask(
        self, questions: str | Iterable[str], *, min_confidence: float = 0.5, top: int = 3, explain: bool = False
    ) -> Answer | list[Answer]:
        """Answers a question, or many in one batch.

        ``min_confidence`` is the least probability of an answer that is given, doubts included that the graph has it. ``top`` is the number of
        candidates, the answer included; ``explain`` adds the choices on the way.
        """
        single = isinstance(questions, str)
        texts = [questions] if isinstance(questions, str) else list(questions)
        answers = [Answer._of(fields) for fields in json.loads(self._native.ask(texts, min_confidence, top, explain))]
        return answers[0] if single else answers
