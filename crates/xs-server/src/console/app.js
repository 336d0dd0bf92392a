// The console: its parts put together, and what holds for all of them.

import { readAddress, wasOpenedHere, writeAddress } from "./address.js";
import { address, describe, events, request } from "./api.js";
import { AppendForm } from "./append.js";
import { byId } from "./dom.js";
import { Detail } from "./frame.js";
import { shortcuts } from "./keys.js";
import { FrameList } from "./list.js";
import { FRAMES_MAX } from "./recent.js";
import { Follower, frameById, newest } from "./stream.js";
import { Topics } from "./topics.js";
import "./token.js";

const filterField = byId("filter");
const limitField = byId("limit");
const pauseButton = byId("pause");
const olderButton = byId("older");

/// What a person chose, which the address says too.
const view = { topic: "", frame: null };
let state = "connecting";
let failure = null;
/// Whether history is there, and what comes is live.
let settled = false;
/// Whether going back is the address following a frame that was closed.
let closing = false;
/// The frame that was asked for last.
let opening = null;

const limit = () => Number(limitField.value);

const detail = new Detail({ onClose: closeFrame, onTopic: setFilter });
const list = new FrameList({ limit: limit(), onOpen: openFrame, onChange: draw });
const topics = new Topics({ onChoose: setFilter });
const form = new AppendForm({ onOpen: openById, names: () => topics.names });
const follower = new Follower({
  onFrames(frames) {
    list.push(frames);
    topics.saw(frames);
  },
  onState(next, error) {
    [state, failure] = [next, error ?? null];
    if (next === "live" && !settled) {
      list.flush();
      list.more ||= list.length >= limit();
      settled = true;
    } else if (next === "live") {
      // It was away; so may topics be that the filter leaves out.
      topics.load();
    }
    draw();
  },
});

function start() {
  settled = false;
  list.paused = false;
  list.clear();
  follower.start(view.topic, limit());
  draw();
}

// The filter.

/// A filter that can be tried while it is typed: the server says what is wrong with any other, once
/// it is entered.
const wellFormed = (filter) => filter.split(",").every((part) => /^\s*(\*|[a-z_][\w-]*(\.[\w-]+)*(\.\*)?)\s*$/i.test(part));

function setFilter(topic) {
  filterField.value = topic;
  applyFilter();
}

function applyFilter() {
  clearTimeout(filterField.typing);
  const topic = filterField.value.trim();
  byId("filter-clear").hidden = topic === "";
  if (topic === view.topic && state !== "refused") return;
  view.topic = topic;
  topics.filter = topic;
  writeAddress(view, "replaceState");
  start();
}

filterField.addEventListener("input", () => {
  clearTimeout(filterField.typing);
  const topic = filterField.value.trim();
  if (topic === "" || wellFormed(topic)) filterField.typing = setTimeout(applyFilter, 350);
});
byId("filter-form").addEventListener("submit", (event) => {
  event.preventDefault();
  applyFilter();
});
byId("filter-clear").addEventListener("click", () => {
  setFilter("");
  filterField.focus();
});
filterField.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" && event.key !== "Escape") return;
  event.preventDefault();
  event.stopPropagation();
  list.focus();
});

// The open frame.

function openFrame(frame, focus) {
  if (frame === null) return;
  const method = view.frame === null ? "pushState" : "replaceState";
  view.frame = opening = frame.id;
  list.select(frame.id);
  detail.show(frame, focus);
  writeAddress(view, method);
}

async function openById(id) {
  opening = id;
  try {
    const frame = list.find(id) ?? await frameById(id);
    // Unless another was opened meanwhile.
    if (opening === id) openFrame(frame, true);
  } catch (error) {
    if (opening === id) detail.showError(describe(error));
  }
}

function closeFrame() {
  if (!detail.open) return;
  // Back to where it was opened from, so that going back later does not open it again.
  closing = wasOpenedHere();
  leaveFrame(closing ? null : "replaceState");
  if (closing) history.back();
}

function leaveFrame(method) {
  const focus = detail.holdsFocus;
  view.frame = opening = null;
  detail.close();
  list.select(null);
  if (focus) list.focus();
  if (method) writeAddress(view, method);
}

function move(by) {
  const frame = list.move(by);
  if (frame !== null && detail.open) openFrame(frame, false);
}

// The address.

addEventListener("popstate", () => {
  if (closing) {
    // What is shown may be another filter than when the frame was opened, or another frame by now.
    closing = false;
    writeAddress(view, "replaceState");
    return;
  }
  const { topic, frame } = readAddress();
  if (frame === null) leaveFrame(null);
  if (topic !== view.topic) setFilter(topic);
  if (frame !== null && frame !== view.frame) openById(view.frame = frame);
});

// A browser takes the focus away when the fragment changes by going back.
addEventListener("hashchange", () => {
  if (!detail.open && document.activeElement === document.body) list.focus();
});

// The tools.

function togglePause() {
  list.paused = !list.paused;
  draw();
}

pauseButton.addEventListener("click", togglePause);
byId("retry").addEventListener("click", () => follower.retry());
byId("append-open").addEventListener("click", () => openForm());
limitField.addEventListener("change", () => {
  const grows = limit() > list.length && list.more;
  follower.last = limit();
  list.limit = limit();
  if (grows) showOlder();
});
olderButton.addEventListener("click", () => {
  if (list.length < limit()) showOlder();
  else {
    const options = [...limitField.options].map((option) => Number(option.value));
    limitField.value = options.find((option) => option > limit()) ?? FRAMES_MAX;
    limitField.dispatchEvent(new Event("change"));
  }
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  list.focus();
});
byId("topics-toggle").addEventListener("click", (event) => {
  const open = document.body.classList.toggle("has-topics");
  event.currentTarget.setAttribute("aria-expanded", String(open));
});

/// Reads as many as are to be shown, of which the older ones come in.
async function showOlder() {
  const topic = view.topic;
  olderButton.disabled = true;
  try {
    const frames = await newest(topic, limit());
    if (topic === view.topic) {
      list.pushOlder(frames);
      list.more = frames.length >= limit();
    }
  } catch (error) {
    failure = error;
  }
  olderButton.disabled = false;
  draw();
}

function openForm() {
  const exact = view.topic !== "" && !/[*,]/.test(view.topic);
  form.open(exact ? view.topic : "");
}

shortcuts({
  j: () => move(1),
  k: () => move(-1),
  ArrowDown: () => move(1),
  ArrowUp: () => move(-1),
  Home: () => move(-FRAMES_MAX),
  End: () => move(FRAMES_MAX),
  PageDown: () => move(15),
  PageUp: () => move(-15),
  Enter: () => openFrame(list.active, true),
  Escape: closeFrame,
  "/": () => filterField.select(),
  p: togglePause,
  a: openForm,
  "?": () => byId("help").showModal(),
});
byId("help-open").addEventListener("click", () => byId("help").showModal());

// What is said about it all.

const TEXTS = { connecting: "Connecting", live: "Live", waiting: "Reconnecting", locked: "Needs a token", refused: "Refused" };

/// Writes only what changes, because a screen reader says what is written.
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function draw() {
  const { paused } = list;
  const shown = paused && state === "live" ? "paused" : state;
  byId("state").dataset.state = shown;
  put(byId("state-text"), shown === "paused" ? "Paused" : TEXTS[state]);
  byId("state").title = failure === null ? "" : describe(failure);
  byId("retry").hidden = !["waiting", "locked", "refused"].includes(state);
  put(byId("retry"), state === "locked" ? "Enter token" : "Retry now");
  const held = paused ? list.held : 0;
  put(pauseButton, paused ? (held > 0 ? `Resume, ${held} new` : "Resume") : "Pause");
  pauseButton.setAttribute("aria-pressed", String(paused));
  const refused = state === "refused" ? describe(failure) : "";
  put(byId("filter-error"), refused);
  if (refused !== "" && failure.status === 400) filterField.setAttribute("aria-invalid", "true");
  else filterField.removeAttribute("aria-invalid");
  byId("frames").setAttribute("aria-busy", String(!settled));
  put(byId("count"), `${list.length} ${list.length === 1 ? "frame" : "frames"}`);
  olderButton.hidden = !settled || !list.more || (list.length >= FRAMES_MAX && limit() >= FRAMES_MAX);
  const empty = list.length === 0 && settled;
  byId("empty").hidden = !empty;
  put(byId("empty"), empty ? (view.topic === "" ? "Nothing yet. What is appended shows up here." : "No frame of these topics yet.") : "");
}

async function about() {
  try {
    const { version, index, cas } = await (await request("version", { cache: "no-store" })).json();
    document.querySelector(".mark").title = `xs ${version}, index ${index}, content ${cas}, at ${address("").host}`;
  } catch {
    // The stream says what is wrong.
  }
}

function begin() {
  start();
  topics.load();
  about();
}

// Another token, or none: nothing that was read with the old one stays.
events.addEventListener("token", () => {
  if (detail.open) leaveFrame("replaceState");
  list.forgetContent();
  topics.clear();
  begin();
});

Object.assign(view, readAddress());
filterField.value = view.topic;
byId("filter-clear").hidden = view.topic === "";
topics.filter = view.topic;
begin();
if (view.frame !== null) openById(view.frame);
