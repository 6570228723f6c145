"""PyTorch's times for the work of `finetune_bench`: steps of fine-tuning, one line of JSON for each.

    python3 benches/gpu/finetune.py [FILE of sequence lengths]
"""

import json
import sys
import time

import torch
from transformers import BertConfig, BertForSequenceClassification


def main() -> None:
    print(torch.cuda.get_device_name(), torch.__version__, flush=True)
    listed = [int(line) for line in open(sys.argv[1])] if len(sys.argv) > 1 else None
    work = [("MiniLM 16 x 128", 384, 6, [128], 16), ("BERT-base 32 x 128", 768, 12, [128], 32)]
    if listed:
        work.insert(1, ("MiniLM 16 x real", 384, 6, listed, 16))
    for name, d, layers, lengths, batch in work:
        for precision in ("f32", "tf32", "bf16"):
            torch.backends.cuda.matmul.allow_tf32 = precision != "f32"
            torch.manual_seed(0)
            # Ours drops no attention probabilities: neither does the peer.
            config = BertConfig(hidden_size=d, num_hidden_layers=layers, num_attention_heads=12, intermediate_size=4 * d, attention_probs_dropout_prob=0.0)
            model = BertForSequenceClassification._from_config(config, attn_implementation="sdpa").cuda().train()
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, weight_decay=0.01, fused=True)
            steps = 20 + 10 * 20
            batches = []
            for at in range(steps):
                part = [lengths[(at * batch + i) % len(lengths)] for i in range(batch)]
                longest = max(part)
                mask = torch.tensor([[1] * length + [0] * (longest - length) for length in part])
                batches.append((torch.randint(1000, 30000, (batch, longest)).pin_memory(), mask.pin_memory(), torch.randint(0, 2, (batch,)).pin_memory()))

            def step(at: int) -> None:
                tokens, mask, labels = (x.cuda(non_blocking=True) for x in batches[at])
                with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
                    loss = model(input_ids=tokens, attention_mask=mask, labels=labels).loss
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                loss.item()

            times, at = [], 0
            for count in [20] + 10 * [20]:
                begun = time.perf_counter()
                for _ in range(count):
                    step(at)
                    at += 1
                times.append(1e3 * (time.perf_counter() - begun) / count)
            times = sorted(times[1:])
            row = dict(what="fine-tuning step", workload=name, precision=precision, how="eager, fused AdamW", ms=round(times[5], 3), least=round(times[0], 3))
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
