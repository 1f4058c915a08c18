# SPDX-License-Identifier: MIT
"""The shape of the model, its parameters in one flat array, and its loss.

The loss is computed by PyTorch (any device) or by the C trainer in fast/ (CPU).
"""
import ctypes
import hashlib
import math
import os
import subprocess
from collections import namedtuple

import numpy as np

from corpus import stop

Shape = namedtuple("Shape", "dim layers heads hidden vocab context")
HERE = os.path.dirname(os.path.abspath(__file__))


def check_shape(s):
    for name in ("dim", "hidden", "vocab", "context"):
        if getattr(s, name) < 32 or getattr(s, name) % 32:
            stop(f"{name} is {getattr(s, name)}; it must be a multiple of 32")
    if s.heads < 1 or s.dim % s.heads or s.dim // s.heads not in (32, 64):
        stop(f"{s.heads} heads of dim {s.dim}: the head size must be 32 or 64")


def parts(s):
    """[(name, layer, shape)] in the order of the flat array."""
    out = [("emb", -1, (s.vocab, s.dim))]
    for l in range(s.layers):
        out += [("n1", l, (s.dim,)), ("wqkv", l, (3 * s.dim, s.dim)), ("wo", l, (s.dim, s.dim)),
                ("n2", l, (s.dim,)), ("w13", l, (2 * s.hidden, s.dim)),
                ("w2", l, (s.dim, s.hidden))]
    return out + [("norm", -1, (s.dim,))]


def count(s):
    return sum(math.prod(shape) for _, _, shape in parts(s))


def views(s, flat):
    """{(name, layer): view} of a flat array or tensor"""
    out, at = {}, 0
    for name, l, shape in parts(s):
        n = math.prod(shape)
        out[name, l] = flat[at:at + n].reshape(shape)
        at += n
    return out


def initial(s, seed):
    rng = np.random.default_rng(seed)
    flat = np.ones(count(s), np.float32)
    for (name, _), v in views(s, flat).items():
        if name == "emb":
            v[:] = rng.standard_normal(v.shape, np.float32) * 0.02
        elif v.ndim == 2:
            std = 0.6 / math.sqrt(s.dim)
            if name in ("wo", "w2"):
                std /= math.sqrt(2 * s.layers)
            v[:] = rng.standard_normal(v.shape, np.float32) * np.float32(std)
    return flat


class Batch:
    """Documents one after another, each padded to a multiple of 32 positions."""

    def __init__(self, rows):
        starts = [0]
        for ids, _ in rows:
            starts.append(starts[-1] + (len(ids) - 1 + 31) // 32 * 32)
        n = starts[-1]
        self.start = np.array(starts, np.int32)
        self.token, self.target = np.zeros(n, np.int32), np.full(n, -1, np.int32)
        self.weight = np.zeros(n, np.float32)
        for (ids, w), at in zip(rows, starts):
            m = len(ids) - 1
            self.token[at:at + m] = ids[:-1]
            self.target[at:at + m] = ids[1:]
            self.weight[at:at + m] = w[1:]
        self.lengths = [len(ids) - 1 for ids, _ in rows]
        self.total = float(self.weight.sum())


class Fast:
    """The C trainer, compiled for this machine on first use."""

    def __init__(self, s, threads, plain=False, chunk=512):
        self.s, self.threads = s, threads
        self.lib = lib = ctypes.CDLL(self.build(plain))
        p, i, f = ctypes.c_void_p, ctypes.c_int, ctypes.c_float
        lib.train_new.restype, lib.train_new.argtypes = p, [i] * 8
        lib.train_params.restype, lib.train_params.argtypes = ctypes.c_long, [p]
        lib.train_step.restype = ctypes.c_double
        lib.train_step.argtypes = [p] * 7 + [i, f, f, ctypes.c_uint32, i, p, p, f, p]
        lib.train_ortho.argtypes = [p, p, p, i, i]
        self.t = lib.train_new(s.dim, s.layers, s.hidden, s.heads, s.vocab, s.context, threads,
                               max(chunk, s.context))
        if not self.t:
            stop("the C trainer cannot start: not enough memory, or the kernel refuses the AMX "
                 "tile registers; use --engine torch")
        assert lib.train_params(self.t) == count(s)
        self.name = "fast, " + ("AMX bfloat16" if lib.train_amx() else "float")

    @staticmethod
    def build(plain):
        sources = [os.path.join(HERE, "fast", f) for f in ("train.c", "gemm.h")]
        command = [os.environ.get("CC", "cc"), "-std=gnu11", "-O3", "-march=native", "-ffast-math",
                   "-mprefer-vector-width=512",
                   "-fPIC", "-shared"] + ["-DTRAIN_FLOAT"] * plain + [sources[0]]
        key = hashlib.sha256(" ".join(command).encode())
        for f in sources:
            with open(f, "rb") as h:
                key.update(h.read())
        with open("/proc/cpuinfo", encoding="utf-8") as h:
            key.update("".join(l for l in h if l.startswith(("flags", "Features"))).encode())
        folder = os.environ.get("RECIPE_WORK", os.path.join(HERE, "work"))
        os.makedirs(folder, exist_ok=True)
        out = os.path.join(folder, f"train-{key.hexdigest()[:12]}.so")
        if not os.path.exists(out):
            tmp = f"{out}.{os.getpid()}"
            r = subprocess.run(command + ["-o", tmp, "-lm", "-lpthread"], capture_output=True,
                               text=True)
            if r.returncode:
                stop(f"{command[0]} cannot build fast/train.c: {r.stderr.strip()[:300]}; "
                     "fix the compiler or use --engine torch")
            os.replace(tmp, out)
        return out

    def step(self, flat, batch, grad=None, drop=0.0, seed=0, token_loss=None, scale=None,
             soft=None):
        """-> mean loss per counted token. grad: None, or an array like flat for the gradient."""
        q = lambda a: a.ctypes.data if a is not None else None
        k, sid, sp, alpha = (soft[0].shape[1],) + soft if soft else (0, None, None, 0.0)
        total = self.lib.train_step(
            self.t, q(flat), q(grad), q(batch.token), q(batch.target), q(batch.weight),
            q(batch.start), len(batch.start) - 1, scale or 1 / max(batch.total, 1), drop,
            seed & 0xffffffff, k, q(sid), q(sp), alpha, q(token_loss))
        return total / max(batch.total, 1)

    def orthogonalise(self, arrays):
        """Orthogonalises arrays in place. Each is contiguous, with rows <= columns."""
        n = len(arrays)
        ptr = (ctypes.c_void_p * n)(*[a.ctypes.data for a in arrays])
        rows = np.array([a.shape[0] for a in arrays], np.int32)
        cols = np.array([a.shape[1] for a in arrays], np.int32)
        if self.lib.train_ortho(ptr, rows.ctypes.data, cols.ctypes.data, n, self.threads):
            stop("the C trainer ran out of memory")


class Torch:
    """The same with PyTorch 1.13 or later, on CPU or CUDA."""

    def __init__(self, s, device):
        import torch
        self.s, self.torch, self.device = s, torch, torch.device(device)
        self.half = device == "cuda"
        self.name = f"torch {torch.__version__} on {device}"
        hs = s.dim // s.heads
        f = 10000.0 ** (-torch.arange(0, hs, 2, dtype=torch.float64) / hs)
        a = torch.outer(torch.arange(s.context, dtype=torch.float64), f)
        self.cos, self.sin = a.cos().float().to(device), a.sin().float().to(device)
        self.mask = torch.full((s.context, s.context), float("-inf"), device=device).triu(1)

    def logits(self, flat, tok, drop=0.0):
        t, s, F = self.torch, self.s, self.torch.nn.functional
        w, (B, T), hs = views(s, flat), tok.shape, s.dim // s.heads
        cos, sin = self.cos[:T, None], self.sin[:T, None]

        def norm(x, g):
            return x * t.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + 1e-5) * g

        def rope(x):
            a, b = x[..., 0::2], x[..., 1::2]
            return t.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)

        def lose(x):
            return F.dropout(x, drop) if drop > 0 else x

        x = lose(w["emb", -1][tok])
        for l in range(s.layers):
            q, k, v = (norm(x, w["n1", l]) @ w["wqkv", l].T).view(B, T, 3, s.heads, hs).unbind(2)
            q, k, v = (y.transpose(1, 2).reshape(B * s.heads, T, hs) for y in (rope(q), rope(k), v))
            if hasattr(F, "scaled_dot_product_attention"):
                o = F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, is_causal=True)
            else:
                o = (q @ k.transpose(1, 2) / math.sqrt(hs) + self.mask[:T, :T]).softmax(-1) @ v
            o = o.view(B, s.heads, T, hs).transpose(1, 2).reshape(B, T, s.dim)
            x = x + lose(o @ w["wo", l].T)
            g, u = (norm(x, w["n2", l]) @ w["w13", l].T).chunk(2, -1)
            x = x + lose((F.silu(g) * u) @ w["w2", l].T)
        return norm(x, w["norm", -1]) @ w["emb", -1].T

    def step(self, flat, batch, grad=None, drop=0.0, seed=0, token_loss=None):
        t = self.torch
        p = t.from_numpy(flat).to(self.device).requires_grad_(grad is not None)
        if grad is not None:
            t.manual_seed(seed)
        order = sorted(range(len(batch.lengths)), key=lambda i: batch.lengths[i])
        total, group = 0.0, []
        size = 65536 if self.half else 4096
        for j, i in enumerate(order):
            group.append(i)
            longest = batch.lengths[i]
            if j + 1 < len(order) and (len(group) + 1) * batch.lengths[order[j + 1]] <= size:
                continue
            at = [int(batch.start[g]) for g in group]
            cut = lambda a: t.from_numpy(np.stack([_cut(a, x, longest, int(batch.start[g + 1]))
                                                   for g, x in zip(group, at)])).to(self.device)
            tok, y = cut(batch.token).long().clamp(min=0), cut(batch.target).long()
            w = cut(batch.weight)
            with t.set_grad_enabled(grad is not None), \
                    t.autocast(self.device.type, dtype=t.bfloat16, enabled=self.half):
                z = self.logits(p, tok, drop if grad is not None else 0.0)
                loss = t.nn.functional.cross_entropy(z.float().flatten(0, 1), y.flatten(),
                                                     ignore_index=-1, reduction="none")
                sum_ = (loss * w.flatten()).sum()
            if grad is not None:
                (sum_ / max(batch.total, 1)).backward()
            if token_loss is not None:
                each = loss.detach().view(tok.shape).cpu().numpy()
                for row, x, g in zip(each, at, group):
                    n = batch.lengths[g]
                    token_loss[x:x + n] = row[:n]
            total += float(sum_)
            group = []
        if grad is not None:
            grad[:] = p.grad.cpu().numpy()
        return total / max(batch.total, 1)

    def orthogonalise(self, arrays):
        t = self.torch
        groups = {}
        for a in arrays:
            groups.setdefault(a.shape, []).append(a)
        for same in groups.values():
            x = t.from_numpy(np.stack(same)).to(self.device)
            x = x / (x.flatten(1).norm(dim=1)[:, None, None] + 1e-7)
            for _ in range(5):
                a = x @ x.transpose(1, 2)
                x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
            for a, y in zip(same, x.cpu().numpy()):
                a[:] = y


def _cut(a, first, n, end):
    """n values from first on, padded after the end of the document."""
    out = np.zeros(n, a.dtype) if a.dtype != np.int32 else np.full(n, -1, a.dtype)
    m = min(n, end - first)
    out[:m] = a[first:first + m]
    return out
