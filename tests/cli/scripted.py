# SPDX-License-Identifier: MIT
"""A chat model that says what a test wants: a Hugging Face folder whose next token depends on the
last one only, so that greedy output is a chain of tokens, each of which occurs once in it."""
import json
import struct

from hf_files import write_safetensors

DIM = 256
CONTROL = ("<s>", "<|user|>", "<|assistant|>", "<|end|>")


def _spell(text):
    """A text as byte-level BPE writes it."""
    return text.replace(" ", "Ġ").replace("\n", "Ċ")


class Scripted:
    """The folder `path`; `chains`: lists of pieces, each followed by the next one; `template`: of
    the chat; `markers`: pieces that are tokens of their own, not special ones; `special`: special
    ones besides CONTROL; `layers`: with several, each tensor has a file of its own. Pieces that no
    chain has are followed by <|end|>."""

    def __init__(self, path, chains, template, markers=(), special=(), context=512, layers=1):
        added = list(CONTROL) + list(special) + list(markers)
        words = [chr(c) for c in range(33, 127)] + ["Ġ", "Ċ"]
        for chain in chains:
            words += [_spell(p) for p in chain if p not in added and _spell(p) not in words]
        self.vocab = {word: i for i, word in enumerate(words)}
        self.vocab.update({text: len(words) + i for i, text in enumerate(added)})
        assert len(self.vocab) <= DIM
        path.mkdir()
        self.path = path
        (path / "tokenizer.json").write_text(json.dumps({
            "model": {"type": "BPE", "merges": [], "ignore_merges": True,
                      "vocab": {word: self.vocab[word] for word in words}},
            "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True},
            "decoder": {"type": "ByteLevel"},
            "added_tokens": [{"id": self.vocab[text], "content": text,
                              "special": text not in markers} for text in added]}))
        (path / "tokenizer_config.json").write_text(json.dumps(
            {"bos_token": "<s>", "eos_token": "<|end|>", "chat_template": template}))
        (path / "config.json").write_text(json.dumps(
            {"model_type": "llama", "hidden_size": DIM, "intermediate_size": 32,
             "num_hidden_layers": layers, "num_attention_heads": 4, "num_key_value_heads": 4,
             "vocab_size": DIM, "max_position_embeddings": context, "rms_norm_eps": 1e-5,
             "rope_theta": 10000.0, "tie_word_embeddings": False, "hidden_act": "silu",
             "bos_token_id": self.vocab["<s>"], "eos_token_id": self.vocab["<|end|>"]}))
        self._weights(chains, layers)

    def id(self, piece):
        return self.vocab[piece if piece in self.vocab else _spell(piece)]

    def _weights(self, chains, layers):
        after = [self.id("<|end|>")] * DIM
        for chain in chains:
            for piece, following in zip(chain, chain[1:]):
                after[self.id(piece)] = self.id(following)
        embedding, classifier = [0.0] * (DIM * DIM), [0.0] * (DIM * DIM)
        for token in range(DIM):
            embedding[token * DIM + token] = 1.0
            classifier[after[token] * DIM + token] = 1.0
        square, wide = [0.0] * (DIM * DIM), [0.0] * (32 * DIM)  # the layer changes nothing
        ones = [1.0] * DIM
        tensors = [("lm_head.weight", [DIM, DIM], classifier), ("model.norm.weight", [DIM], ones)]
        for layer in (f"model.layers.{i}." for i in range(layers)):
            tensors += [
                (layer + "input_layernorm.weight", [DIM], ones),
                (layer + "post_attention_layernorm.weight", [DIM], ones),
                *[(f"{layer}self_attn.{name}_proj.weight", [DIM, DIM], square) for name in "qkvo"],
                *[(f"{layer}mlp.{name}_proj.weight", [32, DIM], wide) for name in ("gate", "up")],
                (layer + "mlp.down_proj.weight", [DIM, 32], wide)]
        tensors.append(("model.embed_tokens.weight", [DIM, DIM], embedding))
        for i, part in enumerate([tensors] if layers == 1 else [[t] for t in tensors]):
            name = "model" if layers == 1 else f"model-{i + 1:05}-of-{len(tensors):05}"
            write_safetensors(self.path / f"{name}.safetensors",
                              {tensor: (shape, struct.pack(f"<{len(values)}f", *values))
                               for tensor, shape, values in part})


# A template that keeps thoughts, one that drops them (as Qwen3 and DeepSeek-R1 do) and understands
# enable_thinking, and one that opens the thought itself (as later ones of DeepSeek do).
KEEPS = ("{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}<|assistant|>"
         "{{ m.content }}<|end|>{% else %}<|user|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
         "<|assistant|>")
DROPS = KEEPS.replace("{{ m.content }}<|end|>{% else %}",
                      "{{ m.content.split('</think>')[-1].lstrip('\\n') }}<|end|>{% else %}")
SWITCHES = (DROPS + "{% if enable_thinking is defined and enable_thinking is false %}"
            "<think>\n\n</think>\n\n{% endif %}")
OPENS = DROPS + "{{ '<think>\\n' }}"

# <|assistant|> begins a thought and an answer.
THOUGHT = ["<|assistant|>", "<think>", "\n", "Hm", " maybe", " so", "</think>", "\n\n", "Yes",
           " it", " is", "<|end|>"]
MARKERS = ("<think>", "</think>")
