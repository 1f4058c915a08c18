#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The mode that a session begins in: chat with a model made for dialogues, else story."""
import json
import pathlib

from common import DATA, done, expect, expect_run, folder, run
from scripted import DROPS, KEEPS, MARKERS, THOUGHT, Scripted

ANSWER = b"Yes it is"
OTHER = DROPS.replace("<|end|>", "<|fin|>")  # its turns do not end with the model's end token


def session(here, path, *arguments):
    return run(path, "-t", "0", *arguments, text=b"Hello\n", env={"HOME": str(here)})


def chats(here, what, path, reason, *arguments):
    result = session(here, path, *arguments)
    expect(f"{what}: it answers", ANSWER in result.stdout, result)
    expect(f"{what}: a line says why, and how to change it",
           result.stderr.count(b"Chat mode: the model is for dialogues (") == 1
           and reason in result.stderr and b"/set mode story" in result.stderr, result)


def continues(here, what, path, reason):
    result = session(here, path)
    expect(f"{what}: it continues the text", ANSWER not in result.stdout
           and result.stdout.startswith(b"Hello"), result)
    expect(f"{what}: a line says why, and how to change it",
           result.stderr.count(b"Story mode: the model continues texts (") == 1
           and reason in result.stderr and b"/set mode chat" in result.stderr, result)


def inspected(path):
    return json.loads(run("inspect", path, "--json").stdout)


def main():
    with folder() as name:
        here = pathlib.Path(name)

        def make(folder_name, template):
            return Scripted(here / folder_name, [THOUGHT], template, markers=MARKERS)

        ends = make("toy", DROPS)
        base = make("Toy-0.5B-Base", DROPS)
        named = make("toy-it", OTHER)
        plain = make("other", OTHER)
        ernie, ernie_base = make("Toy-4.5-PT", OTHER), make("Toy-4.5-Base-PT", OTHER)
        for model in (ernie, ernie_base):
            config = json.loads((model.path / "config.json").read_text())
            config["model_type"] = "ernie4_5"
            (model.path / "config.json").write_text(json.dumps(config))
        variable = make("variable", DROPS.replace("<|end|>", "{{ eos_token }}"))
        chats(here, "its end ends turns", ends.path, b"its end token <|end|> ends the turns")
        chats(here, "its template's end is eos_token", variable.path, b"its end token <|end|>")
        chats(here, "its name", named.path, b'its name says "it"')
        chats(here, "its architecture", ernie.path, b"a model of the architecture ernie4_5")
        continues(here, "a base model of that architecture", ernie_base.path,
                  b'its name says "Base"')
        continues(here, "a base model with a template", base.path, b'its name says "Base"')
        continues(here, "an end that its turns do not have", plain.path,
                  b"its end token <|end|> is not that of its chat template")
        # the user decides, without a line
        for mode, good in (("story", False), ("chat", True)):
            for model in (ends, base):
                result = session(here, model.path, "-m", mode)
                expect(f"-m {mode}", (ANSWER in result.stdout) == good
                       and b"mode: the model" not in result.stderr, result)
        # a template that cannot be run: its family, or a story
        broken = make("broken-chat", "{% if %}")
        result = session(here, broken.path)
        expect_run("it is said", result, 0, stderr=b"chat template cannot be run")
        expect("a template that cannot be run", ANSWER not in result.stdout
               and b"Story mode: the model continues texts (its chat template cannot be run)"
               in result.stderr, result)
        # files
        for model, chat in ((ends, True), (base, False), (named, True), (plain, False),
                            (ernie, True), (ernie_base, False)):
            out = here / "out.gguf"
            expect_run("convert", run("convert", model.path, "-o", out, "-q"), 0)
            facts, of_folder = inspected(out), inspected(model.path)
            expect(f"{model.path.name}: a converted file keeps it",
                   facts["for_dialogues"] is chat and of_folder["for_dialogues"] is chat,
                   (facts["for_dialogues_reason"], of_folder["for_dialogues_reason"]))
            result = session(here, out)
            expect(f"{model.path.name}: and opens in it", (ANSWER in result.stdout) == chat, result)
            out.unlink()
        # the storyteller and llama2.c's files write stories, and no line is needed
        result = run("-n", "5", "-t", "0", text=b"Once upon\n", env={"HOME": str(here)})
        expect("the default model writes stories", b"mode:" not in result.stderr
               and result.stdout.startswith(b"Once upon"), result)
        # run continues a text unless -m chat is given, and says so once
        result = run("run", ends.path, "-n", "20", "-i", "Hello")
        expect("run names -m chat", result.stderr.count(b"-m chat talks to it") == 1
               and result.stdout.startswith(b"Hello"), result)
        for arguments in (("-m", "story"), ("-m", "chat"), ("-q",)):
            result = run("run", ends.path, "-n", "2", "-i", "Hello", *arguments)
            expect(f"not with {arguments}", b"-m chat talks" not in result.stderr, result)
        result = run("run", base.path, "-n", "2", "-i", "Hello")
        expect("nor for a base model", b"-m chat talks" not in result.stderr, result)
        result = run("run", DATA / "storyteller-q8_0.gguf", "-n", "2", "-i", "Hello")
        expect("nor for the storyteller", b"-m chat talks" not in result.stderr, result)
    return done()


if __name__ == "__main__":
    raise SystemExit(main())
