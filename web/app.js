// The page: who is in, what there is, and where one is.
import { render } from './vendor/preact.js';
import { useEffect, useState } from './vendor/hooks.js';
import { about, act, ask, begin, goOn, listen, may, notice, peer, refresh, silentSince, tracker } from './api.js';
import { colours, html, Name, route } from './ui.js';
import { rate, span } from './words.js';
import { Login } from './pages/login.js';
import { Transfer, Transfers } from './pages/transfers.js';
import { Get, Send } from './pages/get.js';
import { Content, Files, Shared } from './pages/files.js';
import { Peers, Stores } from './pages/members.js';
import { Activity, Limits, Overview } from './pages/peer.js';
import { People } from './pages/people.js';
import { Members } from './pages/swarm.js';
import { Cluster } from './pages/cluster.js';

const PAGES = {
  peer: [
    ['transfers', 'Transfers', ({ parts }) => (parts[1] ? html`<${Transfer} number=${Number(parts[1])} key=${parts[1]} />` : html`<${Transfers} />`)],
    ['get', 'Get', () => html`<${Get} />`],
    ['files', 'Swarm', files],
    ['shared', 'Shared', () => html`<${Shared} />`],
    ['peers', 'Peers', () => html`<${Peers} />`],
    ['stores', 'Stores', () => html`<${Stores} />`],
    ['cluster', 'Cluster', () => html`<${Cluster} />`],
    ['limits', 'Limits', () => html`<${Limits} />`],
    ['overview', 'This peer', () => html`<${Overview} />`],
    ['activity', 'Activity', () => html`<${Activity} />`],
    ['people', 'People', () => html`<${People} />`, 'admin'],
  ],
  tracker: [
    ['files', 'Files', files],
    ['peers', 'Peers', () => html`<${Peers} />`],
    ['stores', 'Stores', () => html`<${Stores} />`],
    ['cluster', 'Cluster', () => html`<${Cluster} />`],
    ['members', 'Members', () => html`<${Members} />`, 'admin'],
    ['send', 'Send', () => html`<${Send} />`],
    ['overview', 'This tracker', () => html`<${Overview} />`],
    ['activity', 'Activity', () => html`<${Activity} />`],
    ['people', 'People', () => html`<${People} />`, 'admin'],
  ],
};

function files({ parts }) {
  return parts[1] ? html`<${Content} id=${parts[1]} key=${parts[1]} />` : html`<${Files} />`;
}

function Shell() {
  const pages = PAGES[about.value.role].filter(page => !page[3] || may(page[3]));
  const { parts } = route.value;
  const [which, title, page] = pages.find(([name]) => name === parts[0]) ?? pages[0];
  useEffect(() => { document.querySelector('nav [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' }); }, [which]);
  useEffect(() => { document.title = `${title} – ${about.value.name || about.value.role} – p2p`; }, [which, about.value]);
  return html`<a class="skip" href="#main" onClick=${event => { event.preventDefault(); document.getElementById('main').focus(); }}>To the page's content</a>
    <header><a class="brand" aria-label="p2p, the first page" href=${`#/${pages[0][0]}`}><img src="icon.svg" alt="" width="24" height="24" /><b>p2p</b></a>
      <${Where} /><${Rates} /><span class="grow"></span><${Theme} /><${Account} /></header>
    <nav aria-label="Pages">${pages.map(([name, words]) => html`<a key=${name} href=${`#/${name}`} aria-current=${name === which ? 'page' : undefined}>${words}</a>`)}</nav>
    <main id="main" tabindex="-1"><${Silence} /><h1>${title}</h1>${page({ parts })}</main><${Notice} />`;
}

const Where = () => html`<span class="where">${about.value.role === 'peer' ? html`<${Name} text=${about.value.name} />` : 'tracker'}</span>`;

function Rates() {
  if (!peer.value) return tracker.value ? html`<span class="rates">${tracker.value.peers} peers</span>` : null;
  return html`<span class="rates" title="Uploads and downloads of now">↑ ${peer.value.uploads} ↓ ${peer.value.downloads}${peer.value.down ? html` <span class="soft">≤ ${rate(peer.value.down)}</span>` : ''}</span>`;
}

function Theme() {
  const [theme, set] = useState(document.documentElement.dataset.theme ?? 'auto');
  const next = { auto: 'dark', dark: 'light', light: 'auto' }[theme];
  const change = () => {
    set(next);
    colours.value += 1;
    next === 'auto' ? delete document.documentElement.dataset.theme : (document.documentElement.dataset.theme = next);
    try { localStorage.setItem('p2p-theme', next); } catch { /* it holds until the page is closed */ }
  };
  return html`<button type="button" class="plain" onClick=${change} title=${`Colours: ${theme}; change to ${next}`} aria-label=${`Colours: ${theme}`}>${{ auto: '◐', dark: '☾', light: '☀' }[theme]}</button>`;
}

function Account() {
  const out = async () => { await act('Logged out', 'session', { method: 'DELETE' }); about.value = await ask('about'); };
  return html`<span class="account"><span class="soft">${about.value.account}, ${about.value.may}</span><button type="button" onClick=${out}>Log out</button></span>`;
}

function Silence() {
  const [, draw] = useState(0);
  useEffect(() => {
    const look = () => { draw(n => n + 1); if (silentSince.value && Date.now() - silentSince.value >= 1500) goOn(); };
    const timer = setInterval(look, 1000);
    return () => clearInterval(timer);
  }, []);
  const since = silentSince.value;
  if (!since || Date.now() - since < 2000) return null;
  return html`<div class="banner" role="status">The program does not answer; what is shown is ${span((Date.now() - since) / 1000)} old. Trying again.
    <button type="button" onClick=${() => refresh()}>Try now</button></div>`;
}

function Notice() {
  return html`<div class="notice" aria-live="polite" role="status">${notice.value ? html`<p class=${notice.value.isWrong ? 'wrong' : ''}>${notice.value.text}
    <button type="button" class="plain" aria-label="Close" onClick=${() => { notice.value = null; }}>✕</button></p>` : null}</div>`;
}

function App() {
  if (!about.value) return html`<p class="loading">Loading…</p>`;
  return about.value.may ? html`<${Shell} />` : html`<${Login} /><${Notice} />`;
}

const start = async () => {
  try { const theme = localStorage.getItem('p2p-theme'); if (theme && theme !== 'auto') document.documentElement.dataset.theme = theme; } catch { /* none is remembered */ }
  const app = document.getElementById('app');
  app.replaceChildren();
  render(html`<${App} />`, app);
  try { await begin(); } catch (problem) { notice.value = { text: problem.detail, isWrong: true }; setTimeout(start, 2000); return; }
  about.subscribe(value => { if (value?.may) listen(); });
};
start();
