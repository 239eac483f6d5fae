// Makes elements. Text is always text: nothing that a device or a back end wrote is ever read as HTML.

export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (name === 'depth') made.style.setProperty('--depth', value);
    else made.setAttribute(name, value === true ? '' : value);
  }
  made.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return made;
}

export const byId = (id) => document.getElementById(id);

// The hub's clock may be moved: ages go by what it says its time is.
let ahead = 0;

export function setClock(now) {
  ahead = Date.parse(now) - Date.now();
}

const UNITS = [[60, 's', 1], [3600, 'min', 60], [86400, 'h', 3600], [Infinity, 'd', 86400]];

function age(iso) {
  const seconds = (Date.now() + ahead - Date.parse(iso)) / 1000;
  if (Number.isNaN(seconds)) return iso;
  if (Math.abs(seconds) < 2) return 'just now';
  const [, unit, size] = UNITS.find(([below]) => Math.abs(seconds) < below);
  const figure = `${Math.floor(Math.abs(seconds) / size)} ${unit}`;
  return seconds < 0 ? `in ${figure}` : `${figure} ago`;
}

// A time as its age; the time itself is told on hover and to machines.
export function when(iso) {
  if (!iso || iso.startsWith('0001-')) return el('span', {}, 'never');
  return el('time', { datetime: iso, title: iso }, age(iso));
}

setInterval(() => {
  for (const time of document.querySelectorAll('time[datetime]')) time.textContent = age(time.dateTime);
}, 5000);

export function value(json) {
  const kind = typeof json === 'string' ? 'string' : typeof json === 'number' ? 'number' : 'word';
  return el('span', { class: json !== null && typeof json === 'object' ? 'mono' : kind }, JSON.stringify(json));
}

export function twinLink(device, module) {
  return `#/twin/${encodeURIComponent(device)}${module ? `/${encodeURIComponent(module)}` : ''}`;
}

export async function call(path, body) {
  const options = body === undefined ? {} : { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw { message: 'The hub does not answer. Is it still running?' };
  }
  const answer = await response.json().catch(() => ({ message: `The hub answered ${response.status}.` }));
  if (!response.ok) throw answer;
  return answer;
}
