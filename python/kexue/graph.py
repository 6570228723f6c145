"""Graphs of facts: built from triples, opened by mapping, completed, changed while others read."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable
from typing import Any, NamedTuple

from kexue import _kexue
from kexue._kexue import KexueError

__all__ = ["Fact", "KnowledgeGraph"]

#: Triples that are passed on together.
_BLOCK = 1 << 16


class Fact(NamedTuple):
    """A fact of a graph: a subject, and the objects that a relation leads to."""

    subject: str
    #: What tells the subject from others of the same name.
    sense: str | None
    relation: str
    #: All objects, in the order of the input.
    objects: list[str]

    @property
    def full_subject(self) -> str:
        """The subject with its sense in full-width brackets, as triples and changes name it."""
        return self.subject if self.sense is None else f"{self.subject}（{self.sense}）"


class KnowledgeGraph:
    """A graph of facts in one file, opened by mapping it.

    ::

        graph = KnowledgeGraph.build("water.idx", [("水（化合物）", "化学式", "H₂O"), ("水（歌曲）", "演唱", "黄绮珊")])
        graph.complete("水").facts[0].objects  # ['H₂O']
        graph.add("水（化合物）", "沸点", "100 °C")
    """

    __slots__ = ("_native",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Opens an index file; the same as :meth:`open`."""
        self._native = _kexue.Graph.open(os.path.abspath(path))

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> KnowledgeGraph:
        """Opens an index file that :meth:`build` or ``kexue kg build`` has written, with the changes in the log beside it."""
        return cls(path)

    @classmethod
    def _of(cls, native: _kexue.Graph) -> KnowledgeGraph:
        graph = cls.__new__(cls)
        graph._native = native
        return graph

    @classmethod
    def build(
        cls,
        path: str | os.PathLike[str] | None,
        triples: Iterable[tuple[str, str, str]] | str | os.PathLike[str],
        *,
        inverse: bool = False,
        fold_case: bool = False,
        memory: int | None = None,
        format: str | None = None,
        columns: tuple[str, str, str] | None = None,
        header: bool = False,
        skip_bad: bool = False,
        csv_escape: str | None = None,
    ) -> KnowledgeGraph:
        """Builds a graph, writes it to ``path`` and opens it; without a path it stays in memory and cannot be changed.

        ``triples`` are (subject, relation, object), the sense of a subject in full-width brackets at its end; or the name of a file, or a
        list of names: TSV, CSV, JSON Lines or N-Triples, also packed with gzip or Zstandard. For files there are ``format`` (where the name
        does not tell it: ``tsv``, ``csv``, ``jsonl``, ``nt``), ``columns`` (the names of the three columns or fields), ``header`` (the first
        line is passed over), ``skip_bad`` (lines that are not in the format are left out), and ``csv_escape`` (``backslash``).

        ``inverse`` adds the inverse of each triple, ``fold_case`` folds ASCII letters to lower case, and beyond ``memory`` bytes triples wait
        in temporary files.
        """
        folder = None if path is None else os.path.dirname(os.path.abspath(path))
        builder = _kexue.GraphTriples(inverse, fold_case, memory, folder)
        files: Any = [triples] if isinstance(triples, (str, os.PathLike)) else triples
        if isinstance(files, (list, tuple)) and files and all(isinstance(file, (str, os.PathLike)) for file in files):
            builder.read([os.fspath(file) for file in files], format, columns, header, skip_bad, csv_escape)
        else:
            rest = iter(files)
            while block := list(itertools.islice(rest, _BLOCK)):
                try:
                    builder.add([tuple(triple) for triple in block])
                except TypeError as error:
                    raise KexueError(f"triples must be (subject, relation, object), all text ({error})") from error
        return cls._of(builder.finish(None if path is None else os.path.abspath(path)))

    @property
    def path(self) -> str | None:
        """The index file, ``None`` for a graph in memory."""
        path = self._native.path
        return None if path is None else os.fspath(path)

    def __len__(self) -> int:
        """The number of keys: distinct subject, sense and relation."""
        return self._native.count()

    def __repr__(self) -> str:
        return f"<kexue.KnowledgeGraph of {len(self)} facts, path={self.path!r}>"

    def fact(self, key: int) -> Fact:
        """The fact of a key, 0 to ``len(graph) - 1``."""
        return Fact(*self._native.fact(key))

    def get(self, subject: str, relation: str) -> Fact | None:
        """The fact of a subject, with its sense in full-width brackets, and a relation; ``None`` where there is none."""
        key = self._native.key_of(subject, relation)
        return None if key is None else self.fact(key)

    def complete(self, prefix: str, limit: int = 10) -> Completions:
        """The first ``limit`` facts that begin with a prefix, and how many there are in all. Tabs separate subject, relation and sense."""
        facts, total = self._native.complete(prefix, limit)
        return Completions([Fact(*parts) for _, parts in facts], [key for key, _ in facts], total)

    # Changes go to a log beside the index and are on disk when a method returns. Other readers see them after `refresh`.

    def add(self, subject: str, relation: str, object: str) -> bool:
        """Adds an object to a fact, which is made if there is none. Returns whether that changed anything."""
        return self._change("add", subject=subject, relation=relation, object=object)

    def replace(self, subject: str, relation: str, objects: list[str]) -> bool:
        """Replaces the objects of a fact."""
        return self._change("replace", subject=subject, relation=relation, objects=list(objects))

    def remove(self, subject: str, relation: str | None = None, object: str | None = None) -> bool:
        """Removes an object; without one the fact; without a relation all facts of the subject in this sense."""
        return self._change("remove", subject=subject, relation=relation, object=object)

    def pin(self, question: str, subject: str, relation: str) -> bool:
        """Answers a question with this fact, whatever a model says."""
        return self._change("pin", question=question, subject=subject, relation=relation)

    def unpin(self, question: str) -> bool:
        """Lets a model answer the question again."""
        return self._change("unpin", question=question)

    def alias(self, subject: str, alias: str) -> bool:
        """Gives a subject another name, by which questions may mention it."""
        return self._change("alias", subject=subject, alias=alias)

    def unalias(self, subject: str, alias: str) -> bool:
        """Takes such a name away."""
        return self._change("unalias", subject=subject, alias=alias)

    def add_all(self, triples: Iterable[tuple[str, str, str]]) -> int:
        """Adds many objects, opening the graph for changes once; returns how many changed anything."""
        changes = [{"add": {"subject": subject, "relation": relation, "object": object}} for subject, relation, object in triples]
        return sum(self._native.apply(json.dumps(changes)))

    def _change(self, kind: str, **fields: Any) -> bool:
        return self._native.apply(json.dumps([{kind: fields}]))[0]

    def compact(self) -> None:
        """Folds the changes into the index, which is replaced whole, and empties the log."""
        self._native.compact()

    def refresh(self) -> None:
        """Reads the changes that others have made since."""
        self._native.refresh()


class Completions(NamedTuple):
    """The facts that begin with a prefix."""

    facts: list[Fact]
    #: Their keys.
    keys: list[int]
    #: How many facts begin so, of which ``facts`` are the first.
    total: int
