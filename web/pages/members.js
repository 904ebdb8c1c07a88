// Who is there: peers, and stores with how safe all is that they keep.
import { useState } from '../vendor/hooks.js';
import { act, path, steers } from '../api.js';
import { Ask, Bar, Facts, html, Name, requery, route, Search, useAsked } from '../ui.js';
import { Table } from '../table.js';
import { number, shown, size, span } from '../words.js';

export function Peers() {
  const q = route.value.query.get('q') ?? '';
  const columns = [
    { title: 'Name', sort: 'name', width: 'minmax(10rem, 2fr)', cell: one => html`<${Name} text=${one.name} title=${one.peer} />` },
    { title: 'Address', width: 'minmax(9rem, 1fr)', narrow: true, cell: one => one.address ?? 'cannot be dialled' },
    { title: 'Contents', sort: 'offers', width: '7rem', side: 'end', narrow: true, cell: one => number(one.offers) },
    { title: 'Uploads', sort: 'uploads', width: '6rem', side: 'end', cell: one => one.uploads },
    { title: 'Downloads', sort: 'downloads', width: '7rem', side: 'end', cell: one => one.downloads },
    { title: 'Silent for', sort: 'silent', width: '7rem', side: 'end', cell: one => span(one.silent_ms / 1000) },
  ];
  return html`<div class="line"><${Search} label="A name, or a part of an id" value=${q} onInput=${text => requery({ q: text })} /></div>
    <${Table} label="Peers" id="peers" source="peers" query=${`q=${encodeURIComponent(q)}`} columns=${columns} sort="name" empty="No peer is registered that is called so." />`;
}

export function Stores() {
  const health = useAsked('health'), [asked, setAsked] = useState(null);
  const columns = [
    { title: 'Name', sort: 'name', width: 'minmax(9rem, 2fr)', cell: one => html`<${Name} text=${one.name} title=${one.store} />` },
    { title: 'State', sort: 'state', width: '7rem', narrow: true, cell: one => html`<span class=${`state ${one.state}`}>${one.state}</span>` },
    { title: 'Zone', sort: 'zone', width: '7rem', cell: one => shown(one.zone) || '–' },
    { title: 'In use', sort: 'used', width: 'minmax(9rem, 1fr)', narrow: true, cell: one => html`<span class="progress"><${Bar} part=${one.capacity ? one.used / one.capacity : 0} label="In use" /><span>${size(one.used)}</span></span>` },
    { title: 'Lends', sort: 'capacity', width: '7rem', side: 'end', cell: one => size(one.capacity) },
    { title: 'Contents', width: '6rem', side: 'end', cell: one => number(one.contents) },
    ...(steers() ? [{ title: 'Change', width: '7.5rem', narrow: true, cell: one => change(one) }] : []),
  ];
  const change = one => {
    const what = one.state === 'away' || one.state === 'left' ? 'forget' : one.state === 'leaving' ? 'stay' : 'leave';
    return html`<button type="button" onClick=${() => setAsked({ one, what })} aria-label=${`${CHANGES[what].button}: ${shown(one.name)}`}>${CHANGES[what].button}</button>`;
  };
  const go = ({ one, what }) => { setAsked(null); act(`${shown(one.name)}: ${CHANGES[what].done}`, path`stores/${one.store}`, { method: 'PATCH', body: { change: what } }); };
  return html`${health && !health.problem ? html`<section class="card"><h2 class=${health.lost ? 'wrong' : ''}>${sentence(health)}</h2>
      <${Facts} items=${[['Contents', number(health.contents)], ['Bytes', size(health.bytes)], ['Stores that may be lost', `${health.survives} of ${health.promised} promised`], ['Endangered', size(health.endangered)], ['Lost', size(health.lost)], ['Being repaired', size(health.repairing)], ['Away', number(health.away.length)]]} /></section>` : null}
    <${Table} label="Stores" id="stores" source="stores" columns=${columns} sort="name" empty=${html`No store lends space. <code>p2p peer FOLDER --store 100GB</code> does.`} />
    ${asked ? html`<${Ask} title=${`${CHANGES[asked.what].button}?`} yes=${CHANGES[asked.what].button} onYes=${() => go(asked)} onNo=${() => setAsked(null)}><p><${Name} text=${asked.one.name} />: ${CHANGES[asked.what].then}</p><//>` : null}`;
}

/** What can become of a store. */
const CHANGES = {
  leave: { button: 'Let it leave', done: 'others keep what it holds', then: 'others are to keep what it holds. Its state is “left” when it can be taken away.' },
  stay: { button: 'Let it stay', done: 'it keeps what it holds', then: 'it keeps what it holds after all.' },
  forget: { button: 'Forget it', done: 'it is not waited for any more', then: 'it is not waited for any more; others are to keep what it held.' },
};

/** How safe what is kept is. */
export function sentence(health) {
  if (health.contents === 0) return 'No store has promised to keep anything.';
  if (health.lost > 0) return `${size(health.lost)} are held by no store that is here.`;
  if (health.hearing) return 'Stores are still saying what they hold.';
  const may = health.survives === 0 ? 'no store may be lost' : health.survives === 1 ? 'any one store may be lost' : `any ${health.survives} stores may be lost`;
  if (health.survives < health.promised) return `Less safe than promised: ${may}, and not ${health.promised}; ${size(health.repairing)} are being copied.`;
  return `All is as safe as promised: ${may}.`;
}
