// The content of a frame in its detail.

import { describe } from "./api.js";
import { head, hex, sniff, whole } from "./content.js";
import { button, copyButton, el } from "./dom.js";
import { parseFaithful } from "./json.js";
import { bytes as size } from "./time.js";
import { jsonTree } from "./tree.js";

const HEAD_BYTES = 64 * 1024;
const HEX_BYTES = 256;
/// A larger image is shown when asked for.
const IMAGE_BYTES = 4 * 1024 * 1024;
/// A larger one not at all: it would be held in memory.
const IMAGE_BYTES_MAX = 64 * 1024 * 1024;

/// Fills `place` with what the content is. Aborting `signal` ends it and gives back its memory.
export async function preview(place, hash, name, signal) {
  const tools = el("span", { class: "tools" });
  const about = el("span", { class: "note" }, "Loading…");
  const body = el("div", { class: "content", "aria-busy": "true" });
  place.replaceChildren(el("div", { class: "head" }, el("h3", {}, "Content"), about, tools), body);
  try {
    const { bytes, total } = await head(hash, HEAD_BYTES, signal);
    const what = sniff(bytes, total);
    const cut = bytes.length < total;
    about.textContent = `${size(total)} · ${what.type}`;
    tools.append(...(what.text === undefined || cut ? [] : [copyButton("content", () => what.text)]),
      download(hash, `${name}.${what.ending}`, what.type, total, body, signal));
    await show(body, hash, what, bytes, total, signal);
    if (cut && what.kind !== "image") {
      const shown = what.text === undefined ? Math.min(bytes.length, HEX_BYTES) : bytes.length;
      body.append(el("p", { class: "note" }, `The first ${size(shown)} of ${size(total)}. The download is whole.`));
    }
  } catch (error) {
    if (signal.aborted) return;
    about.textContent = "";
    body.append(el("p", { class: "error", role: "alert" }, `It cannot be shown: ${describe(error)}`));
  } finally {
    body.removeAttribute("aria-busy");
  }
}

async function show(body, hash, what, bytes, total, signal) {
  const cut = bytes.length < total;
  if (what.kind === "image" || (what.kind === "svg" && !cut)) {
    // Scripts in an SVG do not run inside of an image, and nothing in it is fetched.
    const put = async () => {
      const blob = cut ? await whole(hash, what.type, signal) : new Blob([bytes], { type: what.type });
      const shown = picture(blob, signal);
      body.prepend(what.kind === "svg" ? swap("Image", shown, "Source", plain(what.text)) : shown);
    };
    if (total <= IMAGE_BYTES) await put();
    else if (total > IMAGE_BYTES_MAX) body.append(el("p", { class: "note" }, "Too large an image to show here."));
    else {
      const load = button(`Show the image (${size(total)})`, async () => {
        load.disabled = true;
        try {
          await put();
          load.remove();
        } catch (error) {
          if (!signal.aborted) load.replaceWith(el("p", { class: "error", role: "alert" }, describe(error)));
        }
      });
      body.append(load);
    }
  } else if (what.kind === "bytes") {
    body.append(el("pre", { class: "hex", tabindex: "0", "aria-label": "First bytes" }, hex(bytes.subarray(0, HEX_BYTES))));
  } else {
    const value = what.kind === "json" && !cut ? parsed(what.text) : undefined;
    body.append(value === undefined ? plain(what.text) : swap("Tree", jsonTree(value, "Content"), "Text", plain(what.text)));
  }
}

function parsed(text) {
  try {
    return parseFaithful(text);
  } catch {
    return undefined;
  }
}

const plain = (text) => el("pre", { class: "text", tabindex: "0", "aria-label": "Content as text" }, text);

function picture(blob, signal) {
  const url = URL.createObjectURL(blob);
  signal.addEventListener("abort", () => URL.revokeObjectURL(url), { once: true });
  const image = el("img", { alt: "The content, an image", src: url });
  image.addEventListener("load", () => {
    if (image.naturalWidth > 0) image.title = `${image.naturalWidth} × ${image.naturalHeight}`;
  });
  image.addEventListener("error", () => {
    image.replaceWith(el("p", { class: "error", role: "alert" }, "The browser cannot read this image."));
  });
  return image;
}

/// Two views of one thing, the first one shown.
function swap(firstName, first, secondName, second) {
  second.hidden = true;
  const choose = (one, other, pressed, released) => {
    one.hidden = false;
    other.hidden = true;
    pressed.setAttribute("aria-pressed", "true");
    released.setAttribute("aria-pressed", "false");
  };
  const a = button(firstName, () => choose(first, second, a, b), { class: "quiet", "aria-pressed": "true" });
  const b = button(secondName, () => choose(second, first, b, a), { class: "quiet", "aria-pressed": "false" });
  return el("div", {}, el("div", { class: "views", role: "group", "aria-label": "View" }, a, b), first, second);
}

/// A link would be without the token: the bytes are fetched, and saved from memory or wherever the
/// browser keeps a blob.
function download(hash, name, type, total, body, signal) {
  const it = button("Download", async () => {
    it.disabled = true;
    it.textContent = "Fetching…";
    try {
      const url = URL.createObjectURL(await whole(hash, type, signal));
      el("a", { href: url, download: name }).click();
      // The download has begun by then, or the user was asked and has the blob.
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
      if (signal.aborted) return;
      body.append(el("p", { class: "error", role: "alert" }, `The download failed: ${describe(error)}`));
    }
    it.disabled = false;
    it.textContent = "Download";
  }, { class: "quiet", title: `${name}, ${size(total)}` });
  return it;
}
