// What the swarm has, who has it, and what is shared from here.
import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { about, act, ask, may, path } from '../api.js';
import { Bar, Copy, Empty, Facts, html, Name, requery, route, Search, Time } from '../ui.js';
import { Table } from '../table.js';
import { ago, number, size } from '../words.js';
import { bring, giveUp } from '../upload.js';

export function Files() {
  const q = route.value.query.get('q') ?? '';
  const columns = [
    { title: 'Name', sort: 'name', width: 'minmax(12rem, 3fr)', cell: one => html`<a href=${path`#/files/${one.id}`} onClick=${event => event.stopPropagation()}><${Name} text=${one.name} /></a>` },
    { title: 'Size', sort: 'size', width: '7rem', side: 'end', narrow: true, cell: one => size(one.size) },
    { title: 'Have all', sort: 'seeders', width: '6rem', side: 'end', narrow: true, cell: one => number(one.seeders) },
    { title: 'Have a part', sort: 'leechers', width: '6.5rem', side: 'end', cell: one => number(one.leechers) },
    { title: 'Version', width: '5rem', side: 'end', cell: one => one.version ?? '' },
    { title: 'Id', width: '8rem', cell: one => html`<code>${one.id.slice(0, 12)}</code>` },
  ];
  return html`<div class="line"><${Search} label="A part of a name, or a pattern like *.iso" value=${q} autofocus onInput=${text => requery({ q: text })} /></div>
    <${Table} label="Files in the swarm" id="files" source="contents" query=${`q=${encodeURIComponent(q)}`} columns=${columns} sort="name"
      onOpen=${one => { location.hash = path`#/files/${one.id}`; }} empty=${q ? 'Nothing in the swarm is called so.' : 'The swarm has nothing yet.'} />`;
}

export function Content({ id }) {
  const [found, setFound] = useState(null), [problem, setProblem] = useState(''), [link, setLink] = useState(''), [given, setGiven] = useState('');
  useEffect(() => {
    ask(path`contents/${id}`).then(told => setFound(told.items), trouble => setProblem(trouble.detail));
    ask(path`contents/${id}/link`).then(setLink, () => {});
  }, [id]);
  const give = async () => {
    const made = await act('A link was made', path`contents/${id}/links`, { method: 'POST', body: { hours: 24 } });
    if (made) setGiven(made.link);
  };
  if (problem) return html`<${Empty}>${problem} <a href="#/files">Back to all</a><//>`;
  if (!found) return null;
  const [first, ...others] = found;
  const columns = [
    { title: 'Peer', sort: 'name', width: 'minmax(10rem, 2fr)', cell: one => html`<${Name} text=${one.name} title=${one.peer} />` },
    { title: 'Has', sort: 'have', width: '10rem', narrow: true, cell: one => html`<span class="progress"><${Bar} part=${first.chunks ? one.have / first.chunks : 1} label="Has" /><span>${first.chunks ? Math.floor(one.have / first.chunks * 100) : 100}%</span></span>` },
    { title: 'Kind', width: '6rem', cell: one => (one.original ? 'original' : 'copy') },
    { title: 'Address', width: '12rem', cell: one => one.address ?? 'cannot be dialled' },
    { title: 'Uploads', sort: 'uploads', width: '6rem', side: 'end', narrow: true, cell: one => one.uploads },
  ];
  return html`<p class="back"><a href="#/files">← All files</a></p><section class="card"><h2><${Name} text=${first.name} /></h2>
    <${Facts} items=${[['Size', size(first.size)], ['Have all of it', number(first.seeders)], ['Have a part', number(first.leechers)], first.modified && ['Changed', html`<${Time} ms=${first.modified * 1000} />`],
      first.version && ['Version', first.version], ['Chunks', number(first.chunks)], ['Id', html`<code>${first.id}</code>`], others.length > 0 && ['Others call it', html`${others.map(one => html`<${Name} text=${one.name} /> `)}`]]} />
    <p class="buttons">${about.value.role === 'peer' && may('publisher') ? html`<a class="button main" href=${path`#/get?what=${first.id}`}>Get it</a>` : null}
      ${about.value.role === 'peer' ? html`<a class="button" href=${path`api/v1/contents/${id}/data`} download>${first.name.endsWith('/') ? 'Save it as a ZIP' : 'Save it'}</a>` : null}
      <a class="button" href=${path`api/v1/contents/${id}/descriptor`} download>Save its descriptor</a>${link ? html`<${Copy} text=${link} label="Copy its link" />` : null}
      ${about.value.role === 'peer' && may('publisher') ? html`<button type="button" onClick=${give}>A link for browsers</button>` : null}</p>
      ${given ? html`<p class="given">Good for a day, for whoever has it: <a href=${given}>${given}</a> <${Copy} text=${given} label="Copy" /></p>` : null}</section>
    <h2>Who has it</h2><${Table} label="Holders" id="holders" source=${path`contents/${id}/holders`} columns=${columns} sort="-have" empty="Nobody who is here has it." />`;
}

export function Shared() {
  const q = route.value.query.get('q') ?? '';
  const columns = [
    { title: 'Name', sort: 'name', width: 'minmax(12rem, 3fr)', cell: one => html`<a href=${path`#/files/${one.id}`}><${Name} text=${one.name} /></a>` },
    { title: 'Size', sort: 'size', width: '7rem', side: 'end', narrow: true, cell: one => size(one.size) },
    { title: 'Kind', width: '6rem', cell: one => (one.original ? 'original' : 'copy') },
    { title: 'Changed', sort: 'modified', width: '8rem', side: 'end', narrow: true, cell: one => ago(one.modified * 1000) },
    { title: 'Save', width: '10rem', narrow: true, cell: one => html`<span class="links"><a href=${path`api/v1/contents/${one.id}/data` + path`?name=${one.name}`} download>${one.name.endsWith('/') ? 'ZIP' : 'File'}</a><a href=${path`api/v1/contents/${one.id}/descriptor` + path`?name=${one.name}`} download>Descriptor</a></span>` },
  ];
  return html`${may('publisher') ? html`<${Upload} />` : null}<div class="line"><${Search} label="Look for something shared" value=${q} onInput=${text => requery({ q: text })} /></div>
    <${Table} label="Shared from here" id="shared" source="shared" query=${`q=${encodeURIComponent(q)}`} columns=${columns} sort="name" empty=${q ? 'Nothing here is called so.' : 'This peer shares nothing.'} />`;
}

/** Files that are brought from this browser, each with how much of it is there. */
function Upload() {
  const [files, setFiles] = useState([]), [over, setOver] = useState(false), pick = useRef();
  const set = (file, change) => setFiles(all => all.map(one => (one.file === file ? { ...one, ...change } : one)));
  const go = async list => {
    for (const file of list) {
      const stop = new AbortController();
      setFiles(all => [...all, { file, done: 0, stop }]);
      bring(file, done => set(file, { done }), stop.signal).then(() => setFiles(all => all.filter(one => one.file !== file || one.done < file.size)),
        problem => set(file, { problem: problem.detail }));
    }
  };
  const end = ({ file, stop }) => { stop.abort(); giveUp(file); setFiles(all => all.filter(one => one.file !== file)); };
  return html`<div class=${`drop upload ${over ? 'over' : ''}`} onDragOver=${event => { event.preventDefault(); setOver(true); }} onDragLeave=${() => setOver(false)}
      onDrop=${event => { event.preventDefault(); setOver(false); go(event.dataTransfer.files); }}>Drop files here to share them.
    <button type="button" onClick=${() => pick.current.click()}>Choose files</button>
    <input ref=${pick} type="file" multiple class="unseen" tabindex="-1" aria-label="Files to share" onChange=${event => { go([...event.target.files]); event.target.value = ''; }} />
    ${files.map(one => html`<div class="progress" key=${one.file.name}><${Name} text=${one.file.name} />${one.problem ? html`<span class="wrong">${one.problem}</span>` : html`<${Bar} part=${one.file.size ? one.done / one.file.size : 0} label=${`Uploaded of ${one.file.name}`} />`}
      <span>${size(one.done)} of ${size(one.file.size)}</span><button type="button" onClick=${() => end(one)} aria-label=${`Give up ${one.file.name}`}>Give up</button></div>`)}</div>`;
}
