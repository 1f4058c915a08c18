# SPDX-License-Identifier: MIT
"""Parts of Hugging Face folders, for tests."""
import json
import pathlib
import struct


def byte_characters():
    """GPT-2's character of each byte, as byte-level vocabularies have them."""
    same = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = iter(range(256, 512))
    return [chr(b) if b in same else chr(next(other)) for b in range(256)]


def write_safetensors(path, tensors, **metadata):
    """A file of F32 tensors; `tensors`: the shape and the bytes of each, by name."""
    header = {"__metadata__": metadata} if metadata else {}
    at = 0
    for name, (shape, block) in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [at, at + len(block)]}
        at += len(block)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(pathlib.Path(path), "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        out.writelines(block for _, block in tensors.values())
