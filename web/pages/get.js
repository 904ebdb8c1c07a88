// Fetching something: what it would be, then it. And handing in descriptors.
import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { act, ask, may, path, say } from '../api.js';
import { Facts, html, Name, requery, route, Search } from '../ui.js';
import { Table } from '../table.js';
import { ago, number, shown, size } from '../words.js';

const MOST = 65536;

/** The text of a dropped or chosen descriptor. */
async function read(file) {
  if (file.size > MOST) { say('A descriptor is a small file that ends with .p2p', true); return undefined; }
  return file.text();
}

/** A place where files can be dropped. */
function Drop({ onText, children }) {
  const [over, setOver] = useState(false), pick = useRef();
  const take = async list => { const text = list[0] && await read(list[0]); if (text) onText(text); };
  return html`<div class=${`drop ${over ? 'over' : ''}`} onDragOver=${event => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)}
    onDrop=${event => { event.preventDefault(); setOver(false); take(event.dataTransfer.files); }}>${children}
    <button type="button" onClick=${() => pick.current.click()}>Choose a .p2p file</button>
    <input ref=${pick} type="file" accept=".p2p" class="unseen" tabindex="-1" aria-label="Descriptor" onChange=${event => { take([...event.target.files]); event.target.value = ''; }} /></div>`;
}

export function Get() {
  const typed = route.value.query.get('what') ?? '';
  const [what, setWhat] = useState(typed), [seen, setSeen] = useState(null), [problem, setProblem] = useState(''), [dest, setDest] = useState(''), [force, setForce] = useState(false), [only, setOnly] = useState('');
  const look = async (text, id) => {
    setProblem('');
    try {
      const told = await ask(`preview?what=${encodeURIComponent(text)}${id ? `&id=${id}` : ''}`);
      setSeen({ ...told, what: text });
      setDest(told.dest ?? '');
    } catch (trouble) { setSeen(null); setProblem(trouble.detail); }
  };
  useEffect(() => { if (typed) look(typed, route.value.query.get('id')); }, [typed]);
  const submit = event => { event.preventDefault(); if (what.trim()) { if (!what.includes('\n')) requery({ what, id: '' }); look(what); } };
  const fetch_ = async () => {
    const include = only.split(',').map(pattern => pattern.trim()).filter(Boolean);
    const body = { what: seen.what, id: seen.id, force, include, ...(dest && dest !== seen.dest ? { dest } : {}) };
    const begun = await act('It is being fetched', 'transfers', { method: 'POST', body });
    if (begun) location.hash = `#/transfers/${begun.number}`;
  };
  return html`<section class="card"><form onSubmit=${submit}><label for="what">A name, an id, or a <code>p2p:</code> link</label>
      <div class="line"><input id="what" class="wide" value=${what} onInput=${event => setWhat(event.target.value)} spellcheck="false" autocomplete="off" placeholder="photos/" /><button class="main">Look</button></div></form>
    <${Drop} onText=${text => { setWhat(''); look(text); }}>Or drop a descriptor here. <//></section>
    <div aria-live="polite">${problem ? html`<p class="wrong card">${shown(problem)}</p>` : null}
    ${seen?.several ? html`<section class="card"><h2>Several contents are called so</h2><ul class="plain">${seen.several.map(one => html`<li key=${one.id}>
        <button type="button" onClick=${() => look(seen.what, one.id)}>This one</button> <${Name} text=${one.name} /> ${size(one.size)}, ${number(one.seeders)} have it${one.modified ? `, changed ${ago(one.modified * 1000)}` : ''} <code>${one.id.slice(0, 12)}</code></li>`)}</ul></section>` : null}
    ${seen?.id ? html`<section class="card"><h2><${Name} text=${seen.name} /></h2>
      <${Facts} items=${[['Size', size(seen.size)], ['Have all of it', number(seen.found[0]?.seeders)], ['Have a part', number(seen.found[0]?.leechers)], ['Id', html`<code>${seen.id}</code>`], seen.here && ['Here already as', html`<${Name} text=${seen.here} />`]]} />
      ${seen.found.length === 0 ? html`<p>Nobody is known to have it now; it is fetched as soon as somebody has.</p>` : null}
      ${may('publisher') ? html`<div class="line fields"><label>Called here <input class="wide" value=${dest} onInput=${event => setDest(event.target.value)} /></label>
      ${seen.name.endsWith('/') ? html`<label>Only these of its files <input class="wide" value=${only} onInput=${event => setOnly(event.target.value)} placeholder="all; or patterns like 2024/, *.jpg" spellcheck="false" autocomplete="off" /></label>` : null}</div>
      ${seen.exists ? html`<label class="check"><input type="checkbox" checked=${force} onChange=${event => setForce(event.target.checked)} /> Replace files that differ: something is there</label>` : null}
      <p class="buttons"><button type="button" class="main" onClick=${fetch_}>Fetch it</button></p>` : html`<p>Your role may look, and not fetch.</p>`}</section>` : null}</div>`;
}

export function Send() {
  const [text, setText] = useState('');
  const hand = async what => { if (await act('Handed in', 'descriptors', { method: 'POST', body: what, type: 'application/toml' })) setText(''); };
  const q = route.value.query.get('q') ?? '';
  const columns = [
    { title: 'Name', sort: 'name', width: 'minmax(12rem, 3fr)', cell: one => html`<${Name} text=${one.name} />` },
    { title: 'Size', sort: 'size', width: '7rem', side: 'end', narrow: true, cell: one => size(one.size) },
    { title: 'By', width: '8rem', cell: one => shown(one.by) },
    { title: 'When', sort: 'at', width: '8rem', side: 'end', narrow: true, cell: one => ago(one.at) },
    { title: 'Descriptor', width: '8rem', cell: one => html`<a href=${path`api/v1/contents/${one.id}/descriptor` + path`?name=${one.name}`} download>NAME.p2p</a>` },
  ];
  return html`${may('publisher') ? html`<section class="card"><form onSubmit=${event => { event.preventDefault(); hand(text); }}><label for="link">A link to hand in</label>
      <div class="line"><input id="link" class="wide" value=${text} onInput=${event => setText(event.target.value)} placeholder="p2p:…?name=…" spellcheck="false" /><button class="main">Hand in</button></div></form>
      <${Drop} onText=${hand}>Or drop a descriptor here. <//></section>` : null}
    <div class="line"><${Search} label="Look for a descriptor" value=${q} onInput=${value => requery({ q: value })} /></div>
    <${Table} label="Descriptors" id="descriptors" source="descriptors" query=${`q=${encodeURIComponent(q)}`} columns=${columns} sort="-at" empty="No descriptor was handed in since the start." />`;
}
