# SPDX-License-Identifier: MIT
"""The tokenizer: trained with SentencePiece, then used through a small encoder of our own that
does what the program does (greedy merging of the best-scored pair), so that training and telling
see the same tokens."""
import os
import struct

from corpus import stop

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # token types of GGUF


def train(stories, pieces, prefix):
    """Writes prefix.model; deterministic for the same stories."""
    try:
        import sentencepiece as spm
    except ImportError:
        stop("python3-sentencepiece is needed to train the tokenizer; install it")
    text = prefix + ".txt"
    with open(text, "w", encoding="utf-8") as f:
        f.write("\n".join(stories))
    spm.SentencePieceTrainer.train(
        input=text, model_prefix=prefix, vocab_size=pieces, model_type="bpe", byte_fallback=True,
        character_coverage=1.0, split_digits=True, allow_whitespace_only_pieces=True,
        normalization_rule_name="identity", remove_extra_whitespaces=False, add_dummy_prefix=True,
        max_sentence_length=16384, num_threads=2, minloglevel=2)
    os.remove(text)
    os.remove(prefix + ".vocab")


class Tokenizer:
    """Pieces, scores and types as in the file, and both directions."""

    def __init__(self, pieces, scores, types):
        self.pieces, self.scores, self.types = pieces, scores, types
        self.ids = {p: i for i, p in enumerate(pieces) if types[i] == NORMAL}
        self.cache = {}

    @classmethod
    def load(cls, path):
        import sentencepiece as spm
        sp = spm.SentencePieceProcessor(model_file=path)
        n = sp.vocab_size()
        types = [UNKNOWN if sp.is_unknown(i) else CONTROL if sp.is_control(i) else
                 BYTE if sp.is_byte(i) else NORMAL for i in range(n)]
        pieces = [sp.id_to_piece(i) for i in range(n)]
        return cls(pieces, [0.0 if types[i] != NORMAL else sp.get_score(i) for i in range(n)], types)

    @classmethod
    def load_llama2c(cls, path):
        """llama2.c's tokenizer.bin: the pieces of SentencePiece models of Llama's kind, without their types"""
        pieces, scores = [], []
        with open(path, "rb") as f:
            f.read(4)  # the longest piece
            while head := f.read(8):
                score, n = struct.unpack("<fI", head)
                pieces.append(f.read(n).decode().replace(" ", "\u2581"))
                scores.append(score)
        pieces[:3] = ["<unk>", "<s>", "</s>"]
        types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * (len(pieces) - 259)
        return cls(pieces, scores, types)

    def merge(self, text):
        """Tokens of one run of text, spaces already written as U+2581."""
        parts = [c for c in text]
        while True:
            best, at = None, -1
            for i in range(len(parts) - 1):
                k = self.ids.get(parts[i] + parts[i + 1])
                if k is not None and (best is None or self.scores[k] > best):
                    best, at = self.scores[k], i
            if best is None:
                break
            parts[at:at + 2] = [parts[at] + parts[at + 1]]
        out = []
        for p in parts:
            k = self.ids.get(p)
            out += [k] if k is not None else [3 + b for b in p.encode()]
        return out

    def encode(self, text):
        """Tokens of a text, with the leading space that the program also puts before it."""
        out = []
        # No piece crosses from a letter into a space: words can be merged one by one, and kept.
        text = "\u2581" + text.replace(" ", "\u2581")
        start = 0
        for i in range(1, len(text) + 1):
            if i == len(text) or (text[i] == "\u2581" and text[i - 1] != "\u2581"):
                word = text[start:i]
                if word not in self.cache:
                    self.cache[word] = self.merge(word)
                out += self.cache[word]
                start = i
        return out

    def decode(self, ids):
        out = b""
        for i in ids:
            if self.types[i] == BYTE:
                out += bytes([int(self.pieces[i][3:5], 16)])
            elif self.types[i] == NORMAL:
                out += self.pieces[i].replace("\u2581", " ").encode()
        return out.decode("utf-8", "replace")

    def write_llama2c(self, path):
        """llama2.c's tokenizer.bin"""
        rows = []
        for p, s, t in zip(self.pieces, self.scores, self.types):
            text = {"<s>": "\n<s>\n", "</s>": "\n</s>\n"}.get(p, p) if t == CONTROL else p
            rows.append((text.replace("\u2581", " ").encode(), s))
        with open(path, "wb") as f:
            f.write(struct.pack("<I", max(len(t) for t, _ in rows)))
            for t, s in rows:
                f.write(struct.pack("<fI", s, len(t)) + t)
