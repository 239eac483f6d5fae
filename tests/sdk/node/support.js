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

// A client of a device or a module, not opened yet.
function client(identity, key = identity.authentication.symmetricKey.primaryKey) {
  const module = identity.moduleId ? `ModuleId=${identity.moduleId};` : '';
  const id = `HostName=${process.env.HUB_HOST};DeviceId=${identity.deviceId};${module}`;
  const kind = identity.moduleId ? ModuleClient : Client;
  return remember(kind.fromConnectionString(`${id}SharedAccessKey=${key}`, Mqtt));
}

// Has a client closed at the end. What cannot be had need not be tried again.
function remember(client) {
  clients.add(client);
  if (off) client.setRetryPolicy(new NoRetry());
  return client;
}

async function opened(identity, key) {
  const device = client(identity, key);
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

// Switches an operation off, and all others on.
async function switchOff(operation) {
  await admin('PUT', '/knobs', { disabled: operation ? [operation] : [] });
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

// How often a device was let in, by the log of the hub.
async function connects(device) {
  const events = await (await fetch(`${process.env.HUB_ADMIN_URL}/events`)).json();
  const wanted = { subject: device, operation: 'device.connect', outcome: 200 };
  return events.filter((event) => Object.entries(wanted).every(([key, value]) => event[key] === value)).length;
}

after(async () => {
  await Promise.allSettled([...clients].map((client) => client.close()));
  await Promise.allSettled(made.map((device) => registry.delete(device)));
});

const authority = () => fs.readFileSync(process.env.HUB_CA_FILE, 'utf8');

module.exports = { Told, authority, body, check, client, connects, desire, fault, identity, listen, name, opened, own, registry, remember, report };
