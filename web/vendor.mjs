// Brings the libraries of the page from node_modules into web/vendor: `npm ci && node vendor.mjs`. With `--check` it
// only says whether they are what package-lock.json pins. There is no build step: bare imports become relative ones.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const modules = process.env.NODE_MODULES ?? join(here, 'node_modules');
const FILES = {
  'preact.js': ['preact', 'dist/preact.module.js'],
  'hooks.js': ['preact', 'hooks/dist/hooks.module.js'],
  'htm.js': ['htm', 'dist/htm.module.js'],
  'signals-core.js': ['@preact/signals-core', 'dist/signals-core.module.js'],
  'signals.js': ['@preact/signals', 'dist/signals.module.js'],
  'uplot.js': ['uplot', 'dist/uPlot.iife.min.js'],
};
const BARE = {
  '@preact/signals-core': './signals-core.js',
  'preact/hooks': './hooks.js',
  preact: './preact.js',
};

/** What a file of a package becomes here. */
function vendored([name, path]) {
  const { version, license } = JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8'));
  let text = readFileSync(join(modules, name, path), 'utf8').replace(/\n?\/\/# sourceMappingURL=.*\n?/g, '\n');
  text = text.replace(/(from|import)\s*(["'])(@?[a-z][a-z/-]*)\2/g, (all, word, quote, bare) =>
    BARE[bare] ? `${word}${quote}${BARE[bare]}${quote}` : all);
  if (path.includes('uPlot.iife')) text += 'export default uPlot;\n';
  return `/* ${name} ${version}, ${license}; see LICENSES */\n${text.trimEnd()}\n`;
}

let wrong = 0;
for (const [file, from] of Object.entries(FILES)) {
  const target = join(here, 'vendor', file);
  const text = vendored(from);
  if (process.argv.includes('--check')) {
    if (readFileSync(target, 'utf8') !== text) {
      console.error(`${file} is not what package-lock.json pins`);
      wrong += 1;
    }
  } else {
    writeFileSync(target, text);
  }
}
const licences = ['preact', 'htm', '@preact/signals', 'uplot'].map(name =>
  `${name}\n${'='.repeat(name.length)}\n\n${readFileSync(join(modules, name, 'LICENSE'), 'utf8').trim()}\n`).join('\n');
if (!process.argv.includes('--check')) writeFileSync(join(here, 'vendor', 'LICENSES'), licences);
process.exit(wrong ? 1 : 0);
