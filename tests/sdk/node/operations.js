// Prints every operation that the packages offer for identities, twins and queries, and what stands beside these.
'use strict';

const service = require('azure-iothub');
const device = require('azure-iot-device');

const { Twin } = require(require.resolve('azure-iothub').replace(/iothub\.js$/, 'dist/twin.js'));
const { Query } = require(require.resolve('azure-iothub').replace(/iothub\.js$/, 'dist/query.js'));

// With those of the classes above it. What begins with an underscore is the package's own.
function methods(of) {
  const names = new Set();
  for (let at = of.prototype; at && at.constructor.name !== 'EventEmitter' && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    for (const name of Object.getOwnPropertyNames(at)) names.add(name);
  }
  for (const name of Object.getOwnPropertyNames(of)) if (name.startsWith('from')) names.add(name);
  return [...names].filter((name) => name !== 'constructor' && !name.startsWith('_'));
}

const clients = {
  Registry: service.Registry,
  Twin,
  Query,
  JobClient: service.JobClient,
  'service.Client': service.Client,
  DigitalTwinClient: service.DigitalTwinClient,
  Client: device.Client,
  ModuleClient: device.ModuleClient,
  'device.Twin': device.Twin,
};
for (const [client, of] of Object.entries(clients)) for (const name of methods(of).sort()) console.log(`${client}.${name}`);
