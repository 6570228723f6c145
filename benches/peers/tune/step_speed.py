"""A step of fine-tuning in PyTorch: forward, backward, clipping and AdamW of `transformers`' BertForSequenceClassification.

`--lengths` names a file of sequence lengths, one a line, as `cargo run --example finetune_speed` prints them; without it every sequence has `--length` tokens. PyTorch
pads each batch to its longest sequence. Prints examples per second, by the clock and by processor time.

    python benches/peers/tune/step_speed.py --model minilm --length 128 --steps 10
"""

import argparse
import json
import time

import torch
from transformers import AutoModelForSequenceClassification


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--lengths")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    # Ours drops no attention probabilities: neither does the peer.
    model = AutoModelForSequenceClassification.from_pretrained(
        arguments.model, num_labels=2, attention_probs_dropout_prob=0.0, attn_implementation="sdpa"
    )
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01, fused=True)
    lengths = [arguments.length] * (arguments.batch * (arguments.steps + 1))
    if arguments.lengths:
        listed = [int(line) for line in open(arguments.lengths)]
        lengths = (listed * (len(lengths) // len(listed) + 1))[: len(lengths)]

    def step(at: int) -> None:
        part = lengths[at * arguments.batch : (at + 1) * arguments.batch]
        longest = max(part)
        tokens = torch.randint(1000, 30000, (arguments.batch, longest))
        mask = torch.tensor([[1] * length + [0] * (longest - length) for length in part])
        labels = torch.randint(0, 2, (arguments.batch,))
        model(input_ids=tokens, attention_mask=mask, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    step(0)
    wall, processor = time.perf_counter(), time.process_time()
    for at in range(1, arguments.steps + 1):
        step(at)
    count = arguments.steps * arguments.batch
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    print(json.dumps({"examples_per_second": count / wall, "examples_per_second_cpu": count / processor}))


if __name__ == "__main__":
    main()
