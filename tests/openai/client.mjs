// SPDX-License-Identifier: MIT
// client.mjs ADDRESS TOKEN STORY: the `openai` package as a client of `duotale serve`. STORY is the
// text that must come for the prompt "Once upon a time" with seed 5.
import OpenAI from "openai";

const [address, token, story] = process.argv.slice(2);
const client = new OpenAI({baseURL: address + "v1", apiKey: token, maxRetries: 0});
let wrong = 0, done = 0;

function expect(what, good, detail) {
  done++;
  if (good) return;
  wrong++;
  console.log(`FAILED: ${what}:`, detail);
}

async function refused(what, status, code, call) {
  try {
    expect(what, false, await call());
  } catch (error) {
    expect(what, error.status === status && (error.code ?? null) === code && error.message, error);
  }
}

const models = [];
for await (const model of client.models.list()) models.push(model.id);
expect("models", models.length === 1, models);
const model = models[0];

const completion = {model, prompt: "Once upon a time", seed: 5, max_tokens: 20};
const whole = await client.completions.create(completion);
const ok = whole.choices[0].text === story && whole.usage.completion_tokens === 20;
expect("a completion", ok, whole);
let text = "", usage;
const options = {...completion, stream: true, stream_options: {include_usage: true}};
for await (const chunk of await client.completions.create(options)) {
  text += chunk.choices[0]?.text ?? "";
  usage = chunk.usage ?? usage;
}
expect("streamed", text === story && usage.completion_tokens === 20, {text, usage});

const messages = [{role: "developer", content: "Be kind."},
                  {role: "user", content: [{type: "text", text: "Tell me a story about a frog."}]}];
const chat = {model, messages, seed: 5, max_completion_tokens: 30};
const answer = (await client.chat.completions.create(chat)).choices[0];
expect("a chat", answer.message.role === "assistant" && answer.finish_reason === "length", answer);
const runner = client.chat.completions.stream(chat);
const final = await runner.finalChatCompletion();
expect("streamed", final.choices[0].message.content === answer.message.content, final);

const three = await client.completions.create({...completion, n: 3});
const texts = three.choices.map((c) => c.text);
expect("three", new Set(texts).size > 1 && texts[0] === story, three);

const long = await client.completions.create({...completion, max_tokens: 400, n: 8, stream: true});
let chunks = 0;
for await (const chunk of long) {
  chunks += chunk.choices.length;
  if (chunks === 3) long.controller.abort();
}
expect("stopped by the client", chunks >= 3, chunks);

await refused("logprobs", 400, null, () => client.completions.create({...completion, logprobs: 1}));
await refused("tools", 400, null, () => client.chat.completions.create({
  ...chat, tools: [{type: "function", function: {name: "f"}}]}));
await refused("a long prompt", 400, "context_length_exceeded",
              () => client.completions.create({...completion, prompt: "word ".repeat(600)}));
await refused("embeddings", 404, "not_found",
              () => client.embeddings.create({model, input: "x"}));
const stranger = new OpenAI({baseURL: address + "v1", apiKey: "wrong", maxRetries: 0});
await refused("a wrong token", 401, "invalid_api_key", () => stranger.models.list());

console.log(`${done - wrong} of ${done} tests passed`);
process.exit(wrong ? 1 : 0);
