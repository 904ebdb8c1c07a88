// Real processes and a real browser for the tests of the page. What is needed beside node: a Chromium (CHROMIUM, else where
// systems put it), and web/node_modules by `npm ci` (NODE_MODULES, if they are elsewhere).
import { spawn, execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const MODULES = process.env.NODE_MODULES ?? join(ROOT, 'web/node_modules');
const P2P = process.env.P2P ?? join(ROOT, 'target/debug/p2p');
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const { chromium } = await import(pathToFileURL(join(MODULES, 'playwright-core/index.mjs')));
const AXE = readFileSync(join(MODULES, 'axe-core/axe.min.js'), 'utf8');

/** What was made for the tests, to be taken away again. */
export class Stage {
  #processes = [];
  #folders = [];
  #browser;

  folder() {
    const folder = mkdtempSync(join(tmpdir(), 'p2p-page-'));
    this.#folders.push(folder);
    return folder;
  }

  #env(home = this.home ??= this.folder()) {
    const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('P2P_'));
    return { ...Object.fromEntries(kept), HOME: home, XDG_CONFIG_HOME: home, XDG_CACHE_HOME: home, XDG_STATE_HOME: home };
  }

  /** What runs commands as somebody else, with a home of his own. */
  somebody() {
    const env = this.#env(this.folder());
    return (...args) => execFileSync(P2P, args, { encoding: 'utf8', env, stdio: 'pipe' });
  }

  /** A process, and what a line of its output has when it is ready. */
  async start(args, ready) {
    const child = spawn(P2P, args, { env: this.#env(), stdio: ['ignore', 'pipe', 'pipe'] });
    this.#processes.push(child);
    let said = '';
    return new Promise((resolve, reject) => {
      const hear = piece => {
        said += piece;
        const found = ready.exec(said);
        if (found) resolve({ child, found, stop: signal => new Promise(gone => { child.once('exit', gone); child.kill(signal ?? 'SIGTERM'); }) });
      };
      child.stdout.on('data', hear);
      child.stderr.on('data', hear);
      child.on('exit', code => reject(new Error(`p2p ${args.join(' ')} ended with ${code}: ${said}`)));
    });
  }

  async tracker(...more) {
    const { found, ...rest } = await this.start(['tracker', '--listen', '127.0.0.1:0', '--web=127.0.0.1:0', ...more], /listening on (\S+)[^]*opened once by (\S+)\n/);
    return { at: found[1], link: found[2], ...rest };
  }

  async peer(folder, trackers, ...more) {
    const at = trackers.flatMap(tracker => ['--tracker', tracker]);
    const { found, ...rest } = await this.start(['peer', folder, '--listen', '127.0.0.1:0', ...at, ...more, '--web=127.0.0.1:0'], /opened once by (\S+)\n/);
    return { link: found[1], ...rest };
  }

  /** `p2p share` of a file or folder, with a link for browsers by TLS. */
  async share(path, ...more) {
    const at = ['--tracker-listen', '127.0.0.1:0', '--listen', '127.0.0.1:0', '--web=127.0.0.1:0', '--web-cert', 'self'];
    const { found, ...rest } = await this.start(['share', path, ...at, ...more], /or in any browser[^\n]*\n\s*(\S+)\n/);
    return { link: found[1], ...rest };
  }

  /** A tab that may save files; certificates that were made for the test are believed. */
  async tab(options = {}) {
    const place = process.env.CHROMIUM ?? PLACES.find(existsSync);
    this.#browser ??= await chromium.launch({ executablePath: place, args: ['--no-sandbox'] });
    const context = await this.#browser.newContext({ viewport: { width: 1280, height: 800 }, ignoreHTTPSErrors: true, ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(30_000);
    page.trouble = [];
    page.on('pageerror', error => page.trouble.push(error.message));
    page.on('console', message => { if (message.type() === 'error') page.trouble.push(message.text()); });
    return page;
  }

  async page(link, options = {}) {
    const page = await this.tab(options);
    await page.goto(link);
    await page.waitForSelector('nav');
    return page;
  }

  async end() {
    await this.#browser?.close();
    this.#processes.forEach(child => { child.removeAllListeners('exit'); child.kill('SIGKILL'); });
    this.#folders.forEach(folder => rmSync(folder, { recursive: true, force: true }));
  }
}

/** What axe finds wrong with what is on the page now; of `rules` only, if they are named. */
export async function axe(page, rules) {
  const options = JSON.stringify({ resultTypes: ['violations'], ...(rules ? { runOnly: rules } : {}) });
  const found = await page.evaluate(`${AXE};axe.run(document, ${options}).then(found => found.violations.map(one => one.id + ': ' + one.nodes.map(node => node.target).join(', ')))`);
  return found;
}

/** Another place of the page. */
export async function go(page, place) {
  await page.evaluate(to => { location.hash = to; }, place);
}

/** A column of the table of this name. */
export const cells = (page, label, column = 0) =>
  page.$$eval(`[role=table][aria-label="${label}"] .row`, (rows, at) => rows.map(row => row.children[at]?.textContent), column);
