"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const LENGTH = 120;       // tokens of one part of a story
  const CHOICE = 32;        // tokens of what may happen next
  const RETRY_FIRST = 500, RETRY_MOST = 5000; // milliseconds between looks for a lost server
  let parts = [];           // the story: each is what one press of a button added
  let running = null;       // {controller} of the request that is being answered
  let reading = false, readTo = 0; // aloud; how far of the story
  let ended = false;        // the model has ended the story
  let lost = false, wait = RETRY_FIRST;
  let token = location.hash.slice(1);

  try {
    if (token) sessionStorage.setItem("token", token);
    else token = sessionStorage.getItem("token") || "";
    parts = JSON.parse(sessionStorage.getItem("story") || "[]")
      .filter((part) => typeof part === "string");
  } catch { parts = []; }
  if (location.hash) history.replaceState(null, "", location.pathname);

  const story = () => parts.join("");
  const store = (name, value) => { try { sessionStorage.setItem(name, value); } catch {} };
  const keep = () => store("story", JSON.stringify(parts));
  const headers = () => token ? {Authorization: "Bearer " + token} : {};

  // ---- what is shown ----

  function show() {
    const some = parts.length > 0;
    $("begin").hidden = some;
    $("story").hidden = !some;
    const fresh = document.createElement("span");
    fresh.className = "fresh";
    const busy = running !== null, writing = busy && !running.choices;
    fresh.textContent = writing ? parts[parts.length - 1] : "";
    $("text").replaceChildren(parts.slice(0, writing ? -1 : undefined).join(""), fresh);
    $("end").hidden = !ended || busy;
    $("text").classList.toggle("writing", writing);
    $("stop").hidden = !busy;
    $("go").hidden = busy;
    for (const id of ["go", "next"]) $(id).disabled = busy || lost;
    $("again").disabled = busy;
    $("undo").disabled = busy || parts.length < 2;
    $("start").disabled = lost;
    for (const b of $("openings").children) b.disabled = lost;
  }

  function follow() {
    const bottom = document.documentElement.scrollHeight - innerHeight - scrollY;
    if (bottom < 220) scrollTo(0, document.documentElement.scrollHeight);
  }

  function fail(message) {
    $("error").textContent = message;
    $("error").hidden = !message;
  }

  // To screen readers, sentence by sentence.
  const say = (text) => { $("spoken").textContent = text; };

  // ---- the server ----

  async function look() {
    try {
      const answer = await fetch("v1/models", {headers: headers(), cache: "no-store"});
      if (answer.status === 401) {
        $("state").textContent = "the token is missing or wrong";
        $("token").hidden = false;
        return;
      }
      if (!answer.ok) throw new Error("status " + answer.status);
      const model = (await answer.json()).data[0];
      $("token").hidden = true;
      $("state").textContent = model.id;
      if (lost) fail("");
      lost = false;
      wait = RETRY_FIRST;
    } catch {
      lose();
    }
    show();
  }

  function lose() {
    lost = true;
    $("state").textContent = "the server is away; looking for it …";
    setTimeout(look, wait);
    wait = Math.min(2 * wait, RETRY_MOST);
  }

  async function* events(body, controller) {
    const answer = await fetch("v1/completions", {
      method: "POST", signal: controller.signal, body: JSON.stringify({...body, stream: true}),
      headers: {"Content-Type": "application/json", ...headers()},
    });
    if (!answer.ok) {
      const error = await answer.json().catch(() => ({}));
      throw Object.assign(new Error(error.error?.message || "status " + answer.status),
                          {status: answer.status, code: error.error?.code});
    }
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = "", complete = false;
    for (;;) {
      const {value, done} = await reader.read();
      if (done) break;
      const lines = (rest + value).split("\n");
      rest = lines.pop();
      for (const line of lines) {
        if (!line.startsWith("data: ")) continue;
        if (line === "data: [DONE]") { complete = true; continue; }
        const event = JSON.parse(line.slice(6));
        if (event.error) throw Object.assign(new Error(event.error.message), {status: 503});
        yield event;
      }
    }
    if (!complete) throw Object.assign(new Error("the connection was lost"), {status: 0});
  }

  function explain(error) {
    if (error.name === "AbortError") return;
    if (error.status === 401) {
      fail("The server needs its token.");
      look();
      return;
    }
    if (error.code === "context_length_exceeded") {
      fail("The story is as long as this model can see. Begin a new one.");
      return;
    }
    if (error.status > 0 && error.status !== 503) {
      fail("The server refused this: " + error.message + ".");
      return;
    }
    fail("The server is away. The story is kept; write on when it is back.");
    lose();
  }

  async function ask(body, choices, on) {
    if (running) return;
    const controller = new AbortController();
    running = {controller, choices};
    ended = false;
    fail("");
    show();
    try {
      for await (const event of events({prompt: story(), ...body}, controller)) on(event);
    } catch (error) {
      explain(error);
    }
    running = null;
    keep();
    show();
    follow();
  }

  // ---- writing ----

  async function goOn() {
    closeChoices();
    let said = story().length, reason = null;
    parts.push("");
    await ask({max_tokens: LENGTH}, false, (event) => {
      const choice = event.choices[0];
      parts[parts.length - 1] += choice.text;
      reason = choice.finish_reason || reason;
      $("text").lastChild.textContent = parts[parts.length - 1];
      const all = story(), end = lastSentence(all, said);
      if (end > said) { say(all.slice(said, end)); said = end; }
      if (reading) readOn(false);
      follow();
    });
    if (reason === "length") parts.push(whole(parts.pop()));
    else if (!reason) parts.push(words(parts.pop())); // what was read is kept
    if (!parts[parts.length - 1].trim()) parts.pop();
    ended = reason === "stop";
    const rest = story().slice(said) + (ended ? " The end." : "");
    if (rest.trim()) say(rest);
    keep();
    show();
    if (reading) readOn(true);
  }

  function lastSentence(text, from) {
    let end = from;
    for (const match of text.slice(from).matchAll(/[.!?]["”’')]*(?=\s|$)/g))
      end = from + match.index + match[0].length;
    return end;
  }

  // A text that was cut off, up to the end of a word, or of a sentence if it has one.
  const words = (text) => text.replace(/\s*\S*$/, "");

  function whole(text) {
    const end = lastSentence(text, 0);
    return end > 12 ? text.slice(0, end) : words(text);
  }

  function closeChoices() {
    $("choices").hidden = true;
    $("choices").replaceChildren();
  }

  async function whatNext() {
    closeChoices();
    const texts = ["", "", ""], ends = [false, false, false];
    const buttons = texts.map((_, i) => {
      const item = document.createElement("li"), button = document.createElement("button");
      button.type = "button";
      button.textContent = "…";
      button.disabled = true;
      button.addEventListener("click", () => choose(texts[i]));
      item.append(button);
      $("choices").append(item);
      return button;
    });
    $("choices").hidden = false;
    $("choices").scrollIntoView({block: "nearest"});
    await ask({n: 3, max_tokens: CHOICE}, true, (event) => {
      for (const choice of event.choices) {
        texts[choice.index] += choice.text;
        ends[choice.index] ||= choice.finish_reason === "stop";
        buttons[choice.index].textContent = texts[choice.index].trim() || "…";
      }
    });
    texts.forEach((text, i) => {
      texts[i] = ends[i] ? text : whole(text);
      buttons[i].textContent = texts[i].trim() || "(the story ends)";
      buttons[i].disabled = !texts[i].trim();
    });
    if (texts.every((text) => !text.trim())) closeChoices();
    else say("Three ways to go on.");
    buttons.find((b) => !b.disabled)?.focus();
    $("choices").scrollIntoView({block: "nearest"});
  }

  function choose(text) {
    parts.push(text);
    closeChoices();
    keep();
    show();
    say(text);
    follow();
    $("next").focus();
    if (reading) readOn(true);
  }

  function begin(text) {
    if (!text.trim() || lost) return;
    parts = [text.trimEnd()];
    readTo = 0;
    show();
    $("text").focus({preventScroll: true});
    goOn();
  }

  // ---- reading aloud, by the browser ----

  const voice = window.speechSynthesis;
  if (!voice) $("read").hidden = true;

  function readOn(all) {
    const text = story(), end = all ? text.length : lastSentence(text, readTo);
    if (end <= readTo) return;
    const part = text.slice(readTo, end).trim();
    readTo = end;
    if (!part) return;
    const utterance = new SpeechSynthesisUtterance(part);
    utterance.lang = "en";
    utterance.rate = 0.95;
    utterance.onend = () => {
      if (!voice.speaking && !voice.pending && !running && readTo >= story().length)
        setReading(false);
    };
    voice.speak(utterance);
  }

  function setReading(on) {
    reading = on;
    $("read").setAttribute("aria-pressed", on);
    $("read").textContent = on ? "Stop reading" : "Read aloud";
    if (!on) { voice.cancel(); readTo = 0; }
  }

  // ---- buttons and keys ----

  $("begin").addEventListener("submit", (e) => {
    e.preventDefault();
    begin($("beginning").value || "Once upon a time");
  });
  $("beginning").addEventListener("keydown", (e) => {
    if (e.key !== "Enter" || e.shiftKey || e.isComposing) return;
    e.preventDefault();
    $("begin").requestSubmit();
  });
  $("openings").addEventListener("click", (e) => {
    if (e.target.tagName === "BUTTON") begin(e.target.textContent);
  });
  $("go").addEventListener("click", goOn);
  $("next").addEventListener("click", whatNext);
  $("stop").addEventListener("click", () => running?.controller.abort());
  $("undo").addEventListener("click", () => {
    parts.pop();
    ended = false;
    closeChoices();
    fail("");
    keep();
    show();
    readTo = Math.min(readTo, story().length);
  });
  $("again").addEventListener("click", () => {
    parts = [];
    ended = false;
    closeChoices();
    fail("");
    keep();
    if (reading) setReading(false);
    $("beginning").value = "";
    show();
    $("beginning").focus();
  });
  $("read").addEventListener("click", () => {
    setReading(!reading);
    if (reading) readOn(!running);
  });
  $("token").addEventListener("submit", (e) => {
    e.preventDefault();
    token = $("key").value.trim();
    store("token", token);
    fail("");
    look();
  });
  addEventListener("keydown", (e) => { if (e.key === "Escape") running?.controller.abort(); });

  show();
  look();
})();
