"""Holds a model that `kexue finetune train` saved against `transformers`: loads its folder as AutoModelForSequenceClassification, computes the probabilities of a
file's examples, and compares them with those of `kexue finetune predict --json`. Exits with 1 if any differs by more than 1e-4.

    python benches/peers/tune/huggingface.py --kexue target/quick/kexue --model rte --input rte_dev.tsv --text sentence1 --second sentence2
"""

import argparse
import csv
import json
import subprocess
import sys

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kexue", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--input", required=True, help="a TSV file")
    parser.add_argument("--text", required=True, help="the column, by its name, or by its number from 1 in a file without a header")
    parser.add_argument("--second", help="the column of the second text of a pair")
    parser.add_argument("--length", type=int, default=128)
    arguments = parser.parse_args()
    command = [arguments.kexue, "finetune", "predict", "--json", "--model", arguments.model, "--input", arguments.input]
    ours = [json.loads(line) for line in subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()]

    with open(arguments.input, encoding="utf-8-sig") as file:
        rows = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    columns = [name for name in (arguments.text, arguments.second) if name]
    if all(name.isdigit() for name in columns):
        columns = [int(name) - 1 for name in columns]
    else:
        header = rows.pop(0)
        columns = [header.index(name) for name in columns]
    assert len(rows) == len(ours), (len(rows), len(ours))
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    model, info = AutoModelForSequenceClassification.from_pretrained(arguments.model, output_loading_info=True)
    model.eval()
    print(type(model).__name__, {key: sorted(value) for key, value in info.items() if value})
    worst, same = 0.0, 0
    with torch.no_grad():
        for row, found in zip(rows, ours):
            inputs = tokenizer(*(row[column] for column in columns), return_tensors="pt", truncation=True, max_length=arguments.length)
            shares = model(**inputs).logits.softmax(-1)[0]
            for index, share in enumerate(shares):
                worst = max(worst, abs(float(share) - found["probabilities"][model.config.id2label[index]]))
            same += model.config.id2label[int(shares.argmax())] == found["prediction"]
    print(f"{len(rows)} examples, largest difference of a probability {worst:.2e}, the same prediction {same} times")
    sys.exit(worst > 1e-4)


if __name__ == "__main__":
    main()
