// Content: fetched in bounded pieces, told apart by its first bytes.

import { request } from "./api.js";

const path = (hash) => `cas/${encodeURIComponent(hash)}`;

/// The first bytes of content, and its whole size.
export async function head(hash, count, signal) {
  const response = await request(path(hash), { headers: { Range: `bytes=0-${count - 1}` }, signal });
  const total = Number(/\/(\d+)$/.exec(response.headers.get("content-range") ?? "")?.[1]);
  const bytes = await upTo(response, count);
  return { bytes, total: Number.isFinite(total) ? total : Number(response.headers.get("content-length") ?? bytes.length) };
}

/// No more than was asked for, whatever is sent.
async function upTo(response, count) {
  const reader = response.body.getReader();
  const bytes = new Uint8Array(count);
  let length = 0;
  while (length < count) {
    const { done, value } = await reader.read();
    if (done) break;
    const part = value.subarray(0, count - length);
    bytes.set(part, length);
    length += part.length;
  }
  reader.cancel().catch(() => {});
  return bytes.subarray(0, length);
}

/// All of it.
export async function whole(hash, type, signal) {
  const response = await request(path(hash), { signal });
  return new Blob([await response.blob()], { type });
}

const IMAGES = [
  ["png", "image/png", [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
  ["jpg", "image/jpeg", [0xff, 0xd8, 0xff]],
  ["gif", "image/gif", [0x47, 0x49, 0x46, 0x38]],
];

/// What content is, by its beginning: `image`, `svg`, `json`, `text` or `bytes`, with its media type
/// and the ending of a file name.
export function sniff(bytes, total) {
  const starts = (magic, at = 0) => magic.every((byte, index) => bytes[at + index] === byte);
  for (const [ending, type, magic] of IMAGES) {
    if (starts(magic)) return { kind: "image", type, ending };
  }
  if (starts([0x52, 0x49, 0x46, 0x46]) && starts([0x57, 0x45, 0x42, 0x50], 8)) {
    return { kind: "image", type: "image/webp", ending: "webp" };
  }
  const text = textOf(bytes, total);
  if (text === null) return { kind: "bytes", type: "application/octet-stream", ending: "bin" };
  if (/^\s*(<\?xml[^>]*\?>\s*|<!--[\s\S]*?-->\s*|<!DOCTYPE svg[^>]*>\s*)*<svg[\s>]/i.test(text)) {
    return { kind: "svg", type: "image/svg+xml", ending: "svg", text };
  }
  if (/^\s*[[{]/.test(text)) return { kind: "json", type: "application/json", ending: "json", text };
  return { kind: "text", type: "text/plain", ending: "txt", text };
}

/// The text that bytes are, or `null`. A character that the end of the piece cuts in two is left out.
export function textOf(bytes, total) {
  let text;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes, { stream: bytes.length < total });
  } catch {
    return null;
  }
  // Text has line breaks, tabs and colours of a terminal, and no other control characters.
  return /[\x00-\x08\x0e-\x1a\x1c-\x1f]/.test(text) ? null : text;
}

/// As `hexdump -C` writes it.
export function hex(bytes) {
  const rows = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const codes = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const signs = row.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    rows.push(`${at.toString(16).padStart(6, "0")}  ${codes.padEnd(47)}  ${signs}`);
  }
  return rows.join("\n");
}
