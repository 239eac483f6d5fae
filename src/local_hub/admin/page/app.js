// The views, the list of twins, and what keeps them fresh.

import { byId, call, el, setClock, twinLink, when } from './dom.js';
import { showTwin } from './twin.js';
import { openQuery } from './query.js';
import { addEntry, openActivity } from './activity.js';

const PAGE = 200;
const CALM = 400; // Milliseconds between refreshes, however much happens.
const state = { rows: PAGE, chosen: null, timer: null, again: false };

function route() {
  const [view, ...ids] = location.hash.replace(/^#\//, '').split('?')[0].split('/');
  const shown = view === 'twin' ? 'twins' : ['query', 'activity'].includes(view) ? view : 'twins';
  for (const section of document.querySelectorAll('.view')) section.hidden = section.id !== shown;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.dataset.view === shown) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  state.chosen = null;
  if (view === 'twin' && ids[0]) {
    try {
      state.chosen = { device: decodeURIComponent(ids[0]), module: ids[1] ? decodeURIComponent(ids[1]) : null };
    } catch { /* Not an address that this page wrote. */ }
  }
  byId('twins').classList.toggle('chosen', state.chosen !== null);
  if (shown === 'query') openQuery(byId('query'));
  if (shown === 'activity') openActivity(byId('activity'));
  if (shown === 'twins') { mark(); detail(true); }
}

const isChosen = (row) => state.chosen && row.deviceId === state.chosen.device && (row.moduleId ?? null) === state.chosen.module;

function mark() {
  for (const link of document.querySelectorAll('#list a')) {
    if (isChosen({ deviceId: link.dataset.device, moduleId: link.dataset.module })) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
}

function item(row) {
  const on = row.connectionState === 'Connected';
  const off = row.status === 'disabled';
  return el('li', {}, el('a', {
    href: twinLink(row.deviceId, row.moduleId), class: row.moduleId ? 'module' : false,
    'data-device': row.deviceId, 'data-module': row.moduleId, 'aria-current': isChosen(row) ? 'page' : false,
  },
  el('span', { class: on ? 'dot on' : 'dot', role: 'img', 'aria-label': row.connectionState, title: row.connectionState }),
  el('span', { class: 'id', title: row.moduleId ?? row.deviceId }, row.moduleId ?? row.deviceId),
  el('span', { class: 'versions', title: 'version of desired and of reported properties' }, `d ${row.desiredVersion} · r ${row.reportedVersion}`),
  el('span', { class: 'when' }, off ? 'disabled · ' : '', row.lastActivityTime.startsWith('0001-') ? 'never active' : ['active ', when(row.lastActivityTime)])));
}

async function list() {
  const find = byId('find').value.trim();
  let answer;
  try {
    answer = await call(`view/twins?rows=${state.rows}&find=${encodeURIComponent(find)}`);
  } catch { return; } // The pill in the header tells it.
  setClock(answer.now);
  const focused = document.activeElement?.closest?.('#list a')?.getAttribute('href');
  byId('list').replaceChildren(...answer.rows.map(item));
  if (focused) [...document.querySelectorAll('#list a')].find((link) => link.getAttribute('href') === focused)?.focus();
  byId('more-twins').hidden = !answer.more;
  byId('find').hidden = answer.total === 0;
  byId('summary').textContent = answer.total === 0 ? '' : `${plural(answer.total, 'twin')}, ${answer.connected} connected`
    + (find ? ` · ${answer.more ? 'more than ' : ''}${answer.rows.length} found` : '');
  if (answer.total !== state.total) { state.total = answer.total; if (!state.chosen) detail(true); }
}

const plural = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;

function detail(anew) {
  const place = byId('detail');
  if (state.chosen) showTwin(place, state.chosen, anew);
  else if (state.total === 0) place.replaceChildren(el('div', { class: 'empty' }, el('h2', {}, 'No devices yet'),
    el('p', {}, 'Make one with the settings that ', el('code', {}, 'hubtwin hub --env-file hub.env'), ' wrote, and let it talk:'),
    el('pre', {}, 'set -a; . ./hub.env; set +a\nhubtwin twin create sensor-1\nhubtwin device sensor-1 --report \'{"battery": 80}\''),
    el('p', {}, 'It shows up here by itself.')));
  else place.replaceChildren(el('div', { class: 'empty' }, el('h2', {}, 'Choose a twin'),
    el('p', {}, 'It is shown with every property, when it changed, and at which version. Press / to find one by its id.')));
}

// Refreshes now or soon, and once more if something happened meanwhile.
function refresh(subject) {
  if (subject !== undefined && state.chosen) {
    const { device, module } = state.chosen;
    state.again ||= subject === (module ? `${device}/${module}` : device);
  }
  if (state.timer) return;
  state.timer = setTimeout(async () => {
    const twin = state.again;
    state.again = false;
    if (!byId('twins').hidden && twin) detail(false);
    await list();
    state.timer = null;
    if (state.again) refresh();
  }, CALM);
}

function live(name, text) {
  const pill = byId('live');
  if (pill.dataset.state === name) return;
  pill.dataset.state = name;
  pill.textContent = text;
}

function follow() {
  const events = new EventSource('view/events?back=200');
  events.addEventListener('open', () => { live('live', 'live'); state.again = true; refresh(); });
  events.addEventListener('error', () => live('lost', events.readyState === EventSource.CLOSED ? 'no live updates' : 'reconnecting'));
  events.addEventListener('entry', (event) => {
    const entry = JSON.parse(event.data);
    addEntry(entry);
    refresh(entry.subject);
  });
}

function keys(event) {
  const typing = ['INPUT', 'TEXTAREA'].includes(event.target.tagName);
  if (event.key === '/' && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    if (byId('twins').hidden) location.hash = '#/twins';
    requestAnimationFrame(() => byId('find').focus());
  }
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
  const links = [...document.querySelectorAll('#list a')];
  const at = links.indexOf(document.activeElement);
  if (at < 0 && document.activeElement !== byId('find')) return;
  event.preventDefault();
  links[Math.max(0, Math.min(links.length - 1, at + (event.key === 'ArrowDown' ? 1 : -1)))]?.focus();
}

let typed;
byId('find').addEventListener('input', () => { state.rows = PAGE; clearTimeout(typed); typed = setTimeout(list, 150); });
byId('more-twins').addEventListener('click', () => { state.rows += PAGE; list(); });
addEventListener('hashchange', route);
addEventListener('keydown', keys);
// Not all that changes is an entry of the log: knobs, lags and failovers are not.
setInterval(() => { state.again = true; refresh(); }, 10000);
list().then(route);
follow();
