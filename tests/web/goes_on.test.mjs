// A tracker's page dies under who looks at it, and goes on at another tracker's.
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { go, Stage } from './support.mjs';

const stage = new Stage();
after(() => stage.end());

test('when a tracker is killed its page goes on at another: the same place, and still logged in', async () => {
  const secret = join(stage.folder(), 'secret'), shared = stage.folder();
  writeFileSync(secret, randomBytes(32), { mode: 0o600 });
  writeFileSync(join(shared, 'big.iso'), 'x');
  const second = await stage.tracker('--web-secret', secret);
  const other = new URL(second.link).origin;
  const first = await stage.tracker('--web-secret', secret, '--web-also', 'http://127.0.0.1:1', '--web-also', other);
  await stage.peer(shared, [first.at, second.at], '--name', 'seeder');
  const page = await stage.page(first.link);
  await go(page, '#/peers?q=seed');
  await page.waitForSelector('.row:has-text("seeder")');
  const began = Date.now();
  await first.stop('SIGKILL');
  await page.waitForURL(`${other}/**`);
  await page.waitForSelector('.row:has-text("seeder")');
  const took = Date.now() - began;
  assert.equal(new URL(page.url()).hash, '#/peers?q=seed');
  assert.match(await page.textContent('.account'), /owner, admin/);
  console.log(`it went on after ${took} ms`);
  assert.ok(took <= 10_000, `${took} ms, which is three seconds on a machine that has nothing else to do`);
});

test('a ticket is good once, and a page without the secret wants a login', async () => {
  const secret = join(stage.folder(), 'secret');
  writeFileSync(secret, randomBytes(32), { mode: 0o600 });
  const [first, second, stranger] = [await stage.tracker('--web-secret', secret), await stage.tracker('--web-secret', secret), await stage.tracker()];
  const page = await stage.page(first.link);
  const ticket = await page.evaluate(() => fetch('api/v1/ticket', { method: 'POST' }).then(told => told.json()).then(told => told.ticket));
  const at = (tracker, ticket) => `${new URL(tracker.link).origin}/#in=${ticket}&to=%2Fpeers`;
  const tab = await stage.tab();
  await tab.goto(at(second, ticket));
  await tab.waitForSelector('nav');
  for (const tracker of [second, stranger]) {
    const again = await stage.tab();
    await again.goto(at(tracker, ticket));
    await again.waitForSelector('.login');
  }
});
