// Pieces that several pages have.
import { h } from './vendor/preact.js';
import { useEffect, useRef, useState } from './vendor/hooks.js';
import { signal } from './vendor/signals.js';
import htm from './vendor/htm.js';
import { anew, ask, say } from './api.js';
import { ago, exact, shown } from './words.js';

export const html = htm.bind(h);

/** Where in the page one is: the parts of the path, and the query. */
export const route = signal(read());
function read() {
  const [path, query = ''] = location.hash.replace(/^#\/?/, '').split('?');
  return { parts: path.split('/').map(part => { try { return decodeURIComponent(part); } catch { return part; } }), query: new URLSearchParams(query) };
}
addEventListener('hashchange', () => { route.value = read(); });

/** Another query of the same place; it is no step back. */
export function requery(changes) {
  const query = new URLSearchParams(route.value.query);
  for (const [key, value] of Object.entries(changes)) value ? query.set(key, value) : query.delete(key);
  const path = route.value.parts.map(encodeURIComponent).join('/');
  history.replaceState(null, '', `#/${path}${query.size ? `?${query}` : ''}`);
  route.value = read();
}

/** A name of strangers. */
export const Name = ({ text, title }) => html`<bdi class="name" title=${title ?? shown(text)}>${shown(text)}</bdi>`;

export const Time = ({ ms }) => (ms ? html`<time title=${exact(ms)}>${ago(ms)}</time>` : null);

export function Bar({ part, label, state }) {
  const percent = Math.max(0, Math.min(100, part * 100));
  return html`<span class="bar ${state ?? ''}" role="progressbar" aria-label=${label} aria-valuemin="0" aria-valuemax="100"
    aria-valuenow=${Math.floor(percent)}><span style=${{ width: `${percent}%` }}></span></span>`;
}

export function Copy({ text, label }) {
  const copy = async () => {
    try { await navigator.clipboard.writeText(text); say('Copied'); } catch { say('This browser does not let pages copy', true); }
  };
  return html`<button type="button" onClick=${copy}>${label}</button>`;
}

/** A field that looks for something as one types. */
export function Search({ label, value, onInput, autofocus }) {
  const [typed, setTyped] = useState(value), timer = useRef(), field = useRef();
  useEffect(() => { if (autofocus) field.current.focus(); }, []);
  const input = event => {
    setTyped(event.target.value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => onInput(event.target.value), 200);
  };
  return html`<label class="search"><span class="unseen">${label}</span>
    <input type="search" ref=${field} placeholder=${label} value=${typed} onInput=${input} spellcheck="false" autocomplete="off" /></label>`;
}

/** What the program says at this path, asked again and again while the page is to be seen; null until it is there, `{ problem }` if it never was. */
export function useAsked(what) {
  const [told, setTold] = useState(null);
  useEffect(() => {
    let is = true;
    const load = () => { if (!document.hidden) ask(what).then(said => { if (is) setTold(said); }, ({ detail }) => { if (is) setTold(known => (known?.problem === undefined && known) || { problem: detail }); }); };
    const timer = setInterval(load, 5000), off = anew.subscribe(load); // which calls it now, too
    return () => { is = false; clearInterval(timer); off(); };
  }, [what]);
  return told;
}

/** A question that has to be answered before something is done. */
export function Ask({ title, children, yes, onYes, onNo }) {
  const dialog = useRef();
  useEffect(() => { dialog.current.showModal(); }, []);
  return html`<dialog ref=${dialog} onClose=${onNo} aria-labelledby="asked"><h2 id="asked">${title}</h2>${children}
    <p class="buttons"><button type="button" class="main" onClick=${onYes}>${yes}</button>
    <button type="button" onClick=${() => dialog.current.close()}>Leave it</button></p></dialog>`;
}

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

/** Pairs of what and how much. */
export const Facts = ({ items }) => html`<dl class="facts">${items.filter(Boolean).map(([what, value]) =>
  html`<div key=${what}><dt>${what}</dt><dd>${value}</dd></div>`)}</dl>`;

/** Counts up when the colours of the page are others: what is painted is painted anew. */
export const colours = signal(0);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { colours.value += 1; });
