// Elements are made here: what comes out of a store is text, never markup.

export const byId = (id) => document.getElementById(id);

/// An element. Names that start with `on` are listeners; `null` and `false` leave an attribute out.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export function button(text, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, text);
}

/// Opens a dialog; its buttons marked `data-close` close it.
export function openDialog(dialog) {
  if (!dialog.open) dialog.showModal();
}

for (const closer of document.querySelectorAll("dialog [data-close]")) {
  closer.addEventListener("click", () => closer.closest("dialog").close());
}

let toastTimer = 0;

/// Says something for a few seconds, to a screen reader too.
export function toast(...content) {
  const place = byId("toast");
  place.replaceChildren(...content);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => place.replaceChildren(), 6000);
}

/// A button that copies what `text` gives.
export function copyButton(what, text) {
  const it = button("Copy", async () => {
    const done = await copy(await text());
    it.textContent = done ? "Copied" : "Failed";
    setTimeout(() => { it.textContent = "Copy"; }, 1500);
  }, { class: "quiet copy", "aria-label": `Copy ${what}` });
  return it;
}

async function copy(text) {
  try {
    // Not there on a page without TLS that is not on this machine.
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    // Refused: the old way may still do.
  }
  const area = el("textarea", { class: "hidden", "aria-hidden": "true" });
  area.value = text;
  // Inside of an open dialog nothing else can be selected.
  (document.querySelector("dialog[open]") ?? document.body).append(area);
  const focused = document.activeElement;
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  focused?.focus();
  return done;
}
