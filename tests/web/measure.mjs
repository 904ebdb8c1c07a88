// What the page costs and stands, as figures: `node tests/web/measure.mjs [PART …]`, with P2P naming a release build. Rates are
// those of this machine; what is compared is measured in turn, in one run. Where others work, too, `chrt -r 1` before it has the
// browser (which gives its own processes another nice value) and the program wait for nobody.
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { crowd } from './crowd.mjs';
import { go, Stage } from './support.mjs';

const NAMES = 10_000, ROUNDS = 3, SECONDS = 8;
/** A tracker takes so many connections where a process may have 20,000 files open. */
const PEERS = 9_800, OF_EACH = 10, FILES = 100_000;
/** An hour of updates, one a second. */
const UPDATES = 3_600;
const stage = new Stage();
const say = (what, figure, budget) => console.log(`${what.padEnd(58)} ${String(figure).padStart(12)}   ${budget}`);
const median = values => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
const sleep = ms => new Promise(done => setTimeout(done, ms));
const rss = pid => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024;
/** Seconds of processor time that a process has had. */
const cpu = pid => readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /, '').split(' ').slice(11, 13).reduce((sum, ticks) => sum + Number(ticks) / 100, 0);

async function names() {
  const shared = stage.folder();
  for (let at = 0; at < NAMES; at++) {
    const folder = join(shared, `folder-${Math.floor(at / 500)}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `file-${String(at).padStart(5, '0')}.dat`), String(at));
  }
  const tracker = await stage.tracker();
  const seeder = await stage.peer(shared, [tracker.at], '--name', 'seeder');
  const page = await stage.page(tracker.link);
  await page.waitForFunction(least => Number(document.querySelector('.count')?.textContent.replace(/\D/g, '')) >= least, NAMES).catch(() => {});
  say(`${NAMES} names: from the address to the first rows, ms`, await opens(page, new URL('/#/files', tracker.link).href), '≤ 500');
  const finds = [], answers = [];
  for (let round = 0; round < ROUNDS; round++) {
    const text = `file-0${round}7`;
    answers.push(await page.evaluate(async q => { const began = performance.now(); await (await fetch(`api/v1/contents?q=${q}&limit=200`)).text(); return performance.now() - began; }, `file-0${round}5`));
    const typed = performance.now();
    await page.fill('input[type=search]', text);
    await page.waitForFunction(text => document.querySelector('.row .name')?.textContent.includes(text), text);
    finds.push(performance.now() - typed);
  }
  say('a search as one types, until its rows are there, ms', Math.round(median(finds)), '200 of them are waited while one types');
  say('the answer of a search, ms', Math.round(median(answers)), '≤ 200');
  await page.fill('input[type=search]', '');
  await sleep(1_000);
  await scrolls(page);
  say('rows in the document', await page.$$eval('.row', rows => rows.length), 'those in sight');
  await page.context().close();
  await seeder.stop();
  await tracker.stop();
}

async function scrolls(page) {
  const frames = await page.evaluate(() => new Promise(done => {
    const body = document.querySelector('.body'), gaps = [];
    let last = performance.now();
    const step = now => { gaps.push(now - last); last = now; body.scrollTop += 400; gaps.length < 120 ? requestAnimationFrame(step) : done(gaps.slice(1)); };
    requestAnimationFrame(step);
  }));
  say('the worst of 120 frames while scrolling, ms', Math.round(Math.max(...frames)), '≤ 34');
}

/** How long it takes from nowhere to the first rows of a place. */
async function opens(page, at) {
  const all = [];
  for (let round = 0; round < ROUNDS; round++) {
    await sleep(5_000); // what was gathered for the round before is let go
    await page.goto('about:blank');
    const began = performance.now();
    await page.goto(at);
    await page.waitForSelector('.row .name');
    all.push(performance.now() - began);
  }
  return Math.round(median(all));
}

/** A tracker with thousands of peers. */
async function many() {
  const tracker = await stage.tracker();
  const gone = await crowd(tracker.at, PEERS, OF_EACH);
  const page = await stage.page(tracker.link);
  const before = rss(tracker.child.pid);
  say(`${PEERS} peers, ${PEERS * OF_EACH} names: to the first rows, ms`, await opens(page, new URL('/#/files', tracker.link).href), '≤ 500');
  await scrolls(page);
  say('the same of the page of peers, to the first rows, ms', await opens(page, new URL('/#/peers', tracker.link).href), '≤ 500');
  await scrolls(page);
  await page.goto(new URL('/#/files', tracker.link).href);
  const [began, had] = [performance.now(), cpu(tracker.child.pid)];
  await sleep(SECONDS * 1_000);
  say('processor of the tracker while they are looked at, % of a core', ((cpu(tracker.child.pid) - had) / (performance.now() - began) * 1e5).toFixed(1), '');
  say('memory beyond that before, MiB', (rss(tracker.child.pid) - before).toFixed(1), '');
  await page.context().close();
  gone();
  await tracker.stop();
}

/** A transfer of a folder with very many files. */
async function tree() {
  const shared = stage.folder(), place = stage.folder();
  for (let at = 0; at < FILES; at++) {
    const folder = join(shared, 'tree', String(Math.floor(at / 1_000)));
    if (at % 1_000 === 0) mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${at}.dat`), String(at));
  }
  const tracker = await stage.tracker();
  const seeder = await stage.peer(shared, [tracker.at]);
  const peer = await stage.peer(place, [tracker.at], '--down', '100KB/s');
  const page = await stage.page(peer.link);
  await page.waitForFunction(() => fetch('api/v1/preview?what=tree/').then(told => told.ok), undefined, { timeout: 300_000 });
  await page.evaluate(() => fetch('api/v1/transfers', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"what":"tree/"}' }));
  await page.waitForFunction(least => fetch('api/v1/transfers/1/files?limit=1').then(told => told.json()).then(told => told.total >= least), FILES, { timeout: 300_000 });
  const all = [];
  for (let round = 0; round < ROUNDS; round++) {
    await page.goto(new URL('/#/transfers/1', peer.link).href);
    await page.waitForSelector('button:text-is("Files")');
    await sleep(5_000);
    const began = performance.now();
    await page.click('button:text-is("Files")');
    await page.waitForSelector('[aria-label="Files"] .row .name');
    all.push(performance.now() - began);
    await page.click('button:text-is("Sources")');
  }
  say(`a folder of ${FILES} files: to its first rows, ms`, Math.round(median(all)), '≤ 500');
  await page.click('button:text-is("Files")');
  await page.waitForSelector('[aria-label="Files"] .row .name');
  await scrolls(page);
  await page.context().close();
  await Promise.all([seeder, peer, tracker].map(one => one.stop()));
}

/** An hour of updates in as many moments: what the stream says is said by the test, as often as it would be. */
async function hour() {
  const tracker = await stage.tracker(), peer = await stage.peer(stage.folder(), [tracker.at]);
  const page = await stage.tab();
  await page.addInitScript(() => {
    globalThis.streams = [];
    globalThis.EventSource = class extends EventTarget { constructor() { super(); globalThis.streams.push(this); } close() {} };
  });
  await page.goto(peer.link);
  await page.waitForSelector('nav');
  const cdp = await page.context().newCDPSession(page);
  const heap = async () => {
    await cdp.send('HeapProfiler.collectGarbage');
    return (await cdp.send('Runtime.getHeapUsage')).usedSize / (1 << 20);
  };
  const updates = async (from, count) => page.evaluate(async ([from, count]) => {
    const source = (at, number) => ({ peer: `${number}`, name: `peer-${number}`, addr: `10.0.0.${number}:1`, bytes: at * 1000, chunks: at, corrupt: 0, rate: 1e6 + at, round_trip_ms: 1, cost_ms: 5, inflight_bytes: 65536, useful: 9, connected: true, uploads: 1, reason: 'helps', why: 'helps' });
    const one = (at, number) => ({ number, id: 'a'.repeat(64), name: `file-${number}.iso`, state: 'fetching', bytes_total: 4e9, bytes_done: at * 1e6, bytes_resumed: 0, files_total: 1, files_done: 0, seconds: at, rate: 1e6, limit: null, path: '/x', waiting_for: [], unreached: [],
      sources: Array.from({ length: 20 }, (_, who) => source(at, who)), ledger: { useful: at * 1e6, duplicate: 0, rejected: 0, overhead: 0, sent: 0 } });
    for (let at = from; at < from + count; at++) {
      const changed = Object.fromEntries(Array.from({ length: 5 }, (_, number) => [number + 1, one(at, number + 1)]));
      globalThis.streams.forEach(stream => stream.dispatchEvent(new MessageEvent('transfers', { data: JSON.stringify({ changed, gone: [] }) })));
      if (at % 4 === 0) await new Promise(requestAnimationFrame);
    }
  }, [from, count]);
  await updates(0, UPDATES / 10); // what is made once is there
  const before = await heap();
  await updates(UPDATES / 10, UPDATES);
  say('memory of the page after an hour of updates, MiB more', (await heap() - before).toFixed(2), `0; it has ${before.toFixed(1)}`);
  await page.context().close();
  await Promise.all([peer, tracker].map(one => one.stop()));
}

/** A GiB up, with the page closed in between, and down again. */
async function large() {
  const place = stage.folder(), file = join(stage.folder(), 'film.mkv');
  execFileSync('dd', ['if=/dev/urandom', `of=${file}`, 'bs=1M', 'count=1024', 'status=none']);
  const peer = await stage.peer(place, [], '--tracker', '127.0.0.1:1');
  const first = await stage.page(peer.link), context = first.context();
  await go(first, '#/shared');
  await first.setInputFiles('.drop.upload input', file);
  await first.waitForFunction(() => /[3-9]\d\d\.\d MiB of/.test(document.querySelector('.drop.upload').textContent), undefined, { timeout: 120_000 });
  await first.close();
  const page = await context.newPage();
  page.setDefaultTimeout(120_000);
  await page.goto(new URL('/#/shared', peer.link).href);
  let from;
  page.on('request', request => { if (request.method() === 'PATCH') from ??= Number(request.headers()['upload-offset']); });
  let began = performance.now();
  await page.setInputFiles('.drop.upload input', file);
  await page.waitForSelector('text=film.mkv is here');
  say('1 GiB whose page was closed goes on at, MiB', (from / (1 << 20)).toFixed(0), '≥ 300');
  say('and the rest of it is there after, ms', Math.round(performance.now() - began), '');
  execFileSync('cmp', [file, join(place, 'film.mkv')]);
  began = performance.now();
  const [down] = await Promise.all([page.waitForEvent('download'), page.click('.row:has-text("film.mkv") a:text-is("File")')]);
  execFileSync('cmp', [file, await down.path()]);
  say('it comes down, the same bytes, in ms', Math.round(performance.now() - began), '');
  await context.close();
  await peer.stop();
}

/** What a page that is looked at costs a peer that fetches at a given rate, in processor time. */
async function costs() {
  const shared = stage.folder(), place = stage.folder();
  writeFileSync(join(shared, 'big.iso'), randomBytes(512 << 20));
  const tracker = await stage.tracker();
  await stage.peer(shared, [tracker.at]);
  const peer = await stage.peer(place, [tracker.at], '--down', '10MB/s');
  const page = await stage.page(peer.link);
  await page.waitForFunction(() => fetch('api/v1/preview?what=big.iso').then(told => told.ok));
  await page.evaluate(() => fetch('api/v1/transfers', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"what":"big.iso"}' }));
  const at = new URL('/#/transfers', peer.link).href;
  const measure = async place => {
    await page.goto(place);
    await sleep(1_500);
    const [began, before] = [performance.now(), cpu(peer.child.pid)];
    await sleep(SECONDS * 1_000);
    return (cpu(peer.child.pid) - before) / (performance.now() - began) * 1e5;
  };
  const closed = [], open = [];
  for (let round = 0; round < 2; round++) {
    closed.push(await measure('about:blank'));
    open.push(await measure(at));
  }
  const [without, withIt] = [median(closed), median(open)];
  say('a fetch of 10 MB/s: processor without a page, % of a core', without.toFixed(1), '');
  say('the same while the page is looked at', withIt.toFixed(1), '1 more, 2 with a transfer');
  await page.context().close();
}

async function floods() {
  const peer = await stage.peer(stage.folder(), []);
  const { hostname, port } = new URL(peer.link), pid = peer.child.pid;
  const ask = (path, options = {}) => new Promise((done, fail) => {
    const began = performance.now();
    const asked = request({ hostname, port, path, agent: new Agent(), ...options }, answer => { answer.resume(); answer.on('end', () => done(performance.now() - began)); });
    asked.on('error', fail);
    asked.end(options.body);
  });
  const often = async () => { const all = []; for (let at = 0; at < 40; at++) all.push(await ask('/healthz').catch(() => 30_000)); return median(all); };
  const alone = await often(), before = rss(pid);
  say('/healthz with nobody else there, ms', alone.toFixed(1), '');
  const slow = Array.from({ length: 1_000 }, () => {
    const socket = connect(Number(port), hostname, () => socket.write('GET / HTTP/1.1\r\nHost: '));
    socket.on('error', () => {});
    return socket;
  });
  await sleep(500);
  say('the same beside 1,000 headers that never end, ms', (await often()).toFixed(1), 'all of one address: it waits for its own');
  say('memory that those take, MiB', (rss(pid) - before).toFixed(1), '≤ 25');
  await sleep(7_000);
  slow.forEach(socket => socket.destroy());
  say('/healthz after they were cut, ms', (await often()).toFixed(1), '');
  let heard = 0;
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  const headers = { 'content-type': 'application/json', 'sec-fetch-site': 'same-origin' };
  const began = performance.now();
  await Promise.all(Array.from({ length: 4 }, async () => {
    for (let guess = 0; guess < 2_500; guess++) {
      await new Promise(done => {
        const asked = request({ hostname, port, path: '/api/v1/session', method: 'POST', headers, agent }, answer => { heard += answer.statusCode === 403; answer.resume(); answer.on('end', done); });
        asked.on('error', done);
        asked.end('{"token":"00"}');
      });
    }
  }));
  say(`of 10,000 guesses in ${((performance.now() - began) / 1000).toFixed(1)} s were listened to`, heard, '≤ 10 a second');
  say('memory beyond that at the start, MiB', (rss(pid) - before).toFixed(1), '≤ 25');
}

try {
  const which = process.argv.slice(2);
  for (const part of [names, many, tree, hour, large, costs, floods]) if (!which.length || which.includes(part.name)) await part();
} finally {
  await stage.end();
}
