#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_page.py PROGRAM SOURCE DRIVER FOLDER PICTURES: the page of `duotale serve` as its users see
it: streaming, stop, three continuations, errors, a server that is lost and comes back, the token,
keys, both colour schemes. Pictures are written to PICTURES."""
import os
import pathlib
import sys

SOURCE = pathlib.Path(sys.argv[2])
sys.path.insert(0, str(SOURCE / "tests" / "cli"))
from common import PROGRAM, done, expect  # noqa: E402  # reads the first two arguments
from relay import Relay  # noqa: E402
from serving import Server  # noqa: E402
from webdriver import Browser  # noqa: E402

DRIVER, FOLDER, PICTURES = sys.argv[3:6]
MODEL = SOURCE / "data" / "models" / "storyteller-q8_0.gguf"
STORY = "document.querySelector('#text').textContent"
IDLE = "!document.querySelector('#go').hidden && !document.querySelector('#go').disabled"


def begins(browser, port):
    browser.open(f"http://127.0.0.1:{port}/")
    browser.until("the model", "document.querySelector('#state').textContent.includes('story')")
    browser.picture(f"{PICTURES}/begin.png")
    expect("a list of beginnings", browser.run(
        "return document.querySelectorAll('#openings button').length") >= 5)
    browser.type("#beginning", "The little fox looked at the moon and")
    browser.click("#start")
    browser.until("text", f"{STORY}.length > 60")
    browser.until("the end of the part", IDLE)
    text = browser.text("#text")
    expect("whole sentences", text.rstrip('"').endswith((".", "!", "?")), text)
    expect("it goes on from the beginning", text.startswith("The little fox looked at"), text)
    spoken = browser.run("return document.querySelector('#spoken').getAttribute('aria-live')")
    expect("sentences go to screen readers", spoken == "polite" and browser.text("#spoken"))
    browser.picture(f"{PICTURES}/story.png")
    return text


def next_choices(browser, text):
    browser.click("#next")
    browser.until("three choices", "[...document.querySelectorAll('#choices button')]"
                  ".filter((b) => !b.disabled).length > 0 && " + IDLE)
    browser.picture(f"{PICTURES}/choices.png")
    choices = browser.run("return [...document.querySelectorAll('#choices button')]"
                          ".map((b) => b.textContent)")
    expect("three texts", len(choices) == 3 and len(set(choices)) > 1, choices)
    focused = browser.run("return document.activeElement.parentElement.tagName")
    expect("the keyboard is at the first", focused == "LI", focused)
    browser.click("#choices li:nth-child(2) button")
    browser.until("the choice is text", f"{STORY}.length > {len(text)}")
    expect("the second was taken", browser.text("#text").strip().endswith(choices[1]),
           (browser.text("#text"), choices))
    expect("the list is closed", not browser.shown("#choices"))
    browser.click("#undo")
    expect("taken back", browser.text("#text") == text, browser.text("#text"))


def stops(browser, relay):
    browser.click("#again")
    browser.until("the beginnings", "document.querySelector('#begin').checkVisibility()")
    relay.limit = 6000  # some thirty tokens
    browser.click("#openings button:nth-child(6)")
    browser.until("text", f"{STORY}.length > 70 && !document.querySelector('#stop').hidden")
    browser.picture(f"{PICTURES}/writing.png")
    browser.click("#stop")
    browser.until("idle", IDLE)
    text = browser.text("#text")
    expect("the text is kept", len(text) > 50 and not browser.shown("#error"), text)
    return text


def reconnects(browser, relay, server, text):
    """The server ends while a story is written; another begins at its address."""
    browser.click("#go")
    browser.until("it writes", f"{STORY}.length > {len(text)}")
    before = browser.text("#text")
    server.stop()
    browser.until("the loss is shown", "document.querySelector('#error').checkVisibility()")
    browser.until("idle", "!document.querySelector('#text').classList.contains('writing')")
    text = browser.text("#text")
    expect("the text is kept", text.startswith(before.rsplit(" ", 1)[0]), (before, text))
    expect("a reason", "away" in browser.text("#error"), browser.text("#error"))
    expect("nothing to press", browser.run("return document.querySelector('#go').disabled"))
    browser.picture(f"{PICTURES}/lost.png")
    with Server(PROGRAM, MODEL, "-s", 8) as again:
        relay.target, relay.limit = again.port, None
        browser.until("the server is back", IDLE)
        expect("nothing is wrong now", not browser.shown("#error"), browser.text("#error"))
        browser.click("#go")
        browser.until("it goes on", f"{STORY}.length > {len(text)} && " + IDLE)
        expect("behind what there was", browser.text("#text").startswith(text))
        browser.open(f"http://127.0.0.1:{relay.port}/?again")
        kept = browser.until("a story after loading again", STORY)
        expect("the whole of it", kept.startswith(text), kept)


def errors(browser):
    """A story that does not fit, and the token."""
    with Server(PROGRAM, MODEL, "-c", 64, "-s", 8, env={"DUOTALE_TOKEN": "open-sesame"}) as server:
        browser.open(f"http://127.0.0.1:{server.port}/")
        browser.until("it asks for the token", "document.querySelector('#token').checkVisibility()")
        browser.type("#key", "wrong\n")
        browser.until("again", "document.querySelector('#token').checkVisibility()")
        browser.run("document.querySelector('#key').value = ''")
        browser.type("#key", "open-sesame\n")
        browser.until("the model", "document.querySelector('#state').textContent.includes('story')")
        expect("the token is done", not browser.shown("#token"))
        browser.type("#beginning", "word " * 80 + "\n")
        message = browser.until(
            "an error", "!document.querySelector('#error').hidden && "
            "document.querySelector('#error').textContent")
        expect("what to do", "Begin a new one" in message, message)
        role = browser.run("return document.querySelector('#error').getAttribute('role')")
        expect("an alert", role == "alert", role)
        browser.picture(f"{PICTURES}/error.png")


def accessible(browser):
    wrong = browser.run("""
        const wrong = [];
        for (const e of document.querySelectorAll('button, textarea, input'))
          if (!e.textContent.trim() && !e.labels?.length && !e.ariaLabel) wrong.push(e.outerHTML);
        for (const e of document.querySelectorAll('button, textarea'))
          if (e.checkVisibility() && e.getBoundingClientRect().height < 40) wrong.push(e.id);
        if (document.documentElement.scrollWidth > innerWidth) wrong.push('it scrolls sideways');
        return wrong""")
    expect("names, sizes, width", not wrong, wrong)


def main():
    os.makedirs(PICTURES, exist_ok=True)
    for dark in True, False:
        browser = Browser(DRIVER, FOLDER, dark=dark)
        server = Server(PROGRAM, MODEL, "-s", 8)  # the seed of every request
        relay = Relay(server.port)
        try:
            text = begins(browser, relay.port)
            accessible(browser)
            back = browser.run("return getComputedStyle(document.body).backgroundColor")
            expect(f"dark: {dark}", (back == "rgb(23, 24, 28)") == dark, back)
            next_choices(browser, text)
            accessible(browser)
            complaints = browser.complaints()
            expect("no complaint of the browser", not complaints, complaints)
            if dark:
                for name in "begin", "story", "choices":
                    os.rename(f"{PICTURES}/{name}.png", f"{PICTURES}/{name}-dark.png")
                continue
            text = stops(browser, relay)
            reconnects(browser, relay, server, text)
            errors(browser)
        finally:
            browser.close()
            if server.process.poll() is None:
                server.stop()
    done()


main()
