// Numbers and names as the command line prints them.

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

/** `1.2 GiB` */
export function size(bytes) {
  if (bytes == null) return '';
  if (bytes < 1024) return `${Math.round(bytes)} B`;
  let value = bytes, unit = -1;
  do { value /= 1024; unit += 1; } while (value >= 1024 && unit < UNITS.length - 1);
  return `${value.toFixed(1)} ${UNITS[unit]}`;
}

export const rate = bytes => `${size(bytes)}/s`;

export const number = value => Number(value ?? 0).toLocaleString('en');

/** `3 min`, from seconds. */
export function span(seconds) {
  if (!Number.isFinite(seconds) || seconds < 0) return '';
  const steps = [[86400, 'd'], [3600, 'h'], [60, 'min']];
  const step = steps.find(([length]) => seconds >= length);
  if (!step) return `${Math.round(seconds)} s`;
  const [length, unit] = step;
  const value = seconds / length;
  return `${value < 10 && unit !== 'min' ? value.toFixed(1) : Math.round(value)} ${unit}`;
}

export const ago = ms => (ms ? `${span((Date.now() - ms) / 1000)} ago` : '');
export const exact = ms => (ms ? new Date(ms).toISOString().replace('T', ' ').slice(0, 19) + ' UTC' : '');

/** True of what must not be shown as it is: what controls, ends lines, or turns the direction of writing. */
const misleads = c => /\p{Cc}/u.test(c) || /[\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u.test(c);

/** Text of strangers: it stays on its line and reads in the order in which it is written. */
export function shown(text) {
  let out = '';
  for (const c of String(text ?? '')) {
    if (!misleads(c)) { out += c; continue; }
    out += { '\n': '\\n', '\r': '\\r', '\t': '\\t' }[c] ?? `\\u{${c.codePointAt(0).toString(16)}}`;
  }
  return out;
}

/** Bytes from what people type: `500KB`, `64MiB/s`; null for no limit, undefined for nonsense. */
export function bytes(text) {
  const typed = text.trim().toLowerCase().replace(/\/s$/, '');
  if (typed === '' || typed === 'none') return null;
  const found = /^([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(i?)b?$/.exec(typed);
  if (!found) return undefined;
  const power = ' kmgt'.indexOf(found[2] || ' ');
  return Math.round(Number(found[1]) * (found[3] ? 1024 : 1000) ** power);
}
