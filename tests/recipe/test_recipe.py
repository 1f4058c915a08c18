#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Runs the recipe with a tiny configuration, in seconds.

Without numpy everything is skipped (exit code 77). Tests that need a C compiler, sentencepiece or
PyTorch are skipped by name where these are not installed.
"""
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest

try:
    import numpy as np
except ImportError:
    print("skipped: python3-numpy is not installed")
    sys.exit(77)

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RECIPE = os.path.join(ROOT, "data", "recipe")
sys.path.insert(0, RECIPE)
sys.dont_write_bytecode = True
WORK = tempfile.mkdtemp(prefix="recipe-")
os.environ["RECIPE_WORK"] = WORK

import corpus  # noqa: E402
import export  # noqa: E402
import generate  # noqa: E402
import model  # noqa: E402
import release  # noqa: E402
import tokenizer  # noqa: E402
import train  # noqa: E402

HAVE_CC = shutil.which(os.environ.get("CC", "cc")) is not None


def have(module):
    command = [sys.executable, "-c", f"import {module}"]
    return subprocess.run(command, capture_output=True).returncode == 0


HAVE_SPM, HAVE_TORCH = have("sentencepiece"), have("torch")
SHAPE = model.Shape(64, 2, 2, 96, 320, 64)


def tiny_stories(n, seed):
    """Stories in the style of the corpus, put together from a few words"""
    rng, out = random.Random(seed), []
    for _ in range(n):
        name, she = rng.choice([("Lily", "She"), ("Mia", "She"), ("Tim", "He"), ("Ben", "He")])
        thing = rng.choice("ball boat hat cake".split())
        animal = rng.choice("frog dog bird cat".split())
        color = rng.choice("red blue green big".split())
        own = "her" if she == "She" else "his"
        out.append(f"Once upon a time, there was a {color} {animal}. One day, {name} saw the "
                   f"{animal}. {she} had a {thing} in {own} hand.\n"
                   f"\"Do you like the {thing}?\" {she.lower()} said.\n"
                   f"The {animal} took the {thing} and was happy. Then the {animal} and {name} "
                   f"played with the {thing} and {rng.choice(['ran', 'sang', 'slept'])} all day.")
    return out


def write_corpus(path, n=400):
    with open(path, "w", encoding="utf-8") as f:
        for s in tiny_stories(n, 5):
            f.write(s + "\n<|endoftext|>\n")


def letters():
    """A tokenizer of single characters, for tests that need no trained one"""
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    types = [2, 3, 3] + [6] * 256
    extra = "\u2581abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?"
    pieces, types = pieces + list(extra), types + [1] * len(extra)
    pieces += ["\u2581" + "x" * i for i in range(1, SHAPE.vocab - len(pieces) + 1)]
    types += [1] * (SHAPE.vocab - len(types))
    return tokenizer.Tokenizer(pieces, [float(-i) for i in range(SHAPE.vocab)], types)


def random_batch(lengths, seed=3):
    rng = np.random.default_rng(seed)
    return model.Batch([(rng.integers(0, SHAPE.vocab, n + 1).tolist(),
                         [0, 0] + rng.random(n - 1).tolist()) for n in lengths])


def random_params(seed=1):
    return (model.initial(SHAPE, seed) * 2).astype(np.float32)


def split_errors(a, b):
    va, vb = model.views(SHAPE, a), model.views(SHAPE, b)
    return {k: float(np.linalg.norm(va[k] - vb[k]) / np.linalg.norm(vb[k])) for k in va}


@unittest.skipUnless(HAVE_CC, "no C compiler")
class Trainer(unittest.TestCase):
    def test_gradient_by_differences(self):
        e = model.Fast(SHAPE, 2, plain=True, chunk=64)
        flat, b = random_params(), random_batch((40, 64, 3, 33))
        g = np.empty_like(flat)
        e.step(flat, b, g)
        rng = np.random.default_rng(0)
        for (name, l), v in model.views(SHAPE, flat).items():
            way = np.zeros_like(flat)  # a random direction within this one matrix
            part = model.views(SHAPE, way)[name, l]
            part[:] = rng.standard_normal(part.shape)
            way /= np.linalg.norm(way)
            h = 1e-2
            numeric = (e.step(flat + h * way, b) - e.step(flat - h * way, b)) / (2 * h)
            self.assertAlmostEqual(numeric, float(g @ way), delta=2e-4 + 0.02 * abs(numeric),
                                   msg=f"{name} {l}")

    def test_loss_agrees_with_numpy(self):
        flat = random_params()
        rng = np.random.default_rng(4)
        rows = [(rng.integers(0, SHAPE.vocab, n).tolist(), [0] + [1] * (n - 1))
                for n in (5, 65, 40)]
        b = model.Batch(rows)
        expected = generate.Net(SHAPE, flat).nats(rows) / b.total
        self.assertAlmostEqual(model.Fast(SHAPE, 1, plain=True).step(flat, b), expected, places=4)

    def test_builds_agree(self):
        fast = model.Fast(SHAPE, 2, chunk=64)
        if not fast.lib.train_amx():
            self.skipTest("this machine has no AMX")
        flat, b = model.initial(SHAPE, 1), random_batch((64, 40, 33))
        a, g = np.empty_like(flat), np.empty_like(flat)
        la, lg = fast.step(flat, b, a), model.Fast(SHAPE, 1, plain=True).step(flat, b, g)
        self.assertAlmostEqual(la, lg, delta=0.01)
        for k, err in split_errors(a, g).items():
            self.assertLess(err, 0.03, k)

    def test_threads_and_dropout(self):
        flat, b = random_params(), random_batch((64, 40, 33, 64, 64))
        e1 = model.Fast(SHAPE, 1, plain=True, chunk=64)
        e2 = model.Fast(SHAPE, 3, plain=True, chunk=128)
        g1, g2 = np.empty_like(flat), np.empty_like(flat)
        l1, l2 = e1.step(flat, b, g1, 0.2, 7), e2.step(flat, b, g2, 0.2, 7)
        self.assertAlmostEqual(l1, l2, places=5)
        np.testing.assert_allclose(g1, g2, atol=1e-5)
        self.assertNotAlmostEqual(l1, e1.step(flat, b, g1, 0.2, 8), places=4)

    def test_soft_targets(self):
        flat, b = random_params(), random_batch((40,))
        e = model.Fast(SHAPE, 1, plain=True)
        hard, soft = np.empty_like(flat), np.empty_like(flat)
        e.step(flat, b, hard)
        ids = np.repeat(np.maximum(b.target, 0)[:, None], 1, 1).astype(np.int32)
        e.step(flat, b, soft, soft=(ids, np.ones(ids.shape, np.float32), 0.7))
        np.testing.assert_allclose(hard, soft, atol=1e-5)

    def test_orthogonal(self):
        rng = np.random.default_rng(0)
        for plain in (True, False):
            x = [rng.standard_normal(shape).astype(np.float32) for shape in ((32, 64), (96, 96))]
            model.Fast(SHAPE, 2, plain=plain).orthogonalise(x)
            for m in x:
                s = np.linalg.svd(m, compute_uv=False)
                self.assertLess(s.max(), 1.3)
                self.assertGreater(np.median(s), 0.6)

    def test_refuses(self):
        with self.assertRaises(SystemExit):
            model.check_shape(SHAPE._replace(dim=60))
        with self.assertRaises(SystemExit):
            model.check_shape(SHAPE._replace(heads=1, dim=96))
        e = model.Fast(SHAPE, 1, plain=True)
        self.assertNotEqual(*[e.step(random_params(), random_batch((96,)))] * 2)  # too long: NaN

    @unittest.skipUnless(HAVE_TORCH, "python3-torch is not installed")
    def test_gradient_of_autograd(self):
        flat, b = random_params(), random_batch((40, 64, 3, 33, 60))
        g, h = np.empty_like(flat), np.empty_like(flat)
        lc = model.Fast(SHAPE, 2, plain=True, chunk=128).step(flat, b, g)
        t = model.Torch(SHAPE, "cpu")
        lt = t.step(flat, b, h)
        self.assertAlmostEqual(lc, lt, places=4)
        for k, err in split_errors(g, h).items():
            self.assertLess(err, 1e-4, k)
        x = np.random.default_rng(0).standard_normal((32, 64)).astype(np.float32)
        y = [x.copy()]
        t.orthogonalise(y)
        z = [x.copy()]
        model.Fast(SHAPE, 1, plain=True).orthogonalise(z)
        np.testing.assert_allclose(y[0], z[0], atol=1e-3)


def read_gguf(path):
    """A second reader, for the tests: ({key: value}, {tensor: (shape, type, bytes)})"""
    data = open(path, "rb").read()
    at = 0

    def field(fmt):
        nonlocal at
        v = struct.unpack_from("<" + fmt, data, at)
        at += struct.calcsize("<" + fmt)
        return v[0] if len(v) == 1 else v

    def string():
        nonlocal at
        n = field("Q")
        at += n
        return data[at - n:at].decode()

    def value(kind):
        if kind == 8:
            return string()
        if kind == 9:
            inner, n = field("I"), field("Q")
            return [value(inner) for _ in range(n)]
        return field({4: "I", 5: "i", 6: "f", 7: "?"}[kind])

    assert data[:4] == b"GGUF"
    at = 4
    version, tensors, entries = field("I"), field("Q"), field("Q")
    assert version == 3
    meta = {}
    for _ in range(entries):
        k = string()
        meta[k] = value(field("I"))
    infos = []
    for _ in range(tensors):
        name = string()
        dims = [field("Q") for _ in range(field("I"))]
        infos.append((name, dims, field("I"), field("Q")))
    start = (at + 31) // 32 * 32
    out = {}
    for name, dims, kind, off in infos:
        n = int(np.prod(dims))
        size = n * 4 if kind == 0 else n // 32 * 34
        assert off % 32 == 0 and start + off + size <= len(data), name
        out[name] = (tuple(reversed(dims)), kind, data[start + off:start + off + size])
    return meta, out


def floats(tensor):
    shape, kind, raw = tensor
    if kind == 0:
        return np.frombuffer(raw, "<f4").reshape(shape)
    b = np.frombuffer(raw, [("d", "<f2"), ("q", "i1", 32)])
    return (b["d"].astype(np.float32)[:, None] * b["q"]).reshape(shape)


class Export(unittest.TestCase):
    ABOUT = dict(name="Test", version="0", description="x", bits=1.5, tokens="7")

    def path(self, name):
        return os.path.join(WORK, name)

    def test_gguf(self):
        flat, tok = random_params(), letters()
        for quantised in (False, True):
            p = self.path("t.gguf")
            export.gguf(SHAPE, flat, tok, self.ABOUT, p, quantised)
            meta, t = read_gguf(p)
            self.assertEqual(meta["general.architecture"], "llama")
            self.assertEqual(meta["general.file_type"], 7 if quantised else 0)
            self.assertEqual(meta["llama.embedding_length"], 64)
            self.assertEqual(meta["llama.attention.head_count"], 2)
            self.assertEqual(meta["llama.rope.dimension_count"], 32)
            self.assertEqual(len(meta["tokenizer.ggml.tokens"]), SHAPE.vocab)
            self.assertEqual(len(meta["tokenizer.ggml.scores"]), SHAPE.vocab)
            self.assertEqual(meta["tokenizer.ggml.token_type"][:4], [2, 3, 3, 6])
            self.assertAlmostEqual(meta["general.sampling.temp"], 0.8, places=6)
            self.assertTrue(meta["duotale.chat"])
            self.assertEqual(len(t), 2 + 9 * SHAPE.layers)
            want = model.views(SHAPE, export.rounded(SHAPE, flat) if quantised else flat)
            np.testing.assert_array_equal(floats(t["token_embd.weight"]), want["emb", -1])
            np.testing.assert_array_equal(floats(t["blk.1.attn_k.weight"]), want["wqkv", 1][64:128])
            np.testing.assert_array_equal(floats(t["blk.0.ffn_up.weight"]), want["w13", 0][96:])
            np.testing.assert_array_equal(floats(t["blk.0.ffn_down.weight"]), want["w2", 0])
            self.assertEqual(t["blk.0.attn_norm.weight"][1], 0)
            difference = floats(t["token_embd.weight"]) - model.views(SHAPE, flat)["emb", -1]
            self.assertLess(np.abs(difference).max(), 0.01)

    def test_program_recognises_the_template(self):
        path = os.path.join(ROOT, "src", "core", "text", "template.c")
        with open(path, encoding="utf-8") as f:
            source = f.read()
        row = source[source.index("[DT_TEMPLATE_STORY]"):].split("\n")[0]
        markers = row.split('"')[3:6:2]
        self.assertEqual(len(markers), 2)
        for marker in markers:
            self.assertIn(marker, export.TEMPLATE)

    def test_template_renders(self):
        if not have("jinja2"):
            self.skipTest("python3-jinja2 is not installed")
        import jinja2
        talk = [dict(role="user", content="A frog."), dict(role="assistant", content="Once."),
                dict(role="user", content="And then?")]
        for options in ({}, dict(trim_blocks=True, lstrip_blocks=True)):
            text = jinja2.Environment(**options).from_string(export.TEMPLATE).render(
                messages=talk, bos_token="<s>", eos_token="</s>")
            self.assertEqual(text, "<s>A frog.\n\nOnce.</s>And then?\n\n")

    def test_llama2c(self):
        flat = random_params()
        v = model.views(SHAPE, flat)
        export.llama2c(SHAPE, flat, self.path("t.bin"))
        raw = open(self.path("t.bin"), "rb").read()
        self.assertEqual(struct.unpack("<7i", raw[:28]), (64, 96, 2, 2, 2, 320, 64))
        x = np.frombuffer(raw[28:], "<f4")
        self.assertEqual(x.size, flat.size + 64 * 32)
        np.testing.assert_array_equal(x[:320 * 64].reshape(320, 64), v["emb", -1])
        wq = x[320 * 64 + 128:][:64 * 64].reshape(64, 64)
        np.testing.assert_array_equal(wq, v["wqkv", 0][:64])
        export.llama2c_int8(SHAPE, flat, self.path("t8.bin"), 64)
        raw = open(self.path("t8.bin"), "rb").read()
        self.assertEqual(struct.unpack("<Ii7iBi", raw[:41]),
                         (0x616B3432, 2, 64, 96, 2, 2, 2, 320, 64, 1, 32))
        matrices = flat.size - 5 * 64
        self.assertEqual(len(raw), 256 + 5 * 64 * 4 + matrices + matrices // 32 * 4)

    def test_full_disk(self):
        """A limit on file sizes replaces a full disk."""
        code = ("import sys; sys.path.insert(0, sys.argv[1]); import export; "
                "export.write_file(sys.argv[2], [b'x' * 4096] * 100)")
        limit = (8192, 8192)
        r = subprocess.run([sys.executable, "-c", code, RECIPE, self.path("full")],
                           capture_output=True, text=True,
                           preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
        self.assertEqual(r.returncode, 1)
        self.assertRegex(r.stderr, r"^recipe: cannot write .*\n$")
        self.assertFalse(os.path.exists(self.path("full")))


class Corpus(unittest.TestCase):
    def setUp(self):
        self.stories = tiny_stories(300, 9)
        self.topics = corpus.Topics(self.stories)

    def test_split(self):
        p = os.path.join(WORK, "stories.txt")
        write_corpus(p, 100)
        a, b = corpus.read_stories(p)
        self.assertEqual((len(a), len(b)), (96, 4))
        self.assertEqual(b, tiny_stories(100, 5)[-4:])

    def test_requests_use_words_of_the_story(self):
        rng = random.Random(1)
        self.assertIn("frog", self.topics.nouns)
        self.assertIn("Lily", self.topics.names)
        self.assertNotIn("day", self.topics.nouns)
        for s in self.stories[:100]:
            text, words = corpus.request(self.topics, s, rng)
            for w in words:
                self.assertIn(w, s)
                self.assertIn(w.lower(), text.lower())
            self.assertNotIn("{}", text)

    def test_rename(self):
        rng, seen = random.Random(2), 0
        for s in self.stories[:100]:
            t = self.topics.rename(s, rng)
            seen += s != t
            self.assertEqual("She" in s, "Lily" in t or "Mia" in t)
        self.assertGreater(seen, 20)

    def test_documents(self):
        tok, kinds = letters(), set()
        docs = list(corpus.documents(self.stories, self.topics, 3))
        self.assertEqual(docs, list(corpus.documents(self.stories, self.topics, 3)))
        self.assertNotEqual(docs, list(corpus.documents(self.stories, self.topics, 4)))
        for d in docs:
            ids, counts = corpus.tokens(d, tok.encode)
            kinds.add(len(d))
            self.assertEqual((ids[0], ids[-1], counts[0], counts[-1]), (1, 2, 0, 1))
            self.assertEqual(len(ids), len(counts))
            story = "".join(t for t, is_story, _ in d if is_story)
            # one token per byte, and a leading space and an end for each run
            runs = sum(1 for _, is_story, ends in d if is_story and ends)
            self.assertIn(sum(counts) - len(story.encode()) - runs, range(0, runs + 1))
        self.assertEqual(kinds, {1, 2, 4})

    def test_rows_count_each_token_once(self):
        for n in (2, 64, 65, 66, 97, 98, 300):
            counts = [0] + [1] * (n - 1)
            rows = train.rows(list(range(n)), counts, 64)
            counted = [i for ids, c in rows for i, k in zip(ids, c) if k]
            self.assertEqual(counted, list(range(1, n)))
            self.assertTrue(all(len(ids) <= 65 for ids, _ in rows))
            self.assertTrue(all(c[0] == 0 for _, c in rows))

    def test_follows(self):
        share = release.follows(["A frog sat.", "Tim ran."], [["frog", "ball"], ["Tim"]])
        self.assertEqual(share, 2 / 3)


class Generate(unittest.TestCase):
    def test_stories_do_not_depend_on_each_other(self):
        net = generate.Net(SHAPE, random_params(), True)
        prompts = [[1, 5, 9], [1, 200], [1, 7, 8, 9, 10]]
        how = dict(temperature=0.8, top_p=0.9, min_p=0.05, limit=40)
        together, _ = generate.generate(net, prompts, seeds=[1, 2, 3], **how)
        alone = [generate.generate(net, [p], seeds=[s], **how)[0][0]
                 for p, s in zip(prompts, (1, 2, 3))]
        self.assertEqual(together, alone)

    def test_int8_is_close_to_float(self):
        flat = random_params()
        rows = [(np.random.default_rng(0).integers(0, 320, 60).tolist(), [0] + [1] * 59)]
        a, b = generate.Net(SHAPE, flat).nats(rows), generate.Net(SHAPE, flat, True).nats(rows)
        self.assertNotEqual(a, b)
        self.assertLess(abs(a / b - 1), 0.01)


@unittest.skipUnless(HAVE_CC and HAVE_SPM, "needs a C compiler and python3-sentencepiece")
class Whole(unittest.TestCase):
    """A training that is killed and resumed, and its release"""

    TINY = ["--dim", "64", "--layers", "2", "--heads", "2", "--hidden", "96", "--pieces", "320",
            "--context", "128", "--batch", "2000", "--warmup", "5", "--every", "10",
            "--tokens", "120000", "--decay", "60000", "--engine", "fast", "--threads", "1"]

    @classmethod
    def setUpClass(cls):
        cls.stories = os.path.join(WORK, "tiny.txt")
        write_corpus(cls.stories)

    def start(self, run, *more):
        command = [sys.executable, os.path.join(RECIPE, "train.py"), self.stories, "--run", run]
        return subprocess.Popen(command + self.TINY + list(more), stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)

    def log(self, run):
        with open(os.path.join(run, "log.csv"), encoding="utf-8") as f:
            rows = [line.split(",") for line in f.read().splitlines()[1:]]
        return {int(r[0]): float(r[6]) for r in rows}

    def test_killed_and_resumed(self):
        one, two = os.path.join(WORK, "one"), os.path.join(WORK, "two")
        p = self.start(one)
        out, err = p.communicate(timeout=240)
        self.assertEqual((p.returncode, err), (0, ""))
        p = self.start(two)
        deadline = time.monotonic() + 120
        checkpoint = os.path.join(two, "checkpoint.npz")
        while not os.path.exists(checkpoint) and time.monotonic() < deadline:
            time.sleep(0.02)
        p.send_signal(signal.SIGKILL)
        p.communicate()
        p = self.start(two)
        self.assertRegex(p.communicate()[1], "^recipe: .*use --resume.*\n$")
        p = self.start(two, "--resume")
        out, err = p.communicate(timeout=240)
        self.assertEqual((p.returncode, err), (0, ""))
        a, b = self.log(one), self.log(two)
        self.assertEqual(max(a), max(b))
        self.assertLess(a[max(a)], 0.7 * a[min(a)])  # the loss falls
        for step in set(a) & set(b):
            self.assertAlmostEqual(a[step], b[step], delta=0.02 * a[step], msg=str(step))
        self.release(two)

    def release(self, run):
        out = os.path.join(WORK, "out")
        r = subprocess.run([sys.executable, os.path.join(RECIPE, "release.py"), self.stories,
                            "--run", run, "--out", out], capture_output=True, text=True)
        self.assertEqual((r.returncode, r.stderr), (0, ""))
        have_files = set(os.listdir(out))
        for tail in ("-q8_0.gguf", "-f32.gguf", ".bin", "-q80.bin", ".tok.bin", ".json",
                     ".log.csv", ".svg"):
            self.assertIn("storyteller" + tail, have_files)
        text = open(os.path.join(out, "README.md"), encoding="utf-8").read()
        self.assertNotRegex(text, "@[A-Z]+@")
        meta, _ = read_gguf(os.path.join(out, "storyteller-q8_0.gguf"))
        with open(os.path.join(out, "storyteller.json"), encoding="utf-8") as f:
            figures = json.load(f)["figures"]
        self.assertAlmostEqual(meta["duotale.bits_per_byte"], figures["float"], places=5)

    def test_tokenizer_agrees_with_sentencepiece(self):
        import sentencepiece as spm
        prefix = os.path.join(WORK, "agree")
        stories = tiny_stories(200, 1)
        tokenizer.train(stories, 320, prefix)
        sp = spm.SentencePieceProcessor(model_file=prefix + ".model")
        tok = tokenizer.Tokenizer.load(prefix + ".model")
        odd = ["", " two  spaces ", "tab\tand\r\n", "caf\u00e9 \u201cquoted\u201d \U0001F438",
               "1234 5", "a\n\nb"]
        for s in stories[:50] + odd[1:]:
            self.assertEqual(tok.encode(s), sp.encode(s), repr(s))
            self.assertEqual(tok.decode(tok.encode(s)), " " + s)
            # llama2.c merges greedily over the whole text, not word by word
            whole = tok.merge("\u2581" + s.replace(" ", "\u2581"))
            self.assertEqual(whole, tok.encode(s), repr(s))

    def test_bad_input_is_one_line(self):
        def fails(*args, **more):
            r = subprocess.run([sys.executable, os.path.join(RECIPE, "train.py"), *args],
                               capture_output=True, text=True, **more)
            self.assertEqual(r.returncode, 1, args)
            self.assertRegex(r.stderr, r"^recipe: [^\n]+\n$", args)
            return r.stderr
        run = ["--run", os.path.join(WORK, "bad")]
        self.assertIn("no-such", fails(os.path.join(WORK, "no-such"), *run))
        self.assertIn("multiple of 32", fails(self.stories, *run, "--dim", "100"))
        self.assertIn("head size", fails(self.stories, *run, "--heads", "4"))
        empty = os.path.join(WORK, "empty.txt")
        open(empty, "w").close()
        self.assertIn("at least 20", fails(empty, *run))
        if HAVE_TORCH:
            self.assertIn("CUDA", fails(self.stories, *run, *self.TINY, "--engine", "cuda"))
        else:
            self.assertIn("python3-torch",
                          fails(self.stories, *run, *self.TINY, "--engine", "torch"))
        size = (300000, 300000)
        limit = dict(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, size))
        full = ["--run", os.path.join(WORK, "full-run")]
        self.assertIn("free some space", fails(self.stories, *full, *self.TINY, **limit))

    @unittest.skipUnless(HAVE_TORCH, "python3-torch is not installed")
    def test_torch_engine(self):
        run = os.path.join(WORK, "torch")
        p = self.start(run, "--engine", "torch", "--tokens", "40000", "--decay", "20000")
        out, err = p.communicate(timeout=240)
        self.assertEqual((p.returncode, err), (0, ""), out)
        log = self.log(run)
        self.assertLess(log[max(log)], 0.9 * log[min(log)])


if __name__ == "__main__":
    try:
        unittest.main(verbosity=2)
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
