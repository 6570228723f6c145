"""Questions without an answer about a graph, to measure doubt: `kexue qa eval --unanswerable OUT-others.txt OUT-kinds.txt`.

OUT-others.txt has each question asked of another subject, drawn from the graph, that lacks what is asked for. OUT-kinds.txt has the wordings of a
table of unanswerable kinds (`crates/kexue-qa/data/default/unanswerable_test.tsv`) in the questions' language, each of --each subjects of questions.

    python benches/peers/qa/doubt_sets.py --kg kg_zh_hard.tsv.zst --questions kgclue_dev.jsonl.zst --out kgclue
    python benches/peers/qa/doubt_sets.py --kg metaqa_kg.tsv.zst --questions metaqa_1hop.tsv.zst --hold-out 10 --inverse --out metaqa
"""

import argparse
import collections
import json
import pathlib
import random
import re
import subprocess

KINDS = pathlib.Path(__file__).parents[3] / "crates/kexue-qa/data/default/unanswerable_test.tsv"
IS_CHINESE = re.compile("[\u4e00-\u9fff]")


def lines(path: str) -> list[str]:
    text = subprocess.run(["zstdcat", "--force", path], capture_output=True, check=True, text=True).stdout
    return [line for line in text.split("\n") if line.strip()]


def name(subject: str) -> str:
    """A subject without its sense: 红楼梦（小说）."""
    return re.sub(r"（[^（）]*）$", "", subject.strip())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kg", required=True, help="triples, plain or .zst")
    parser.add_argument("--questions", required=True, help="questions of KgCLUE (JSON Lines) or of MetaQA")
    parser.add_argument("--hold-out", type=int, default=1, help="only every Nth question, from the first")
    parser.add_argument("--inverse", action="store_true", help="relations also lead from objects to subjects")
    parser.add_argument("--each", type=int, default=8)
    parser.add_argument("--out", required=True)
    arguments = parser.parse_args()
    random.seed(0)
    relations, answers = collections.defaultdict(set), collections.defaultdict(set)
    for line in lines(arguments.kg):
        subject, relation, object_ = line.split("\t")[:3]
        facts = [(name(subject), relation, object_)]
        if arguments.inverse:
            facts.append((name(object_), "~" + relation, subject))
        for one, way, other in facts:
            relations[one].add(way)
            if arguments.inverse:
                answers[one, other].add(way)
    subjects = [subject for subject in relations if 2 <= len(subject) <= 30]
    asked, others = [], []
    for line in lines(arguments.questions)[:: arguments.hold_out]:
        if line.startswith("{"):
            question = json.loads(line)
            text = question["question"]
            subject, relation = (part.strip() for part in question["answer"].split("|||")[:2])
            subject, wanted = name(subject), {relation}
        else:
            text, right = line.split("\t")[:2]
            subject = re.search(r"\[(.*)\]", text).group(1)
            text = text.replace(f"[{subject}]", subject)
            wanted = set().union(*(answers[subject, answer] for answer in right.split("|")))
        if not wanted or len(subject) < 2 or subject not in text:
            continue
        asked.append(subject)

        def has(other: str) -> bool:
            return any(way in own or own in way for way in wanted for own in relations[other])

        lacking = next((other for other in (random.choice(subjects) for _ in range(1000)) if not has(other)), None)
        if lacking:
            others.append(text.replace(subject, lacking))
    wordings = [line.rstrip("\n").split("\t")[2] for line in open(KINDS, encoding="utf-8") if not line.startswith("#")]
    is_chinese = IS_CHINESE.search(others[0]) is not None
    wordings = [wording for wording in wordings if (IS_CHINESE.search(wording) is not None) == is_chinese]
    kinds = [wording.replace("{S}", random.choice(asked)) for wording in wordings for _ in range(arguments.each)]
    for what, questions in (("others", others), ("kinds", kinds)):
        pathlib.Path(f"{arguments.out}-{what}.txt").write_text("\n".join(questions) + "\n", encoding="utf-8")
        print(f"{arguments.out}-{what}.txt: {len(questions)} questions")


if __name__ == "__main__":
    main()
