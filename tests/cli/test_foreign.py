#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Files and folders that are no model duotale reads are named for what they are, with what to do,
by every verb that opens a model and by a session."""
import gzip
import io
import pathlib
import tarfile
import zipfile

import odd
from common import done, expect, folder, run

HTML = b"<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not found</body></html>\n"
LFS = (b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64
       + b"\nsize 1234567\n")


def archive(kind):
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as z:
            z.writestr("archive/data.pkl", b"\x80\x02}q\x00." * 50)
    else:
        with tarfile.open(fileobj=out, mode="w") as t:
            entry = tarfile.TarInfo("model/config.json")
            entry.size = 2
            t.addfile(entry, io.BytesIO(b"{}"))
    return out.getvalue()


def onnx():
    """An ONNX model begins with its version and the name of the program that wrote it."""
    return bytes([8, 8, 0x12, 7]) + b"pytorch" + bytes([0x1a, 5]) + b"2.1.0" + bytes(100)


def files():
    """name -> (bytes, what the message says)."""
    body = bytes(range(256)) * 8
    return {
        "pointer.gguf": (LFS, "Git LFS pointer"),
        "page.gguf": (HTML, "web page"),
        "page-upper.bin": (HTML.upper(), "web page"),
        "weights.pth": (archive("zip"), "zip archive"),
        "pytorch_model.bin": (archive("zip"), "zip archive"),
        "model.gguf.gz": (gzip.compress(body), "gzip"),
        "model.zst": (b"\x28\xb5\x2f\xfd" + body, "zstd"),
        "model.tar": (archive("tar"), "tar archive"),
        "ggml.bin": (b"lmgg" + body, "ggml"),
        "ggmf.bin": (b"fmgg\1\0\0\0" + body, "ggmf"),
        "ggjt.bin": (b"tjgg\3\0\0\0" + body, "ggjt"),
        "lora.bin": (b"algg\1\0\0\0" + body, "LoRA"),
        "model.onnx": (onnx(), "ONNX"),
        "old.pt": (b"\x80\x02\x8a\x0a" + b"l\xfc\x9cF\xf9 j\xa8P\x19." + body, "pickle"),
        "plain.pkl": (b"\x80\x04\x95" + body, "pickle"),
        "model.pdf": (b"%PDF-1.7\n" + body, "PDF"),
    }


def folders(here):
    """path -> what the message says."""
    rows = {}
    for method in ("gptq", "awq", "bitsandbytes"):
        model = odd.Folder()
        model.config["quantization_config"] = {"quant_method": method, "bits": 4}
        rows[model.write(here / method)] = f"quantised with {method}"
    pickles = odd.Folder().write(here / "pickles", weights_too=False)
    (pickles / "pytorch_model.bin").write_bytes(archive("zip"))
    rows[pickles] = "PyTorch pickles"
    lora = here / "adapter"
    lora.mkdir()
    (lora / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (lora / "adapter_model.safetensors").write_bytes(bytes(64))
    rows[lora] = "LoRA adapter"
    pointers = odd.Folder().write(here / "pointers")
    (pointers / "model.safetensors").write_bytes(LFS)
    rows[pointers] = "Git LFS pointer"
    rows[odd.Gguf().set("general.type", "str", "adapter").write(here / "lora.gguf")] = "LoRA"
    rows[odd.Gguf("clip").write(here / "mmproj.gguf")] = "mmproj"
    rows[odd.Gguf().set("general.type", "str", "mmproj").write(here / "mm.gguf")] = "mmproj"
    rows[odd.Gguf().set("general.type", "str", "imatrix").write(here / "i.gguf")] = "importance"
    return rows


def check(what, result, says, name, verb):
    lines = result.stderr.decode(errors="replace").strip().split("\n")
    good = result.returncode == 3 and len(lines) == 1 and says in lines[0] and name in lines[0]
    good = good and ("; " in lines[0])  # what to do
    if verb != "inspect":
        good = good and not result.stdout
    expect(what, good, f"exit code {result.returncode}: {lines} {result.stdout[:200]!r}")


def main():
    with folder() as spot:
        here = pathlib.Path(spot)
        rows = {}
        for name, (content, says) in files().items():
            (here / name).write_bytes(content)
            rows[here / name] = says
        rows.update(folders(here))
        out = here / "out.gguf"
        for path, says in rows.items():
            ways = {
                "run": ("run", path, "-n", "1", "-q"),
                "session": (path, "--library", here / "library.db"),
                "convert": ("convert", path, "-o", out),
                "inspect": ("inspect", path),
                "tokenize": ("tokenize", path, "a"),
                "eval": ("eval", path, here / "page.gguf"),
            }
            # a vocabulary is there, whatever the weights are
            for verb, arguments in ways.items():
                usable = verb == "tokenize" and (
                    path.is_dir() and (path / "tokenizer.json").exists()
                    or path.suffix == ".gguf" and says in ("LoRA", "mmproj", "importance"))
                result = run(*arguments, text=b"/quit\n" if verb == "session" else None)
                if usable:
                    expect(f"{path.name}: tokenize", result.returncode == 0, result.stderr)
                else:
                    check(f"{path.name}: {verb}", result, says, path.name, verb)
        expect("nothing was converted", not out.exists())
    done()


if __name__ == "__main__":
    main()
