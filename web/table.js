// A table of which only the rows in sight are there. The server sorts, filters and pages.
import { useEffect, useLayoutEffect, useRef, useState } from './vendor/hooks.js';
import { ask, anew } from './api.js';
import { Empty, html } from './ui.js';

const PAGE = 200, KEPT = 20, AROUND = 10, AGAIN_MS = 5000;

/** `columns`: `{ title, sort?, by?(row), width, cell(row), side?: 'end', narrow?: true }`; the first is the row's name. `rows` that are all here are
 *  sorted here, by what `by` says of each, and stand as they were given until somebody asks for that. What is in sight is asked for anew when `last` changes. */
export function Table({ label, source, query = '', last, columns, sort: first, id, onOpen, empty, rows: all }) {
  const [sort, setSort] = useState(first), [top, setTop] = useState(0), [height, setHeight] = useState(480);
  const [at, setAt] = useState(0), [, draw] = useState(0), [problem, setProblem] = useState(null);
  const given = all && sorted(all, columns, sort);
  const pages = useRef(new Map()), total = useRef(given?.length ?? null), more = useRef(false), box = useRef();
  const isNarrow = useNarrow(), ROW = isNarrow ? 52 : 36;
  const key = `${source}|${query}|${sort}`, current = useRef(key);

  useLayoutEffect(() => { // what is shown is asked for before anything is painted
    if (given) return undefined;
    current.current = key;
    const stop = new AbortController();
    pages.current = new Map();
    box.current?.scrollTo(0, 0);
    load(0);
    const timer = setInterval(() => { if (!document.hidden) seen().forEach(load); }, AGAIN_MS);
    const since = anew.value, off = anew.subscribe(value => { if (value !== since) seen().forEach(load); });
    async function load(page) {
      try {
        const asked = `${source}?${query}&sort=${sort}&after=${page * PAGE}&limit=${PAGE}`;
        const told = await ask(asked, { signal: stop.signal });
        if (current.current !== key) return;
        pages.current.delete(page);
        pages.current.set(page, told.items);
        if (pages.current.size > KEPT) pages.current.delete(pages.current.keys().next().value);
        total.current = told.total; more.current = told.more;
        setProblem(null);
        draw(n => n + 1);
      } catch (trouble) {
        if (trouble.name !== 'AbortError') { setProblem(trouble.detail); pages.current.delete(page); }
      }
    }
    table.current = load;
    return () => { stop.abort(); clearInterval(timer); off(); };
  }, [key]);
  const table = useRef(() => {});
  useEffect(() => { if (last !== undefined && total.current !== null && !given) seen().forEach(table.current); }, [last]);

  useEffect(() => {
    const watch = new ResizeObserver(([entry]) => setHeight(entry.contentRect.height));
    if (box.current) watch.observe(box.current);
    return () => watch.disconnect();
  }, [total.current === null]);

  const count = given?.length ?? total.current ?? 0;
  const from = Math.max(0, Math.floor(top / ROW) - AROUND);
  const to = Math.min(count, Math.ceil((top + height) / ROW) + AROUND);
  function seen() {
    const all = [];
    const start = Math.floor(Math.floor((box.current?.scrollTop ?? 0) / ROW) / PAGE);
    for (let page = start; page <= start + 1 && (page === 0 || page * PAGE < (total.current ?? 0)); page++) all.push(page);
    return all;
  }
  useEffect(() => {
    if (given) return;
    for (let page = Math.floor(from / PAGE); page * PAGE < to; page++) {
      if (!pages.current.has(page)) { pages.current.set(page, []); table.current(page); }
    }
  });

  const row = number => given?.[number] ?? pages.current.get(Math.floor(number / PAGE))?.[number % PAGE];
  const go = number => {
    const next = Math.max(0, Math.min(count - 1, number));
    setAt(next);
    const box_ = box.current;
    if (next * ROW < box_.scrollTop) box_.scrollTop = next * ROW;
    else if ((next + 1) * ROW > box_.scrollTop + box_.clientHeight) box_.scrollTop = (next + 1) * ROW - box_.clientHeight;
  };
  const press = event => {
    const page = Math.max(1, Math.floor(height / ROW) - 1);
    const step = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: count - 1 }[event.key];
    if (step !== undefined) { event.preventDefault(); go(step); }
    else if (event.key === 'Enter' && event.target === box.current && row(at) && onOpen) onOpen(row(at));
  };
  const shown = isNarrow ? columns.filter((column, number) => number === 0 || column.narrow) : columns;
  const grid = isNarrow ? '1fr' : shown.map(column => column.width ?? '1fr').join(' ');
  if (problem && count === 0) return html`<${Empty}>${problem}<//>`;
  const cells = [];
  for (let number = from; number < to; number++) {
    const one = row(number);
    cells.push(html`<div role="row" key=${number} class=${`row ${number === at ? 'at' : ''} ${onOpen ? 'opens' : ''}`} aria-rowindex=${number + 2}
      id=${`${id}-${number}`} style=${{ top: `${number * ROW}px`, height: `${ROW}px`, gridTemplateColumns: grid }}
      onClick=${() => { setAt(number); if (one && onOpen) onOpen(one); }}>
      ${isNarrow && one
        ? html`<span role="cell">${shown[0].cell(one)}</span><span role="cell" class="second">${shown.slice(1).map(column => html`<span>${column.cell(one)}</span>`)}</span>`
        : shown.map(column => html`<span role="cell" class=${column.side ?? ''}>${one ? column.cell(one) : '…'}</span>`)}</div>`);
  }
  const sorts = column => {
    const is = sort.replace('-', '') === column.sort, down = sort.startsWith('-');
    const next = is ? (down ? column.sort : `-${column.sort}`) : (column.side === 'end' ? `-${column.sort}` : column.sort);
    return html`<span role="columnheader" class=${column.side ?? ''} aria-sort=${is ? (down ? 'descending' : 'ascending') : 'none'}>
      <button type="button" onClick=${() => { setAt(0); setSort(next); }}>${column.title}<span aria-hidden="true">${is ? (down ? ' ↓' : ' ↑') : ''}</span></button></span>`;
  };
  return html`<div class="table"><div role="table" aria-label=${label} aria-rowcount=${count + 1}>
    <div role="rowgroup"><div role="row" class="head" style=${{ gridTemplateColumns: isNarrow ? `repeat(${shown.length}, auto)` : grid }}>
      ${shown.map(column => (column.sort && (!given || column.by) ? sorts(column) : html`<span role="columnheader" class=${column.side ?? ''}>${column.title}</span>`))}</div></div>
    <div role="rowgroup" class="body" ref=${box} tabindex="0" aria-label=${`${label}: rows`} onKeyDown=${press}
      style=${{ height: `min(${count * ROW}px, var(--table))` }} onScroll=${event => setTop(event.target.scrollTop)}>
      <div class="space" role="presentation" style=${{ height: `${count * ROW}px` }}>${cells}</div></div></div>
    ${count === 0 && (given || total.current === 0) ? html`<${Empty}>${empty}<//>` : null}
    <p class="count" aria-live="polite">${count ? `${count.toLocaleString('en')}${more.current ? ' and more; say more of the name' : ''}` : ''}</p>
  </div>`;
}

function sorted(rows, columns, sort) {
  const { by } = columns.find(column => column.by && column.sort === sort.replace('-', '')) ?? {};
  if (!by) return rows;
  const up = (a, b) => (by(a) < by(b) ? -1 : by(a) > by(b) ? 1 : 0);
  return [...rows].sort(sort.startsWith('-') ? (a, b) => up(b, a) : up);
}

function useNarrow() {
  const media = matchMedia('(max-width: 640px)');
  const [is, set] = useState(media.matches);
  useEffect(() => {
    const change = () => set(media.matches);
    media.addEventListener('change', change);
    return () => media.removeEventListener('change', change);
  }, []);
  return is;
}
