// The closed swarm of a tracker: who is a member, who is put out, and links by which others join.
import { useState } from '../vendor/hooks.js';
import { act, path } from '../api.js';
import { Ask, Copy, html, Name, requery, route, Search, Time } from '../ui.js';
import { Table } from '../table.js';
import { exact, shown } from '../words.js';

const ROLES = ['reader', 'publisher', 'admin', 'tracker'];

export function Members() {
  const q = route.value.query.get('q') ?? '', [out, setOut] = useState(null);
  const change = (one, role) => act(`${shown(one.name)} is a ${role} now`, path`members/${one.key}`, { method: 'PATCH', body: { role } });
  const putOut = () => { setOut(null); act(`${shown(out.name)} is out`, path`members/${out.key}`, { method: 'DELETE' }); };
  const role = one => (one.own ? 'of a member' : html`<select aria-label=${`Role of ${shown(one.name)}`} onChange=${event => change(one, event.target.value)}>
    ${ROLES.map(word => html`<option selected=${word === one.role}>${word}</option>`)}</select>${one.prefix && one.role === 'publisher' ? html` of <${Name} text=${one.prefix} />` : null}`);
  const columns = [
    { title: 'Name', sort: 'name', width: 'minmax(9rem, 2fr)', cell: one => html`<${Name} text=${one.name} title=${one.key} />` },
    { title: 'Role', sort: 'role', width: '11rem', narrow: true, cell: role },
    { title: 'Key', width: '6rem', cell: one => html`<code title=${one.key}>${one.key.slice(0, 8)}</code>` },
    { title: 'Since', sort: 'since', width: '7rem', side: 'end', cell: one => html`<${Time} ms=${one.since_ms} />` },
    { title: 'Here', sort: 'here', width: '5rem', cell: one => (one.here ? 'yes' : '') },
    { title: 'Put out', width: '7rem', narrow: true, cell: one => html`<button type="button" onClick=${() => setOut(one)} aria-label=${`Put out ${shown(one.name)}`}>Put out</button>` },
  ];
  return html`<${Invite} /><div class="line"><${Search} label="A name, or a part of a key" value=${q} onInput=${text => requery({ q: text })} /></div>
    <${Table} label="Members" id="members" source="members" query=${`q=${encodeURIComponent(q)}`} columns=${columns} sort="name" empty="No member is called so." />
    ${out ? html`<${Ask} title="Put this member out?" yes="Put it out" onYes=${putOut} onNo=${() => setOut(null)}><p><${Name} text=${out.name} /> is cut off everywhere within seconds, with all its keys,
      and can never come back by them. The others get a new key of the swarm by themselves.</p><//>` : null}`;
}

function Invite() {
  const [made, setMade] = useState(null);
  const invite = async event => {
    event.preventDefault();
    const data = new FormData(event.target);
    const body = { role: data.get('role'), prefix: data.get('prefix').trim(), uses: Number(data.get('uses')), hours: Number(data.get('hours')) };
    setMade(await act('', 'invites', { method: 'POST', body }) ?? null);
  };
  return html`<section class="card"><h2>Invite somebody</h2><form class="line" onSubmit=${invite}><label>Role <select name="role">${ROLES.map(word => html`<option selected=${word === 'publisher'}>${word}</option>`)}</select></label>
      <label>Names begin with <input name="prefix" maxlength="200" placeholder="any" autocomplete="off" class="short" /></label><label>How many may join <input name="uses" type="number" min="1" max="1000" value="1" class="short" /></label>
      <label>Within hours <input name="hours" type="number" min="1" max="8784" value="24" class="short" /></label><button class="main">Make a link</button></form>
    ${made ? html`<div class="made invite" role="status"><img src=${`data:image/svg+xml,${encodeURIComponent(made.picture)}`} alt="The link as a QR code" width="240" height="240" />
      <div><p>Shown once; whoever has it can join as ${made.role} until ${exact(made.until_ms)}:</p><p><code>p2p join '${made.link}'</code></p><p class="buttons"><${Copy} text=${`p2p join '${made.link}'`} label="Copy the command" /><${Copy} text=${made.link} label="Copy the link" />
      <button type="button" onClick=${() => setMade(null)}>Done</button></p></div></div>` : null}</section>`;
}
