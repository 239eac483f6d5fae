// What the tests share: the registry, identities that go away again, and device clients.
'use strict';

const fs = require('node:fs');
const { after } = require('node:test');
const { Registry } = require('azure-iothub');
const { Client, ModuleClient } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');

// Milliseconds that anything may take.
const DEADLINE = 20000;

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

// Has a client closed at the end.
function remember(client) {
  clients.add(client);
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

// Sets a fault at the admin port.
async function fault(what) {
  const options = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(what) };
  const answer = await fetch(`${process.env.HUB_ADMIN_URL}/faults`, options);
  if (!answer.ok) throw new Error(`the admin port answered ${answer.status}`);
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

module.exports = { Told, authority, body, client, connects, desire, fault, identity, listen, name, opened, own, registry, remember, report };
