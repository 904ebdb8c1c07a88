// Who is nobody yet: how to be let in.
import { useState } from '../vendor/hooks.js';
import { about, ask, begin, say } from '../api.js';
import { html } from '../ui.js';

export function Login() {
  const [name, setName] = useState(''), [password, setPassword] = useState(''), [busy, setBusy] = useState(false);
  const invitation = /^#invitation=([0-9a-f]+)$/.exec(location.hash)?.[1];
  const enter = async event => {
    event.preventDefault();
    setBusy(true);
    try {
      await ask('session', { method: 'POST', body: invitation ? { token: invitation, password } : { name, password } });
      if (invitation) history.replaceState(null, '', location.pathname);
      await begin();
    } catch (problem) { say(problem.detail, true); }
    setBusy(false);
  };
  const command = about.value.role === 'peer' ? 'p2p web login FOLDER' : 'p2p web login';
  return html`<main class="login"><img src="icon.svg" alt="" width="56" height="56" /><h1>p2p ${about.value.role}</h1>
    ${invitation ? html`<p>Choose a password of ten characters or more.</p>` : html`<p>On the machine where it runs, <code>${command}</code> prints a link that opens this page, once.</p>`}
    ${invitation || about.value.users ? html`<form onSubmit=${enter}>
      ${invitation ? null : html`<label>Name<input value=${name} onInput=${event => setName(event.target.value)} autocomplete="username" required /></label>`}
      <label>Password<input type="password" minlength="10" value=${password} onInput=${event => setPassword(event.target.value)} autocomplete=${invitation ? 'new-password' : 'current-password'} required /></label>
      <button class="main" disabled=${busy}>${invitation ? 'Choose it and log in' : 'Log in'}</button></form>` : null}</main>`;
}
