// What is to stay up: trackers that are one, and hosts whose agents keep roles running and bring each other back.
import { useState } from '../vendor/hooks.js';
import { act, path, steers } from '../api.js';
import { Ask, Empty, html, Name, requery, route, Search, useAsked } from '../ui.js';
import { Table } from '../table.js';
import { number, shown, size, span } from '../words.js';

export function Cluster() {
  const is = useAsked('cluster');
  if (!is) return null;
  if (is.problem) return html`<${Empty}>${is.problem}<//>`;
  const pause = paused => act(paused ? 'Lost nodes are left alone' : 'Lost nodes are brought back again', 'nodes', { method: 'PATCH', body: { paused } });
  return html`<${Trackers} is=${is} /><h2>Hosts</h2>
    ${is.paused ? html`<p class="banner">Nobody is brought back while this is paused. ${steers() ? html`<button type="button" onClick=${() => pause(false)}>Go on</button>` : null}</p>` : null}
    <${Hosts} more=${steers() && is.paused === false ? html`<button type="button" onClick=${() => pause(true)}>Bring nobody back for now</button>` : null} />`;
}

/** Who of them is there, and how many may still go: fewer than none if they are too few. */
function standing({ nodes }) {
  const votes = nodes.filter(one => one.state !== 'newcomer'), here = votes.filter(one => ['leads', 'follows'].includes(one.state)).length;
  return { votes, here, spare: here - Math.floor(votes.length / 2) - 1 };
}

function sentence({ leader }, { votes, here, spare }) {
  if (spare < 0) return `${here} of ${votes.length} are here, too few to agree: what is on record stays as it is.`;
  if (leader === null) return 'No tracker leads yet.';
  return `${here} of ${votes.length} are here, and tracker ${leader} leads; ${spare === 0 ? 'none' : spare} of them may be lost.`;
}

function Trackers({ is }) {
  if (is.epoch === 0 && is.nodes.length === 1) {
    return html`<section class="card"><h2>One tracker</h2><p>What is on record is at this tracker alone. <code>p2p tracker --node 1 --cluster …</code> begins several that are one, of which any may die.</p></section>`;
  }
  const columns = [
    { title: 'Tracker', width: 'minmax(9rem, 2fr)', cell: one => html`${one.node} <${Name} text=${one.address || (one.node === is.asked ? 'this one' : '')} />` },
    { title: 'State', width: '7rem', narrow: true, cell: one => html`<span class=${`state ${one.state}`}>${one.state}</span>` },
    { title: 'Epoch', width: '5rem', side: 'end', cell: one => one.epoch },
    { title: 'Has applied', width: '8rem', side: 'end', narrow: true, cell: one => number(one.applied) },
    { title: 'Heard', width: '7rem', side: 'end', cell: one => (one.node === is.asked ? 'asked' : one.heard_ms === null ? '–' : `${number(one.heard_ms)} ms ago`) },
  ];
  const stand = standing(is);
  return html`<section class="card"><h2 class=${stand.spare < 0 ? 'wrong' : ''}>${sentence(is, stand)}</h2></section>
    <${Table} label="Trackers" id="trackers" rows=${is.nodes} columns=${columns} sort="" source="" empty="" />`;
}

function Hosts({ more }) {
  const q = route.value.query.get('q') ?? '', [gone, setGone] = useState(null);
  const forget = () => { setGone(null); act(`${shown(gone.node)} is not waited for any more`, path`nodes/${gone.id}`, { method: 'DELETE' }); };
  const roles = one => one.roles.map(({ role, state, looping }) => `${shown(role)}${state === 'running' ? '' : ` (${state})`}${looping ? ', ending again and again' : ''}`).join(', ');
  const state = one => (one.executor ? `${one.state}: ${one.claimed ? 'being brought back' : 'to be brought back'}` : one.tries ? `${one.state}, tried ${one.tries} ×` : one.state);
  const columns = [
    { title: 'Node', sort: 'name', width: 'minmax(8rem, 1.5fr)', cell: one => html`<${Name} text=${one.node} title=${one.id} />` },
    { title: 'State', sort: 'state', width: 'minmax(7rem, 1fr)', narrow: true, cell: one => html`<span class=${`state ${one.state}`}>${state(one)}</span>` },
    { title: 'Roles', width: 'minmax(9rem, 2fr)', narrow: true, cell: one => html`<span title=${roles(one)}>${roles(one) || '–'}</span>` },
    { title: 'Host', width: 'minmax(8rem, 1fr)', cell: one => shown(one.host) },
    { title: 'Free', width: '6.5rem', side: 'end', cell: one => (one.free ? size(one.free) : '–') },
    { title: 'Heard', sort: 'silent', width: '6.5rem', side: 'end', cell: one => `${span(one.silent_ms / 1000)} ago` },
    ...(steers() ? [{ title: 'Forget', width: '6rem', cell: one => (one.state === 'lost' ? html`<button type="button" onClick=${() => setGone(one)} aria-label=${`Forget ${shown(one.node)}`}>Forget</button>` : '') }] : []),
  ];
  return html`<div class="line"><${Search} label="A name, or a host" value=${q} onInput=${text => requery({ q: text })} /><span class="grow"></span>${more}</div>
    <${Table} label="Hosts" id="hosts" source="nodes" query=${`q=${encodeURIComponent(q)}`} columns=${columns} sort="name"
      empty=${q ? 'No node is called so.' : html`No agent has been heard. <code>p2p up</code> runs one on a host, and keeps its roles running.`} />
    ${gone ? html`<${Ask} title="Forget this node?" yes="Forget it" onYes=${forget} onNo=${() => setGone(null)}><p><${Name} text=${gone.node} /> is lost. It is not brought back any more; if its agent is heard again, it is there again.</p><//>` : null}`;
}
