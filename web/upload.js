// Brings a file to the peer in parts, and goes on where it was after the page was closed: tus 1.0.0.
import { ask, say } from './api.js';
import { shown } from './words.js';

const PART = 8 << 20;
/** Files that are on their way at a time: the program takes in 32 that are not done. */
const AT_ONCE = 3;

const base64 = text => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const key = file => `p2p-upload ${file.name} ${file.size} ${file.lastModified}`;

/** A request of the protocol; its answer is in the header. */
async function tus(method, place, headers, { body, stop } = {}) {
  const asked = fetch(`api/v1/${place}`, { method, headers: { 'tus-resumable': '1.0.0', ...headers }, body, signal: stop });
  const answer = await asked.catch(() => { throw { status: 0, detail: 'the program cannot be reached' }; });
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({ detail: `${answer.status}` }));
  throw { status: answer.status, detail: problem.detail };
}

/** Where the file goes on, of an upload that is known from before or begins now. */
async function begin(file) {
  const known = localStorage.getItem(key(file));
  if (known) {
    try {
      const answer = await tus('HEAD', known, {});
      return { place: known, offset: Number(answer.headers.get('upload-offset')) };
    } catch (problem) {
      if (problem.status !== 404) throw problem;
      localStorage.removeItem(key(file));
    }
  }
  const answer = await tus('POST', 'uploads', { 'upload-length': file.size, 'upload-metadata': `filename ${base64(file.name)}` });
  const place = answer.headers.get('location');
  localStorage.setItem(key(file), place);
  return { place, offset: 0 };
}

/** A folder that was dropped looks like a file, and what was chosen may be gone by now. */
const check = (file, offset) => file.slice(offset, offset + 1).arrayBuffer()
  .catch(() => { throw { status: 400, detail: 'it cannot be read: it is a folder, or is gone' }; });

let free = AT_ONCE;
const waiting = [];
const turn = () => (free > 0 ? Promise.resolve(free -= 1) : new Promise(go => waiting.push(go)));
const over = () => (waiting.length ? waiting.shift()() : free += 1);

/** Brings a file when it is its turn; `told` hears how much is there. Stops when `stop` is aborted, and goes on at the next call. */
export async function bring(file, told, stop) {
  await turn();
  try { await send(file, told, stop); } catch (problem) { if (!stop.aborted) throw problem; } finally { over(); }
}

async function send(file, told, stop) {
  if (stop.aborted) return;
  await check(file, 0);
  let { place, offset } = await begin(file), pause = 500;
  told(offset);
  while (offset < file.size && !stop.aborted) {
    try {
      const body = file.slice(offset, offset + PART);
      const answer = await tus('PATCH', place, { 'content-type': 'application/offset+octet-stream', 'upload-offset': offset }, { body, stop });
      offset = Number(answer.headers.get('upload-offset'));
      pause = 500;
      told(offset);
    } catch (problem) {
      if (problem.status && problem.status !== 409 && problem.status !== 423) throw problem;
      await check(file, offset);
      await new Promise(go => setTimeout(go, pause));
      pause = Math.min(pause * 2, 15000);
      try { offset = Number((await tus('HEAD', place, {}, { stop })).headers.get('upload-offset')); } catch (lost) { if (lost.status === 404) throw lost; }
    }
  }
  if (offset >= file.size) { localStorage.removeItem(key(file)); say(`${shown(file.name)} is here`); }
}

/** Gives an upload up. */
export async function giveUp(file) {
  const place = localStorage.getItem(key(file));
  localStorage.removeItem(key(file));
  if (place) await ask(place, { method: 'DELETE' }).catch(() => {});
}
