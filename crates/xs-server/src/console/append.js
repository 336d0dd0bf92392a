// The form that appends a frame.

import { describe, request } from "./api.js";
import { byId, button, el, openDialog, toast } from "./dom.js";

/// The head of a request is bounded, by the server and by what may stand before it: a longer meta
/// goes in a body.
const META_HEADER_MAX = 8 * 1024;

export class AppendForm {
  #dialog = byId("append");
  #form = byId("append-form");
  #abort = null;
  #onOpen;
  #names;

  constructor({ onOpen, names }) {
    this.#onOpen = onOpen;
    this.#names = names;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#form.requestSubmit();
    });
    // Closing gives up what is under way.
    this.#dialog.addEventListener("close", () => this.#abort?.abort());
    byId("append-meta").addEventListener("input", () => this.#checkMeta());
    byId("append-topic").addEventListener("input", () => mark("append-topic", ""));
    byId("append-ttl").addEventListener("change", () => this.#ttlParts());
    for (const choice of this.#form.elements.content) choice.addEventListener("change", () => this.#contentParts());
  }

  /// Opens it, for a topic that the stream is filtered by.
  open(topic) {
    if (this.#dialog.open) return;
    const field = byId("append-topic");
    if (topic !== "") field.value = topic;
    byId("append-topics").replaceChildren(...this.#names().slice(0, 200).map((name) => el("option", { value: name })));
    byId("append-error").textContent = "";
    this.#ttlParts();
    this.#contentParts();
    openDialog(this.#dialog);
    (field.value === "" ? field : byId("append-text")).focus();
  }

  #ttlParts() {
    const kind = byId("append-ttl").value;
    byId("append-number-pair").hidden = kind !== "time" && kind !== "last";
    byId("append-unit").hidden = kind !== "time";
  }

  #contentParts() {
    const file = this.#form.elements.content.value === "file";
    byId("append-file").hidden = !file;
    byId("append-text").hidden = file;
  }

  /// The text of the meta, or `null` when it is no JSON.
  #checkMeta() {
    const text = byId("append-meta").value.trim();
    try {
      if (text !== "") JSON.parse(text);
      mark("append-meta", "");
      return text;
    } catch (error) {
      mark("append-meta", `This is not JSON: ${error.message}`);
      return null;
    }
  }

  #ttl() {
    const kind = byId("append-ttl").value;
    const number = Number(byId("append-number").value);
    if (kind === "time") return `time:${Math.round(number * Number(byId("append-unit").value))}`;
    return kind === "last" ? `last:${number}` : kind || null;
  }

  #content() {
    const file = byId("append-file").files[0] ?? null;
    return this.#form.elements.content.value === "file" ? file : byId("append-text").value;
  }

  async #send() {
    const topic = byId("append-topic").value.trim();
    const meta = this.#checkMeta();
    mark("append-topic", topic === "" ? "A frame needs a topic." : "");
    if (topic === "" || meta === null) {
      byId(topic === "" ? "append-topic" : "append-meta").focus();
      return;
    }
    const failed = byId("append-error");
    failed.textContent = "";
    const send = byId("append-send");
    send.disabled = true;
    send.textContent = "Appending…";
    this.#abort = new AbortController();
    try {
      const frame = await append({ topic, meta, ttl: this.#ttl(), content: this.#content() }, this.#abort.signal);
      this.#form.querySelector("#append-text").value = "";
      byId("append-file").value = "";
      this.#dialog.close();
      toast(`Appended to ${frame.topic}. `, button("Open it", () => this.#onOpen(frame.id)));
    } catch (error) {
      if (!this.#abort.signal.aborted) failed.textContent = `Not appended: ${describe(error)}`;
    } finally {
      send.disabled = false;
      send.textContent = "Append";
    }
  }
}

function mark(id, message) {
  byId(`${id}-error`).textContent = message;
  if (message === "") byId(id).removeAttribute("aria-invalid");
  else byId(id).setAttribute("aria-invalid", "true");
}

async function append({ topic, meta, ttl, content }, signal) {
  const header = meta === "" ? "" : base64(meta);
  if (header.length <= META_HEADER_MAX) {
    const response = await request(`append/${encodeURIComponent(topic)}`, {
      method: "POST", parameters: { ttl }, headers: header === "" ? {} : { "xs-meta": header }, body: content, signal,
    });
    return response.json();
  }
  const empty = content === null || content === "" || content.size === 0;
  const stored = empty ? null : await request("cas", { method: "POST", body: content, signal });
  const hash = stored === null ? null : (await stored.text()).trim();
  const response = await request("append", { method: "POST", body: line({ topic, hash, ttl }, meta), signal });
  return JSON.parse(await response.text());
}

/// A frame on one line, its meta as it was written: between the parts of JSON, a space is as good as
/// a line break.
function line(frame, meta) {
  const fields = Object.entries(frame).filter(([, value]) => value !== null);
  const rest = fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",");
  return `{${rest},"meta":${meta.replace(/[\r\n]/g, " ")}}\n`;
}

function base64(text) {
  let binary = "";
  for (const byte of new TextEncoder().encode(text)) binary += String.fromCharCode(byte);
  return btoa(binary);
}
