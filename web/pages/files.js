// What the swarm has, who has it, and what is shared from here.
import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { about, act, ask, may, path } from '../api.js';
import { Ask, Bar, Copy, Empty, Facts, html, Name, requery, route, Search, Time, useAsked } from '../ui.js';
import { sentence } from './members.js';
import { Table } from '../table.js';
import { ago, number, shown, size } from '../words.js';
import { bring, giveUp } from '../upload.js';

/** A content's place on the page; what only stores keep has no other name than what it was found by. */
const at = ({ id, name }) => path`#/files/${id}?name=${name}`;

export function Files() {
  const q = route.value.query.get('q') ?? '';
  const columns = [
    { title: 'Name', sort: 'name', width: 'minmax(12rem, 3fr)', cell: one => html`<a href=${at(one)} onClick=${event => event.stopPropagation()}><${Name} text=${one.name} /></a>` },
    { title: 'Size', sort: 'size', width: '7rem', side: 'end', narrow: true, cell: one => size(one.size) },
    { title: 'Have all', sort: 'seeders', width: '6rem', side: 'end', narrow: true, cell: one => number(one.seeders) },
    { title: 'Have a part', sort: 'leechers', width: '6.5rem', side: 'end', cell: one => number(one.leechers) },
    { title: 'Version', width: '5rem', side: 'end', cell: one => one.version ?? '' },
    { title: 'Id', width: '8rem', cell: one => html`<code>${one.id.slice(0, 12)}</code>` },
  ];
  return html`<div class="line"><${Search} label="A part of a name, or a pattern like *.iso" value=${q} autofocus onInput=${text => requery({ q: text })} /></div>
    <${Table} label="Files in the swarm" id="files" source="contents" query=${`q=${encodeURIComponent(q)}`} columns=${columns} sort="name"
      onOpen=${one => { location.hash = at(one); }} empty=${q ? 'Nothing in the swarm is called so.' : 'The swarm has nothing yet.'} />`;
}

export function Content({ id }) {
  const [found, setFound] = useState(null), [problem, setProblem] = useState(''), [link, setLink] = useState(''), [given, setGiven] = useState('');
  const asked = route.value.query.get('name'), named = asked ? path`?name=${asked}` : '';
  useEffect(() => {
    ask(path`contents/${id}`).then(told => setFound(told.items), trouble => setProblem(trouble.detail));
    ask(path`contents/${id}/link` + named).then(setLink, () => {});
  }, [id]);
  const give = async () => {
    const made = await act('A link was made', path`contents/${id}/links` + named, { method: 'POST', body: { hours: 24 } });
    if (made) setGiven(made.link);
  };
  if (problem) return html`<${Empty}>${problem} <a href="#/files">Back to all</a><//>`;
  if (!found) return null;
  const first = found[0], name = asked ?? first.name, others = found.filter(one => one.name !== name && !one.name.startsWith(id));
  const command = `p2p get '${link}'`; // in a link no quote stands bare
  const columns = [
    { title: 'Peer', sort: 'name', width: 'minmax(10rem, 2fr)', cell: one => html`<${Name} text=${one.name} title=${one.peer} />` },
    { title: 'Has', sort: 'have', width: '10rem', narrow: true, cell: one => html`<span class="progress"><${Bar} part=${first.chunks ? one.have / first.chunks : 1} label="Has" /><span>${first.chunks ? Math.floor(one.have / first.chunks * 100) : 100}%</span></span>` },
    { title: 'Kind', width: '6rem', cell: one => (one.original ? 'original' : 'copy') },
    { title: 'Address', width: '12rem', cell: one => one.address ?? 'cannot be dialled' },
    { title: 'Uploads', sort: 'uploads', width: '6rem', side: 'end', narrow: true, cell: one => one.uploads },
  ];
  return html`<p class="back"><a href="#/files">← All files</a></p><section class="card"><h2><${Name} text=${name} /></h2>
    <${Facts} items=${[['Size', size(first.size)], ['Have all of it', number(first.seeders)], ['Have a part', number(first.leechers)], first.modified && ['Changed', html`<${Time} ms=${first.modified * 1000} />`],
      ['Chunks', number(first.chunks)], ['Id', html`<code>${first.id}</code>`], others.length > 0 && ['Others call it', html`${others.map(one => html`<${Name} text=${one.name} /> `)}`]]} />
    <p class="buttons">${about.value.role === 'peer' && may('publisher') ? html`<a class="button main" href=${path`#/get?what=${link || id}`}>Get it</a>` : null}
      ${about.value.role === 'peer' ? html`<a class="button" href=${path`api/v1/contents/${id}/data` + named} download>${name.endsWith('/') ? 'Save it as a ZIP' : 'Save it'}</a>` : null}
      <a class="button" href=${path`api/v1/contents/${id}/descriptor` + named} download>Save its descriptor</a>${link ? html`<${Copy} text=${link} label="Copy its link" />` : null}
      ${about.value.role === 'peer' && may('publisher') ? html`<button type="button" onClick=${give}>A link for browsers</button>` : null}</p>
      ${about.value.role === 'tracker' && link ? html`<p class="given">A tracker has no bytes. Where they are wanted: <code>${command}</code> <${Copy} text=${command} label="Copy the command" /></p>` : null}
      ${given ? html`<p class="given">Good for a day, for whoever has it: <a href=${given}>${given}</a> <${Copy} text=${given} label="Copy" /></p>` : null}</section>
    <${Versions} name=${name} id=${id} />
    <h2>Who has it</h2><${Table} label="Holders" id="holders" source=${path`contents/${id}/holders`} columns=${columns} sort="-have" empty="Nobody who is here has it." />`;
}

/** What is on record under a name, and how safe it is. */
function Versions({ name, id }) {
  const versions = useAsked(path`versions?name=${name}`);
  if (!versions?.items?.length) return null;
  const kept = one => (one.code ? `as shards of a code ${one.code}` : one.copies ? `${one.copies} ${one.copies === 1 ? 'copy' : 'copies'}` : 'nobody promised to keep it');
  return html`<section class="card"><h2>On record</h2><${Safety} name=${name} />
    <ul class="plain">${versions.items.map(one => html`<li key=${one.version}><b>Version ${one.version}</b> ${one.id === id ? 'this one' : html`<a href=${at({ id: one.id, name })}><code>${one.id.slice(0, 12)}</code></a>`}
      <span class="soft">${size(one.size)}, ${kept(one)}, by <${Name} text=${one.publisher} />, <${Time} ms=${one.published_ms} /></span></li>`)}</ul>${versions.more ? html`<p class="soft">and older ones</p>` : null}</section>`;
}

function Safety({ name }) {
  const health = useAsked(path`health?name=${name}`);
  return health && !health.problem ? html`<p class=${health.lost ? 'wrong' : ''}>${sentence(health)}</p>` : null;
}

export function Shared() {
  const q = route.value.query.get('q') ?? '', [kept, setKept] = useState(null);
  const columns = [
    { title: 'Name', sort: 'name', width: 'minmax(12rem, 3fr)', cell: one => html`<a href=${at(one)}><${Name} text=${one.name} /></a>` },
    { title: 'Size', sort: 'size', width: '7rem', side: 'end', narrow: true, cell: one => size(one.size) },
    { title: 'Kind', width: '6rem', cell: one => (one.original ? 'original' : 'copy') },
    { title: 'Have it', width: '5.5rem', side: 'end', cell: one => html`<${Having} id=${one.id} key=${one.id} />` },
    { title: 'Changed', sort: 'modified', width: '8rem', side: 'end', narrow: true, cell: one => ago(one.modified * 1000) },
    { title: 'Save', width: '13rem', narrow: true, cell: one => html`<span class="links"><a href=${path`api/v1/contents/${one.id}/data` + path`?name=${one.name}`} download>${one.name.endsWith('/') ? 'ZIP' : 'File'}</a><a href=${path`api/v1/contents/${one.id}/descriptor` + path`?name=${one.name}`} download>Descriptor</a>${may('publisher') ? html`<button type="button" class="link" onClick=${() => setKept(one)} aria-label=${`Store ${shown(one.name)}`}>Store</button>` : null}</span>` },
  ];
  return html`${may('publisher') ? html`<${Upload} />` : null}<${Stored} /><div class="line"><${Search} label="Look for something shared" value=${q} onInput=${text => requery({ q: text })} /></div>
    <${Table} label="Shared from here" id="shared" source="shared" query=${`q=${encodeURIComponent(q)}`} columns=${columns} sort="name" empty=${q ? 'Nothing here is called so.' : 'This peer shares nothing.'} />
    ${kept ? html`<${Store} one=${kept} onDone=${() => setKept(null)} />` : null}`;
}

/** Asks how many stores are to keep something. */
function Store({ one, onDone }) {
  const [copies, setCopies] = useState(2);
  const go = () => { onDone(); act('Stores are asked to keep it', path`contents/${one.id}/stored`, { method: 'POST', body: { copies } }); };
  return html`<${Ask} title="Have stores keep this?" yes="Have it kept" onYes=${go} onNo=${onDone}><p><${Name} text=${one.name} /> is published under this name and stays when this peer is gone.</p>
    <p><label>Stores that keep all of it <input type="number" class="short" min="1" max="16" value=${copies} onInput=${event => setCopies(Number(event.target.value))} /></label></p><//>`;
}

/** What was handed to stores here. */
function Stored() {
  const told = useAsked('stored');
  if (!told?.items?.length) return null;
  const state = one => (one.problem ? html`<span class="wrong">${shown(one.problem)}</span>` : one.version ? html`<span class="state done">stored as version ${one.version}</span>`
    : html`<${Bar} part=${one.needed ? one.covered / one.needed : 0} label=${`Stored of ${shown(one.name)}`} /><span>${one.needed ? `${Math.floor(one.covered / one.needed * 100)}%` : 'waits for stores'}</span>`);
  return html`<section class="card"><h2>Handed to stores</h2><ul class="plain">${told.items.map(one => html`<li key=${one.id}><a href=${at(one)}><${Name} text=${one.name} /></a>
    <span class="soft">${one.copies} ${one.copies === 1 ? 'copy' : 'copies'}</span> ${state(one)}</li>`)}</ul></section>`;
}

/** How many have all of it, asked for what stays in sight for a moment. */
function Having({ id }) {
  const [have, setHave] = useState('');
  useEffect(() => {
    const timer = setTimeout(() => ask(path`contents/${id}`).then(({ items }) => setHave(number(items[0].seeders)), () => setHave('–')), 300);
    return () => clearTimeout(timer);
  }, [id]);
  return have;
}

/** Rows of files that are brought; how many more there are is said. */
const ROWS = 12;
let brought = 0;

/** Files that are brought from this browser, each with how much of it is there. */
function Upload() {
  const [files, setFiles] = useState([]), [over, setOver] = useState(false), pick = useRef();
  const set = (file, change) => setFiles(all => all.map(one => (one.file === file ? { ...one, ...change } : one)));
  const without = file => setFiles(all => all.filter(one => one.file !== file));
  const go = list => {
    const more = [...list].map(file => ({ number: ++brought, file, done: 0, stop: new AbortController() }));
    setFiles(all => [...all, ...more]);
    more.forEach(({ file, stop }) => bring(file, done => set(file, { done }), stop.signal).then(() => without(file), problem => set(file, { problem: problem.detail })));
  };
  const end = ({ file, stop }) => { stop.abort(); giveUp(file); without(file); };
  return html`<div class=${`drop upload ${over ? 'over' : ''}`} onDragOver=${event => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)}
      onDrop=${event => { event.preventDefault(); setOver(false); go(event.dataTransfer.files); }}>Drop files here to share them.
    <button type="button" onClick=${() => pick.current.click()}>Choose files</button>
    <input ref=${pick} type="file" multiple class="unseen" tabindex="-1" aria-label="Files to share" onChange=${event => { go(event.target.files); event.target.value = ''; }} />
    ${files.slice(0, ROWS).map(one => html`<div class="progress" key=${one.number}><${Name} text=${one.file.name} />${one.problem ? html`<span class="wrong">${one.problem}</span>` : html`<${Bar} part=${one.file.size ? one.done / one.file.size : 0} label=${`Uploaded of ${one.file.name}`} />`}
      <span>${size(one.done)} of ${size(one.file.size)}</span><button type="button" onClick=${() => end(one)} aria-label=${`Give up ${one.file.name}`}>Give up</button></div>`)}
    ${files.length > ROWS ? html`<div class="progress">and ${number(files.length - ROWS)} more</div>` : null}</div>`;
}
