// azure-iot-device: WebSocket, X.509 certificates, authentication providers, and the rest.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { SharedAccessKeyAuthenticationProvider, X509AuthenticationProvider } = require('azure-iot-device');
const { Mqtt, MqttWs } = require('azure-iot-device-mqtt');
const { NoRetry, Message } = require('azure-iot-common');
const support = require('./support.js');
const { body, check, client, connectionString, desire, identity, listen, moduleIdentity, opened, own, registry, report } = support;

const WRONG = Buffer.alloc(32, 'x').toString('base64');
const NOT_AUTHORIZED = (error) => error.name === 'UnauthorizedError' && /Connection refused: Not authorized/.test(error.message);

async function readsReportsAndIsTold(id, hub) {
  const twin = await hub.getTwin();
  const told = await listen(twin);
  await report(twin, { a: 1 });
  const seen = await body(id.moduleId ? registry.getModuleTwin(id.deviceId, id.moduleId) : registry.getTwin(id.deviceId));
  assert.deepEqual(own(seen.properties.reported), { a: 1 });
  await desire(id, { b: 2 });
  assert.equal((await told.until((properties) => 'b' in properties)).b, 2);
}

check('WebSocket serves a device', ['device.websocket', 'device.get', 'device.report', 'device.notify'], async () => {
  const device = await identity();
  await readsReportsAndIsTold(device, await opened(device, undefined, MqttWs));
});

check('WebSocket serves a module', ['device.websocket', 'device.get'], async () => {
  const module = await moduleIdentity();
  await readsReportsAndIsTold(module, await opened(module, undefined, MqttWs));
});

check('WebSocket reopens with its subscription', ['device.websocket', 'device.notify'], async () => {
  const device = await identity();
  const hub = await opened(device, undefined, MqttWs);
  const told = await listen(await hub.getTwin());
  await hub.close();
  await hub.open();
  await desire(device, { after: 1 });
  assert.equal((await told.until((properties) => 'after' in properties)).after, 1);
});

check('WebSocket that is lost comes back', ['device.websocket', 'device.notify'], async () => {
  const device = await identity();
  const hub = await opened(device, undefined, MqttWs);
  const twin = await hub.getTwin();
  const told = await listen(twin);
  const connected = new support.Told();
  hub.on('connect', () => connected.push(true));
  await support.fault({ operation: 'device.report', subject: device.deviceId, times: 1, effect: 'cutBefore' });
  report(twin, { lost: 1 }).catch(() => {});
  await connected.until(() => true);
  await desire(device, { after: 1 });
  assert.equal((await told.until((properties) => 'after' in properties)).after, 1);
});

check('WebSocket refuses a wrong key', ['device.websocket', 'device.connect'], async () => {
  await assert.rejects(client(await identity(), WRONG, MqttWs).open(), NOT_AUTHORIZED);
});

const certificate = (name) => ({
  cert: fs.readFileSync(process.env[`${name}_CERT`], 'utf8'),
  key: fs.readFileSync(process.env[`${name}_KEY`], 'utf8'),
});
const x509Thumbprint = { primaryThumbprint: process.env.DEVICE_SHA1, secondaryThumbprint: '0'.repeat(40) };
const certified = () => identity({ authentication: { x509Thumbprint } });

async function withCertificate(id, transport = Mqtt, name = 'DEVICE') {
  const hub = support.remember(support.kindOf(id).fromConnectionString(`${connectionString(id)}x509=true`, transport));
  await hub.setOptions(certificate(name));
  return hub;
}

check('certificate lets a device in', ['device.connect', 'device.get', 'device.report', 'device.notify'], async () => {
  const device = await certified();
  const hub = await withCertificate(device);
  await hub.open();
  await readsReportsAndIsTold(device, hub);
});

check('certificate lets a device in over WebSocket', ['device.websocket', 'device.connect'], async () => {
  const device = await certified();
  const hub = await withCertificate(device, MqttWs);
  await hub.open();
  await readsReportsAndIsTold(device, hub);
});

check('provider of a certificate lets a device in', ['device.connect', 'device.get'], async () => {
  const device = await certified();
  const provider = X509AuthenticationProvider.fromX509Options(device.deviceId, process.env.HUB_HOST, certificate('DEVICE'));
  const hub = support.remember(support.kindOf(device).fromAuthenticationProvider(provider, Mqtt));
  await hub.open();
  assert.deepEqual(own((await hub.getTwin()).properties.desired), {});
});

check('another certificate is UnauthorizedError', ['device.connect'], async () => {
  const hub = await withCertificate(await certified(), Mqtt, 'OTHER');
  await assert.rejects(hub.open(), NOT_AUTHORIZED);
});

check('thumbprint that goes cuts the connection', ['device.connect', 'identity.put'], async () => {
  const device = await certified();
  const hub = await withCertificate(device);
  await hub.open();
  const gone = new support.Told();
  hub.setRetryPolicy(new NoRetry());
  hub.on('disconnect', () => gone.push(true));
  const other = { primaryThumbprint: '0'.repeat(40), secondaryThumbprint: '1'.repeat(40) };
  await registry.update({ deviceId: device.deviceId, authentication: { type: 'selfSigned', x509Thumbprint: other } });
  await gone.until(() => true);
});

check('provider of a key renews its token, and the subscription stays', ['device.connect', 'device.notify'], async () => {
  const device = await identity();
  const text = `${connectionString(device)}SharedAccessKey=${device.authentication.symmetricKey.primaryKey}`;
  // Tokens of three seconds, renewed two before their end.
  const provider = SharedAccessKeyAuthenticationProvider.fromConnectionString(text, 3, 2);
  const hub = support.remember(support.kindOf(device).fromAuthenticationProvider(provider, Mqtt));
  await hub.open();
  const told = await listen(await hub.getTwin());
  const before = await support.connects(device.deviceId);
  const renewed = new support.Told();
  provider.on('newTokenAvailable', () => renewed.push(true));
  await renewed.until(() => true);
  while ((await support.connects(device.deviceId)) === before) await new Promise((resolve) => setTimeout(resolve, 20));
  await desire(device, { after: 1 });
  assert.equal((await told.until((properties) => 'after' in properties)).after, 1);
});

check('model id is seen in the twin', ['device.connect'], async () => {
  const device = await identity();
  const hub = client(device);
  await hub.setOptions({ modelId: 'dtmi:acme:pump;2', productInfo: 'acme/pump (2) & more' });
  await hub.open();
  const { result } = await registry.createQuery(`SELECT * FROM devices WHERE deviceId = '${device.deviceId}'`).next();
  assert.equal(result[0].modelId, 'dtmi:acme:pump;2');
});

check('batch of messages is accepted', ['device.message'], async () => {
  const device = await identity();
  const hub = await opened(device);
  // The package offers batches, but its MQTT has none.
  await assert.rejects(hub.sendEventBatch([new Message('one'), new Message('two')]), { name: 'NotImplementedError' });
  await hub.sendEvent(new Message('one'));
  assert.equal(await support.count(device.deviceId, 'device.message'), 1);
});

check('messages of a module are accepted', ['device.message'], async () => {
  const module = await moduleIdentity();
  const hub = await opened(module);
  await hub.sendEvent(new Message('telemetry'));
  await hub.sendOutputEvent('out', new Message('telemetry'));
  assert.equal(await support.count(`${module.deviceId}/m1`, 'device.message'), 2);
});

check('methods and messages can be subscribed to', ['device.subscribe'], async () => {
  const device = await identity();
  const hub = await opened(device);
  hub.onDeviceMethod('reboot', () => {});
  hub.on('message', () => {});
  while ((await support.count(device.deviceId, 'device.subscribe')) < 2) await hub.sendEvent(new Message('after'));
});

check('methods and inputs of a module can be subscribed to', ['device.subscribe'], async () => {
  const module = await moduleIdentity();
  const hub = await opened(module);
  hub.onMethod('reboot', () => {});
  hub.on('inputMessage', () => {});
  while ((await support.count(`${module.deviceId}/m1`, 'device.subscribe')) < 2) await hub.sendEvent(new Message('after'));
});
