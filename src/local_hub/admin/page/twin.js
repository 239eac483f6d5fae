// One twin: its properties as a tree, each with when it changed and at which version.

import { call, el, setClock, value, when } from './dom.js';

const isObject = (json) => json !== null && typeof json === 'object' && !Array.isArray(json);
const own = (section) => Object.entries(section ?? {}).filter(([key]) => !key.startsWith('$'));
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const equal = (a, b) => isObject(a) && isObject(b)
  ? Object.keys(a).length === Object.keys(b).length && Object.keys(a).every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]))
  : same(a, b);
let last = { id: null, twin: null, asked: 0 };

export async function showTwin(place, { device, module }, anew) {
  const id = JSON.stringify([device, module]);
  const asked = ++last.asked;
  if (anew && last.id !== id) { last = { id, twin: null, asked }; place.replaceChildren(); }
  let answer;
  try {
    const part = module ? `&module=${encodeURIComponent(module)}` : '';
    answer = await call(`view/twin?device=${encodeURIComponent(device)}${part}`);
  } catch (error) {
    if (asked === last.asked) { last.twin = null; place.replaceChildren(back(), el('div', { class: 'empty' }, el('h2', {}, 'Not there'), el('p', {}, error.message))); }
    return;
  }
  if (asked !== last.asked) return; // A later one is on its way.
  setClock(answer.now);
  if (!anew && same(answer.twin, last.twin)) return;
  const open = place.querySelector('details')?.open;
  const before = last.twin;
  last.twin = answer.twin;
  place.replaceChildren(...page(answer.twin, before));
  if (open) place.querySelector('details').open = true;
}

const back = () => el('a', { class: 'back', href: '#/twins' }, '‹ All twins');

function page(twin, before) {
  const { desired, reported } = twin.properties;
  return [
    back(),
    el('div', { class: 'head' },
      el('h1', {}, twin.moduleId ? [el('small', {}, `${twin.deviceId} / `), twin.moduleId] : twin.deviceId),
      el('span', { class: twin.connectionState === 'Connected' ? 'pill on' : 'pill' }, el('span', { class: twin.connectionState === 'Connected' ? 'dot on' : 'dot' }), twin.connectionState),
      twin.status === 'disabled' && el('span', { class: 'pill off' }, twin.statusReason ? `disabled: ${twin.statusReason}` : 'disabled')),
    facts(twin),
    card('Desired properties', 'what back ends ask for', desired, before?.properties.desired, reported),
    card('Reported properties', 'what the device says', reported, before?.properties.reported),
    tags(twin.tags, before?.tags, before),
    el('div', { class: 'card' }, el('details', {}, el('summary', {}, 'As JSON'), el('pre', {}, JSON.stringify(twin, null, 2)))),
  ];
}

function facts(twin) {
  const all = [
    ['version', twin.version], ['desired version', twin.properties.desired.$version], ['reported version', twin.properties.reported.$version],
    ['etag', el('span', { class: 'mono' }, twin.etag)], ['last activity', when(twin.lastActivityTime)], ['authentication', twin.authenticationType],
    twin.modelId && ['model', el('span', { class: 'mono' }, twin.modelId)], twin.capabilities?.iotEdge && ['edge', 'yes'],
    twin.parentScopes?.length && ['below', el('span', { class: 'mono' }, twin.parentScopes.join(', '))],
  ];
  return el('dl', { class: 'facts' }, all.filter(Boolean).map(([name, what]) => el('div', {}, el('dt', {}, name), el('dd', {}, String(what) === what || typeof what === 'number' ? String(what) : what))));
}

const NOTHING = {
  'Desired properties': 'Nothing is asked of the device. A back end writes here: hubtwin twin patch, or any service SDK.',
  'Reported properties': 'The device has reported nothing yet.',
};

function card(title, about, section, before, reported) {
  const entries = own(section);
  const head = el('header', {}, el('h2', {}, title), el('p', {}, `${about} · changed `, when(section.$metadata?.$lastUpdated)));
  if (entries.length === 0) return el('section', { class: 'card', 'aria-label': title }, head, el('p', { class: 'note' }, NOTHING[title]));
  const columns = ['Property', 'Value', reported && 'The device says', 'Changed', reported && 'At version'].filter(Boolean);
  const rows = [];
  tree(rows, 0, section, section.$metadata ?? {}, before, reported, before !== undefined);
  return el('section', { class: 'card', 'aria-label': title }, head, table(columns, rows));
}

function tags(section, before, known) {
  const head = el('header', {}, el('h2', {}, 'Tags'), el('p', {}, 'for back ends; the device does not see them'));
  if (own(section).length === 0) return el('section', { class: 'card', 'aria-label': 'Tags' }, head, el('p', { class: 'note' }, 'No tags. Queries find twins by them: tags.site = \'lyon-2\'.'));
  const rows = [];
  tree(rows, 0, section, null, before, undefined, Boolean(known));
  return el('section', { class: 'card', 'aria-label': 'Tags' }, head, table(['Tag', 'Value'], rows));
}

const table = (columns, rows) => el('div', { class: 'scroll' }, el('table', { class: 'leaves' },
  el('thead', {}, el('tr', {}, columns.map((name) => el('th', { scope: 'col' }, name)))), el('tbody', {}, rows)));

// One row a key, depth first. `known` says whether there was a twin on the page before, so that changes can be shown.
function tree(rows, depth, section, metadata, before, reported, known) {
  for (const [key, json] of own(section)) {
    const meta = metadata?.[key] ?? {};
    const branch = isObject(json) && Object.keys(json).length > 0;
    const was = isObject(before) && Object.hasOwn(before, key) ? before[key] : undefined;
    const told = isObject(before?.$metadata) ? before.$metadata[key]?.$lastUpdated : undefined;
    const fresh = known && !branch && (was === undefined || !equal(was, json) || (metadata && told !== meta.$lastUpdated));
    const says = isObject(reported) && Object.hasOwn(reported, key) ? reported[key] : undefined;
    rows.push(el('tr', { class: [branch && 'branch', fresh && 'fresh'].filter(Boolean).join(' ') || false, depth },
      el('td', { class: 'key' }, key === '' ? '""' : key),
      el('td', { class: 'value' }, branch ? '' : value(json)),
      reported !== undefined && el('td', { class: 'says' }, branch ? '' : verdict(json, says)),
      metadata && el('td', { class: 'at' }, meta.$lastUpdated ? when(meta.$lastUpdated) : ''),
      metadata && reported !== undefined && el('td', { class: 'version' }, String(meta.$lastUpdatedVersion ?? ''))));
    if (branch) {
      const inner = isObject(was) ? { ...was, $metadata: before.$metadata?.[key] } : undefined;
      tree(rows, depth + 1, json, metadata && meta, inner, reported === undefined ? undefined : says ?? null, known);
    }
  }
}

// Whether the device has confirmed a desired value: by an equal one, or by a Plug and Play acknowledgement.
function verdict(json, says) {
  if (says === undefined) return el('span', { class: 'differs' }, 'not reported');
  const answered = isObject(says) && Object.hasOwn(says, 'ac') && Object.hasOwn(says, 'value');
  if (equal(answered ? says.value : says, json) && (!answered || says.ac === 200)) return el('span', { class: 'agrees' }, '✓ the same');
  return el('span', { class: 'differs' }, el('span', { class: 'mono' }, JSON.stringify(says)));
}
