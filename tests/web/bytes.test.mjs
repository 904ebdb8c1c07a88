// Bytes through the browser: a file up with the page closed in between, down in part, a folder as a ZIP.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { go, Stage } from './support.mjs';

const stage = new Stage();
let place, peer, page, made;

before(async () => {
  place = stage.folder();
  made = stage.folder();
  mkdirSync(join(place, 'photos/2024'), { recursive: true });
  writeFileSync(join(place, 'photos/2024/ü.jpg'), 'a picture');
  writeFileSync(join(place, 'photos/none'), '');
  writeFileSync(join(made, 'film.mkv'), randomBytes(40 << 20));
  peer = await stage.peer(place, [], '--tracker', '127.0.0.1:1');
  page = await stage.page(peer.link);
});
after(() => stage.end());

test('a file goes up though the page is closed in between, and comes down as it was', async () => {
  const file = join(made, 'film.mkv');
  await go(page, '#/shared');
  // The second part waits, and at most begins to arrive as the page is closed: the file is not whole.
  let parts = 0;
  await page.route('**/uploads/*', route => (route.request().method() === 'PATCH' && ++parts > 1 ? undefined : route.continue()));
  await page.setInputFiles('.drop.upload input', file);
  await page.waitForFunction(() => /8\.0 MiB of/.test(document.querySelector('.drop.upload').textContent));
  const context = page.context();
  await page.close();
  assert.equal(existsSync(join(place, 'film.mkv')), false, 'nothing has its name before all of it is there');
  page = await context.newPage();
  await page.goto(new URL('/#/shared', peer.link).href);
  const sent = [];
  page.on('request', request => { if (request.method() === 'PATCH') sent.push(Number(request.headers()['upload-offset'])); });
  await page.waitForSelector('.drop.upload input', { state: 'attached' });
  await page.setInputFiles('.drop.upload input', file);
  await page.waitForSelector('text=film.mkv is here');
  assert.ok(sent[0] >= 8 << 20, `it goes on where it was, and not at ${sent[0]}`);
  assert.deepEqual(readFileSync(join(place, 'film.mkv')), readFileSync(file));
  await page.waitForSelector('.row:has-text("film.mkv")');
  const [down] = await Promise.all([page.waitForEvent('download'), page.click('.row:has-text("film.mkv") a:text-is("File")')]);
  assert.equal(down.suggestedFilename(), 'film.mkv');
  assert.deepEqual(readFileSync(await down.path()), readFileSync(file));
});

test('a part of a file is what was asked for', async () => {
  const told = await page.evaluate(async () => {
    const { items } = await (await fetch('api/v1/shared?q=film')).json();
    const get = range => fetch(`api/v1/contents/${items[0].id}/data`, { headers: { range } });
    const part = await get('bytes=1000000-1000009');
    return { status: part.status, range: part.headers.get('content-range'), bytes: [...new Uint8Array(await part.arrayBuffer())], past: (await get('bytes=99999999-')).status };
  });
  const file = readFileSync(join(made, 'film.mkv'));
  assert.deepEqual(told, { status: 206, range: `bytes 1000000-1000009/${file.length}`, bytes: [...file.subarray(1_000_000, 1_000_010)], past: 416 });
});

test('a folder comes down as a ZIP that others can read', async () => {
  const [down] = await Promise.all([page.waitForEvent('download'), page.click('.row:has-text("photos/") >> a:text-is("ZIP")')]);
  assert.equal(down.suggestedFilename(), 'photos.zip');
  const told = execFileSync('python3', ['-c', 'import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(sorted((i.filename,i.file_size) for i in z.infolist()))', await down.path()], { encoding: 'utf8' });
  assert.equal(told.trim(), "[('photos/2024/ü.jpg', 9), ('photos/none', 0)]");
});

test('what is there keeps its name', async () => {
  writeFileSync(join(made, 'film.mkv'), 'another');
  await page.setInputFiles('.drop.upload input', join(made, 'film.mkv'));
  await page.waitForSelector('.row:has-text("film (2).mkv")');
  assert.equal(readFileSync(join(place, 'film (2).mkv'), 'utf8'), 'another');
});
