#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Chat templates against other implementations.

chat_templates.py fixtures PROGRAM FIXTURES        every dialogue of FIXTURES/chat.jsonl: real
                                                   templates, rendered for 2024-07-26
chat_templates.py random PROGRAM FIXTURES [COUNT]  made dialogues through these templates and those
                                                   of chat_constructs.jsonl, compared with
                                                   python3-jinja2

PROGRAM is render_chat. Exit code 77: the fixtures or the module are missing.
"""
import datetime
import json
import pathlib
import random
import subprocess
import sys

# Templates with every construct that the published ones execute, and its fine points; a JSON text a
# line.
CONSTRUCTS = [json.loads(line) for line in pathlib.Path(__file__).with_name(
    "chat_constructs.jsonl").read_text(encoding="utf-8").split("\n") if line]


def reference(date):
    import jinja2
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                          sort_keys=sort_keys)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols", "jinja2.ext.do"])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = lambda form: datetime.datetime(*date).strftime(form)
    return environment


def expected(case):
    values = {} if case["thinking"] else {"enable_thinking": False}
    try:
        return reference(case["date"]).from_string(case["template"]).render(
            messages=case["messages"], tools=None, documents=None,
            add_generation_prompt=case["generation"], bos_token=case["bos_token"],
            eos_token=case["eos_token"], **values)
    except Exception as error:  # any: the template or what it does with the values is wrong
        return error


def render(program, cases):
    lines = "".join(json.dumps(case) + "\n" for case in cases)
    result = subprocess.run([program], input=lines, capture_output=True, text=True, check=False)
    found = [json.loads(line) for line in result.stdout.split("\n") if line]
    if result.returncode or len(found) != len(cases):
        sys.exit(f"render_chat: {len(found)} of {len(cases)} cases; {result.stderr[-2000:]}")
    return found


def check_origin(case, found):
    """The bytes marked as a user's are bytes of the messages (and the backslashes of JSON)."""
    text, user = found["rendered"].encode(), found["user"]
    allowed = ("\\" + "".join(m["role"] + m["content"] for m in case["messages"])).encode()
    return len(text) == len(user) and all(
        byte in allowed or bit == "0" for byte, bit in zip(text, user))


def words(dice):
    parts = ["Hello", " ", "\n", "  ", "\t", "<think>\n", "\n</think>\n\n", "</think>", "é",
             "你好", "😀", "<|im_end|>", "{{ x }}", "{% raw %}", "\"q\"", "it's", "\\", "&<b>", "0",
             ".", "a b c", "[INST]", "</s>", "\u2028", "\u00a0", "\r\n", "ÉCOLE", "x" * 40]
    return "".join(dice.choice(parts) for _ in range(dice.randrange(0, 7)))


def dialogue(dice):
    messages = []
    if dice.random() < 0.5:
        messages.append({"role": "system", "content": words(dice)})
    for i in range(dice.randrange(1, 8)):
        role = ("user", "assistant")[i % 2] if dice.random() < 0.95 else dice.choice(
            ["user", "assistant", "system", "tool", "other"])
        messages.append({"role": role, "content": words(dice)})
    return messages


def show(case, want, found):
    print("template:", case["template"][:300])
    print("messages:", json.dumps(case["messages"], ensure_ascii=False))
    print("expected:", repr(want))
    print("found:   ", repr(found.get("rendered", found.get("error"))))


def random_dialogues(program, fixtures, count):
    try:
        import jinja2  # noqa: F401
    except ImportError:
        print("python3-jinja2 is missing")
        return 77
    dice = random.Random(16)
    templates = [(text, "<s>", "</s>") for text in CONSTRUCTS]
    if (fixtures / "chat-templates.json").exists():
        real = json.loads((fixtures / "chat-templates.json").read_text(encoding="utf-8"))
        templates += [(text, "<s>", "<|end|>") for text in real.values()] * 4
    cases = []
    for i in range(max(count, len(templates))):
        text, bos, eos = templates[i % len(templates)]
        cases.append({"template": text, "bos_token": bos, "eos_token": eos,
                      "messages": dialogue(dice), "generation": dice.random() < 0.8,
                      "thinking": dice.random() < 0.7,
                      "date": [dice.randrange(1990, 2100), dice.randrange(1, 13),
                               dice.randrange(1, 29)]})
    wrong = raised = 0
    for case, found in zip(cases, render(program, cases)):
        # an empty text equals false here (jinja_value.c), and not in Python
        if "system_message != false" in case["template"] and case["messages"][0] == {
                "role": "system", "content": ""}:
            continue
        want = expected(case)
        failed = isinstance(want, Exception)
        raised += failed
        same = "error" in found if failed else found.get("rendered") == want
        if same and failed and type(want).__name__ == "TemplateError":
            same = str(want) in found["error"]
        made = case["template"] in CONSTRUCTS  # they change texts
        if not same or not (failed or made or check_origin(case, found)):
            wrong += 1
            if wrong <= 5:
                show(case, want, found)
    print(f"{len(cases)} dialogues, {raised} of them errors: {wrong} differ from python3-jinja2")
    return 1 if wrong else 0


def fixture_dialogues(program, fixtures):
    if not (fixtures / "chat.jsonl").exists():
        print(f"{fixtures}/chat.jsonl is missing")
        return 77
    templates = json.loads((fixtures / "chat-templates.json").read_text(encoding="utf-8"))
    rows = [json.loads(line) for line in (fixtures / "chat.jsonl").open(encoding="utf-8")]
    cases = [{"template": templates[row["template"]], "bos_token": row["bos_token"],
              "eos_token": row["eos_token"], "messages": row["messages"]} for row in rows]
    wrong = 0
    for row, case, found in zip(rows, cases, render(program, cases)):
        same = (row["error"] in found.get("error", "") if row["error"] is not None
                else found.get("rendered") == row["rendered"] and check_origin(case, found))
        if not same:
            wrong += 1
            show(case, row["error"] or row["rendered"], found)
    print(f"{len(rows)} dialogues of {len(templates)} templates: {wrong} differ")
    return 1 if wrong or not rows else 0


def main():
    action, program, fixtures = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    if action == "fixtures":
        return fixture_dialogues(program, fixtures)
    return random_dialogues(program, fixtures, int(sys.argv[4]) if len(sys.argv) > 4 else 600)


if __name__ == "__main__":
    sys.exit(main())
