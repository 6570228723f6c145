"""Tokens per second of a forward pass of Hugging Face's BERT. Beside `--example inference_speed` of kexue-nn.

    python benches/peers/nn/inference_speed.py                       # 4 layers of width 256, 8 sequences of 128 tokens
    python benches/peers/nn/inference_speed.py --base --batch 1      # BERT-base, one sequence
    python benches/peers/nn/inference_speed.py --int8                # linear layers quantised dynamically
"""

import argparse
import json
import statistics
import time

import torch
from transformers import BertConfig, BertModel


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--base", action="store_true", help="BERT-base")
    parser.add_argument("--int8", action="store_true", help="linear layers with weights of eight bits, inputs rounded when they come")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    small = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
    config = BertConfig(**({} if arguments.base else small), attn_implementation="sdpa")
    model = BertModel(config, add_pooling_layer=False).eval()
    if arguments.int8:
        model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    # No mask: there is no padding, and the fused attention is fastest without.
    tokens = torch.randint(config.vocab_size, (arguments.batch, arguments.length))
    seconds = []
    with torch.inference_mode():
        for number in range(arguments.rounds + 2):
            start = time.perf_counter()
            model(input_ids=tokens)
            if number >= 2:
                seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds)
    print(json.dumps({"tokens_per_second": round(tokens.numel() / median), "pass_ms": round(1e3 * median, 1)}))


if __name__ == "__main__":
    main()
