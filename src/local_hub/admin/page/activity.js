// The log of the hub, newest first, as it happens.

import { byId, el, twinLink } from './dom.js';

const KEPT = 500;
const entries = [];
let paused = false;

export function addEntry(entry) {
  if (entries.length > 0 && entry.seq <= entries[0].seq) return; // Told again after the stream was interrupted.
  entries.unshift(entry);
  entries.length = Math.min(entries.length, KEPT);
  const body = byId('log');
  if (!body || paused) return;
  if (matches(entry)) body.prepend(row(entry, true));
  while (body.children.length > KEPT) body.lastChild.remove();
  told();
}

export function openActivity(place) {
  if (place.firstChild) return show();
  place.append(
    el('div', { class: 'row' },
      el('input', { id: 'only', type: 'search', placeholder: 'Filter: an id, an operation, a status', 'aria-label': 'Filter the log', autocomplete: 'off', spellcheck: 'false', oninput: show }),
      el('label', {}, el('input', { id: 'pause', type: 'checkbox', onchange: (event) => { paused = event.target.checked; show(); } }), 'hold still'),
      el('span', { id: 'count', class: 'hint', role: 'status' })),
    el('div', { id: 'quiet', class: 'empty' }),
    el('section', { id: 'logged', class: 'card', 'aria-label': 'Log' }, el('div', { class: 'scroll' }, el('table', { class: 'log' },
      el('thead', {}, el('tr', {}, ['Time', 'Outcome', 'Operation', 'About', 'By', 'Said'].map((name) => el('th', { scope: 'col' }, name)))),
      el('tbody', { id: 'log' })))),
  );
  show();
}

const matches = (entry) => {
  const only = byId('only').value.trim().toLowerCase();
  return only === '' || [entry.subject, entry.operation, entry.who, said(entry), String(entry.outcome)].some((part) => part.toLowerCase().includes(only));
};

function show() {
  byId('log').replaceChildren(...entries.filter(matches).map((entry) => row(entry, false)));
  told();
}

function told() {
  const shown = byId('log').children.length;
  byId('logged').hidden = shown === 0;
  byId('quiet').hidden = shown > 0;
  byId('quiet').replaceChildren(el('h2', {}, entries.length === 0 ? 'Nothing has happened yet' : 'No entry fits the filter'),
    el('p', {}, entries.length === 0 ? 'Every call of a back end and of a device shows up here the moment it is answered.' : 'Clear it to see them all.'));
  byId('count').textContent = `the last ${entries.length} of at most ${KEPT}`;
}

// A few words of a refusal, or what a write held.
function said(entry) {
  const body = entry.body === undefined ? '' : JSON.stringify(entry.body);
  const text = [entry.detail, body].filter(Boolean).join(' · ');
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}

function row(entry, fresh) {
  // A path stands there when a call was about no device.
  const [device, module] = entry.subject.split('/');
  const about = /^(twin|identity|device)\./.test(entry.operation) && device !== '' && !entry.subject.startsWith('/')
    ? el('a', { href: twinLink(device, module) }, entry.subject) : entry.subject;
  return el('tr', { class: fresh && 'fresh' },
    el('td', { class: 'time' }, el('span', { title: entry.time }, entry.time.slice(11, 23).replace(/Z$/, ''))),
    el('td', { class: entry.outcome < 400 ? 'outcome' : 'outcome bad' }, String(entry.outcome)),
    el('td', { class: 'mono' }, entry.operation), el('td', { class: 'subject mono' }, about), el('td', {}, entry.who), el('td', { class: 'said' }, said(entry)));
}
