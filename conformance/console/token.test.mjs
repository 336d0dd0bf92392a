// A server that asks for tokens.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, afterEach, before, describe, test } from "node:test";
import { Server, cleanUp, open, until } from "./support.mjs";

after(cleanUp);

const WRITE = "write-token-6f1c9a7e52d84b30";
const READ = "read-token-0b9d7c35e8a142f6";

describe("with tokens", () => {
  let server;
  let it;
  before(async () => {
    server = await Server.start({ tokens: `# for the test\nread-write ${WRITE}\nread-only ${READ}\n` });
  });
  after(() => server.remove());
  afterEach(() => it.close());

  const dialog = () => it.page.getByRole("dialog", { name: "This server asks for a token" });
  const give = async (token) => {
    await dialog().getByLabel("Token", { exact: true }).fill(token);
    await dialog().getByRole("button", { name: "Use token" }).click();
  };
  const kept = () => it.page.evaluate(() => [JSON.stringify({ ...sessionStorage }), JSON.stringify({ ...localStorage }), document.cookie, location.href].join(" "));

  test("the page asks for one, works with it, and forgets it", async () => {
    const frame = await server.append("secret", { meta: { n: 1 }, content: "the content", token: WRITE });
    it = await open(server, { expected: ["401"] });
    await dialog().waitFor();
    await it.says(it.state, "Needs a token");
    assert.deepEqual(await it.ids(), []);
    assert.equal(await dialog().getByLabel("Token", { exact: true }).evaluate((node) => node === document.activeElement && node.type), "password");

    // A wrong one is said to be.
    await give("wrong-token-00000000000000000");
    await it.says(dialog().locator("#token-error"), /^That token does not do/);
    await give("no token");
    await it.says(dialog().locator("#token-error"), /without spaces/);
    assert.ok(!(await kept()).includes("wrong-token"));

    await give(WRITE);
    await it.live();
    await it.row(frame).waitFor();
    await it.says(it.row(frame).locator(".snippet"), "the content");
    await it.page.locator("#topics-list").getByRole("button", { name: "secret" }).waitFor();
    await it.row(frame).click();
    await it.says(it.detail.getByLabel("Content as text"), "the content");
    const [download] = await Promise.all([it.page.waitForEvent("download"), it.page.getByRole("button", { name: "Download" }).click()]);
    assert.equal(await readFile(await download.path(), "utf8"), "the content");

    await it.page.setViewportSize({ width: 360, height: 640 });
    assert.equal(await it.page.evaluate(() => document.documentElement.scrollWidth), 360);
    await it.page.keyboard.press("Escape");
    assert.ok(await it.page.getByRole("button", { name: "Forget token" }).isVisible());
    await it.page.setViewportSize({ width: 1360, height: 800 });
    await it.row(frame).click();

    // It survives a reload, in this tab alone.
    assert.deepEqual((await kept()).match(new RegExp(WRITE, "g")).length, 1);
    await it.page.reload();
    await it.live();
    const tab = await it.page.context().newPage();
    await tab.goto(`${server.url}/ui`);
    await tab.getByRole("dialog", { name: "This server asks for a token" }).waitFor();
    await tab.close();

    await it.page.getByRole("button", { name: "Forget token" }).click();
    await dialog().waitFor();
    assert.deepEqual(await it.ids(), []);
    assert.equal(await it.detail.isVisible(), false);
    assert.equal(await it.page.locator("#topics-list button").count(), 0);
    assert.ok(!(await kept()).includes(WRITE));
    assert.ok(!(await it.page.content()).includes("the content"));
  });

  test("whoever has none now can give it later, and is not asked all the time", async () => {
    it = await open(server, { path: null, expected: ["401"] });
    await it.page.clock.install();
    await it.page.goto(`${server.url}/ui`);
    await dialog().getByRole("button", { name: "Not now" }).click();
    await it.page.clock.runFor(120_000);
    assert.equal(await dialog().isVisible(), false);
    await it.page.getByRole("button", { name: "Enter token" }).click();
    await give(READ);
    await it.live();
  });

  test("a token to read with reads, and is told that it cannot write", async () => {
    const frame = await server.append("secret", { token: WRITE });
    it = await open(server, { expected: ["401", "403"] });
    await give(READ);
    await it.live();
    await it.row(frame).waitFor();
    await it.page.getByRole("button", { name: "Append", exact: true }).click();
    const form = it.page.getByRole("dialog", { name: "Append a frame" });
    await form.getByLabel("Topic", { exact: true }).fill("secret");
    await form.getByLabel("Content as text").fill("refused");
    await form.getByRole("button", { name: "Append", exact: true }).click();
    await it.says(form.locator("#append-error"), /^Not appended: .*read/);
    assert.equal(await form.getByLabel("Content as text").inputValue(), "refused");
    await it.page.keyboard.press("Escape");
    // It reads on.
    const next = await server.append("secret", { token: WRITE });
    await it.row(next).waitFor();
    assert.equal((await it.ids())[0], next.id);
    await until(async () => (await it.state.textContent()) === "Live");
  });
});
