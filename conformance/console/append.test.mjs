// The form that appends: what it sends is what is stored, and what is wrong with it is said.

import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { Server, cleanUp, open, until } from "./support.mjs";

after(cleanUp);

describe("the form", () => {
  let server;
  let it;
  let form;
  before(async () => {
    server = await Server.start();
  });
  after(() => server.remove());
  beforeEach(async () => {
    it = await open(server, { expected: ["400", "500"] });
    await it.live();
    await it.page.getByRole("button", { name: "Append", exact: true }).click();
    form = it.page.getByRole("dialog", { name: "Append a frame" });
    await form.waitFor();
  });
  afterEach(() => it.close());

  const send = () => form.getByRole("button", { name: "Append", exact: true }).click();
  const content = async (frame) => Buffer.from(await (await fetch(`${server.url}/cas/${frame.hash}`)).arrayBuffer());

  test("stores topic, meta, TTL and text as they were written", async () => {
    const meta = '{"z": 1.50,  "a": ["é", 12345678901234567890]}';
    await form.getByLabel("Topic", { exact: true }).fill("form.text");
    await form.getByLabel(/^Meta/).fill(meta);
    await form.getByLabel("Kept").selectOption("time");
    await form.getByLabel("How many").fill("90");
    await form.getByLabel("Unit").selectOption("minutes");
    await form.getByLabel("Content as text").fill("héllo\nworld");
    await send();
    await form.waitFor({ state: "hidden" });
    const answer = await (await fetch(`${server.url}/last/form.text`)).text();
    const frame = JSON.parse(answer);
    assert.ok(answer.includes(`"meta":${meta}`), answer);
    assert.equal(frame.ttl, "time:5400000");
    assert.equal(`${await content(frame)}`, "héllo\nworld");
    await it.row(frame).waitFor();
    // What was appended can be opened at once.
    await it.says(it.page.locator("#toast"), /Appended to form\.text/);
    await it.page.getByRole("button", { name: "Open it" }).click();
    await until(async () => (await it.detail.textContent()).includes(frame.id));
  });

  test("stores a file, byte by byte", async () => {
    const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, n) => (n * 7919) % 256));
    await form.getByLabel("Topic", { exact: true }).fill("form.file");
    await form.getByLabel("File", { exact: true }).check();
    await form.getByLabel("Content from a file").setInputFiles({ name: "some.bin", mimeType: "application/octet-stream", buffer: bytes });
    await form.getByLabel("Kept").selectOption("last");
    await form.getByLabel("How many").fill("5");
    await send();
    await form.waitFor({ state: "hidden" });
    const frame = await server.last("form.file");
    assert.equal(frame.ttl, "last:5");
    assert.equal(frame.meta, null);
    assert.ok((await content(frame)).equals(bytes));
  });

  test("stores a meta that no header carries, with its content", async () => {
    const meta = JSON.stringify({ long: "lößg ".repeat(30_000) }, null, 1);
    await form.getByLabel("Topic", { exact: true }).fill("form.long");
    await form.getByLabel(/^Meta/).fill(meta);
    await form.getByLabel("Content as text").fill("with it");
    await send();
    await form.waitFor({ state: "hidden" });
    const frame = await server.last("form.long");
    assert.deepEqual(frame.meta, JSON.parse(meta));
    assert.equal(`${await content(frame)}`, "with it");
  });

  test("stores a frame without meta, content or TTL", async () => {
    await form.getByLabel("Topic", { exact: true }).fill("form.bare");
    await form.getByLabel("Topic", { exact: true }).press("Enter");
    await form.waitFor({ state: "hidden" });
    const { hash, meta, ttl } = await server.last("form.bare");
    assert.deepEqual({ hash, meta, ttl }, { hash: null, meta: null, ttl: null });
  });

  test("says what is wrong, keeps what was written, and takes the repaired", async () => {
    const topic = form.getByLabel("Topic", { exact: true });
    const meta = form.getByLabel(/^Meta/);
    const failed = form.locator("#append-error");
    await send();
    await it.says(form.locator("#append-topic-error"), "A frame needs a topic.");
    assert.equal(await topic.evaluate((node) => node === document.activeElement), true);
    await topic.fill("no..topic");
    await meta.fill("{not json");
    await it.says(form.locator("#append-meta-error"), /^This is not JSON/);
    assert.equal(await meta.getAttribute("aria-invalid"), "true");
    await send();
    assert.equal(await meta.evaluate((node) => node === document.activeElement), true);
    await meta.fill('{"fine": true}');
    await form.getByLabel("Content as text").fill("kept");
    await send();
    // In the words of the server.
    await it.says(failed, /^Not appended: .*no\.\.topic.*\.\./);
    await topic.fill("form.mended");
    await form.getByLabel("Kept").selectOption("last");
    await form.getByLabel("How many").fill("0");
    await send();
    await it.says(failed, /^Not appended: .*ttl/);
    await form.getByLabel("How many").fill("2");
    await send();
    await form.waitFor({ state: "hidden" });
    const frame = await server.last("form.mended");
    assert.deepEqual(frame.meta, { fine: true });
    assert.equal(`${await content(frame)}`, "kept");
  });

  test("says when nothing answers, and Esc closes it", async () => {
    await it.page.route((url) => url.pathname.startsWith("/append"), (route) => route.fulfill({ status: 500, body: "proxy <b>error</b>" }));
    await form.getByLabel("Topic", { exact: true }).fill("form.lost");
    await send();
    await it.says(form.locator("#append-error"), /^Not appended: the server answers 500/);
    await it.page.keyboard.press("Escape");
    await form.waitFor({ state: "hidden" });
  });

  test("is for the topic that is looked at", async () => {
    await it.page.keyboard.press("Escape");
    await it.page.getByLabel("Topics to show").fill("form.looked");
    await it.page.getByLabel("Topics to show").press("Enter");
    await it.live();
    await it.page.getByRole("button", { name: "Append", exact: true }).click();
    assert.equal(await form.getByLabel("Topic", { exact: true }).inputValue(), "form.looked");
    await it.page.keyboard.type("written where the focus is");
    await it.page.keyboard.press("Control+Enter");
    await form.waitFor({ state: "hidden" });
    assert.equal(`${await content(await server.last("form.looked"))}`, "written where the focus is");
  });
});
