// The pictures of the README: a store with something in it, in light, in dark, and on a phone.

import { execFileSync } from "node:child_process";
import { mkdir, stat } from "node:fs/promises";
import { Server, cleanUp, open, png } from "./support.mjs";

const IMAGES = new URL("../../docs/images/", import.meta.url).pathname;
const BYTES_MAX = 150 * 1024;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/// How long ago, the topic, the meta, the content, the TTL.
const FRAMES = [
  [26 * HOUR, "deploy.web", { version: "2.7.4", by: "ines", took_ms: 43870 }],
  [5 * HOUR, "notes", null, "Call the printer about the posters\nand ask for matte paper."],
  [191 * MINUTE, "deploy.web", { version: "2.8.0", by: "ines", took_ms: 41200 }],
  [92 * MINUTE, "sensor.kitchen", { celsius: 21.4, humidity: 0.48 }],
  [90 * MINUTE, "sensor.balcony", { celsius: 9.8, humidity: 0.71 }, "", "last:1000"],
  [71 * MINUTE, "clip.add", { source: "keyboard" }, "https://www.rfc-editor.org/rfc/rfc9110#section-14"],
  [64 * MINUTE, "mail.received", { from: "jo@example.org", subject: "Minutes of Tuesday", attachments: 2 }, "Hi all,\nhere are the minutes."],
  [48 * MINUTE, "build.finished", { job: "nightly", ok: true, steps: 14 },
    JSON.stringify({ passed: 412, failed: 0, ignored: 3, slowest: [{ test: "matrix::pairs", ms: 8123 }, { test: "golden::sqlite", ms: 2044 }], host: { os: "linux", cores: 2 } })],
  [32 * MINUTE, "sensor.kitchen", { celsius: 21.6, humidity: 0.47 }],
  [27 * MINUTE, "clip.add", { source: "terminal" }, "xs cat ./store --follow -T 'clip.*'"],
  [21 * MINUTE, "notes.todo", { due: "spring", tags: ["house", "garden"] }, "Seeds: beans, chard, dill"],
  [15 * MINUTE, "presence", { who: "ada", at: "desk" }, "", "time:3600000"],
  [13 * MINUTE, "deploy.api", { version: "5.1.3", by: "kofi", took_ms: 18930 }],
  [9 * MINUTE, "sensor.balcony", { celsius: 9.6, humidity: 0.72 }, "", "last:1000"],
  [6 * MINUTE, "build.failed", { job: "docs", ok: false, steps: 3 }, "error: a link to a page that is not there"],
  [200 * SECOND, "photo.taken", { camera: "balcony", exposure: { seconds: 0.004, iso: 200 }, labels: ["sky", "hills"], keep: true }, png(640, 300)],
  [95 * SECOND, "sensor.kitchen", { celsius: 21.7, humidity: 0.47 }],
  [51 * SECOND, "clip.add", { source: "keyboard" }, "A frame never changes once stored."],
  [22 * SECOND, "mail.received", { from: "lea@example.org", subject: "Re: posters" }, "Matte is fine with us."],
  [4 * SECOND, "notes", null, "Matte it is."],
];

/// Imports them under ids of those times. The tenth of a second and what makes ids differ are made
/// of the place in the list, so that two runs differ in nothing but the time of day.
async function fill(server) {
  const now = Date.now();
  const frames = [];
  for (const [at, [ago, topic, meta, content = "", ttl = null]] of FRAMES.entries()) {
    const rest = (BigInt(at + 1) * 0x9e37_79b9_7f4a_7c15_f39cn) & ((1n << 80n) - 1n);
    const id = ((BigInt(now - ago - at * 37) << 80n) | rest).toString(36).padStart(25, "0");
    const stored = content === "" ? null : await fetch(`${server.url}/cas`, { method: "POST", body: content });
    frames.push({ topic, id, hash: stored === null ? null : await stored.text(), meta, ttl });
  }
  const body = frames.map((frame) => `${JSON.stringify(frame)}\n`).join("");
  const answer = await fetch(`${server.url}/import`, { method: "POST", body });
  if (!answer.ok) throw new Error(await answer.text());
  await answer.text();
  return frames;
}

async function take(server, name, options, act) {
  const it = await open(server, { timezoneId: "UTC", ...options });
  await it.live();
  await act(it);
  // What rows read of their content is there by then.
  await it.page.waitForFunction(() => document.querySelectorAll(".snippet").length > 4);
  await it.page.mouse.move(0, 0);
  const path = `${IMAGES}console-${name}.png`;
  await it.page.screenshot({ path, animations: "disabled" });
  await it.close();
  // 256 colours are as good for a page of so few.
  execFileSync("pngquant", ["--force", "--strip", "--speed", "1", "--output", path, "256", path]);
  const { size } = await stat(path);
  console.log(`${path}: ${size} bytes`);
  if (size > BYTES_MAX) throw new Error(`${path} has more than ${BYTES_MAX} bytes`);
}

await mkdir(IMAGES, { recursive: true });
const server = await Server.start();
try {
  const frames = await fill(server);
  const wide = { viewport: { width: 1280, height: 720 } };
  const opened = (topic) => frames.find((frame) => frame.topic === topic);
  await take(server, "light", { ...wide, colorScheme: "light" }, async (it) => {
    await it.row(opened("photo.taken")).click();
    await it.detail.locator("img").waitFor();
  });
  await take(server, "dark", { ...wide, colorScheme: "dark" }, async (it) => {
    await it.row(opened("build.finished")).click();
    await it.detail.locator(".content .tree").waitFor();
  });
  const phone = { viewport: { width: 360, height: 640 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
  await take(server, "phone", { ...phone, colorScheme: "light" }, async () => {});
} finally {
  await cleanUp();
}
