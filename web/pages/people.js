// Who may come in: users, tokens of programs, browsers that are logged in.
import { useEffect, useState } from '../vendor/hooks.js';
import { act, ask, path } from '../api.js';
import { Copy, Empty, html, Name, Time } from '../ui.js';
import { exact } from '../words.js';

const ROLES = ['reader', 'publisher', 'admin'];

export function People() {
  const [all, setAll] = useState({ users: [], tokens: [], sessions: [] }), [made, setMade] = useState(null);
  const load = async () => {
    try {
      const [users, tokens, sessions] = await Promise.all(['users', 'tokens', 'sessions'].map(what => ask(what)));
      setAll({ users: users.items, tokens: tokens.items, sessions: sessions.items });
    } catch { /* the banner says it */ }
  };
  useEffect(() => { load(); }, []);
  const end = async (words, what) => { await act(words, what, { method: 'DELETE' }); load(); };
  const add = async (event, what, of) => {
    event.preventDefault();
    const form = event.target, told = await act('', what, { method: 'POST', body: of(new FormData(form)) });
    if (told) { setMade(told); form.reset(); load(); }
  };
  const invitation = made?.invitation && `${location.origin}${location.pathname}#invitation=${made.invitation}`;
  return html`${made ? html`<section class="card made" role="status"><p>${made.token ? 'This token is shown once:' : 'With this link the user chooses a password, once within a day:'}</p><p><code>${made.token ?? invitation}</code> <${Copy} text=${made.token ?? invitation} label="Copy" /></p></section>` : null}
    <section class="card"><h2>Users</h2>${all.users.length ? html`<ul class="plain">${all.users.map(user => html`<li key=${user.name}><${Name} text=${user.name} /> <span class="soft">${user.role}${user.invited ? ', invited' : ''}</span>
      <button type="button" onClick=${() => end('Removed', path`users/${user.name}`)} aria-label=${`Remove ${user.name}`}>Remove</button></li>`)}</ul>` : html`<${Empty}>Nobody has a password; who can run <code>p2p web login</code> is the owner.<//>`}
      <form class="line" onSubmit=${event => add(event, 'users', data => ({ name: data.get('name'), role: data.get('role') }))}><label>Name <input name="name" required maxlength="64" autocomplete="off" /></label>
      <label>Role <select name="role">${ROLES.map(role => html`<option>${role}</option>`)}</select></label><button class="main">Invite</button></form></section>
    <section class="card"><h2>Tokens of programs</h2>${all.tokens.length ? html`<ul class="plain">${all.tokens.map(token => html`<li key=${token.id}><${Name} text=${token.name} /> <span class="soft">${token.scope}, until ${exact(token.until).slice(0, 10)}</span>
      <button type="button" onClick=${() => end('Ended', path`tokens/${token.id}`)} aria-label=${`End the token ${token.name}`}>End</button></li>`)}</ul>` : html`<${Empty}>No program has a token.<//>`}
      <form class="line" onSubmit=${event => add(event, 'tokens', data => ({ name: data.get('name'), scope: data.get('scope'), days: Number(data.get('days')) }))}><label>Name <input name="name" required maxlength="64" autocomplete="off" /></label>
      <label>May <select name="scope">${['metrics', ...ROLES].map(role => html`<option>${role}</option>`)}</select></label><label>Days <input name="days" type="number" min="1" max="366" value="90" class="short" /></label><button class="main">Make</button></form></section>
    <section class="card"><h2>Browsers</h2><ul class="plain">${all.sessions.map(session => html`<li key=${session.id}><${Name} text=${session.account} /> <span class="soft">${session.role}, at ${session.from}, used <${Time} ms=${session.used} /></span>
      ${session.own ? html`<b>this one</b>` : html`<button type="button" onClick=${() => end('Ended', path`sessions/${session.id}`)}>End</button>`}</li>`)}</ul></section>`;
}
