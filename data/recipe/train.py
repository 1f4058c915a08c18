#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Trains the storyteller: train.py CORPUS [--run DIR] ... --resume continues an interrupted run.

The learning rate rises over the first steps, stays constant, and falls to 0 over the last --decay
of --tokens tokens. `train.py --finish N`, started beside a running training, moves the end: from
that moment on, the rate falls from its current value to 0 over N tokens.
"""
import argparse
import io
import json
import math
import os
import random
import signal
import sys
import time

import numpy as np

import corpus
import model
import tokenizer
from corpus import stop


def arguments():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    a.add_argument("corpus", nargs="?", help="corpus folder, or one story file")
    a.add_argument("--run", default=os.path.join(model.HERE, "work", "run"),
                   help="folder of the run")
    a.add_argument("--tokenizer", metavar="FILE",
                   help="use this tokenizer.bin of llama2.c instead of training one")
    a.add_argument("--resume", action="store_true",
                   help="continue from the last checkpoint of the run")
    a.add_argument("--finish", type=float, metavar="N",
                   help="make a running training end after N more tokens")
    a.add_argument("--engine", choices=("fast", "torch", "cuda"),
                   help="default: cuda if available, else fast")
    a.add_argument("--threads", type=int, default=os.cpu_count())
    for name, value in (("dim", 160), ("layers", 7), ("heads", 5), ("hidden", 416),
                        ("pieces", 2048), ("context", 512)):
        a.add_argument("--" + name, type=int, default=value)
    a.add_argument("--tokens", type=float, default=150e6, help="tokens to train on")
    a.add_argument("--decay", type=float, default=90e6,
                   help="tokens at the end with a falling rate")
    a.add_argument("--batch", type=int, default=10000, help="tokens per step")
    a.add_argument("--drop", type=float, default=0.05, help="dropout")
    a.add_argument("--lr", type=float, default=0.02, help="learning rate of the matrices (Muon)")
    a.add_argument("--lr-rest", type=float, default=4e-3,
                   help="learning rate of everything else (Adam)")
    a.add_argument("--weight-decay", type=float, default=0.05)
    a.add_argument("--warmup", type=int, default=150, help="steps")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--every", type=int, default=400, help="steps between checkpoints")
    return a.parse_args()


class Muon:
    """Muon (Jordan et al. 2024) for the matrices of the layers, Adam for embedding and gains."""

    def __init__(self, shape, engine, o):
        self.shape, self.engine, self.o = shape, engine, o
        n = model.count(shape)
        self.m, self.v = np.zeros(n, np.float32), np.zeros(n, np.float32)
        D, H = shape.dim, shape.hidden
        self.rest, at = [], 0
        for name, _, s in model.parts(shape):
            k = math.prod(s)
            if name in ("emb", "n1", "n2", "norm"):
                self.rest.append((slice(at, at + k), name == "emb"))
            at += k

    def matrices(self, flat):
        """The blocks of the parameters that Muon orthogonalises, as views"""
        D, H = self.shape.dim, self.shape.hidden
        for (name, _), v in model.views(self.shape, flat).items():
            if name == "wqkv":
                yield from (v[:D], v[D:2 * D], v[2 * D:])
            elif name == "w13":
                yield from (v[:H], v[H:])
            elif name in ("wo", "w2"):
                yield v

    def step(self, flat, grad, step, rate):
        o = self.o
        mu = 0.85 + 0.10 * min(1, step / 300)
        b1, b2 = 0.9, 0.98
        for s, decays in self.rest:
            g, m, v = grad[s], self.m[s], self.v[s]
            m += (1 - b1) * (g - m)
            v += (1 - b2) * (g * g - v)
            lr = o.lr_rest * rate
            mean, square = m / (1 - b1 ** (step + 1)), v / (1 - b2 ** (step + 1))
            flat[s] -= lr * mean / (np.sqrt(square) + 1e-10)
            if decays:
                flat[s] *= 1 - lr * o.weight_decay
        places, jobs = [], []
        for p, g, m in zip(self.matrices(flat), self.matrices(grad), self.matrices(self.m)):
            m += (1 - mu) * (g - m)
            x = (1 - mu) * g + mu * m
            jobs.append(np.ascontiguousarray(x if x.shape[0] <= x.shape[1] else x.T, np.float32))
            places.append(p)
        self.engine.orthogonalise(jobs)
        for p, x in zip(places, jobs):
            lr = o.lr * rate * max(1, p.shape[0] / p.shape[1]) ** 0.5
            p *= 1 - o.lr * rate * o.weight_decay
            p -= lr * (x if p.shape == x.shape else x.T)


def rows(ids, counts, context):
    """Windows of at most context + 1 tokens. Each window after the first repeats the half window
    before it as context; each token counts once."""
    out, done, at = [], 0, 0
    while True:
        end = min(at + context + 1, len(ids))
        fresh = [c if at + i >= done else 0 for i, c in enumerate(counts[at:end])]
        out.append((ids[at:end], fresh))
        if end == len(ids):
            return out
        done, at = end, end - context // 2


def plain_rows(stories, encode, context):
    out = []
    for s in stories:
        out += rows(*corpus.tokens([(s, True, True)], encode), context)
    return out


def batches(rows_, size):
    group, n = [], 0
    for r in rows_:
        k = (len(r[0]) - 1 + 31) // 32 * 32
        if group and n + k > size:
            yield model.Batch(group)
            group, n = [], 0
        group.append(r)
        n += k
    if group:
        yield model.Batch(group)


def bits_a_byte(engine, flat, held, size):
    nats = sum(engine.step(flat, b) * b.total for b in held)
    return nats / math.log(2) / size


def fall(state):
    """The current share of the learning rate while it falls"""
    left = state["end"] - state["tokens"]
    return state["high"] * max(0.0, min(1.0, left / max(1, state["end"] - state["falls"])))


def story_bytes(stories):
    """The divisor of bits per byte: all bytes, and one for the end of each story"""
    return sum(len(s.encode()) + 1 for s in stories)


def save(path, **what):
    tmp, data = path + ".tmp", io.BytesIO()
    np.savez(data, **what)
    try:
        with open(tmp, "wb") as f:
            f.write(data.getbuffer())
            f.flush()
            os.fsync(f.fileno())
        os.replace(tmp, path)
    except OSError as e:
        stop(f"cannot write the checkpoint {path}: {e.strerror}; free some space, "
             "then use --resume")


def pick_engine(o, shape):
    name = o.engine
    if name != "fast":
        try:
            import torch
            good = tuple(int(x) for x in torch.__version__.split("+")[0].split(".")[:2]) >= (1, 13)
            if not good:
                stop(f"PyTorch {torch.__version__} is too old; 1.13 or newer is needed")
            cuda = torch.cuda.is_available()
        except ImportError:
            if name:
                stop("PyTorch is not installed (python3-torch); install it or use --engine fast")
            cuda = False
        if name == "cuda" and not cuda:
            stop("PyTorch finds no CUDA device; use --engine fast or --engine torch")
        if name == "torch":
            torch.set_num_threads(o.threads)
            return model.Torch(shape, "cpu")
        if cuda:
            return model.Torch(shape, "cuda")
    return model.Fast(shape, o.threads)


def prepare(o):
    """-> (training stories, validation stories, tokenizer). Trains the tokenizer once per run."""
    train, valid = corpus.read_stories(o.corpus)
    if o.tokenizer:
        return train, valid, tokenizer.Tokenizer.load_llama2c(o.tokenizer)
    path = os.path.join(o.run, "tokenizer")
    if not os.path.exists(path + ".model"):
        tokenizer.train(train, o.pieces, path)
    tok = tokenizer.Tokenizer.load(path + ".model")
    if len(tok.pieces) != o.pieces:
        stop(f"{path}.model has {len(tok.pieces)} pieces, not {o.pieces}; use another --run folder")
    return train, valid, tok


def main():
    o = arguments()
    if o.finish is not None:
        with open(os.path.join(o.run, "finish"), "w", encoding="utf-8") as f:
            f.write(str(int(o.finish)))
        return
    if not o.corpus:
        stop("no corpus given; name a corpus folder or a story file")
    if o.tokenizer:
        o.pieces = len(tokenizer.Tokenizer.load_llama2c(o.tokenizer).pieces)
    shape = model.Shape(o.dim, o.layers, o.heads, o.hidden, o.pieces, o.context)
    model.check_shape(shape)
    try:
        os.makedirs(o.run, exist_ok=True)
    except OSError as e:
        stop(f"cannot create the folder {o.run}: {e.strerror}; name another one with --run")
    checkpoint = os.path.join(o.run, "checkpoint.npz")
    if os.path.exists(checkpoint) and not o.resume:
        stop(f"{checkpoint} exists: use --resume to continue, or another --run folder")
    try:
        train, valid, tok = prepare(o)
    except OSError as e:
        stop(f"cannot write to {o.run}: {e.strerror}; free some space and start again")
    topics = corpus.Topics(train)
    held = list(batches(plain_rows(valid, tok.encode, o.context), 16384))
    held_bytes = story_bytes(valid)
    engine = pick_engine(o, shape)
    flat = model.initial(shape, o.seed)
    opt = Muon(shape, engine, o)
    state = dict(step=0, tokens=0, epoch=0, place=0, seconds=0.0, high=1.0,
                 falls=int(o.tokens - o.decay), end=int(o.tokens))
    if o.resume and os.path.exists(checkpoint):
        with np.load(checkpoint) as c:
            if tuple(c["shape"]) != tuple(shape):
                stop(f"{checkpoint} has the shape {tuple(c['shape'])}, not {tuple(shape)}; "
                     "use the options of that run")
            flat[:], opt.m[:], opt.v[:] = c["flat"], c["m"], c["v"]
            state.update(json.loads(str(c["state"])))
    log = os.path.join(o.run, "log.csv")
    if not state["step"]:
        with open(log, "w", encoding="utf-8") as f:
            f.write("step,tokens,epoch,seconds,rate,train_nats_per_token,valid_bits_per_byte\n")
        with open(os.path.join(o.run, "settings.json"), "w", encoding="utf-8") as f:
            json.dump({**vars(o), "corpus": os.path.basename(os.path.normpath(o.corpus)), "run": "",
                       "parameters": model.count(shape), "engine": engine.name}, f, indent=1)
    print(f"{model.count(shape)} parameters, {len(train)} training stories, "
          f"{len(valid)} validation stories, engine: {engine.name}", flush=True)
    ending = []
    for s in (signal.SIGTERM, signal.SIGINT):
        signal.signal(s, lambda *_: ending.append(1))
    grad = np.empty_like(flat)
    mean, since, done = None, time.monotonic(), False

    def save_checkpoint():
        save(checkpoint, flat=flat, m=opt.m, v=opt.v, shape=np.array(shape),
             state=json.dumps(state))

    while not done:
        docs = [r for d in corpus.documents(train, topics, o.seed * 100003 + state["epoch"])
                for r in rows(*corpus.tokens(d, tok.encode), o.context)]
        random.Random(o.seed * 7919 + state["epoch"]).shuffle(docs)
        for k, b in enumerate(batches(docs, o.batch)):
            if k < state["place"]:
                continue
            finish = os.path.join(o.run, "finish")
            if os.path.exists(finish):
                with open(finish, encoding="utf-8") as f:
                    n = int(f.read() or 0)
                os.remove(finish)
                state.update(high=fall(state), falls=state["tokens"], end=state["tokens"] + n)
            rate = min(1, (state["step"] + 1) / o.warmup) * fall(state)
            loss = engine.step(flat, b, grad, o.drop, o.seed * 1000003 + state["step"])
            if not math.isfinite(loss):
                stop(f"the loss is {loss} at step {state['step']}; use --resume with a lower --lr")
            opt.step(flat, grad, state["step"], rate)
            mean = loss if mean is None else 0.98 * mean + 0.02 * loss
            now = time.monotonic()
            state["seconds"] += min(now - since, 30)  # do not count the time of a pause
            since = now
            state["step"] += 1
            state["tokens"] += int(sum(b.lengths))
            state["place"] = k + 1
            done = state["tokens"] >= state["end"]
            if state["step"] % o.every == 0 or done or ending:
                bits = bits_a_byte(engine, flat, held, held_bytes)
                line = (f"{state['step']},{state['tokens']},{state['epoch']},"
                        f"{state['seconds']:.0f},{rate:.4f},{mean:.4f},{bits:.4f}")
                print(line, f"{state['tokens'] / state['seconds']:.0f} tokens/s", flush=True)
                try:
                    with open(log, "a", encoding="utf-8") as f:
                        f.write(line + "\n")
                except OSError as e:
                    stop(f"cannot write {log}: {e.strerror}; free some space, then use --resume")
                save_checkpoint()
            if ending:
                sys.exit("recipe: stopped; the checkpoint is saved, --resume continues")
            if done:
                break
        else:
            state["epoch"] += 1
            state["place"] = 0
    print("done", flush=True)


if __name__ == "__main__":
    main()
