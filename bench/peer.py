"""The work of bench/tiny.ts in plain PyTorch: the same decoder, the same loss, AdamW, sampling with a key/value cache.

Reads one JSON request a line and answers each with the seconds that it took:
{"size": {...}, "work": "gemm" | "prefill" | "decode" | "update" | "generate"}. BENCH_DEVICE=cuda computes on the GPU, without TF32, and
BENCH_PRECISION=bf16 keeps all numbers in that.
"""

import json
import os
import resource
import sys
import time

import torch
import torch.nn.functional as F

torch.set_num_threads(int(os.environ.get("BENCH_THREADS", "2")))
torch.manual_seed(0)
on_gpu = os.environ.get("BENCH_DEVICE") == "cuda"
if on_gpu:
    if not torch.cuda.is_available():
        print(json.dumps({"problem": f"PyTorch {torch.__version__} finds no CUDA device."}), flush=True)
        sys.exit()
    torch.set_default_device("cuda")
    torch.backends.cuda.matmul.allow_tf32 = False
if os.environ.get("BENCH_PRECISION") == "bf16":
    torch.set_default_dtype(torch.bfloat16)


class Decoder(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        d, ff, vocabulary = size["hiddenSize"], size["intermediateSize"], size["vocabularySize"]
        self.heads, self.kv_heads, self.layers = size["heads"], size["kvHeads"], size["layers"]
        self.head_size = d // self.heads
        kv = self.kv_heads * self.head_size
        weight = lambda *shape: torch.nn.Parameter(torch.randn(*shape) * 0.02)
        self.embedding = weight(vocabulary, d)
        self.value_weight, self.value_bias = weight(1, d), weight(1)
        self.norm = torch.nn.Parameter(torch.ones(d))
        self.blocks = torch.nn.ModuleList()
        for _ in range(self.layers):
            block = torch.nn.Module()
            block.attention_norm = torch.nn.Parameter(torch.ones(d))
            block.mlp_norm = torch.nn.Parameter(torch.ones(d))
            block.q, block.k, block.v, block.o = weight(d, d), weight(kv, d), weight(kv, d), weight(d, d)
            block.q_bias, block.k_bias, block.v_bias = weight(d), weight(kv), weight(kv)
            block.gate, block.up, block.down = weight(ff, d), weight(ff, d), weight(d, ff)
            self.blocks.append(block)
        self.rank = size.get("lora")
        if self.rank:
            for parameter in self.parameters():
                parameter.requires_grad_(False)
            self.value_weight.requires_grad_(True), self.value_bias.requires_grad_(True)
            for block in self.blocks:
                for name in ("q", "k", "v", "o", "gate", "up", "down"):
                    out, into = getattr(block, name).shape
                    setattr(block, name + "_a", weight(self.rank, into))
                    setattr(block, name + "_b", torch.nn.Parameter(torch.zeros(out, self.rank)))

    def project(self, block, name, x, bias=None):
        y = F.linear(x, getattr(block, name), bias)
        if self.rank:
            y = y + 2.0 * F.linear(F.linear(x, getattr(block, name + "_a")), getattr(block, name + "_b"))
        return y

    def rms(self, x, weight):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * weight

    def rotate(self, x, positions):
        half = self.head_size // 2
        frequency = 10_000.0 ** (-torch.arange(0, half, dtype=torch.float32) / half)
        angle = positions[:, None].float() * frequency[None]
        cos, sin = torch.cat([angle.cos()] * 2, -1)[None, :, None], torch.cat([angle.sin()] * 2, -1)[None, :, None]
        turned = torch.cat([-x[..., half:], x[..., :half]], -1)
        return x * cos.to(x.dtype) + turned * sin.to(x.dtype)

    def forward(self, tokens, start=0, cache=None):
        """tokens [B, S] at positions start… → hidden states [B, S, d]; a cache of [B, kv_heads, capacity, head_size] is filled as it goes."""
        batch, length = tokens.shape
        positions = torch.arange(start, start + length)
        seen = start + length
        mask = torch.full((length, seen), float("-inf")).triu(start + 1) if length > 1 else None
        x = F.embedding(tokens, self.embedding)
        for index, block in enumerate(self.blocks):
            h = self.rms(x, block.attention_norm)
            split = lambda y, heads: y.view(batch, length, heads, self.head_size)
            q = self.rotate(split(self.project(block, "q", h, block.q_bias), self.heads), positions).transpose(1, 2)
            k = self.rotate(split(self.project(block, "k", h, block.k_bias), self.kv_heads), positions).transpose(1, 2)
            v = split(self.project(block, "v", h, block.v_bias), self.kv_heads).transpose(1, 2)
            if cache is not None:
                keys, values = cache[index]
                keys[:, :, start:seen], values[:, :, start:seen] = k, v
                k, v = keys[:, :, :seen], values[:, :, :seen]
            groups = self.heads // self.kv_heads
            k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
            scores = q @ k.transpose(-1, -2) / self.head_size**0.5
            if mask is not None:
                scores = scores + mask
            mixed = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, -1)
            x = x + self.project(block, "o", mixed)
            h = self.rms(x, block.mlp_norm)
            x = x + self.project(block, "down", F.silu(self.project(block, "gate", h)) * self.project(block, "up", h))
        return self.rms(x, self.norm)

    def value(self, hidden):
        return F.linear(hidden, self.value_weight, self.value_bias)[..., 0]


class Work:
    def __init__(self, size):
        self.size = size
        self.model = Decoder(size)
        self.optimizer = torch.optim.AdamW([p for p in self.model.parameters() if p.requires_grad], lr=1e-6, betas=(0.9, 0.95), eps=1e-5, weight_decay=0.0)
        self.resize(size)

    def resize(self, size):
        self.size = size
        self.tokens = torch.randint(0, size["vocabularySize"], (size["rows"], max(size["length"], size["prompt"])))
        self.cache = None
        self.next = None

    def prefill(self):
        size, model = self.size, self.model
        with torch.no_grad():
            room = (size["rows"], model.kv_heads, size["prompt"] + size["sampled"], model.head_size)
            self.cache = [(torch.zeros(room), torch.zeros(room)) for _ in model.blocks]
            hidden = model(self.tokens[:, : size["prompt"]], 0, self.cache)
            self.next = self.sample(hidden[:, -1])

    def sample(self, hidden):
        log_probs = F.linear(hidden, self.model.embedding).float().log_softmax(-1)
        chosen = torch.multinomial(log_probs.exp(), 1)
        log_probs.gather(-1, chosen), self.model.value(hidden)
        return chosen

    def decode(self):
        size = self.size
        with torch.no_grad():
            for step in range(size["sampled"] - 1):
                hidden = self.model(self.next, size["prompt"] + step, self.cache)
                self.next = self.sample(hidden[:, 0])

    def update(self, pieces):
        self.optimizer.zero_grad()
        for tokens in self.tokens.chunk(pieces):
            (self.loss(tokens) * (len(tokens) / len(self.tokens))).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()

    def loss(self, tokens):
        actions = self.size["actions"]
        hidden = self.model(tokens)[:, -actions - 1 : -1]
        targets = tokens[:, -actions:]
        log_probs = F.linear(hidden, self.model.embedding).float().log_softmax(-1)
        chosen = log_probs.gather(-1, targets[..., None])[..., 0]
        entropy = -(log_probs.exp() * log_probs).sum(-1)
        value = self.model.value(hidden).float()
        old, advantage, returns = chosen.detach(), torch.sin(targets.float()), torch.cos(targets.float())
        ratio = (chosen - old).clamp(-20, 20).exp()
        policy = -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
        clipped = torch.minimum(torch.maximum(value, -torch.ones_like(value)), torch.ones_like(value))
        value_loss = 0.5 * torch.maximum((value - returns).pow(2), (clipped - returns).pow(2))
        distance = (old - chosen).clamp(-20, 20)
        return (policy + 0.5 * value_loss - 0.01 * entropy + 0.01 * (distance.exp() - 1 - distance)).mean()


    def generate(self):
        """What transformers' own `generate` does with a model of this size and random weights."""
        size = self.size
        if not hasattr(self, "published"):
            from transformers import Qwen2Config, Qwen2ForCausalLM

            config = Qwen2Config(
                vocab_size=size["vocabularySize"],
                hidden_size=size["hiddenSize"],
                intermediate_size=size["intermediateSize"],
                num_hidden_layers=size["layers"],
                num_attention_heads=size["heads"],
                num_key_value_heads=size["kvHeads"],
                tie_word_embeddings=True,
                bos_token_id=None,
                eos_token_id=None,
                pad_token_id=0,
            )
            self.published = Qwen2ForCausalLM(config).to(torch.get_default_dtype()).eval()
        prompts = self.tokens[:, : size["prompt"]]
        with torch.no_grad():
            self.published.generate(
                prompts,
                attention_mask=torch.ones_like(prompts),
                do_sample=True,
                top_k=0,
                max_new_tokens=size["sampled"],
                min_new_tokens=size["sampled"],
            )


def gemm(n, repeats):
    with torch.no_grad():
        x, y = torch.rand(n, n) / n, torch.rand(n, n) / n
        for _ in range(repeats):
            x = x @ y
        return x.sum()


works = {}


def work_of(size):
    """One model a name: sizes that differ in the batch alone share it."""
    known = works.setdefault(size["name"], None) or Work(size)
    works[size["name"]] = known
    if known.size != size:
        known.resize(size)
    return known


def task(request):
    if request["work"] == "gemm":
        return lambda: gemm(request["n"], request["repeats"])
    work = work_of(request["size"])
    if request["work"] == "update":
        return lambda: work.update(request["pieces"])
    return getattr(work, request["work"])


print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads()}), flush=True)
for line in sys.stdin:
    try:
        run = task(json.loads(line))
        if on_gpu:
            torch.cuda.synchronize()
        started, cpu = time.perf_counter(), time.process_time()
        run()
        if on_gpu:
            torch.cuda.synchronize()
        found = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}
        print(json.dumps({**found, "peakMiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}), flush=True)
    except Exception as error:
        print(json.dumps({"problem": f"{type(error).__name__}: {error}"[:300]}), flush=True)
