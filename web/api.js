// What the page asks the program, and what it is told as it changes.
import { batch, signal } from './vendor/signals.js';

/** Whose page it is, and who is logged in. */
export const about = signal(null);
/** Transfers by their numbers; the peer; the tracker; the latest change. */
export const transfers = signal(new Map());
export const peer = signal(null);
export const tracker = signal(null);
export const latest = signal(null);
/** When something was heard last; null while all is well. */
export const silentSince = signal(null);
/** Counts up when all is to be asked anew. */
export const anew = signal(0);
/** What is said at the edge of the page. */
export const notice = signal(null);

/** Asks; a problem is thrown as it is. */
export async function ask(path, { method = 'GET', body, type = 'application/json', signal: stop } = {}) {
  const headers = body === undefined ? {} : { 'content-type': type };
  const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  let response;
  try {
    response = await fetch(`api/v1/${path}`, { method, headers, body: text, signal: stop });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw { status: 0, detail: 'the program cannot be reached' };
  }
  const isJson = /json/.test(response.headers.get('content-type') ?? '');
  const said = isJson ? await response.json() : await response.text();
  if (response.ok) return said;
  if (response.status === 401 && about.value?.may) about.value = { ...about.value, may: null };
  throw { status: response.status, detail: said.detail ?? `${response.status}`, code: said.code };
}

/** Does something, and says what became of it. */
export async function act(words, path, options) {
  try {
    const said = await ask(path, options);
    if (words) say(words);
    anew.value += 1;
    return said;
  } catch (problem) {
    say(problem.detail, true);
    return undefined;
  }
}

let saying;
export function say(text, isWrong = false) {
  clearTimeout(saying);
  notice.value = { text, isWrong };
  saying = setTimeout(() => { notice.value = null; }, isWrong ? 12000 : 5000);
}

export const path = (strings, ...values) =>
  String.raw({ raw: strings }, ...values.map(value => encodeURIComponent(value ?? '')));

const rank = ['metrics', 'reader', 'publisher', 'admin'];
export const may = role => rank.indexOf(about.value?.may) >= rank.indexOf(role);
/** What concerns all of the swarm is steered at a tracker, by who may do everything there. */
export const steers = () => about.value?.role === 'tracker' && may('admin');

/** Whose page it is; a login link in the address is used and wiped away. */
export async function begin() {
  const link = /^#in=([0-9a-f]*)(?:&to=(.*))?$/.exec(location.hash);
  if (link) {
    history.replaceState(null, '', location.pathname + location.search + (link[2] ? `#${decodeURIComponent(link[2])}` : ''));
    dispatchEvent(new HashChangeEvent('hashchange'));
  }
  try {
    if (link?.[1]) await ask('session', { method: 'POST', body: { token: link[1] } });
    if (link?.[2]) say('The page before this one is gone. This one goes on.');
  } catch (problem) {
    say(problem.detail, true);
  }
  about.value = await ask('about');
  keepTicket();
}

/** Who comes to another page with this is logged in there. */
let ticket = '', renewing;
function keepTicket() {
  clearInterval(renewing);
  const renew = () => {
    if (!about.value?.may || !about.value.also?.length || document.hidden || silentSince.value) return;
    ask('ticket', { method: 'POST' }).then(made => { ticket = made.ticket; }, () => {});
  };
  renew();
  renewing = setInterval(renew, 60_000);
}

const isThere = (page, mode) => fetch(`${page}healthz`, { mode, cache: 'no-store', signal: AbortSignal.timeout(1000) });

/** Goes on at the first other page that is there, if this one's program is not. */
export async function goOn() {
  const [others, hash] = [about.value?.also ?? [], location.hash.slice(1)];
  if (!others.length) return;
  try { await isThere('', 'same-origin'); return; } catch { /* it is gone */ }
  for (const other of others) {
    try { await isThere(other, 'no-cors'); } catch { continue; }
    location.assign(`${other}#in=${ticket}&to=${encodeURIComponent(hash || '/')}`);
    return;
  }
}

let stream, isListening = false;
/** Listens to what changes, while the page is to be seen. */
export function listen() {
  if (!isListening) document.addEventListener('visibilitychange', hear);
  isListening = true;
  hear();
}

function hear() {
  if (document.hidden || !about.value?.may) { stream?.close(); stream = undefined; return; }
  if (stream) return;
  const own = stream = new EventSource('api/v1/events');
  const on = (topic, take) => own.addEventListener(topic, event => {
    const told = JSON.parse(event.data);
    batch(() => { silentSince.value = null; take(told); });
  });
  on('hello', () => refresh());
  on('resync', () => refresh());
  on('transfers', ({ changed, gone }) => {
    const all = new Map(transfers.value);
    gone.forEach(key => all.delete(Number(key)));
    Object.values(changed).forEach(one => all.set(one.number, withRate(one, all.get(one.number))));
    transfers.value = all;
  });
  on('peer', ({ changed }) => { if (changed.status) peer.value = changed.status; });
  on('tracker', ({ changed }) => { if (changed.status) tracker.value = changed.status; });
  on('activity', ({ changed }) => { if (changed.latest) latest.value = changed.latest; });
  own.onerror = () => {
    silentSince.value ??= Date.now();
    // A browser tries again by itself after a silence, and not after a refusal: the program began anew, or is full.
    if (own.readyState === EventSource.CLOSED && stream === own) { stream = undefined; setTimeout(again, 2000); }
  };
}

async function again() {
  try { about.value = await ask('about'); } catch { setTimeout(again, 2000); return; }
  if (about.value.may) refresh(); else silentSince.value = null;
}

/** Bytes a second of late, from what two pictures have: what is told is the mean since the start. */
function withRate(now, before) {
  const lately = now.sources.reduce((sum, source) => sum + source.rate, 0);
  const seconds = before ? now.seconds - before.seconds : 0;
  const measured = seconds > 0 ? Math.max(0, now.bytes_done - before.bytes_done) / seconds : lately;
  const smooth = before?.lately === undefined ? measured : before.lately * 0.6 + measured * 0.4;
  return { ...now, lately: now.state === 'fetching' ? smooth : 0 };
}

let isKnown = false;
/** All that the stream tells changes of; what else is shown is asked anew, but for the first time, when it was just asked. */
export async function refresh() {
  try {
    if (about.value.role === 'peer') {
      const [list, status] = await Promise.all([ask('transfers?limit=1000'), ask('status')]);
      batch(() => {
        transfers.value = new Map(list.items.map(one => [one.number, withRate(one, transfers.value.get(one.number))]));
        peer.value = status;
      });
    } else {
      tracker.value = await ask('tracker');
    }
    if (isKnown) anew.value += 1;
    isKnown = true;
  } catch { /* the stream tells when it is back */ }
}
