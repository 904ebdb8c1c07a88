// What the page costs and stands, as figures: `node tests/web/measure.mjs`, with P2P naming a release build. Rates are those
// of this machine; what is compared is measured in turn, in one run.
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { go, Stage } from './support.mjs';

const NAMES = 10_000, ROUNDS = 3, SECONDS = 8;
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
  await stage.peer(shared, [tracker.at], '--name', 'seeder');
  const page = await stage.page(tracker.link);
  await page.waitForFunction(least => Number(document.querySelector('.count')?.textContent.replace(/\D/g, '')) >= least, NAMES).catch(() => {});
  const opens = [], finds = [], answers = [];
  for (let round = 0; round < ROUNDS; round++) {
    await sleep(5_000); // what was gathered for the round before is let go
    await page.goto('about:blank');
    const began = performance.now();
    await page.goto(new URL('/#/files', tracker.link).href);
    await page.waitForSelector('.row .name');
    opens.push(performance.now() - began);
    const text = `file-0${round}7`;
    answers.push(await page.evaluate(async q => { const began = performance.now(); await (await fetch(`api/v1/contents?q=${q}&limit=200`)).text(); return performance.now() - began; }, `file-0${round}5`));
    const typed = performance.now();
    await page.fill('input[type=search]', text);
    await page.waitForFunction(text => document.querySelector('.row .name')?.textContent.includes(text), text);
    finds.push(performance.now() - typed);
  }
  say(`${NAMES} names: from the address to the first rows, ms`, Math.round(median(opens)), '≤ 500');
  say('a search as one types, until its rows are there, ms', Math.round(median(finds)), '200 of them are waited while one types');
  say('the answer of a search, ms', Math.round(median(answers)), '≤ 200');
  await page.fill('input[type=search]', '');
  await sleep(1_000);
  const frames = await page.evaluate(() => new Promise(done => {
    const body = document.querySelector('.body'), gaps = [];
    let last = performance.now();
    const step = now => { gaps.push(now - last); last = now; body.scrollTop += 400; gaps.length < 120 ? requestAnimationFrame(step) : done(gaps.slice(1)); };
    requestAnimationFrame(step);
  }));
  say('the worst of 120 frames while scrolling, ms', Math.round(Math.max(...frames)), '≤ 34');
  say('rows in the document', await page.$$eval('.row', rows => rows.length), 'those in sight');
  await page.context().close();
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
  for (const part of [names, costs, floods]) if (!which.length || which.includes(part.name)) await part();
} finally {
  await stage.end();
}
