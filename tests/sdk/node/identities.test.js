// azure-iothub: identities of devices and modules, bulk operations, statistics.
'use strict';

const assert = require('node:assert/strict');
const { Registry } = require('azure-iothub');
const { body, check, identity, name, opened, registry } = require('./support.js');

const PRIMARY = Buffer.alloc(32, 'p').toString('base64');
const SECONDARY = Buffer.alloc(32, 's').toString('base64');
const KEYS = { type: 'sas', symmetricKey: { primaryKey: PRIMARY, secondaryKey: SECONDARY } };

check('device without keys gets keys from the hub', ['identity.put'], async () => {
  const { primaryKey, secondaryKey } = (await identity()).authentication.symmetricKey;
  assert.ok(Buffer.from(primaryKey, 'base64').length >= 16);
  assert.ok(Buffer.from(secondaryKey, 'base64').length >= 16);
  assert.notEqual(primaryKey, secondaryKey);
});

check('device keeps the keys that are given', ['identity.put', 'identity.get'], async () => {
  const { deviceId } = await identity({ authentication: KEYS });
  assert.deepEqual((await body(registry.get(deviceId))).authentication.symmetricKey, KEYS.symmetricKey);
});

check('get answers what create answered', ['identity.get'], async () => {
  const device = await identity();
  assert.deepEqual({ ...(await body(registry.get(device.deviceId))) }, { ...device });
});

check('create of an existing device is DeviceAlreadyExistsError', ['identity.put'], async () => {
  const { deviceId } = await identity();
  await assert.rejects(registry.create({ deviceId }), { name: 'DeviceAlreadyExistsError' });
});

check('get of an unknown device is DeviceNotFoundError', ['identity.get'], async () => {
  await assert.rejects(registry.get(name()), { name: 'DeviceNotFoundError' });
});

check('id of special characters comes back unchanged', ['identity.put', 'identity.get', 'twin.get'], async () => {
  const deviceId = name("n.o+%_#*?!(),:=@$'");
  await registry.create({ deviceId });
  assert.equal((await body(registry.get(deviceId))).deviceId, deviceId);
  assert.equal((await body(registry.getTwin(deviceId))).deviceId, deviceId);
});

check('x509 device keeps its thumbprints', ['identity.put', 'identity.get'], async () => {
  const x509Thumbprint = { primaryThumbprint: 'A'.repeat(40), secondaryThumbprint: 'B'.repeat(40) };
  const { deviceId } = await identity({ authentication: { x509Thumbprint } });
  const { authentication } = await body(registry.get(deviceId));
  assert.equal(authentication.type, 'selfSigned');
  assert.deepEqual(authentication.x509Thumbprint, x509Thumbprint);
});

check('list holds the new device', ['identity.list'], async () => {
  const { deviceId } = await identity();
  assert.ok((await body(registry.list())).some((device) => device.deviceId === deviceId));
});

check('update disables a device with a reason', ['identity.put'], async () => {
  const device = await identity();
  await registry.update({ deviceId: device.deviceId, status: 'disabled', statusReason: 'lost', authentication: KEYS });
  const after = await body(registry.get(device.deviceId));
  assert.equal(after.status, 'disabled');
  assert.equal(after.statusReason, 'lost');
  assert.notEqual(after.etag, device.etag);
});

check('update of an unknown device is refused', ['identity.put'], async () => {
  await assert.rejects(registry.update({ deviceId: name(), status: 'enabled', authentication: KEYS }), { name: 'DeviceNotFoundError' });
});

check('deleted device is gone with its twin', ['identity.delete'], async () => {
  const { deviceId } = await identity();
  await registry.delete(deviceId);
  await assert.rejects(registry.get(deviceId), { name: 'DeviceNotFoundError' });
  await assert.rejects(registry.getTwin(deviceId), { name: 'DeviceNotFoundError' });
});

check('module is created with keys of its own', ['identity.put', 'identity.get'], async () => {
  const device = await identity();
  const { deviceId } = device;
  await registry.addModule({ deviceId, moduleId: 'm1', managedBy: 'iotEdge' });
  const module = await body(registry.getModule(deviceId, 'm1'));
  assert.deepEqual([module.deviceId, module.moduleId, module.managedBy], [deviceId, 'm1', 'iotEdge']);
  assert.ok(module.authentication.symmetricKey.primaryKey);
  assert.notEqual(module.authentication.symmetricKey.primaryKey, device.authentication.symmetricKey.primaryKey);
});

check('module update changes keys', ['identity.put'], async () => {
  const { deviceId } = await identity();
  await registry.addModule({ deviceId, moduleId: 'm1' });
  const module = await body(registry.getModule(deviceId, 'm1'));
  await registry.updateModule({ ...module, authentication: KEYS });
  const after = await body(registry.getModule(deviceId, 'm1'));
  assert.equal(after.authentication.symmetricKey.primaryKey, PRIMARY);
  assert.notEqual(after.etag, module.etag);
});

check('module update with a stale etag is InvalidEtagError', ['identity.put'], async () => {
  const { deviceId } = await identity();
  await registry.addModule({ deviceId, moduleId: 'm1' });
  const module = { deviceId, moduleId: 'm1', authentication: KEYS, etag: 'AAAAAAAAAAA=' };
  await assert.rejects(registry.updateModule(module), { name: 'InvalidEtagError' });
});

check('forced module update needs no etag', ['identity.put'], async () => {
  const { deviceId } = await identity();
  await registry.addModule({ deviceId, moduleId: 'm1' });
  await registry.updateModule({ deviceId, moduleId: 'm1', authentication: KEYS }, true);
  const { authentication } = await body(registry.getModule(deviceId, 'm1'));
  assert.equal(authentication.symmetricKey.primaryKey, PRIMARY);
});

check('getModulesOnDevice lists all modules', ['identity.list'], async () => {
  const { deviceId } = await identity();
  for (const moduleId of ['m1', 'm2']) await registry.addModule({ deviceId, moduleId });
  const modules = await body(registry.getModulesOnDevice(deviceId));
  assert.deepEqual(modules.map((module) => module.moduleId).sort(), ['m1', 'm2']);
});

check('removed module is gone', ['identity.delete', 'identity.get'], async () => {
  const { deviceId } = await identity();
  await registry.addModule({ deviceId, moduleId: 'm1' });
  await registry.removeModule(deviceId, 'm1');
  await assert.rejects(registry.getModule(deviceId, 'm1'), (error) => error.responseBody.includes('ModuleNotFound'));
  assert.deepEqual(await body(registry.getModulesOnDevice(deviceId)), []);
});

check('bulk adds, updates and removes many', ['identity.bulk'], async () => {
  const devices = Array.from({ length: 20 }, () => ({ deviceId: name() }));
  const last = devices[19].deviceId;
  assert.equal((await body(registry.addDevices(devices))).isSuccessful, true);
  assert.ok((await body(registry.get(last))).authentication.symmetricKey.primaryKey);
  const disabled = devices.map((device) => ({ ...device, status: 'disabled' }));
  assert.equal((await body(registry.updateDevices(disabled, true))).isSuccessful, true);
  assert.equal((await body(registry.get(last))).status, 'disabled');
  assert.equal((await body(registry.removeDevices(devices, true))).isSuccessful, true);
  await assert.rejects(registry.get(last), { name: 'DeviceNotFoundError' });
});

check('bulk update takes the right etag and refuses a stale one', ['identity.bulk'], async () => {
  const [right, stale] = [await identity(), await identity()];
  const devices = [
    { deviceId: right.deviceId, etag: right.etag, status: 'disabled' },
    { deviceId: stale.deviceId, etag: 'AAAAAAAAAAA=', status: 'disabled' },
  ];
  // The package makes an error of an answer that holds errors.
  const answer = await body(registry.updateDevices(devices, false)).catch((error) => JSON.parse(error.responseBody));
  assert.equal(answer.isSuccessful, false);
  assert.deepEqual(answer.errors.map((error) => error.deviceId), [stale.deviceId]);
  assert.equal((await body(registry.get(right.deviceId))).status, 'disabled');
  assert.equal((await body(registry.get(stale.deviceId))).status, 'enabled');
});

check('statistics count enabled and disabled', ['statistics'], async () => {
  const before = await body(registry.getRegistryStatistics());
  await identity();
  await identity({ status: 'disabled' });
  const after = await body(registry.getRegistryStatistics());
  const grown = (field) => after[field] - before[field];
  assert.deepEqual(['totalDeviceCount', 'enabledDeviceCount', 'disabledDeviceCount'].map(grown), [2, 1, 1]);
});

check('connected device is seen as connected', ['device.connect', 'identity.get'], async () => {
  const device = await identity();
  const client = await opened(device);
  assert.equal((await body(registry.get(device.deviceId))).connectionState, 'Connected');
  await client.close();
  assert.equal((await body(registry.get(device.deviceId))).connectionState, 'Disconnected');
});

check('wrong service key is UnauthorizedError', ['identity.get'], async () => {
  const key = Buffer.alloc(32, 'x').toString('base64');
  const text = `HostName=${process.env.HUB_HOST};SharedAccessKeyName=iothubowner;SharedAccessKey=${key}`;
  await assert.rejects(Registry.fromConnectionString(text).get('any'), { name: 'UnauthorizedError' });
});
