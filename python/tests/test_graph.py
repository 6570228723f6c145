"""Graphs and questions."""

import pytest

from kexue import Asker, Fact, KexueError, KnowledgeGraph

TRIPLES = [("水（化合物）", "化学式", "H₂O"), ("水（歌曲）", "演唱", "黄绮珊"), ("水星", "直径", "4879 km"), ("水星", "直径", "0.38 地球")]


def test_build_open_and_complete(tmp_path):
    path = tmp_path / "water.idx"
    built = KnowledgeGraph.build(path, TRIPLES)
    opened = KnowledgeGraph.open(path)
    for graph in [built, opened, KnowledgeGraph.build(None, iter(TRIPLES))]:
        assert len(graph) == 3
        found = graph.complete("水星")
        assert found.total == 1 and found.facts == [Fact("水星", None, "直径", ["4879 km", "0.38 地球"])]
        assert graph.fact(found.keys[0]) == found.facts[0]
        assert graph.complete("水", limit=2).total == 3 and len(graph.complete("水", limit=2).facts) == 2
        assert graph.get("水（歌曲）", "演唱") == Fact("水", "歌曲", "演唱", ["黄绮珊"])
        assert graph.get("水（歌曲）", "演唱").full_subject == "水（歌曲）"
        assert graph.get("水", "无") is None
    assert opened.path == str(path)


def test_changes_are_seen_at_once_and_by_others_after_refresh(tmp_path):
    path = tmp_path / "water.idx"
    graph, other = KnowledgeGraph.build(path, TRIPLES), KnowledgeGraph.open(path)
    assert graph.add("水星", "卫星", "没有")
    assert not graph.add("水星", "卫星", "没有")
    assert graph.get("水星", "卫星").objects == ["没有"] and other.get("水星", "卫星") is None
    other.refresh()
    assert other.get("水星", "卫星").objects == ["没有"]
    assert graph.replace("水星", "直径", ["4880 km"]) and graph.get("水星", "直径").objects == ["4880 km"]
    assert graph.remove("水（歌曲）") and graph.get("水（歌曲）", "演唱") is None
    assert not graph.remove("水（歌曲）")
    assert graph.add_all([("金星", "直径", "12104 km"), ("水星", "卫星", "没有")]) == 1
    facts = [graph.fact(key) for key in range(len(graph))]
    graph.compact()
    assert [graph.fact(key) for key in range(len(graph))] == facts
    with pytest.raises(KexueError, match="a graph in memory cannot be changed"):
        KnowledgeGraph.build(None, TRIPLES).add("水星", "卫星", "没有")


def test_files_of_triples(tmp_path):
    (tmp_path / "one.tsv").write_text("水星\t直径\t4879 km\n")
    (tmp_path / "two.csv").write_text("name,property,value\n金星,直径,12104 km\n", "utf-8")
    graph = KnowledgeGraph.build(None, [tmp_path / "one.tsv"])
    assert graph.get("水星", "直径").objects == ["4879 km"]
    graph = KnowledgeGraph.build(None, str(tmp_path / "two.csv"), columns=("name", "property", "value"))
    assert graph.get("金星", "直径").objects == ["12104 km"]
    (tmp_path / "bad.tsv").write_text("水星\t直径\t4879 km\n水星\t直径\n")
    with pytest.raises(KexueError, match=r"bad.tsv:2: .*; correct the line, or leave such lines out with skip_bad=True"):
        KnowledgeGraph.build(None, tmp_path / "bad.tsv")
    assert len(KnowledgeGraph.build(None, tmp_path / "bad.tsv", skip_bad=True)) == 1


def test_bad_input_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent.idx"):
        KnowledgeGraph.open(tmp_path / "absent.idx")
    with pytest.raises(KexueError, match="holds no facts"):
        KnowledgeGraph.build(None, [])
    with pytest.raises(KexueError, match="subject, relation, object"):
        KnowledgeGraph.build(None, [("a", "b", 3)])
    with pytest.raises(KexueError, match="give both a graph and a model"):
        Asker(KnowledgeGraph.build(None, TRIPLES))
    with pytest.raises((KexueError, OSError), match="absent"):
        Asker(KnowledgeGraph.build(None, TRIPLES), tmp_path / "absent")


def test_the_embedded_model_answers():
    asker = Asker()
    answer = asker.ask("法国的首都是哪里？")
    assert answer.known and answer.objects == ["巴黎"] and str(answer) == "巴黎"
    assert answer.candidates[0].relation and 0.5 <= answer.confidence <= 1
    answers = asker.ask(["capital of France and Germany", "what is the meaning of life"], explain=True, top=2)
    assert len(answers[0].parts) == 2 and answers[0].parts[0].known
    assert not answers[1].known and str(answers[1]) == "I don't know"
    assert asker.ask([]) == []
    assert len(asker.graph) > 1000
    with pytest.raises(KexueError, match="min_confidence must be within 0 and 1"):
        asker.ask("法国的首都是哪里？", min_confidence=2)
    with pytest.raises(KexueError, match="the question"):
        asker.ask("")
