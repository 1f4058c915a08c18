# SPDX-License-Identifier: MIT
"""The model in numpy, for measurements: in float, or with int8 weights and activations.

The int8 arithmetic is that of the program: groups of 32, scaled by their largest absolute
value / 127.
"""
import math

import numpy as np

import export
import model


def activations8(x):
    """Rows of floats rounded to int8 in groups of 32, as floats"""
    b = x.reshape(-1, 32)
    s = np.abs(b).max(axis=1, keepdims=True) / np.float32(127)
    return (np.rint(b / np.where(s == 0, 1, s)) * s).reshape(x.shape)


class Net:
    def __init__(self, shape, flat, int8=False):
        self.s, self.int8 = shape, int8
        self.w = model.views(shape, export.rounded(shape, flat) if int8 else flat)
        hs = shape.dim // shape.heads
        a = np.outer(np.arange(shape.context), 10000.0 ** (-np.arange(0, hs, 2) / hs))
        self.cos, self.sin = np.cos(a).astype(np.float32), np.sin(a).astype(np.float32)

    def mul(self, x, w):
        return (activations8(x) if self.int8 else x) @ w.T

    def norm(self, x, g):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(1e-5)) * g

    def rope(self, x, at):
        c, s = (t[at:at + x.shape[1], None] for t in (self.cos, self.sin))
        a, b = x[..., 0::2], x[..., 1::2]
        return np.stack((a * c - b * s, a * s + b * c), -1).reshape(x.shape)

    def cache(self, rows):
        s = self.s
        return np.zeros((2, s.layers, rows, s.context, s.heads, s.dim // s.heads), np.float32)

    def logits(self, ids, kv, at):
        """ids[B][T] at positions at, at + 1, ... -> logits[B][T][vocab]. Writes to the cache kv."""
        s, (B, T) = self.s, ids.shape
        hs, end = s.dim // s.heads, at + T
        x = self.w["emb", -1][ids]
        mask = np.triu(np.full((T, end), -np.inf, np.float32), 1 + at)
        for l in range(s.layers):
            qkv = self.mul(self.norm(x, self.w["n1", l]), self.w["wqkv", l])
            q, k, v = (y.reshape(B, T, s.heads, hs) for y in np.split(qkv, 3, -1))
            kv[0, l, :, at:end], kv[1, l, :, at:end] = self.rope(k, at), v
            z = self.rope(q, at).transpose(0, 2, 1, 3) @ kv[0, l, :, :end].transpose(0, 2, 3, 1)
            z = z / np.float32(math.sqrt(hs)) + mask
            z = np.exp(z - z.max(-1, keepdims=True))
            z /= z.sum(-1, keepdims=True)
            o = (z @ kv[1, l, :, :end].transpose(0, 2, 1, 3)).transpose(0, 2, 1, 3)
            x = x + self.mul(o.reshape(B, T, s.dim), self.w["wo", l])
            g, u = np.split(self.mul(self.norm(x, self.w["n2", l]), self.w["w13", l]), 2, -1)
            x = x + self.mul(g / (1 + np.exp(-g)) * u, self.w["w2", l])
        return self.mul(self.norm(x, self.w["norm", -1]), self.w["emb", -1])

    def nats(self, rows):
        """-> negative log probability of all counted tokens of the rows"""
        total = 0.0
        for ids, counts in rows:
            z = self.logits(np.array([ids[:-1]]), self.cache(1), 0)[0]
            z -= z.max(-1, keepdims=True)
            lp = z[np.arange(len(ids) - 1), ids[1:]] - np.log(np.exp(z).sum(-1))
            total -= float((lp * np.array(counts[1:])).sum())
        return total


def sample(z, rng, temperature, top_p, min_p):
    if temperature == 0:
        return int(z.argmax())
    p = np.exp((z - z.max()) / temperature)
    p /= p.sum()
    order = np.argsort(-p, kind="stable")
    p = p[order]
    keep = (np.cumsum(p) - p < top_p) & (p >= min_p * p[0])
    p = p * keep
    return int(order[min(np.searchsorted(np.cumsum(p), rng.random() * p.sum()), keep.sum() - 1)])


def generate(net, prompts, eos=2, temperature=0.0, top_p=1.0, min_p=0.0, seeds=None,
             limit=None):
    """Generates stories for several token prompts at once.

    -> (token lists without prompt and end token, whether each ended by itself). Each story has
    its own random numbers, so it does not depend on the others.
    """
    limit = limit or net.s.context
    rngs = [np.random.default_rng(s) for s in (seeds or range(len(prompts)))]
    kv, out = net.cache(len(prompts)), [list(p) for p in prompts]
    ended = [False] * len(prompts)
    for at in range(limit - 1):
        z = net.logits(np.array([[o[at] if at < len(o) else eos] for o in out]), kv, at)[:, 0]
        for i, o in enumerate(out):
            if at == len(o) - 1 and not ended[i]:
                k = sample(z[i], rngs[i], temperature, top_p, min_p)
                ended[i] = k == eos
                if not ended[i]:
                    o.append(k)
        if all(ended):
            break
    return [o[len(p):] for o, p in zip(out, prompts)], ended
