// The page in a browser, as its user sees it: log in, look, get, watch, pause, limit; and what no stranger's name may do.
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { axe, cells, go, ROOT, Stage } from './support.mjs';

const stage = new Stage();
const HOSTILE = '<img src=x onerror=alert(1)>\u202egnp.exe';
let tracker, peer, page, content;

before(async () => {
  const shared = stage.folder(), place = stage.folder();
  content = randomBytes(12 << 20);
  writeFileSync(join(shared, 'big.iso'), content);
  writeFileSync(join(shared, HOSTILE), 'x');
  mkdirSync(join(shared, 'photos'));
  for (let number = 0; number < 300; number++) writeFileSync(join(shared, 'photos', `picture-${String(number).padStart(3, '0')}.jpg`), String(number));
  tracker = await stage.tracker();
  await stage.peer(shared, [tracker.at], '--name', 'seeder');
  peer = await stage.peer(place, [tracker.at], '--name', 'fetcher', '--down', '400KB/s');
  peer.place = place;
  page = await stage.page(peer.link);
});
after(() => stage.end());

const text = selector => page.textContent(selector);
const until = (what, ask) => page.waitForFunction(what, ask);

test('a link logs in once and leaves no trace in the address', async () => {
  assert.equal(new URL(page.url()).hash.includes('in='), false);
  assert.match(await text('.account'), /owner, admin/);
  const other = await (await page.context().browser().newContext()).newPage();
  await other.goto(peer.link);
  await other.waitForSelector('.login');
  await other.context().close();
});

test('what is looked for is found as one types, sorted by the server', async () => {
  await go(page, '#/files');
  await page.fill('input[type=search]', 'picture');
  await until(() => document.querySelector('.count')?.textContent === '300');
  const names = await cells(page, 'Files in the swarm');
  assert.equal(names[0], 'photos/picture-000.jpg');
  assert.ok(names.length < 60, `${names.length} rows are in the document`);
  await page.click('button:has-text("Name")');
  await until(() => document.querySelector('.row .name')?.textContent === 'photos/picture-299.jpg');
  await page.focus('.body');
  await page.keyboard.press('End');
  await until(() => [...document.querySelectorAll('.row .name')].some(name => name.textContent === 'photos/picture-000.jpg'));
});

test('a fetch is looked at, begun, watched, paused, limited, and ends', async () => {
  await go(page, '#/get?what=big.iso');
  await page.waitForSelector('text=Fetch it');
  assert.match(await text('main'), /12\.0 MiB/);
  await page.click('text=Fetch it');
  await page.waitForSelector('h2:has-text("big.iso")');
  await until(() => Number(document.querySelector('.progress.large [role=progressbar]')?.ariaValueNow) > 0);
  await page.click('button:text-is("Pause")');
  await page.waitForSelector('.state.paused');
  await page.click('button:text-is("Resume")');
  await page.waitForSelector('.state.fetching');
  await page.waitForSelector('[aria-label="Sources"] .row:has-text("seeder")');
  await go(page, '#/limits');
  await page.fill('form:has-text("Receive at most") input', '');
  await page.click('form:has-text("Receive at most") button');
  await until(() => /now: no limit/.test(document.querySelector('form')?.textContent));
  await go(page, '#/transfers');
  await page.waitForSelector('.state.done');
  assert.deepEqual(readFileSync(join(peer.place, 'big.iso')), content);
});

test('a descriptor is saved, dropped, and fetched', async () => {
  const id = await page.evaluate(() => fetch('api/v1/contents?q=photos').then(told => told.json()).then(told => told.items[0].id));
  const descriptor = await page.evaluate(id => fetch(`api/v1/contents/${id}/descriptor`).then(told => told.text()), id);
  assert.match(descriptor, /photos\//);
  await go(page, '#/get');
  await page.waitForSelector('.drop');
  await page.setInputFiles('.drop input', { name: 'photos.p2p', mimeType: 'application/toml', buffer: Buffer.from(descriptor) });
  await page.waitForSelector('text=Fetch it');
  await page.click('text=Fetch it');
  await page.waitForSelector('.state.done');
  assert.equal(readdirSync(join(peer.place, 'photos')).filter(name => name.startsWith('picture')).length, 300);
});

test('a hostile name is text', async () => {
  await go(page, '#/files?q=onerror');
  await page.waitForSelector('.row .name');
  const [name] = await cells(page, 'Files in the swarm');
  assert.equal(name, '<img src=x onerror=alert(1)>\\u{202e}gnp.exe');
  assert.equal(await page.$('main .row img'), null);
});

test('every page is clean for axe, in light and dark, and fits a phone', async () => {
  const places = ['transfers', 'transfers/1', 'get?what=big.iso', 'files', 'shared', 'peers', 'stores', 'cluster', 'limits', 'overview', 'activity', 'people'];
  for (const place of places) {
    await go(page, `#/${place}`);
    await page.waitForSelector('h1');
    await page.emulateMedia({ colorScheme: 'light' });
    assert.deepEqual(await axe(page), [], `${place}, light`);
    await page.emulateMedia({ colorScheme: 'dark' });
    assert.deepEqual(await axe(page, ['color-contrast']), [], `${place}, dark: all else is the same`);
    await page.setViewportSize({ width: 360, height: 740 });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 360, `${place} is ${wide} wide`);
    await page.setViewportSize({ width: 1280, height: 800 });
  }
  assert.deepEqual(page.trouble, []);
});

test('a tracker shows its files and peers, and takes a descriptor', async () => {
  const other = await stage.page(tracker.link);
  await other.waitForSelector('.row:has-text("big.iso")');
  await go(other, '#/peers');
  await other.waitForSelector('.row:has-text("seeder")');
  await go(other, '#/send');
  await other.fill('#link', `p2p:${'0'.repeat(63)}1?name=later.iso&size=7`);
  await other.click('button:text-is("Hand in")');
  await other.waitForSelector('.row:has-text("later.iso")');
  assert.deepEqual(await axe(other), []);
  assert.deepEqual(other.trouble, []);
});

test('when the only tracker dies the page says so and stays', async () => {
  await go(page, '#/overview');
  await page.waitForSelector('li:has-text("connected")');
  await tracker.stop();
  await page.waitForSelector('li:has-text("cannot be reached")');
  await go(page, '#/transfers');
  await page.waitForSelector('.row:has-text("big.iso")');
});

test('the page costs at most 100 KiB compressed', () => {
  const folder = join(ROOT, 'web');
  const files = readdirSync(folder, { recursive: true }).filter(name => /\.(js|css|html|svg)$/.test(name) && !name.includes('node_modules'));
  const bytes = files.reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name)), { level: 9 }).length, 0);
  assert.ok(bytes <= 100 << 10, `${bytes} bytes`);
});
