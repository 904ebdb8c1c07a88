// What stores keep: saved though one of them is gone, handed to them on the page, and a store that is let go.
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { axe, go, Stage } from './support.mjs';

const stage = new Stage();
const stores = [];
let tracker, film, owner, page;

before(async () => {
  const [made, place] = [stage.folder(), stage.folder()];
  film = randomBytes(20 << 16);
  writeFileSync(join(made, 'film.mkv'), film);
  writeFileSync(join(place, 'notes.txt'), 'hello');
  tracker = await stage.tracker();
  owner = await stage.page(tracker.link);
  for (let number = 1; number <= 3; number++) stores.push(await stage.peer(stage.folder(), [tracker.at], '--name', `store-${number}`, '--store', '20MB'));
  await go(owner, '#/stores');
  await owner.waitForFunction(() => document.querySelectorAll('.state.lending').length === 3);
  stage.somebody()('upload', join(made, 'film.mkv'), '--code', '2+1', '--tracker', tracker.at);
  page = await stage.page((await stage.peer(place, [tracker.at], '--name', 'reader')).link);
});
after(() => stage.end());

test('what is kept as shards is saved though one store of them was killed', async () => {
  await stores[0].stop('SIGKILL');
  await go(page, '#/files?q=film');
  await page.click('.row:has-text("film.mkv") .name');
  await page.waitForSelector('.card:has-text("shards of a code 2+1")');
  assert.deepEqual(await axe(page), []);
  const [down] = await Promise.all([page.waitForEvent('download'), page.click('text=Save it')]);
  assert.equal(down.suggestedFilename(), 'film.mkv');
  assert.ok(readFileSync(await down.path()).equals(film));
});

test('what is shared is handed to stores', async () => {
  await go(page, '#/shared');
  await page.click('.row:has-text("notes.txt") button:text-is("Store")');
  await page.fill('dialog input', '1');
  assert.deepEqual(await axe(page), []);
  await page.click('dialog button:text-is("Have it kept")');
  await page.waitForSelector('li:has-text("notes.txt"):has-text("stored as version 1")');
  await go(owner, '#/files?q=notes');
  await owner.waitForSelector('.row:has-text("notes.txt")');
});

test('a tracker tells who comes and goes as it happens, and how to fetch what it has no bytes of', async () => {
  await go(owner, '#/activity');
  await owner.waitForSelector('.row:has-text("store-1"):has-text("went without a word")');
  const told = await stage.peer(stage.folder(), [tracker.at], '--name', '\u202egnp.<b>');
  await owner.waitForSelector('.row:has-text("\\\\u{202e}gnp.<b>"):has-text("joined")');
  await told.stop();
  await owner.waitForSelector('.row:has-text("\\\\u{202e}gnp.<b>"):has-text("left")', { timeout: 4000 });
  await owner.selectOption('label:has-text("Show") select', 'store');
  await owner.waitForSelector('.row:has-text("gnp.<b>")', { state: 'detached' });
  await owner.waitForSelector('.row:has-text("store-3"):has-text("lends space")');
  assert.deepEqual(await axe(owner), []);
  await go(owner, '#/files?q=film');
  await owner.click('.row:has-text("film.mkv") .name');
  await owner.waitForSelector('.given:has-text("A tracker has no bytes"):has-text("p2p get \'p2p:")');
  assert.equal(await owner.locator('text=Save it').filter({ hasNotText: 'descriptor' }).count(), 0);
  assert.deepEqual(await axe(owner), []);
});

test('a store is let go, and the tracker says that it is alone', async () => {
  await go(owner, '#/stores');
  await owner.click('.row:has-text("store-2") button');
  await owner.click('dialog button:text-is("Let it leave")');
  await owner.waitForSelector('.row:has-text("store-2"):has-text("leaving"), .row:has-text("store-2"):has-text("left")');
  assert.deepEqual(await axe(owner), []);
  await go(owner, '#/cluster');
  await owner.waitForSelector('text=One tracker');
  assert.deepEqual([page.trouble, owner.trouble], [[], []]);
});
