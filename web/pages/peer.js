// This peer or tracker itself: how it is, its rates, and what happened.
import { useRef, useState } from '../vendor/hooks.js';
import { about, act, latest, may, peer, tracker } from '../api.js';
import { Facts, html, Name, requery, route, Search, Time, useAsked } from '../ui.js';
import { Table } from '../table.js';
import { Plot } from '../plot.js';
import { bytes, number, rate, shown, size, span } from '../words.js';

export function Overview() {
  return about.value.role === 'peer' ? html`<${OfPeer} />` : html`<${OfTracker} />`;
}

function OfPeer() {
  const is = peer.value;
  if (!is) return null;
  return html`${is.faults ? html`<p class="banner">This peer misbehaves on purpose: ${shown(is.faults)}</p>` : null}
    <section class="card"><h2><${Name} text=${is.name} /></h2><${Facts} items=${[['Listens on', is.addr], ['Shares', `${number(is.files)} files, ${size(is.bytes)}`], ['Uploads now', is.uploads], ['Downloads now', is.downloads], ['Sent since the start', size(is.sent)],
      ['Receives at most', is.down ? rate(is.down) : 'no limit'], ['Sends at most', is.up ? rate(is.up) : 'no limit'], ['Version', about.value.version]]} /></section>
    <section class="card"><h2>Trackers</h2><ul class="plain">${is.trackers.map(one => html`<li key=${one.addr}><span class=${`dot ${one.connected ? 'useful' : 'rejected'}`}></span><${Name} text=${one.addr} /> <span class="soft">${one.connected ? 'connected' : 'cannot be reached; trying again'}</span></li>`)}</ul></section>
    <${Warnings} /><${Plot} title="Rates" isRate lines=${[['down', 'received'], ['up', 'sent']]} />`;
}

/** What the log has last of what went wrong. */
function Warnings() {
  const told = useAsked('warnings?limit=50');
  if (!told?.items) return null;
  return html`<section class="card"><h2>Warnings</h2>${told.items.length ? html`<div class="scroll" tabindex="0" role="group" aria-label="Warnings"><ul class="plain">${told.items.map(one =>
    html`<li key=${one.number}><span class="soft"><${Time} ms=${one.at} /></span> <bdi>${shown(one.what)}</bdi></li>`)}</ul></div>` : html`<p class="soft">Nothing went wrong since the start.</p>`}</section>`;
}

function OfTracker() {
  const is = tracker.value;
  if (!is) return null;
  return html`<section class="card"><h2>Tracker</h2><${Facts} items=${[['Up for', span(is.uptime_ms / 1000)], ['Peers', number(is.peers)], ['Names', number(is.names)], ['Registrations', number(is.registrations)], ['Questions answered', number(is.located)], ['Version', about.value.version]]} /></section><${Warnings} />
    <${Plot} title="Questions a second" lines=${[['questions', 'LOCATE']]} /><${Plot} title="Who and what is there" lines=${[['members', 'peers'], ['names', 'names']]} />`;
}

export function Limits() {
  const is = peer.value;
  if (!is) return null;
  return html`<section class="card"><h2>Of all transfers together</h2><${One} title="Receive at most" key=${`d${is.down}`} which="down" now=${is.down} /><${One} title="Send at most" key=${`u${is.up}`} which="up" now=${is.up} />
    <p class="soft">A single transfer can have a limit of its own, on its page.</p></section><${Plot} title="Rates" isRate lines=${[['down', 'received'], ['up', 'sent']]} />`;
}

function One({ title, which, now }) {
  const [text, setText] = useState(now ? `${now}` : ''), field = useRef();
  const set = event => {
    event.preventDefault();
    const limit = bytes(text);
    if (limit === undefined) { field.current.setCustomValidity('A rate is like 500KB, 2MiB, or nothing for no limit'); field.current.reportValidity(); return; }
    act(limit ? `${title}: ${rate(limit)}` : `${title}: no limit`, 'limits', { method: 'PATCH', body: { [which]: limit ?? 0 } });
  };
  return html`<form class="line" onSubmit=${set}><label>${title} <input ref=${field} class="short" value=${text} placeholder="no limit" disabled=${!may('admin')}
    onInput=${event => { event.target.setCustomValidity(''); setText(event.target.value); }} /> a second</label><button class="main" disabled=${!may('admin')}>Set</button><span class="soft">now: ${now ? rate(now) : 'no limit'}</span></form>`;
}

/** What came or went is told at a tracker, beside what was changed. */
const KINDS = [['', 'All'], ['change', 'Changes'], ['peer', 'Peers'], ['store', 'Stores'], ['node', 'Nodes']];

export function Activity() {
  const q = route.value.query.get('q') ?? '', kind = route.value.query.get('kind') ?? '';
  const columns = [
    { title: 'What', width: 'minmax(12rem, 3fr)', cell: one => (one.kind === 'change' ? html`<${Name} text=${one.what} />` : html`<span class="happened"><${Name} text=${one.name || one.id.slice(0, 12)} title=${one.id} /><span>${one.what}</span></span>`) },
    { title: 'Who', sort: 'account', width: '10rem', narrow: true, cell: one => (one.kind === 'change' ? html`<${Name} text=${one.account} />` : html`<span class="soft">${one.kind}</span>`) },
    { title: 'From', width: '10rem', cell: one => one.from },
    { title: 'When', sort: 'number', width: '8rem', side: 'end', narrow: true, cell: one => html`<${Time} ms=${one.at} />` },
  ];
  return html`<div class="line"><${Search} label="Look for something that happened" value=${q} onInput=${text => requery({ q: text })} />
      ${about.value.role === 'tracker' ? html`<label>Show <select value=${kind} onChange=${event => requery({ kind: event.target.value })}>${KINDS.map(([value, words]) => html`<option key=${value} value=${value}>${words}</option>`)}</select></label>` : null}</div>
    <${Table} label="Activity" id="activity" source="activity" query=${`q=${encodeURIComponent(q)}&kind=${encodeURIComponent(kind)}`} last=${latest.value?.number} columns=${columns} sort="-number"
      empty=${q || kind ? 'Nothing like that happened since the start, or it is too long ago.' : 'Nothing happened since the start.'} />`;
}
