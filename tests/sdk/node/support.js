// What the tests share: the registry, identities that go away again, and device clients.
'use strict';

const fs = require('node:fs');
const assert = require('node:assert/strict');
const { after, test } = require('node:test');
const { Registry } = require('azure-iothub');
const { Client, ModuleClient } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');
const { NoRetry } = require('azure-iot-common');

// Milliseconds that anything may take.
const DEADLINE = 1000 * Number(process.env.DEADLINE ?? 20);

const registry = Registry.fromConnectionString(process.env.HUB_SERVICE_CONNECTION_STRING.replace(':443;', ';'));

// The answer of a call to the registry, without its HTTP response.
const body = async (call) => (await call).responseBody;

let number = 0;
const made = [];

// An id that no other test has; its device is deleted at the end.
function name(prefix = 'node') {
  made.push(`${prefix}-${process.pid}-${(number += 1)}`);
  return made.at(-1);
}

// A new device identity.
const identity = (more) => body(registry.create({ deviceId: name(), ...more }));

// Remembers what it is told, for a test to wait for.
class Told {
  #seen = [];
  #waiting = null;

  push(what) {
    this.#seen.push(what);
    this.#waiting?.();
  }

  // All up to the first from here on that is wanted.
  async upTo(wanted) {
    const passed = [];
    const end = Date.now() + DEADLINE;
    for (;;) {
      while (this.#seen.length > 0) {
        passed.push(this.#seen.shift());
        if (wanted(passed.at(-1))) return passed;
      }
      await this.#next(end - Date.now(), passed);
    }
  }

  // The first from here on that is wanted; those before it are dropped.
  async until(wanted) {
    return (await this.upTo(wanted)).at(-1);
  }

  async #next(left, passed) {
    let timer;
    const told = await new Promise((resolve) => {
      this.#waiting = () => resolve(true);
      timer = setTimeout(resolve, left, false);
    });
    clearTimeout(timer);
    this.#waiting = null;
    if (!told) throw new Error(`not told in ${DEADLINE} ms; told was ${JSON.stringify(passed)}`);
  }
}

const clients = new Set();

// The connection string of a device or a module, without its secret.
function connectionString({ deviceId, moduleId }) {
  return `HostName=${process.env.HUB_HOST};DeviceId=${deviceId};${moduleId ? `ModuleId=${moduleId};` : ''}`;
}

const kindOf = ({ moduleId }) => (moduleId ? ModuleClient : Client);

// A client of a device or a module, not opened yet.
function client(identity, key = identity.authentication.symmetricKey.primaryKey, transport = Mqtt) {
  const text = `${connectionString(identity)}SharedAccessKey=${key}`;
  return remember(kindOf(identity).fromConnectionString(text, transport));
}

// A new module identity.
async function moduleIdentity(more) {
  const { deviceId } = await identity();
  await registry.addModule({ deviceId, moduleId: 'm1', ...more });
  return body(registry.getModule(deviceId, 'm1'));
}

// Has a client closed at the end. What cannot be had need not be tried again.
function remember(client) {
  clients.add(client);
  if (off) client.setRetryPolicy(new NoRetry());
  return client;
}

async function opened(identity, key, transport) {
  const device = client(identity, key, transport);
  await device.open();
  return device;
}

// Subscribes to desired properties; returns when the hub has granted that.
async function listen(twin) {
  const told = new Told();
  twin.on('properties.desired', (properties) => told.push({ ...properties }));
  // The package does not say when it is subscribed, but the hub answers in order.
  await twin.get();
  return told;
}

const report = (twin, patch) =>
  new Promise((resolve, reject) => twin.properties.reported.update(patch, (error) => (error ? reject(error) : resolve())));

// Sets the desired properties, and answers their new version.
async function desire(identity, desired) {
  const { deviceId, moduleId } = identity;
  const patch = { properties: { desired } };
  const twin = moduleId
    ? await body(registry.updateModuleTwin(deviceId, moduleId, patch, '*'))
    : await body(registry.updateTwin(deviceId, patch, '*'));
  return twin.properties.desired.$version;
}

// A section without what the hub adds.
const own = (section) => Object.fromEntries(Object.entries(section ?? {}).filter(([key]) => !/^(\$|update$)/.test(key)));

// Sets something at the admin port.
async function admin(method, path, what) {
  const options = { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(what) };
  const answer = await fetch(process.env.HUB_ADMIN_URL + path, options);
  if (!answer.ok) throw new Error(`the admin port answered ${answer.status}`);
}

const fault = (what) => admin('POST', '/faults', what);

// The operation of the hub that is switched off now.
let off = null;

// Switches an operation off, and all others on. What the hub does not have is as good as off: it answers something else then.
async function switchOff(operation) {
  await admin('PUT', '/knobs', { disabled: operation ? [operation] : [] });
  if (operation === 'unknown') await admin('POST', '/faults', { operation, effect: { status: 403 } });
  else if (off === 'unknown') await admin('DELETE', '/faults');
  off = operation;
}

// The package has no time-out for a twin request.
async function inTime(work) {
  let timer;
  const ms = off ? DEADLINE : 2 * DEADLINE;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`the test took more than ${ms} ms`)), ms);
  });
  return Promise.race([work(), late]).finally(() => clearTimeout(timer));
}

// A test that rests on operations of the hub, as its log names them. With PROVE=1 it runs again for each of them, switched off,
// and has to fail then.
function check(what, operations, work) {
  assert.ok(operations.length > 0, `${what} does not say what it rests on`);
  test(what, () => inTime(work));
  if (process.env.PROVE !== '1') return;
  for (const operation of operations) {
    test(`${what} without ${operation}`, async () => {
      await switchOff(operation);
      try {
        await assert.rejects(inTime(work), undefined, `passes although ${operation} is switched off`);
      } finally {
        await switchOff(null);
      }
    });
  }
}

// How often the hub was asked this about a device, with success, by its log.
async function count(subject, operation) {
  const events = await (await fetch(`${process.env.HUB_ADMIN_URL}/events`)).json();
  const wanted = { subject, operation, outcome: 200 };
  return events.filter((event) => Object.entries(wanted).every(([key, value]) => event[key] === value)).length;
}

const connects = (device) => count(device, 'device.connect');

after(async () => {
  await Promise.allSettled([...clients].map((client) => client.close()));
  await Promise.allSettled(made.map((device) => registry.delete(device)));
});

const authority = () => fs.readFileSync(process.env.HUB_CA_FILE, 'utf8');

module.exports = {
  Told,
  authority,
  body,
  check,
  client,
  connectionString,
  connects,
  count,
  desire,
  fault,
  identity,
  kindOf,
  listen,
  moduleIdentity,
  name,
  opened,
  own,
  registry,
  remember,
  report,
  service: process.env.HUB_SERVICE_CONNECTION_STRING.replace(':443;', ';'),
};
