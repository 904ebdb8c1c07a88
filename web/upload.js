// Brings a file to the peer in parts, and goes on where it was after the page was closed: tus 1.0.0.
import { ask, say } from './api.js';

const PART = 8 << 20;

const base64 = text => btoa(String.fromCharCode(...new TextEncoder().encode(text)));
const key = file => `p2p-upload ${file.name} ${file.size} ${file.lastModified}`;

/** A request of the protocol; its answer is in the header. */
async function tus(method, place, headers, body) {
  const answer = await fetch(`api/v1/${place}`, { method, headers: { 'tus-resumable': '1.0.0', ...headers }, body });
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
    } catch { localStorage.removeItem(key(file)); }
  }
  const answer = await tus('POST', 'uploads', { 'upload-length': file.size, 'upload-metadata': `filename ${base64(file.name)}` });
  const place = answer.headers.get('location');
  localStorage.setItem(key(file), place);
  return { place, offset: 0 };
}

/** Brings a file; `told` hears how much is there. Stops when `stop` is aborted, and goes on at the next call. */
export async function bring(file, told, stop) {
  let { place, offset } = await begin(file), pause = 500;
  told(offset);
  while (offset < file.size && !stop?.aborted) {
    try {
      const part = file.slice(offset, offset + PART);
      const answer = await tus('PATCH', place, { 'content-type': 'application/offset+octet-stream', 'upload-offset': offset }, part);
      offset = Number(answer.headers.get('upload-offset'));
      pause = 500;
      told(offset);
    } catch (problem) {
      if (problem.status && problem.status !== 409 && problem.status !== 423) throw problem;
      await new Promise(go => setTimeout(go, pause));
      pause = Math.min(pause * 2, 15000);
      try { offset = Number((await tus('HEAD', place, {})).headers.get('upload-offset')); } catch (lost) { if (lost.status === 404) throw lost; }
    }
  }
  if (offset >= file.size) { localStorage.removeItem(key(file)); say(`${file.name} is here`); }
}

/** Gives an upload up. */
export async function giveUp(file) {
  const place = localStorage.getItem(key(file));
  localStorage.removeItem(key(file));
  if (place) await ask(place, { method: 'DELETE' }).catch(() => {});
}
