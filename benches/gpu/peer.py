"""PyTorch's times for the work of `gpu_bench`: training steps and forward passes of the same models, one line of JSON for each."""

import json
import sys
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, d, heads, ffn, pre, dropout):
        super().__init__()
        self.heads, self.pre = heads, pre
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.up, self.down = nn.Linear(d, ffn), nn.Linear(ffn, d)
        self.norms = nn.ModuleList([nn.LayerNorm(d), nn.LayerNorm(d)])
        self.dropout = nn.Dropout(dropout)

    def attention(self, x, rotary):
        b, n, d = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        if rotary is not None:
            cosine, sine = rotary

            def turn(y):
                even, odd = y[..., 0::2], y[..., 1::2]
                return torch.stack((even * cosine - odd * sine, odd * cosine + even * sine), -1).flatten(-2).to(y.dtype)

            q, k = turn(q), turn(k)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(b, n, d))

    def forward(self, x, rotary):
        ffn = lambda y: self.down(F.gelu(self.up(y)))
        if self.pre:
            x = x + self.dropout(self.attention(self.norms[0](x), rotary))
            return x + self.dropout(ffn(self.norms[1](x)))
        x = self.norms[0](x + self.dropout(self.attention(x, rotary)))
        return self.norms[1](x + self.dropout(ffn(x)))


class Encoder(nn.Module):
    def __init__(self, vocabulary, d, layers, heads, ffn, pre, dropout=0.1):
        super().__init__()
        self.pre, self.head_dim = pre, d // heads
        self.words = nn.Embedding(vocabulary, d)
        self.places = None if pre else nn.Embedding(512, d)
        self.types = None if pre else nn.Embedding(2, d)
        self.norm = nn.LayerNorm(d)
        self.blocks = nn.ModuleList([Block(d, heads, ffn, pre, dropout) for _ in range(layers)])
        self.dense, self.dense_norm = nn.Linear(d, d), nn.LayerNorm(d)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        self.dropout = nn.Dropout(dropout)
        for p in self.parameters():
            if p.dim() > 1:
                nn.init.normal_(p, std=0.02)

    def forward(self, tokens):
        n = tokens.shape[1]
        x, rotary = self.words(tokens), None
        if self.pre:
            half = self.head_dim // 2
            angles = torch.arange(n, device=tokens.device)[:, None] * 10000.0 ** (-torch.arange(half, device=tokens.device) / half)
            rotary = angles.cos(), angles.sin()
        else:
            x = self.norm(x + self.places.weight[:n] + self.types.weight[0])
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, rotary)
        return self.norm(x) if self.pre else x

    def loss(self, tokens, rows, targets):
        x = self.forward(tokens).flatten(0, 1)[rows]
        x = self.dense_norm(F.gelu(self.dense(x)))
        return F.cross_entropy(F.linear(x, self.words.weight, self.bias).float(), targets)


def timed(step, each, rounds=8):
    for at in range(6):
        step(at)
    torch.cuda.synchronize()
    times = []
    for _ in range(rounds):
        begun = time.perf_counter()
        for at in range(each):
            step(at)
        torch.cuda.synchronize()
        times.append(1e3 * (time.perf_counter() - begun) / each)
    return sorted(times)[len(times) // 2], min(times)


def say(what, workload, precision, how, times):
    print(json.dumps(dict(what=what, workload=workload, precision=precision, how=how, ms=round(times[0], 3), least=round(times[1], 3))), flush=True)


WORK = {"bert-base": (21128, 768, 12, 12, 3072, False, 32, 128), "small": (8000, 256, 4, 4, 1024, True, 32, 64)}


def main():
    until = time.time() + float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")
    print(torch.cuda.get_device_name(), torch.__version__, flush=True)
    plans = [(w, p, c) for c in (False, True) for w in WORK for p in ("f32", "tf32", "bf16") if not (c and p == "f32")]
    plans.sort(key=lambda plan: (plan[2], plan[1] != "bf16"))
    for workload, precision, compiled in plans:
        if time.time() > until:
            print("out of time before", workload, precision, "compiled" if compiled else "eager", flush=True)
            continue
        torch.manual_seed(0)
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "f32"
        vocabulary, d, layers, heads, ffn, pre, b, n = WORK[workload]
        tokens = [torch.randint(vocabulary, (b, n), device="cuda") for _ in range(4)]
        rows = torch.arange(b * n, device="cuda").view(b, n)[:, [at for at in range(n) if at * 3 % 20 < 3]].flatten()
        targets = [torch.randint(vocabulary, (len(rows),), device="cuda") for _ in range(4)]
        for fused in (False, True):
            model = Encoder(vocabulary, d, layers, heads, ffn, pre).cuda()
            optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.01, fused=fused)
            loss_of = torch.compile(model.loss) if compiled else model.loss

            def step(at):
                with torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
                    loss = loss_of(tokens[at % 4], rows, targets[at % 4])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                loss.item()

            how = ("compiled" if compiled else "eager") + (", fused AdamW" if fused else "")
            say("training step", workload, precision, how, timed(step, 20 if workload == "small" else 4))
        if workload == "bert-base":
            model.eval()
            for sequences in (1, 32):
                some = torch.randint(vocabulary, (sequences, 128), device="cuda")
                run = torch.compile(model) if compiled else model

                def infer(_):
                    with torch.no_grad(), torch.autocast("cuda", torch.bfloat16, enabled=precision == "bf16"):
                        run(some).float().cpu()

                say(f"inference {sequences} x 128", workload, precision, "compiled" if compiled else "eager", timed(infer, 5))
        del model, optimizer
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
