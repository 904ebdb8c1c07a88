// Numbers over time: a plot, the same as a table, and as a file.
import { useEffect, useRef, useState } from './vendor/hooks.js';
import { ask } from './api.js';
import { colours, html } from './ui.js';
import { number, rate } from './words.js';

const SPANS = [['10 minutes', 0], ['a day', 1], ['a week', 2]];

/** `lines`: `[[measure, title], …]`; `isRate`: bytes a second. */
export function Plot({ title, lines, isRate }) {
  const [span, setSpan] = useState(0), [data, setData] = useState(null), [Paper, setPaper] = useState(null), place = useRef(), plot = useRef(), shown = useRef();
  shown.current = span;
  const show = isRate ? rate : number;
  useEffect(() => { import('./vendor/uplot.js').then(it => setPaper(() => it.default)); }, []); // half of all that the page is made of
  useEffect(() => {
    let is = true;
    const load = async () => {
      if (document.hidden) return;
      try { const told = await ask(`series?span=${span}`); if (is) setData(told); } catch { /* the banner says it */ }
    };
    load();
    const timer = setInterval(load, span ? 10000 : 2000);
    return () => { is = false; clearInterval(timer); };
  }, [span]);
  useEffect(() => {
    if (!data || !Paper || !place.current) return;
    const columns = Object.fromEntries(data.values);
    const count = data.values[0][1].length;
    const times = Array.from({ length: count }, (_, at) => data.until / 1000 - data.step * (count - at - 1));
    const values = [times, ...lines.map(([measure]) => columns[measure])];
    const css = getComputedStyle(document.documentElement);
    const colour = name => css.getPropertyValue(name).trim();
    if (!plot.current) {
      const axis = { stroke: colour('--soft'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false }, font: '12px system-ui' };
      plot.current = new Paper({
        width: place.current.clientWidth, height: 180, legend: { show: false }, cursor: { show: false },
        scales: { y: { range: (_, __, max) => [0, Math.max(max * 1.1, 1)] } },
        axes: [{ ...axis, space: 90, values: (_, ticks) => ticks.map(at => clock(at, shown.current)) }, { ...axis, size: isRate ? 84 : 60, values: (_, ticks) => ticks.map(show) }],
        series: [{}, ...lines.map(([, name], at) => ({ label: name, stroke: colour(at ? '--second' : '--main'), width: 2, points: { show: false } }))],
      }, values, place.current);
    } else {
      plot.current.setData(values);
    }
  }, [data, Paper]);
  useEffect(() => { plot.current?.destroy(); plot.current = undefined; setData(known => known && { ...known }); }, [colours.value]);
  useEffect(() => {
    const fit = new ResizeObserver(([entry]) => plot.current?.setSize({ width: entry.contentRect.width, height: 180 }));
    fit.observe(place.current);
    return () => { fit.disconnect(); plot.current?.destroy(); plot.current = undefined; };
  }, []);
  const last = measure => Object.fromEntries(data?.values ?? [])[measure]?.at(-1);
  return html`<section class="card plot" aria-label=${title}>
    <div class="line"><h2>${title}</h2><span class="keys">${lines.map(([measure, name], at) => html`<span class=${`key k${at}`}>${name} <b>${show(last(measure) ?? 0)}</b></span>`)}</span>
    <span class="choice" role="group" aria-label="Span">${SPANS.map(([name, which]) => html`<button type="button" aria-pressed=${which === span} onClick=${() => setSpan(which)}>${name}</button>`)}</span></div>
    <div class="place" ref=${place} aria-hidden="true"></div>
    <details><summary>As a table</summary><div class="scroll" tabindex="0" role="group" aria-label="The last values"><table><thead><tr><th>Seconds ago</th>${lines.map(([, name]) => html`<th>${name}</th>`)}</tr></thead><tbody>
      ${data ? rows(data, lines, show) : null}</tbody></table></div><a href=${`api/v1/series?span=${span}&format=csv`} download="p2p.csv">CSV</a></details></section>`;
}

/** The time of day, and within a week the day, as the reader writes them. */
function clock(at, span) {
  const day = span === 2 ? { weekday: 'short' } : {}, seconds = span ? {} : { second: '2-digit' };
  return new Date(at * 1000).toLocaleTimeString([], { ...day, hour: '2-digit', minute: '2-digit', ...seconds });
}

function rows(data, lines, show) {
  const columns = Object.fromEntries(data.values), count = data.values[0][1].length;
  return Array.from({ length: Math.min(20, count) }, (_, back) => {
    const at = count - 1 - back;
    return html`<tr key=${back}><td>${back * data.step}</td>${lines.map(([measure]) => html`<td>${show(columns[measure][at])}</td>`)}</tr>`;
  });
}
