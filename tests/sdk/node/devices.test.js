// azure-iot-device over azure-iot-device-mqtt: what a device and a module see of their twin.
'use strict';

const assert = require('node:assert/strict');
const { Client, ModuleClient, SharedAccessSignature } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');
const { NoRetry, Message, anHourFromNow } = require('azure-iot-common');
const support = require('./support.js');
const { body, check, client, desire, identity, listen, opened, own, registry, report, Told } = support;

const reported = async (deviceId) => own((await body(registry.getTwin(deviceId))).properties.reported);

check('getTwin answers desired and reported', ['device.get', 'device.subscribe'], async () => {
  const device = await identity();
  const version = await desire(device, { a: { b: 1 } });
  const twin = await (await opened(device)).getTwin();
  assert.deepEqual(own(twin.properties.desired), { a: { b: 1 } });
  assert.deepEqual(own(twin.properties.reported), {});
  assert.equal(twin.properties.desired.$version, version);
});

check('secondary key lets a device in', ['device.connect'], async () => {
  const device = await identity();
  await opened(device, device.authentication.symmetricKey.secondaryKey);
  assert.equal((await body(registry.get(device.deviceId))).connectionState, 'Connected');
});

check('report is seen by the service and the device', ['device.report', 'device.get'], async () => {
  const device = await identity();
  const twin = await (await opened(device)).getTwin();
  await report(twin, { a: 1, b: { c: [2] } });
  assert.deepEqual(await reported(device.deviceId), { a: 1, b: { c: [2] } });
  await twin.get();
  assert.deepEqual(own(twin.properties.reported), { a: 1, b: { c: [2] } });
});

check('null in a report removes', ['device.report'], async () => {
  const device = await identity();
  const twin = await (await opened(device)).getTwin();
  await report(twin, { a: 1, b: { c: 2, d: 3 } });
  await report(twin, { a: null, b: { c: null } });
  assert.deepEqual(await reported(device.deviceId), { b: { d: 3 } });
});

check('report with a forbidden key is refused with a text', ['device.report'], async () => {
  const device = await identity();
  const twin = await (await opened(device)).getTwin();
  await assert.rejects(report(twin, { 'a.b': 1 }), (error) => error.message.length > 0);
  assert.deepEqual(await reported(device.deviceId), {});
  await report(twin, { a: 1 });
  assert.deepEqual(await reported(device.deviceId), { a: 1 });
});

check('listener is told the present content at once', ['device.get'], async () => {
  const device = await identity();
  await desire(device, { a: 1 });
  const told = await listen(await (await opened(device)).getTwin());
  assert.equal((await told.until((properties) => 'a' in properties)).a, 1);
});

check('desired notice brings the patch and its version', ['device.notify', 'device.subscribe'], async () => {
  const device = await identity();
  await desire(device, { old: 1 });
  const told = await listen(await (await opened(device)).getTwin());
  const version = await desire(device, { a: { b: 1 }, old: null });
  assert.deepEqual(await told.until((properties) => 'a' in properties), { a: { b: 1 }, old: null, $version: version });
});

check('listener of one property is told its value', ['device.notify'], async () => {
  const device = await identity();
  const twin = await (await opened(device)).getTwin();
  const told = new Told();
  twin.on('properties.desired.net.ip', (value) => told.push(value));
  await twin.get();
  await desire(device, { net: { ip: '10.0.0.1' } });
  assert.equal(await told.until(() => true), '10.0.0.1');
});

check('change of tags is not told', ['device.notify'], async () => {
  const device = await identity();
  const told = await listen(await (await opened(device)).getTwin());
  await registry.updateTwin(device.deviceId, { tags: { t: 1 } }, '*');
  await desire(device, { after: 1 });
  const all = await told.upTo((properties) => 'after' in properties);
  assert.ok(all.every((properties) => !('t' in properties)));
});

check('close returns and a closed device is disconnected', ['device.connect'], async () => {
  const device = await identity();
  await (await opened(device)).close();
  assert.equal((await body(registry.get(device.deviceId))).connectionState, 'Disconnected');
});

check('reopened client keeps its subscription', ['device.connect', 'device.notify'], async () => {
  const device = await identity();
  const hub = await opened(device);
  const told = await listen(await hub.getTwin());
  await hub.close();
  await hub.open();
  await desire(device, { after: 1 });
  assert.equal((await told.until((properties) => 'after' in properties)).after, 1);
});

check('change while away is not queued but can be read', ['device.notify', 'device.get'], async () => {
  const device = await identity();
  const hub = await opened(device);
  const twin = await hub.getTwin();
  const told = await listen(twin);
  await hub.close();
  await desire(device, { away: 1 });
  await hub.open();
  await desire(device, { after: 1 });
  const all = await told.upTo((properties) => 'after' in properties);
  assert.ok(all.every((properties) => !('away' in properties)));
  await twin.get();
  assert.equal(twin.properties.desired.away, 1);
});

check('lost connection comes back with its subscription', ['device.connect', 'device.notify'], async () => {
  const device = await identity();
  const hub = await opened(device);
  const twin = await hub.getTwin();
  const told = await listen(twin);
  const connected = new Told();
  hub.on('connect', () => connected.push(true));
  await support.fault({ operation: 'device.report', subject: device.deviceId, times: 1, effect: 'cutBefore' });
  // Lost with the connection; the package gives no answer for it in good time.
  report(twin, { lost: 1 }).catch(() => {});
  await connected.until(() => true);
  await desire(device, { after: 1 });
  assert.equal((await told.until((properties) => 'after' in properties)).after, 1);
});

check('second connection takes over', ['device.connect'], async () => {
  const device = await identity();
  const first = await opened(device);
  const gone = new Told();
  first.setRetryPolicy(new NoRetry());
  first.on('disconnect', () => gone.push(true));
  const second = await opened(device);
  await gone.until(() => true);
  await report(await second.getTwin(), { by: 'second' });
  assert.deepEqual(await reported(device.deviceId), { by: 'second' });
});

check('token is renewed and the subscription stays', ['device.connect', 'device.notify'], async () => {
  const device = await identity();
  const { primaryKey } = device.authentication.symmetricKey;
  const token = (more) =>
    SharedAccessSignature.create(process.env.HUB_HOST, device.deviceId, primaryKey, anHourFromNow() + more).toString();
  const hub = support.remember(Client.fromSharedAccessSignature(token(0), Mqtt));
  await hub.open();
  const told = await listen(await hub.getTwin());
  const before = await support.connects(device.deviceId);
  await new Promise((resolve, reject) => hub.updateSharedAccessSignature(token(60), (error) => (error ? reject(error) : resolve())));
  // The package connects twice then: once for the call, and once for its own event of the new token.
  assert.ok((await support.connects(device.deviceId)) > before);
  await desire(device, { after: 1 });
  assert.equal((await told.until((properties) => 'after' in properties)).after, 1);
});

check('another port and the authority as an option', ['device.connect'], async () => {
  const { deviceId, authentication } = await identity();
  const host = `HostName=${process.env.HUB_HOST};GatewayHostName=${process.env.HUB_HOST}:${process.env.HUB_MQTT_PORT}`;
  const key = authentication.symmetricKey.primaryKey;
  const hub = support.remember(Client.fromConnectionString(`${host};DeviceId=${deviceId};SharedAccessKey=${key}`, Mqtt));
  await hub.setOptions({ ca: support.authority() });
  await hub.open();
  assert.deepEqual(own((await hub.getTwin()).properties.desired), {});
});

check('message is accepted', ['device.message'], async () => {
  await (await opened(await identity())).sendEvent(new Message('telemetry'));
});

check('wrong key is UnauthorizedError', ['device.connect'], async () => {
  const hub = client(await identity(), Buffer.alloc(32, 'x').toString('base64'));
  await assert.rejects(hub.open(), (error) => error.name === 'UnauthorizedError' && /Connection refused: Not authorized/.test(error.message));
});

check('unknown device is UnauthorizedError', ['device.connect'], async () => {
  const device = await identity();
  await registry.delete(device.deviceId);
  const hub = client(device);
  await assert.rejects(hub.open(), (error) => error.name === 'UnauthorizedError' && /Connection refused: Not authorized/.test(error.message));
});

check('disabled device is UnauthorizedError', ['device.connect'], async () => {
  const hub = client(await identity({ status: 'disabled' }));
  await assert.rejects(hub.open(), (error) => error.name === 'UnauthorizedError' && /Connection refused: Not authorized/.test(error.message));
});

check('disabling cuts the connection', ['device.connect', 'identity.put'], async () => {
  const device = await identity();
  const hub = await opened(device);
  const gone = new Told();
  hub.setRetryPolicy(new NoRetry());
  hub.on('disconnect', () => gone.push(true));
  await registry.update({ deviceId: device.deviceId, status: 'disabled', authentication: device.authentication });
  await gone.until(() => true);
});

check('module has a twin of its own', ['device.report', 'device.get'], async () => {
  const { deviceId } = await identity();
  await registry.addModule({ deviceId, moduleId: 'm1' });
  const twin = await (await opened(await body(registry.getModule(deviceId, 'm1')))).getTwin();
  await report(twin, { a: 1 });
  assert.deepEqual(own((await body(registry.getModuleTwin(deviceId, 'm1'))).properties.reported), { a: 1 });
  assert.deepEqual(await reported(deviceId), {});
});

check('module is told of its own changes', ['device.notify'], async () => {
  const device = await identity();
  await registry.addModule({ deviceId: device.deviceId, moduleId: 'm1' });
  const module = await body(registry.getModule(device.deviceId, 'm1'));
  const told = await listen(await (await opened(module)).getTwin());
  await desire(device, { of: 'device' });
  await desire(module, { of: 'module' });
  assert.equal((await told.until((properties) => 'of' in properties)).of, 'module');
});

check('module with a token made elsewhere reopens with its subscription', ['device.connect', 'device.notify'], async () => {
  const module = await support.moduleIdentity();
  const { primaryKey } = module.authentication.symmetricKey;
  const token = SharedAccessSignature.create(process.env.HUB_HOST, `${module.deviceId}/modules/m1`, primaryKey, anHourFromNow());
  const hub = support.remember(ModuleClient.fromSharedAccessSignature(token.toString(), Mqtt));
  await hub.open();
  const told = await listen(await hub.getTwin());
  await hub.close();
  await hub.open();
  await desire(module, { after: 1 });
  assert.equal((await told.until((properties) => 'after' in properties)).after, 1);
});
