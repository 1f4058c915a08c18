#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Models that think before they answer: what `run` prints, what a chat evaluates, stop texts of a
chat, and what a session in a pipe prints, saves and exports."""
import json
import pathlib
import sqlite3

from common import SHARED, done, expect, expect_run, folder, run
from scripted import DROPS, KEEPS, MARKERS, OPENS, SWITCHES, THOUGHT, Scripted

THINKS = b"<think>\nHm maybe so</think>\n\nYes it is\n"
ANSWER = b"Yes it is\n"
# the same with markers of several ordinary tokens, and of control tokens
SPLIT = ["<|assistant|>", "<th", "ink>", "\n", "Hm", " maybe", " so", "</", "thi", "nk>", "\n\n",
         "Yes", " it", " is", "<|end|>"]
BRACKETS = ["<|assistant|>", "[THINK]", "Hm", " maybe", " so", "[/THINK]", "Yes", " it", " is",
            "<|end|>"]
# more than eight tokens of a thought
WORDS = ["One", " two", " three", " four", " five", " six", " seven", " eight", " nine", " ten"]
LONG = ["<|assistant|>", "<think>", "\n", *WORDS, "</think>", "\n\n", "Yes", " it", " is",
        "<|end|>"]
ENDLESS = ["<|assistant|>", "<think>", "\n", "Hm", " maybe", " so", "<|end|>"]


def chat(model, *arguments, text=b"Hello\n"):
    return run("run", model.path, "-m", "chat", "-t", "0", "-q", *arguments, text=text)


def figures(result):
    return json.loads(result.stdout.decode().strip().split("\n")[-1])


def make(here):
    models = {name: Scripted(here / name, [THOUGHT], template, markers=MARKERS)
              for name, template in (("keeps", KEEPS), ("drops", DROPS), ("switches", SWITCHES),
                                     ("opens", OPENS))}
    models["split"] = Scripted(here / "split", [SPLIT], DROPS)
    models["control"] = Scripted(here / "control", [BRACKETS], KEEPS,
                                 special=("[THINK]", "[/THINK]"))
    models["long drops"] = Scripted(here / "long drops", [LONG], DROPS, markers=MARKERS)
    models["long opens"] = Scripted(here / "long opens", [LONG], OPENS, markers=MARKERS)
    models["endless"] = Scripted(here / "endless", [ENDLESS], DROPS, markers=MARKERS)
    return models


def shown(models):
    for name in ("keeps", "drops", "switches", "opens", "split"):
        model = models[name]
        expect_run(f"{name}: a pipe has the answer only", chat(model), 0)
        expect(f"{name}: auto is hide", chat(model).stdout == ANSWER, chat(model))
        expect(f"{name}: hide", chat(model, "--thinking", "hide").stdout == ANSWER, chat(model))
        result = chat(model, "--thinking", "show")
        expect(f"{name}: show has the markers", result.stdout == THINKS, result)
        result = chat(model, "--thinking", "off")
        expect(f"{name}: off", result.stdout == ANSWER, result)
        rows = [json.loads(line) for line in
                chat(model, "--thinking", "off", "--json").stdout.decode().strip().split("\n")]
        expect(f"{name}: off generates no thoughts", rows[-1]["thought_tokens"] == 0
               and rows[-1]["tokens"] == 3, rows[-1])
    result = chat(models["control"], "--thinking", "show")
    expect("markers that are control tokens",
           result.stdout == b"[THINK]Hm maybe so[/THINK]Yes it is\n", result)
    expect("and hidden", chat(models["control"]).stdout == ANSWER, result)
    expect("and off", chat(models["control"], "--thinking", "off").stdout == b"\n",
           chat(models["control"], "--thinking", "off"))  # no chain follows its empty thought
    expect_run("a wrong word", chat(models["keeps"], "--thinking", "loud"), 2,
               stderr=b"--thinking must be one of: auto show hide off")


def as_json(models):
    for how, thought in (("hide", ""), ("show", "Hm maybe so")):
        result = chat(models["opens"], "--thinking", how, "--json")
        rows = [json.loads(line) for line in result.stdout.decode().strip().split("\n")]
        expect(f"{how}: JSON has the answer",
               "".join(row["text"] for row in rows[:-1]) == ANSWER.decode().strip(), rows)
        expect(f"{how}: JSON and thoughts",
               "".join(row.get("thought", "") for row in rows[:-1]) == thought, rows)
        expect(f"{how}: the figures count the tokens of thoughts",
               rows[-1]["thought_tokens"] == 4 and rows[-1]["tokens"] == 8, rows[-1])
    result = chat(models["drops"], "--ids")
    expect("ids are those of all tokens",
           result.stdout.split() == [b"%d" % models["drops"].id(p) for p in THOUGHT[1:-1]], result)
    result = run("run", models["drops"].path, "-m", "chat", "-t", "0", text=b"Hi\n")
    expect("stderr counts them too", b"10 tokens (6 of them thoughts)" in result.stderr, result)


def only_in_a_chat(models):
    result = run("run", models["keeps"].path, "-t", "0", "-q", "--special", "-i", "<|assistant|>")
    expect("a text that is no chat stays as it is", THINKS.strip() in result.stdout, result)


def endless(models):
    """A thought that has no end: the end token comes first, or the limit does."""
    model = models["endless"]
    result = run("run", model.path, "-m", "chat", "-t", "0", text=b"Hi\n")
    expect("a thought without an end: no answer, and a line says why",
           result.stdout == b"\n" and b"ended inside a thought" in result.stderr
           and b"--thinking show" in result.stderr, result)
    result = chat(model, "--thinking", "show", text=b"Hi\nHo\n")
    expect("it is shown, and the chat goes on",
           result.stdout == b"<think>\nHm maybe so\n<think>\nHm maybe so\n", result)
    result = run("run", models["drops"].path, "-m", "chat", "-t", "0", "-n", "9", text=b"Hi\n")
    expect("cut inside a thought", result.stdout == b"\n" and b"inside a thought" in result.stderr
           and result.returncode == 0, result)
    result = run("run", model.path, "-m", "chat", "-t", "0", "--chat-template", "chatml", "-q",
                 "--thinking", "show", text=b"Hi\n")
    expect("built-in turns run too", result.returncode == 0, result)


def fed(models):
    """Which tokens of a second message are evaluated: those behind what the renderings share."""
    first = 6   # <s> <|user|> H i <|end|> <|assistant|>
    for name, opened, whole in (("keeps", 0, False), ("drops", 0, True), ("switches", 0, True),
                                ("opens", 2, True)):
        one = figures(chat(models[name], "--json", text=b"Hi\n"))
        expect(f"{name}: the first message", one["prompt_tokens"] == first + opened, one)
        two = figures(chat(models[name], "--json", text=b"Hi\nHo\n"))
        # <|user|> H o <|end|> <|assistant|>; where thoughts are dropped the answer comes before it
        more = 5 + opened + (4 if whole else 0)
        expect(f"{name}: the second message", two["prompt_tokens"] - one["prompt_tokens"] == more,
               (one["prompt_tokens"], two["prompt_tokens"]))
        expect(f"{name}: the context holds the new rendering",
               two["context_used"] == (first + 10 + 1 if not whole else first + 4) + 5 + opened
               + (8 if opened else 10), two)
    # off: the template renders the answer as it was, so that only the difference is new
    off = [figures(chat(models["switches"], "--json", "--thinking", "off", text=text))
           for text in (b"Hi\n", b"Hi\nHo\n")]
    expect("off: the empty thought is not part of the dialogue",
           off[1]["prompt_tokens"] - off[0]["prompt_tokens"] == 4 + 5 + 4, off)


def stop_texts(models):
    """In a chat the message after a stop text is answered, and the text is not in the context."""
    expected = b"Yes it\n"
    args = ("--thinking", "hide", "--stop-text", " is")
    one = chat(models["drops"], *args, text=b"Hi\n")
    expect("a stop text in a chat", one.stdout == expected, one)
    two = chat(models["drops"], *args, text=b"Hi\nHo\n")
    expect("the next message is answered", two.stdout == 2 * expected and two.returncode == 0, two)
    last = figures(chat(models["drops"], *args, "--json", text=b"Hi\nHo\n"))
    expect("the text is not in the context",
           last["stop"] == "stop-text" and last["context_used"] == 6 + 3 + 5 + 9, last)
    split = chat(models["drops"], "--stop-text", "it i", "--stop-text", "no")
    expect("over tokens", split.stdout == b"Yes \n", split)
    inside = chat(models["drops"], "--thinking", "show", "--stop-text", "maybe")
    expect("in a thought", inside.stdout == b"<think>\nHm \n", inside)
    end = chat(models["drops"], "--stop-text", "is not", "--json")
    text = "".join(json.loads(line).get("text", "") for line in end.stdout.decode().split("\n")
                   if line)
    expect("what looked like a stop text is printed at the end", text == "Yes it is", end)


def built_in(here):
    """Built-in turns: an empty thought, stop texts, and a thought without an end."""
    def make_model(name, chain):
        return Scripted(here / name, [chain + ["<|im_end|>"]], KEEPS, markers=MARKERS,
                        special=("<|im_start|>", "<|im_end|>"))

    def used(model, *arguments):
        return figures(chat(model, *arguments, "--json", text=b"Hi\nHo\n"))["context_used"]

    model = make_model("built-in", ["\n\n", "Yes", " it", " is"])
    off = ("--chat-template", "chatml", "--thinking", "off")
    result = chat(model, *off, text=b"Hi\nHo\n")
    expect("built-in turns without thoughts", result.stdout == 2 * ANSWER, result)
    result = chat(model, *off, "--stop-text", " is", text=b"Hi\nHo\n")
    expect("built-in turns and a stop text", result.stdout == 2 * b"Yes it\n", result)
    # " is" of the first answer; that of the second is sampled and not evaluated
    expect("the text is not in their context",
           used(model, *off) - used(model, *off, "--stop-text", " is") == 2)
    result = run(model.path, "-m", "chat", "-t", "0", *off,
                 text=b"/set stop-text it\nHi\nHo\n/set stop-text default\nHe\n",
                 env={"HOME": str(here), "XDG_DATA_HOME": str(here / "built-in-data")})
    expect("built-in turns of a session", result.stdout == 2 * b"Yes \n" + ANSWER, result)
    # <|im_start|>assistant and a newline begin the thought here
    shown = ("--chat-template", "chatml", "--thinking", "show")
    endless = make_model("built-in-endless", ["\n", "<think>", "Hm", " maybe"])
    result = chat(endless, *shown, text=b"Hi\nHo\n")
    expect("a thought without an end in built-in turns",
           result.stdout == 2 * b"<think>Hm maybe\n", result)
    closed = make_model("built-in-closed", ["\n", "<think>", "Hm", " maybe", "</think>"])
    expect("it gets its end before the turn has one",
           used(closed, *shown) == used(endless, *shown))
    result = run(endless.path, "-m", "chat", "-t", "0", *shown, text=b"/set stats off\nHi\nHo\n",
                 env={"HOME": str(here), "XDG_DATA_HOME": str(here / "built-in-data")})
    expect("and in a session", result.stdout == 2 * b"<think>\nHm maybe\n</think>\n\n", result)


def spoken(here, models):
    """A voice of one tone for each word reads the answer only."""
    sound = {}
    for verb in (("run",), ()):
        for name, more in (("off", ("--thinking", "off")), ("show", ("--thinking", "show")),
                           ("hide", ("--thinking", "hide")), ("stop", ("--stop-text", " is"))):
            file = here / f"{name}{len(verb)}.wav"
            result = run(*verb, models["opens"].path, "-m", "chat", "-t", "0", "--voice", "tones",
                         "--speak-to", file, *more, text=b"Hi\n",
                         env={"XDG_DATA_HOME": str(here / "spoken"), "HOME": str(here)})
            if not expect_run(f"{verb} {name}: speech", result, 0):
                return
            sound[name] = file.read_bytes()
        expect(f"{verb}: thoughts are not spoken", sound["off"] == sound["show"] == sound["hide"]
               and len(sound["off"]) > 1000, [len(s) for s in sound.values()])
        expect(f"{verb}: what matched a stop text is not spoken",
               1000 < len(sound["stop"]) < len(sound["off"]), [len(s) for s in sound.values()])


def session(here, models):
    """A session in a pipe: standard output, library, export, another session."""
    home = here / "home"
    home.mkdir()
    env = {"HOME": str(home), "XDG_DATA_HOME": str(home / "data"),
           "XDG_CONFIG_HOME": str(home / "config")}

    def plain(name, *arguments, text=b"Hi"):
        return run(models[name].path, "-m", "chat", "-t", "0", *arguments, text=text, env=env)

    def saved():
        with sqlite3.connect(home / "data/duotale/library.db") as db:
            rows = db.execute("SELECT told, ending FROM turn ORDER BY id").fetchall()
        db.close()
        return rows

    for name in ("drops", "opens"):
        result = plain(name)
        expect(f"{name}: a session in a pipe prints the answer", result.stdout == ANSWER, result)
        expect(f"{name}: its figures count the thoughts", b"of them thoughts)" in result.stderr,
               result)
        expect(f"{name}: the library has all of it", saved()[-1][0].encode() + b"\n" == THINKS,
               saved())
        result = plain(name, "--thinking", "show")
        expect(f"{name}: show", result.stdout == b"<think>\nHm maybe so\n</think>\n\n" + ANSWER,
               result)
        result = plain(name, "--thinking", "off")
        expect(f"{name}: off", result.stdout == ANSWER and b"thoughts)" not in result.stderr,
               result)
        expect(f"{name}: off saves the answer", saved()[-1][0] + "\n" == ANSWER.decode(), saved())
    result = plain("drops", "--stop-text", " is", "--stop-text", "x y")
    expect("a stop text: not printed", result.stdout == b"Yes it\n", result)
    expect("a stop text: not saved", saved()[-1] == ("<think>\nHm maybe so</think>\n\nYes it", 5),
           saved())
    result = plain("drops", text=b"/set stop-text \"zzz\" \"t i\"\nHi\nHo\n/open\n/continue\n")
    expect("/set with several texts, over tokens", saved()[-2:] ==
           [("<think>\nHm maybe so</think>\n\nYes i", 5)] * 2, (saved(), result))
    expect("such a turn has come to its end", b"The story has ended" in result.stderr, result)
    (home / "config/duotale").mkdir(parents=True)
    (home / "config/duotale/config.ini").write_text('stop-text = "it \\"" " is"\n')
    expect("in the settings file", plain("drops").stdout == b"Yes it\n", plain("drops"))
    expect("an option replaces it", plain("drops", "--stop-text", "zzz").stdout == ANSWER)
    (home / "config/duotale/config.ini").unlink()
    env["DUOTALE_STOP_TEXT"] = "it"
    expect("in the environment", plain("drops").stdout == b"Yes \n", plain("drops"))
    env["DUOTALE_STOP_TEXT"] = '"a" b'
    expect_run("a wrong one", plain("drops"), 2, stderr=b"up to 8 in double quotes")
    del env["DUOTALE_STOP_TEXT"]
    export(here, env, plain, saved)


def export(here, env, plain, saved):
    plain("opens", text=b"Hi")
    number = len(saved()) and run("stories", "--json", env=env).stdout
    number = json.loads(number)[0]["id"]
    for ending in (".txt", ".md", ".json"):
        for flag, wanted in (((), False), (("--thoughts",), True)):
            file = here / ("story" + "-thoughts" * wanted + ending)
            run("stories", "export", number, file, *flag, env=env)
            text = file.read_text()
            expect(f"export {ending} {flag}", "Yes it is" in text and ("maybe" in text) == wanted
                   and ("think>" in text) == (wanted and ending != ".json"), text)
    turn = json.loads((here / "story-thoughts.json").read_text())["turns"][0]
    expect("JSON has the thoughts apart",
           turn["thought"] == "Hm maybe so" and turn["told"] == "Yes it is", turn)
    expect("stories show", b"maybe" not in run("stories", "show", number, env=env).stdout)
    expect("stories show --thoughts",
           b"maybe" in run("stories", "show", number, "--thoughts", env=env).stdout)
    a, b = here / "a.txt", here / "b.txt"
    plain("opens", text=f"/open {number}\n/export {a}\n/export --thoughts {number} {b}\n".encode())
    expect("/export", "maybe" not in a.read_text() and "maybe" in b.read_text())


def continued(here, models):
    """Turns that are cut in a thought, continued, undone, generated again and opened."""
    home = here / "continued"
    home.mkdir()
    env = {"HOME": str(home), "XDG_DATA_HOME": str(home / "data"),
           "XDG_CONFIG_HOME": str(home / "config")}

    def saved():
        with sqlite3.connect(home / "data/duotale/library.db") as db:
            rows = [row[0] for row in db.execute("SELECT told FROM turn ORDER BY id")]
        db.close()
        return rows

    whole = "<think>\n" + "".join(WORDS) + "</think>\n\nYes it is"
    for name, before in (("long drops", 2), ("long opens", 0)):
        def plain(*lines, length=1, more=()):
            return run(models[name].path, "-m", "chat", "-t", "0", "-n", length, *more, env=env,
                       text="\n".join(lines).encode() + b"\n")

        cut = "<think>\n" + "".join(WORDS[:8 - before])
        result = plain("/set history off", "Hi")
        expect(f"{name}: cut in a thought", saved()[-1] == cut and result.stdout == b"", result)
        result = plain("/open", "/continue", length=100)
        expect(f"{name}: an opened story goes on in the thought", saved()[-1] == whole
               and result.stdout.endswith(ANSWER), (saved(), result))
        result = plain("/set history off", "Hi", "/set length 100", "/continue", "/retry",
                       "/retry")
        expect(f"{name}: /continue and /retry", saved()[-1] == whole
               and result.stdout.count(ANSWER) == 3, (saved(), result))
        result = plain("/set history off", "Hi", "/set length 100", "Ho")
        expect(f"{name}: a prompt after a cut", saved()[-2:] == [cut, whole], (saved(), result))
        result = plain("/open", "/undo", "/set length 100", "/continue", "Ho", "/undo", "/undo",
                       "Hi")
        expect(f"{name}: /undo and /continue", saved()[-1] == whole, (saved(), result))
        result = plain("/set history off", "Hi", "/set thinking off", "/retry", length=100)
        expect(f"{name}: /retry without thoughts", saved()[-1] + "\n" == ANSWER.decode(),
               (saved(), result))
        result = plain("/open", "/retry", length=100)
        expect(f"{name}: and with them again", saved()[-1] == whole, (saved(), result))
        result = plain("/set history off", "/set thinking off", "Hi", "/set thinking show",
                       "/continue", "/set thinking hide", "Ho", length=2)
        expect(f"{name}: a turn goes on as it began", saved()[-2] == "Yes it is", (saved(), result))


def limited(here, models):
    """The setting length counts the answer; a thought may be eight times as long."""
    def plain(name, length):
        return run(models[name].path, "-m", "chat", "-t", "0", "-n", length, "--private",
                   env={"HOME": str(here)}, text=b"Hi\n")

    for name in ("keeps", "drops", "opens"):
        result = plain(name, 3)
        expect(f"{name}: an answer as long as the limit, behind a longer thought",
               result.stdout == ANSWER, result)
        result = plain(name, 2)
        expect(f"{name}: an answer that is longer", result.stdout == b"Yes it\n", result)
    for name in ("long drops", "long opens"):
        result = plain(name, 1)
        expect(f"{name}: a thought of more than 8 tokens", result.stdout == b"", result)
        result = plain(name, 2)
        expect(f"{name}: and of less than 16", result.stdout == b"Yes it\n", result)


def real_templates(here):
    """Those of Qwen3 and DeepSeek-R1, where the fixtures are."""
    path = SHARED / "fixtures" / "chat-templates.json"
    if not path.exists():
        print("skipped: the templates of Qwen3 and DeepSeek-R1, ../shared is missing")
        return
    templates = json.loads(path.read_text())
    for name, begin, end, markers, special in (
        ("qwen3", "\n", "<|im_end|>", (), ("<|im_start|>", "<|im_end|>")),
        ("deepseek-r1", "<｜Assistant｜>", "<|end|>", ("<｜User｜>", "<｜Assistant｜>"), ()),
    ):
        chain = [begin, "<think>", "Hm", " maybe", "</think>", "\n\n", "Yes", " it", end]
        model = Scripted(here / name, [chain], templates[name], markers=MARKERS + markers,
                         special=special)
        text = b"Hi\nHo\nHe\n"
        for how, answer in (("hide", b"Yes it\n"), ("off", b"Yes it\n"),
                            ("show", b"<think>Hm maybe</think>\n\nYes it\n")):
            result = chat(model, "--thinking", how, text=text)
            expect(f"{name}: {how}", result.stdout == 3 * answer, result)
        last = figures(chat(model, "--thinking", "off", "--json", text=text))
        expect(f"{name}: off is without thoughts", last["thought_tokens"] == 0, last)


def main():
    with folder() as spot:
        here = pathlib.Path(spot)
        models = make(here)
        shown(models)
        as_json(models)
        only_in_a_chat(models)
        endless(models)
        fed(models)
        stop_texts(models)
        built_in(here)
        spoken(here, models)
        session(here, models)
        continued(here, models)
        limited(here, models)
        real_templates(here)
    done()


if __name__ == "__main__":
    main()
