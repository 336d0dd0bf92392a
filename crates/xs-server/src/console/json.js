// JSON as it was written: a number that JavaScript cannot hold keeps its digits.

/// A number by its text.
class Spelled {
  constructor(text) {
    this.text = text;
  }
}

/// Like `JSON.parse`, with such numbers as `Spelled`. Throws `SyntaxError`, and `RangeError` for a
/// value nested deeper than the stack goes.
export function parseFaithful(text) {
  return JSON.parse(text, (_, value, context) => {
    // Where the browser does not give the source, numbers are what JavaScript makes of them.
    const source = context?.source;
    return typeof value === "number" && source !== undefined && String(value) !== source ? new Spelled(source) : value;
  });
}

export function kindOf(value) {
  if (value === null) return "null";
  if (value instanceof Spelled) return "number";
  if (Array.isArray(value)) return "array";
  return typeof value;
}

export const isBranch = (value) => ["array", "object"].includes(kindOf(value));

/// What a value that is no branch looks like.
export function leafText(value) {
  if (value instanceof Spelled) return value.text;
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}

/// About the first `room` characters of a value on one line. What lies beyond is not looked at.
export function compact(value, room = 160) {
  const parts = [];
  let left = room;
  const put = (text) => {
    parts.push(text.slice(0, Math.max(0, left)));
    left -= text.length;
  };
  const walk = (value, depth) => {
    if (left <= 0) return;
    const kind = kindOf(value);
    if (typeof value === "string") put(JSON.stringify(value.slice(0, left)));
    else if (!isBranch(value)) put(leafText(value));
    else if (depth > 8) put("…");
    else {
      const array = kind === "array";
      put(array ? "[" : "{");
      let first = true;
      for (const key of array ? value.keys() : Object.keys(value)) {
        if (left <= 0) break;
        if (!first) put(", ");
        first = false;
        if (!array) put(`${JSON.stringify(key.slice(0, left))}: `);
        walk(value[key], depth + 1);
      }
      put(array ? "]" : "}");
    }
  };
  walk(value, 0);
  return left < 0 ? `${parts.join("")}…` : parts.join("");
}
