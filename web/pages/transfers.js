// What is on its way here: the list, and one of it with its sources, files, parts and bytes.
import { useEffect, useRef, useState } from '../vendor/hooks.js';
import { act, ask, may, path, say, transfers } from '../api.js';
import { Ask, Bar, colours, Empty, Facts, html, Name, requery, route, Search } from '../ui.js';
import { Table } from '../table.js';
import { Plot } from '../plot.js';
import { bytes, number, rate, shown, size, span } from '../words.js';

const WORDS = { locating: 'looking for sources', joined: 'waits for the same fetch', fetching: 'fetching', paused: 'paused', done: 'done', cancelled: 'cancelled', failed: 'failed' };
const going = one => ['locating', 'joined', 'fetching', 'paused'].includes(one.state);
const part = one => (one.bytes_total ? one.bytes_done / one.bytes_total : one.state === 'done' ? 1 : 0);
const left = one => (one.lately > 0 ? (one.bytes_total - one.bytes_done) / one.lately : Infinity);
const sources = one => new Set(one.sources.filter(source => source.connected).map(source => source.peer)).size;

export function Transfers() {
  const q = (route.value.query.get('q') ?? '').toLowerCase();
  const rows = [...transfers.value.values()].filter(one => one.name.toLowerCase().includes(q))
    .sort((a, b) => going(b) - going(a) || b.number - a.number);
  const columns = [
    { title: 'Name', sort: 'name', by: one => one.name.toLowerCase(), width: 'minmax(12rem, 3fr)', cell: one => html`<a href=${`#/transfers/${one.number}`} onClick=${event => event.stopPropagation()}><${Name} text=${one.name} /></a>` },
    { title: 'Progress', sort: 'progress', by: part, width: 'minmax(9rem, 1.4fr)', narrow: true, cell: one => html`<span class="progress"><${Bar} part=${part(one)} state=${one.state} label=${`${shown(one.name)}: here`} /><span>${Math.floor(part(one) * 100)}%</span></span>` },
    { title: 'State', sort: 'state', by: one => WORDS[one.state], width: 'minmax(6.5rem, 1fr)', narrow: true, cell: one => html`<span class=${`state ${one.state}`}>${WORDS[one.state]}</span>` },
    { title: 'Rate', sort: 'rate', by: one => one.lately, width: '7rem', side: 'end', narrow: true, cell: one => (one.state === 'fetching' ? rate(one.lately) : '') },
    { title: 'Left', sort: 'left', by: one => (one.state === 'fetching' ? left(one) : Infinity), width: '5rem', side: 'end', cell: one => (one.state === 'fetching' && Number.isFinite(left(one)) ? span(left(one)) : '') },
    { title: 'Size', sort: 'size', by: one => one.bytes_total, width: '6.5rem', side: 'end', cell: one => size(one.bytes_total) },
    { title: 'Sources', sort: 'sources', by: one => (going(one) ? sources(one) : -1), width: '5.5rem', side: 'end', cell: one => (going(one) ? sources(one) : '') },
  ];
  return html`<div class="line"><${Search} label="Look for a transfer" value=${q} onInput=${text => requery({ q: text })} />
      <span class="grow"></span>${may('publisher') ? html`<${All} rows=${rows} /><a class="button main" href="#/get">Get something</a>` : null}</div>
    <${Table} label="Transfers" id="transfers" rows=${rows} columns=${columns} sort="" source="" onOpen=${one => { location.hash = `#/transfers/${one.number}`; }}
      empty=${q ? 'No transfer is called so.' : html`Nothing has been fetched since the start. <a href="#/files">Look what the swarm has</a>.`} />
    <${Plot} title="Rates" isRate lines=${[['down', 'received'], ['up', 'sent']]} />`;
}

/** Of all that are listed: pauses those that go on, or has those that are paused go on. */
function All({ rows }) {
  const those = state => rows.filter(one => state.includes(one.state));
  const [run, paused] = [those(['locating', 'fetching']), those(['paused'])];
  const order = async (some, what, words) => {
    await Promise.all(some.map(one => ask(`transfers/${one.number}/${what}`, { method: 'POST' }).catch(() => {}))); // one that has ended meanwhile is as it is
    say(`${words} ${some.length}`);
  };
  return html`${run.length > 1 ? html`<button type="button" onClick=${() => order(run, 'pause', 'Paused')}>Pause all</button>` : null}
    ${paused.length > 1 ? html`<button type="button" onClick=${() => order(paused, 'resume', 'Resumed')}>Resume all</button>` : null}`;
}

export function Transfer({ number: which }) {
  const [alone, setAlone] = useState(undefined), [asked, setAsked] = useState(false), [tab, setTab] = useState('sources');
  const one = transfers.value.get(which) ?? alone;
  useEffect(() => { ask(`transfers/${which}`).then(setAlone, () => setAlone(null)); }, [which]);
  if (one === undefined) return null;
  if (!one) return html`<${Empty}>There is no such transfer, or it ended long ago. <a href="#/transfers">All transfers</a><//>`;
  const order = (words, what, method = 'POST', body) => act(words, `transfers/${which}${what}`, { method, body });
  const again = async () => {
    const begun = await act('Fetching again', `transfers/${which}/again`, { method: 'POST' });
    if (begun) location.hash = `#/transfers/${begun.number}`;
  };
  return html`<p class="back"><a href="#/transfers">← All transfers</a></p><section class="card"><h2><${Name} text=${one.name} /></h2>
    <p class="progress large"><${Bar} part=${part(one)} state=${one.state} label="Here" /><b>${Math.floor(part(one) * 100)}%</b></p>
    <p aria-live="polite"><span class=${`state ${one.state}`}>${WORDS[one.state]}</span>${one.error ? html`: <bdi>${shown(one.error)}</bdi>` : null}
      ${one.waiting_for.length ? html` – waits for ${one.waiting_for.map(shown).join(', ')}` : null}</p>
    <${Facts} items=${[
      ['Here', `${size(one.bytes_done)} of ${size(one.bytes_total)}`], one.state === 'fetching' && ['Rate', rate(one.lately)],
      one.state === 'fetching' && Number.isFinite(left(one)) && ['Left', span(left(one))], ['Files', `${number(one.files_done)} of ${number(one.files_total)}`],
      ['Sources', sources(one)], ['Time', span(one.seconds)], one.limit && ['At most', rate(one.limit)], ['Goes to', html`<${Name} text=${one.path} />`], ['Id', html`<code>${one.id}</code>`]]} />
    ${may('publisher') ? html`<p class="buttons">
      ${one.state === 'paused' ? html`<button type="button" class="main" onClick=${() => order('It goes on', '/resume')}>Resume</button>` : null}
      ${['fetching', 'locating'].includes(one.state) ? html`<button type="button" onClick=${() => order('Paused', '/pause')}>Pause</button>` : null}
      ${going(one) ? html`<button type="button" onClick=${() => setAsked(true)}>Cancel</button>` : html`<button type="button" onClick=${again}>Fetch again, replacing what differs</button>`}
      ${going(one) ? html`<${OneLimit} limit=${one.limit} onSet=${down => order(down ? `At most ${rate(down)}` : 'No limit of its own', '', 'PATCH', { down })} />` : null}</p>` : null}
    ${asked ? html`<${Ask} title="End this transfer?" yes="End it" onNo=${() => setAsked(false)} onYes=${() => { setAsked(false); order('Cancelled', '', 'DELETE'); }}>
      <p>${size(one.bytes_done)} are proved and stay for next time.</p><//>` : null}</section>
    <section class="card"><h2>What is here</h2><${Strip} which=${which} tick=${one.bytes_done} state=${one.state} /><${Ledger} of=${one.ledger} /></section>
    <div class="choice" role="group" aria-label="Of this transfer">${[['sources', 'Sources'], ['files', 'Files']].map(([name, words]) =>
      html`<button type="button" aria-pressed=${tab === name} onClick=${() => setTab(name)}>${words}</button>`)}</div>
    ${tab === 'sources' ? html`<${Sources} of=${one} />` : html`<${FilesOf} which=${which} />`}`;
}

function OneLimit({ limit, onSet }) {
  const field = useRef();
  const set = event => { event.preventDefault(); const down = bytes(field.current.value); if (down === undefined) field.current.setCustomValidity('like 500KB or 2MiB'); else onSet(down); };
  return html`<form class="inline" onSubmit=${set}><label>At most <input ref=${field} class="short" placeholder="2MB" defaultValue=${limit ?? ''} onInput=${event => event.target.setCustomValidity('')} />/s</label><button>Set</button></form>`;
}

/** Which parts are here: darker is more. */
function Strip({ which, tick, state }) {
  const canvas = useRef(), [strip, setStrip] = useState('');
  useEffect(() => { ask(`transfers/${which}/chunks`).then(told => setStrip(told.strip), () => {}); }, [which, Math.floor(tick / 1e6), state]);
  useEffect(() => {
    if (!canvas.current || !strip) return;
    const pen = canvas.current.getContext('2d'), css = getComputedStyle(document.documentElement);
    pen.clearRect(0, 0, strip.length, 1);
    pen.fillStyle = css.getPropertyValue('--main');
    [...strip].forEach((ninths, at) => { pen.globalAlpha = Number(ninths) / 9; pen.fillRect(at, 0, 1, 1); });
  }, [strip, colours.value]);
  if (!strip) return null;
  const whole = [...strip].filter(ninths => ninths === '9').length;
  return html`<canvas class="strip" ref=${canvas} width=${strip.length} height="1" role="img" aria-label=${`${whole} of ${strip.length} parts are whole`}></canvas>`;
}

function Ledger({ of }) {
  const kinds = [['useful', 'useful'], ['duplicate', 'came twice'], ['rejected', 'wrong, thrown away'], ['overhead', 'overhead']];
  const all = kinds.reduce((sum, [kind]) => sum + of[kind], 0) || 1;
  return html`<div class="ledger"><span class="stack" aria-hidden="true">${kinds.map(([kind]) => html`<span class=${kind} style=${{ flexGrow: of[kind] / all }}></span>`)}</span>
    <${Facts} items=${[...kinds.map(([kind, words]) => [html`<span class=${`dot ${kind}`}></span>${words}`, size(of[kind])]), ['sent to others', size(of.sent)]]} /></div>`;
}

function Sources({ of }) {
  const rows = of.sources.filter(source => source.connected);
  const columns = [
    { title: 'Peer', sort: 'peer', by: one => one.name || one.addr, width: 'minmax(9rem, 1.5fr)', cell: one => html`<${Name} text=${one.name || one.addr} title=${`${one.peer} at ${one.addr}`} />` },
    { title: 'Rate', sort: 'rate', by: one => one.rate, width: '7rem', side: 'end', narrow: true, cell: one => rate(one.rate) },
    { title: 'Round trip', sort: 'trip', by: one => one.round_trip_ms, width: '6rem', side: 'end', cell: one => `${one.round_trip_ms.toFixed(1)} ms` },
    { title: 'Cost', sort: 'cost', by: one => one.cost_ms, width: '6rem', side: 'end', cell: one => `${one.cost_ms.toFixed(0)} ms` },
    { title: 'In flight', sort: 'flight', by: one => one.inflight_bytes, width: '6.5rem', side: 'end', cell: one => size(one.inflight_bytes) },
    { title: 'Taken', sort: 'taken', by: one => one.bytes, width: '6.5rem', side: 'end', cell: one => size(one.bytes) },
    { title: 'Why', width: 'minmax(12rem, 2fr)', narrow: true, cell: one => html`<span title=${shown(one.why)}>${shown(one.why || one.reason)}</span>` },
  ];
  return html`<${Table} label="Sources" id="sources" rows=${rows} columns=${columns} sort="-rate" source="" empty="No source is connected." />`;
}

function FilesOf({ which }) {
  const columns = [
    { title: 'Path', sort: 'path', width: 'minmax(12rem, 3fr)', cell: one => html`<${Name} text=${one.path} />` },
    { title: 'Here', sort: 'done', width: '10rem', narrow: true, cell: one => html`<span class="progress"><${Bar} part=${one.size ? one.done / one.size : 1} label="Here" /></span>` },
    { title: 'Size', sort: 'size', width: '7rem', side: 'end', narrow: true, cell: one => size(one.size) },
  ];
  return html`<${Table} label="Files" id="of" source=${path`transfers/${which}/files`} columns=${columns} sort="path" empty="Its listing is not here, or it has ended." />`;
}
