// Asks queries, page by page.

import { byId, call, el, twinLink, value } from './dom.js';

const ROWS = 50;
const EXAMPLES = [
  ['all devices', 'SELECT * FROM devices'],
  ['connected', "SELECT * FROM devices WHERE connectionState = 'Connected'"],
  ['by tag', "SELECT * FROM devices WHERE tags.site = 'lyon-2'"],
  ['not confirmed', 'SELECT deviceId, properties.desired.firmware AS wanted, properties.reported.firmware AS is\nFROM devices\nWHERE properties.desired.firmware != properties.reported.firmware'],
  ['count by site', 'SELECT tags.site AS site, COUNT() AS n FROM devices GROUP BY tags.site'],
  ['all modules', 'SELECT * FROM devices.modules'],
];
let text;
let answered = null;

export function openQuery(place) {
  if (!place.firstChild) build(place);
}

function build(place) {
  text = el('textarea', { id: 'text', 'aria-label': 'Query', 'aria-describedby': 'told', spellcheck: 'false', autocomplete: 'off', autocapitalize: 'off', rows: '4' });
  text.value = EXAMPLES[0][1];
  text.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); }
  });
  place.append(
    text,
    el('div', { class: 'row' }, el('button', { id: 'run', class: 'main', type: 'button', onclick: () => run() }, 'Run'),
      el('span', { class: 'hint' }, 'or Ctrl+Enter'),
      el('div', { class: 'chips', role: 'group', 'aria-label': 'Examples' },
        EXAMPLES.map(([name, query]) => el('button', { type: 'button', onclick: () => { text.value = query; run(); } }, name)))),
    el('div', { id: 'told', role: 'alert' }),
    el('div', { id: 'results' }, el('p', { class: 'empty' }, 'Ask what the hub would answer to a back end. The examples above are a start.')),
  );
}

async function run(token) {
  const query = token ? answered.query : text.value;
  byId('run').disabled = true;
  try {
    const answer = await call('view/query', { query, rows: ROWS, token });
    byId('told').replaceChildren();
    answered = token ? { ...answer, query, rows: [...answered.rows, ...answer.rows] } : { ...answer, query };
    byId('results').replaceChildren(...results());
  } catch (error) {
    answered = token ? answered : null;
    if (!token) byId('results').replaceChildren();
    byId('told').replaceChildren(mistake(query, error));
  } finally {
    byId('run').disabled = false;
  }
}

// The message, with the line of the query and a mark below the place. The caret goes there, too.
function mistake(query, { message, line, column }) {
  const box = el('div', { class: 'error' }, el('p', {}, message));
  if (line === undefined) return box;
  const lines = query.split('\n');
  const at = lines.slice(0, line - 1).reduce((sum, before) => sum + before.length + 1, 0) + [...lines[line - 1]].slice(0, column - 1).join('').length;
  text.focus();
  text.setSelectionRange(at, at + (/^[\w$]+/.exec(query.slice(at))?.[0].length ?? 1));
  const start = Math.max(0, column - 60);
  const piece = [...lines[line - 1]].slice(start, column + 60).join('');
  box.append(el('pre', {}, `${piece}\n${' '.repeat(column - 1 - start)}^`));
  return box;
}

function results() {
  const { rows, next, itemType } = answered;
  if (rows.length === 0) return [el('div', { class: 'empty' }, el('h2', {}, 'No rows'),
    el('p', {}, 'Nothing meets the condition. A property that a twin does not have is neither equal nor unequal to anything: ', el('code', {}, 'NOT is_defined(tags.x)'), ' finds those.'))];
  const table = itemType === 'Twin' ? twins(rows) : raw(rows);
  return [
    el('section', { class: 'card', 'aria-label': 'Results' },
      el('header', {}, el('h2', {}, `${rows.length}${next ? '+' : ''} ${rows.length === 1 && !next ? 'row' : 'rows'}`), el('p', {}, `item type ${itemType}`)),
      el('div', { class: 'scroll' }, table)),
    next && el('button', { id: 'next', type: 'button', onclick: () => run(next) }, 'Next page'),
  ].filter(Boolean);
}

const grid = (columns, rows) => el('table', { class: 'results' },
  el('thead', {}, el('tr', {}, columns.map((name) => el('th', { scope: 'col' }, name)))),
  el('tbody', {}, rows.map((cells) => el('tr', {}, cells.map((cell) => el('td', {}, cell))))));

function twins(rows) {
  const modules = rows.some((row) => row.moduleId);
  const strip = ({ $metadata, $version, ...rest }) => rest;
  const link = (row) => el('a', { href: twinLink(row.deviceId, row.moduleId) }, row.moduleId ?? row.deviceId);
  return grid([modules ? 'module' : 'device', modules && 'device', 'connection', 'tags', 'desired', 'reported'].filter(Boolean),
    rows.map((row) => [link(row), modules && row.deviceId, row.connectionState, JSON.stringify(row.tags ?? {}),
      JSON.stringify(strip(row.properties.desired)), JSON.stringify(strip(row.properties.reported))].filter((cell) => cell !== false)));
}

function raw(rows) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return grid(columns, rows.map((row) => columns.map((name) => {
    if (!Object.hasOwn(row, name)) return '';
    if (name === 'deviceId' && typeof row[name] === 'string') return el('a', { href: twinLink(row.deviceId, row.moduleId) }, row.deviceId);
    return value(row[name]);
  })));
}
