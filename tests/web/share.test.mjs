// A file for somebody who has nothing but a browser; a page by TLS; and what is not here, fetched for who saves it.
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { axe, go, Stage } from './support.mjs';

const stage = new Stage();
const NAME = 'a <b>film<b> & more.mkv';
let place, film;

before(() => {
  place = stage.folder();
  film = randomBytes(9 << 20);
  writeFileSync(join(place, NAME), film);
  mkdirSync(join(place, 'photos'));
  writeFileSync(join(place, 'photos/one.jpg'), 'a picture');
});
after(() => stage.end());

async function save(page, button) {
  const [down] = await Promise.all([page.waitForEvent('download'), page.click(button)]);
  return { name: down.suggestedFilename(), bytes: readFileSync(await down.path()) };
}

test('a link of share is opened by a browser that has nothing, and gives one content', async () => {
  const { link } = await stage.share(join(place, NAME));
  assert.match(link, /^https:\/\/127\.0\.0\.1:\d+\/s\/[0-9a-f]{40}$/);
  const page = await stage.tab();
  await page.goto(link);
  assert.equal(await page.textContent('h1'), NAME);
  assert.match(await page.textContent('main'), /9\.0 MiB/);
  assert.deepEqual(await axe(page), []);
  const saved = await save(page, 'text=Save it');
  assert.ok(saved.bytes.equals(film));
  for (const [path, status] of [[`${link}0`, 404], [`${link}/data`, 200], [new URL('/api/v1/shared', link).href, 401], [new URL('/s/0', link).href, 404]]) {
    assert.equal((await page.request.get(path, { ignoreHTTPSErrors: true })).status(), status, path);
  }
  const part = await page.request.get(`${link}/data`, { headers: { range: 'bytes=5000000-5000004' } });
  assert.equal(part.status(), 206);
  assert.ok((await part.body()).equals(film.subarray(5_000_000, 5_000_005)));
  assert.deepEqual(page.trouble, []);
});

test('a folder is a ZIP for who has the link', async () => {
  const { link } = await stage.share(join(place, 'photos'));
  const page = await stage.tab();
  await page.goto(link);
  const saved = await save(page, 'text=Save it');
  assert.equal(saved.name, 'photos.zip');
  assert.ok(saved.bytes.includes('a picture'));
});

test('what is not here is fetched for who saves it, by a page under TLS', async () => {
  const tracker = await stage.tracker(), empty = stage.folder();
  await stage.peer(place, [tracker.at], '--name', 'seeder');
  const { link } = await stage.peer(empty, [tracker.at], '--web-cert', 'self');
  assert.match(link, /^https:/);
  const page = await stage.page(link);
  const [cookie] = await page.context().cookies();
  assert.ok(cookie.secure && cookie.name.startsWith('__Host-'), cookie.name);
  await go(page, '#/files?q=film');
  await page.click('.row .name');
  const saved = await save(page, 'text=Save it');
  assert.ok(saved.bytes.equals(film));
  assert.deepEqual(readdirSync(empty), ['.p2p'], 'it is no part of the folder');
  await page.click('text=A link for browsers');
  const given = await page.waitForSelector('.given a');
  const other = await stage.tab();
  await other.goto(await given.getAttribute('href'));
  assert.ok((await save(other, 'text=Save it')).bytes.equals(film));
});
