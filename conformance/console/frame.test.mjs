// One frame in full: its fields, its meta, its content, and nothing of it as a part of the page.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import { Server, cleanUp, open, png, until } from "./support.mjs";

after(cleanUp);

describe("a frame", () => {
  let server;
  let it;
  before(async () => {
    server = await Server.start();
  });
  after(() => server.remove());
  beforeEach(async () => {
    it = await open(server);
    await it.live();
  });
  afterEach(() => it.close());

  const show = async (topic, what) => {
    const frame = await server.append(topic, what);
    await it.row(frame).click();
    await until(async () => (await it.detail.textContent()).includes(frame.id));
    return frame;
  };
  const leaf = (key) => it.detail.locator(".leaf", { has: it.page.locator(".key", { hasText: new RegExp(`^${key}$`) }) });

  test("its fields are there in full, and can be copied as they are", async () => {
    await it.page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    // Spelled in a way of its own, with a number that no JavaScript number is.
    const meta = '{"b": 1.50,  "big": 12345678901234567890, "a": {"deep": [true, null, "x"]}}';
    const frame = await show("notes.todo", { meta, ttl: "time:60000", content: "hello" });
    const text = await it.detail.textContent();
    for (const part of [frame.id, frame.hash, "time:60000"]) assert.ok(text.includes(part), `${part} in ${text}`);
    await it.says(it.detail.locator(".preview .head .note"), "5 B · text/plain");
    await it.says(leaf("big"), "big: 12345678901234567890");
    await it.says(leaf("b"), "b: 1.50");
    for (const [what, value] of [["id", frame.id], ["hash", frame.hash], ["meta", meta], ["content", "hello"]]) {
      const button = it.page.getByRole("button", { name: `Copy ${what}` });
      await button.click();
      await it.says(button, "Copied");
      assert.equal(await it.page.evaluate(() => navigator.clipboard.readText()), value);
    }
    const copyFrame = it.page.getByRole("button", { name: "Copy frame as JSON" });
    await copyFrame.click();
    await it.says(copyFrame, "Copied");
    const answer = await fetch(`${server.url}/${frame.id}`);
    assert.equal(await it.page.evaluate(() => navigator.clipboard.readText()), await answer.text());
  });

  test("its meta is a tree that opens and closes, by mouse and by keys", async () => {
    const long = Array.from({ length: 250 }, (_, n) => `item ${n}`);
    await show("tree", { meta: { outer: { middle: { inner: "found" } }, long, empty: {}, text: "x".repeat(900) } });
    const branch = (key) => it.detail.locator("details", { has: it.page.locator(`:scope > summary > .key`, { hasText: new RegExp(`^${key}$`) }) }).last();
    assert.equal(await branch("outer").evaluate((node) => node.open), true);
    assert.equal(await leaf("inner").count(), 0);
    await branch("middle").locator("summary").click();
    await it.says(leaf("inner"), 'inner: "found"');
    await branch("outer").locator("> summary").focus();
    await it.page.keyboard.press("ArrowDown");
    await it.page.keyboard.press("ArrowLeft");
    assert.equal(await branch("middle").evaluate((node) => node.open), false);
    await it.page.keyboard.press("ArrowRight");
    assert.equal(await branch("middle").evaluate((node) => node.open), true);
    // A long branch comes a page at a time.
    await branch("long").locator("summary").click();
    await until(async () => (await branch("long").locator(".leaf").count()) === 100);
    await branch("long").getByRole("button", { name: "100 more of 150" }).click();
    await branch("long").getByRole("button", { name: "50 more of 50" }).click();
    await until(async () => (await branch("long").locator(".leaf").count()) === 250);
    await it.page.getByRole("button", { name: "all 902 characters" }).click();
    await it.says(leaf("text"), new RegExp("x{900}"));
  });

  test("text is shown up to a bound, and saved whole", async () => {
    const text = `${"é line of text\n".repeat(20_000)}the end`;
    const frame = await show("text.long", { content: text });
    const shown = it.detail.getByLabel("Content as text");
    await shown.waitFor();
    const start = await shown.textContent();
    assert.ok(text.startsWith(start) && Buffer.byteLength(start) > 65_530 && Buffer.byteLength(start) <= 65_536);
    await it.says(it.detail.locator(".content .note"), /^The first 64\.0 KiB of 3\d\d\.\d KiB/);
    const [download] = await Promise.all([it.page.waitForEvent("download"), it.page.getByRole("button", { name: "Download" }).click()]);
    assert.equal(download.suggestedFilename(), `text.long-${frame.id.slice(-5)}.txt`);
    assert.equal(await readFile(await download.path(), "utf8"), text);
  });

  test("JSON is a tree, and its text when asked for", async () => {
    await show("json", { content: '{"passed": 3, "ratio": 0.10, "slow": [{"ms": 8123}]}' });
    await it.says(leaf("ratio"), "ratio: 0.10");
    await it.page.getByRole("button", { name: "Text", exact: true }).click();
    await it.says(it.detail.getByLabel("Content as text"), '{"passed": 3, "ratio": 0.10, "slow": [{"ms": 8123}]}');
    assert.equal(await it.detail.locator(".content .tree").isVisible(), false);
    // What only looks like it is text.
    await show("json", { content: "{ this is none" });
    await it.says(it.detail.getByLabel("Content as text"), "{ this is none");
    // Deeper than a stack goes.
    const deep = "[".repeat(20_000) + "]".repeat(20_000);
    await show("json", { content: deep });
    await it.says(it.detail.getByLabel("Content as text"), deep);
  });

  test("images are shown, whatever their size", async () => {
    const images = [
      ["png", png(64, 40), "image/png", 64],
      // Larger than what is looked at to tell what it is.
      ["png", png(300, 200, "x".repeat(90_000)), "image/png", 300],
      ["gif", Buffer.from("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7", "base64"), "image/gif", 1],
      ["webp", Buffer.from("UklGRiQAAABXRUJQVlA4IBgAAAAwAQCdASoBAAEAAwA0JaQAA3AA/vuUAAA=", "base64"), "image/webp", 1],
      ["svg", '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="33" height="20"><rect width="33" height="20"/></svg>', "image/svg+xml", 33],
    ];
    for (const [kind, content, type, width] of images) {
      await show(`image.${kind}`, { content });
      const image = it.detail.locator(".content img");
      await until(() => image.evaluate((node) => node.complete && node.naturalWidth), async () => kind);
      assert.equal(await image.evaluate((node) => node.naturalWidth), width, kind);
      assert.ok((await it.detail.textContent()).includes(type), kind);
      assert.match(await image.getAttribute("src"), /^blob:/);
    }
  });

  test("what is no text is shown by its bytes", async () => {
    await show("bytes", { content: Buffer.from([0, 1, 2, 0xff, 0x41, 0x42]) });
    await it.says(it.detail.getByLabel("First bytes"), "000000  00 01 02 ff 41 42                                ...\u{2e}AB");
    await show("bytes", { content: Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), Buffer.from("no image")]) });
    await it.says(it.detail.locator(".content .error"), "The browser cannot read this image.");
  });

  test("what a frame holds is text, and never a part of the page", async () => {
    const attack = `<img src=x onerror="document.title='taken'"><script>document.title='taken'</script><a href="javascript:alert(1)">x</a>`;
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="parent.document.title='taken';alert(1)"><script>alert(2);fetch('/version')</script>`
      + `<image href="http://127.0.0.2/away.png"/><foreignObject width="9" height="9"><img xmlns="http://www.w3.org/1999/xhtml" src="x" onerror="alert(3)"/></foreignObject></svg>`;
    const frame = await show("attack", { meta: { [attack]: attack, __proto__: null, list: [attack], constructor: "x", "</summary><b>": { [attack]: 1 } }, content: attack });
    await it.says(it.detail.getByLabel("Content as text"), attack);
    await it.says(it.row(frame).locator(".snippet"), attack.slice(0, 160));
    await show("attack", { meta: JSON.stringify(attack), content: JSON.stringify({ [attack]: attack }) });
    await it.detail.locator(".content .tree").waitFor();
    await show("attack", { content: svg });
    await until(() => it.detail.locator(".content img").evaluate((node) => node.complete && node.naturalWidth));
    await show("attack", { content: `<!doctype html><title>taken</title>${attack}` });
    await it.detail.getByLabel("Content as text").waitFor();
    assert.deepEqual(await it.page.evaluate(() => [document.title, document.querySelectorAll("img:not(.content img), script:not([src]), #frames a, .detail a, b").length]), ["xs", 0]);
    // Nor can the address make it so: what is there is asked for, and said to be wrong.
    const other = await open(server, { path: `/ui#topic=${encodeURIComponent(attack)}&frame=${encodeURIComponent(attack)}`, expected: ["400"] });
    await other.says(other.state, "Refused");
    await other.detail.locator(".error").waitFor();
    assert.equal(await other.page.evaluate(() => document.querySelectorAll("img, script:not([src])").length), 0);
    assert.ok(!(await other.page.title()).startsWith("taken"));
    await other.close();
  });

  test("it has an address of its own, and going back closes it", async () => {
    const first = await show("address", { content: "one" });
    await it.addressSays(`frame=${first.id}`);
    const url = it.page.url();
    const second = await show("address", { content: "two" });
    await it.addressSays(`frame=${second.id}`);
    await it.page.goBack();
    await it.detail.waitFor({ state: "hidden" });
    await it.page.goForward();
    await until(async () => (await it.detail.textContent()).includes(second.id));
    // Into the same page, and into a new one.
    await it.page.goto(url);
    await until(async () => (await it.detail.textContent()).includes(first.id));
    await it.page.reload();
    await until(async () => (await it.detail.textContent()).includes(first.id));
    await it.page.getByRole("button", { name: "Close", exact: true }).click();
    await it.detail.waitFor({ state: "hidden" });
    await it.addressSays("");
  });

  test("a part of its topic shows what lies below, and closing it keeps that", async () => {
    await server.append("crumb.other");
    await show("crumb.one.deep", {});
    await it.detail.getByRole("button", { name: "one", exact: true }).click();
    await until(async () => (await it.page.getByLabel("Topics to show").inputValue()) === "crumb.one.*");
    await it.live();
    assert.deepEqual(await it.topics(), ["crumb.one.deep"]);
    await it.page.keyboard.press("Escape");
    await it.detail.waitFor({ state: "hidden" });
    await it.addressSays("topic=crumb.one.*");
    assert.deepEqual(await it.topics(), ["crumb.one.deep"]);
  });
});

describe("a frame that is gone, or its content", () => {
  test("is said to be", async () => {
    const server = await Server.start();
    const frame = await server.append("gone", { content: "soon" });
    const it = await open(server, { expected: ["404"] });
    await it.live();
    const answer = await fetch(`${server.url}/${frame.id}`, { method: "DELETE" });
    assert.equal(answer.status, 204);
    // The list has it still; its address has not.
    const other = await open(server, { path: `/ui#frame=${frame.id}`, expected: ["404"] });
    await other.says(other.detail.locator(".error"), /there is no frame/);
    await other.close();
    await it.page.route((url) => url.pathname.startsWith("/cas/"), (route) => route.fulfill({
      status: 404, contentType: "application/json", body: '{"error":{"kind":"NotFound","message":"there is no such content"}}',
    }));
    await it.row(frame).click();
    await it.says(it.detail.locator(".preview .error"), "It cannot be shown: there is no such content");
    await it.close();
    await server.remove();
  });
});
