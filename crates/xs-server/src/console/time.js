// The time of an id, and how times and sizes are written.

/// The milliseconds in a SCRU128 id: the upper 48 of its 128 bits, which 25 digits of base 36 spell.
export function idMs(id) {
  if (!/^[0-9a-z]{25}$/.test(id)) return NaN;
  let bits = 0n;
  for (const digit of id) bits = bits * 36n + BigInt(parseInt(digit, 36));
  return Number(bits >> 80n);
}

const pad = (number, width = 2) => String(number).padStart(width, "0");

const day = (time) => `${pad(time.getMonth() + 1)}-${pad(time.getDate())}`;
const clock = (time) => `${pad(time.getHours())}:${pad(time.getMinutes())}:${pad(time.getSeconds())}`;

/// Local time, short: with milliseconds today, with the date on other days.
export function shortTime(ms) {
  const time = new Date(ms);
  if (Number.isNaN(time.getTime())) return "?";
  const now = new Date();
  if (time.toDateString() === now.toDateString()) return `${clock(time)}.${pad(time.getMilliseconds(), 3)}`;
  const year = time.getFullYear() === now.getFullYear() ? "" : `${time.getFullYear()}-`;
  return `${year}${day(time)} ${clock(time)}`;
}

/// Local time in full, with its distance from UTC.
export function localTime(ms) {
  const time = new Date(ms);
  if (Number.isNaN(time.getTime())) return "?";
  const east = -time.getTimezoneOffset();
  const zone = `${east < 0 ? "−" : "+"}${pad(Math.floor(Math.abs(east) / 60))}:${pad(Math.abs(east) % 60)}`;
  return `${time.getFullYear()}-${day(time)} ${clock(time)}.${pad(time.getMilliseconds(), 3)} ${zone}`;
}

/// RFC 3339 in UTC, as `with-timestamp` spells it.
export function utcTime(ms) {
  const time = new Date(ms);
  return Number.isNaN(time.getTime()) ? "?" : time.toISOString();
}

/// A length of time in one or two characters and a unit.
export function duration(ms) {
  const steps = [[86_400_000, "d"], [3_600_000, "h"], [60_000, "m"], [1000, "s"]];
  const [unit, name] = steps.find(([unit]) => ms >= unit) ?? [1, "ms"];
  const count = ms / unit;
  return `${Number.isInteger(count) ? count : Math.floor(count)}${name}`;
}

/// How long ago.
export function ago(ms) {
  const passed = Date.now() - ms;
  return Number.isNaN(passed) ? "?" : passed < 1000 ? "now" : duration(passed);
}

export function bytes(count) {
  if (count < 1024) return `${count} B`;
  const units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
  let value = count;
  let unit = -1;
  do {
    value /= 1024;
    unit += 1;
  } while (value >= 1023.95 && unit < units.length - 1);
  return `${value.toFixed(1)} ${units[unit]}`;
}
