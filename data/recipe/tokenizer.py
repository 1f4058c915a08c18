# SPDX-License-Identifier: MIT
"""The tokenizer: trained with SentencePiece, used through the encoder below.

The encoder merges the pair with the best score first, as the program does, so that training and
generation use the same tokens.
"""
import os
import struct

from corpus import stop

NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6  # token types of GGUF


def train(stories, pieces, prefix):
    """Writes prefix.model. The same stories give the same file."""
    try:
        import sentencepiece as spm
    except ImportError:
        stop("python3-sentencepiece is not installed; install it to train the tokenizer")
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
    """Pieces, scores and types as in the file; encodes and decodes."""

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
        scores = [0.0 if types[i] != NORMAL else sp.get_score(i) for i in range(n)]
        return cls(pieces, scores, types)

    @classmethod
    def load_llama2c(cls, path):
        """Reads llama2.c's tokenizer.bin, which has pieces and scores of a Llama vocabulary."""
        pieces, scores = [], []
        with open(path, "rb") as f:
            f.read(4)  # length of the longest piece
            while head := f.read(8):
                score, n = struct.unpack("<fI", head)
                pieces.append(f.read(n).decode().replace(" ", "\u2581"))
                scores.append(score)
        pieces[:3] = ["<unk>", "<s>", "</s>"]
        types = [UNKNOWN, CONTROL, CONTROL] + [BYTE] * 256 + [NORMAL] * (len(pieces) - 259)
        return cls(pieces, scores, types)

    def merge(self, text):
        """-> tokens of one text, in which spaces are U+2581"""
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
        """-> tokens of a text, with the leading space that the program adds"""
        out = []
        # No piece has a space after a letter, so words are merged one by one and cached.
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
        """Writes llama2.c's tokenizer.bin."""
        rows = []
        for p, s, t in zip(self.pieces, self.scores, self.types):
            text = {"<s>": "\n<s>\n", "</s>": "\n</s>\n"}.get(p, p) if t == CONTROL else p
            rows.append((text.replace("\u2581", " ").encode(), s))
        with open(path, "wb") as f:
            f.write(struct.pack("<I", max(len(t) for t, _ in rows)))
            for t, s in rows:
                f.write(struct.pack("<fI", s, len(t)) + t)
