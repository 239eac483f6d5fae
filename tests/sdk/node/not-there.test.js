// What the packages offer and the local hub does not have: each call gets a clear answer.
'use strict';

const assert = require('node:assert/strict');
const { Client, DigitalTwinClient, IoTHubTokenCredentials, JobClient, Registry, SharedAccessSignature } = require('azure-iothub');
const { anHourFromNow } = require('azure-iot-common');
const { body, check, identity, name, opened, registry, service } = require('./support.js');

const configuration = { id: 'c1', schemaVersion: '1.0', content: {}, targetCondition: '*', priority: 1, etag: '*' };

async function notSupported(call) {
  await assert.rejects(call, (error) => {
    const text = `${error.message} ${error.responseBody ?? ''} ${error.response?.bodyAsText ?? ''}`;
    assert.match(text, /FeatureNotSupported/);
    return true;
  });
}

check('configurations are not there', ['unknown'], async () => {
  await notSupported(registry.addConfiguration(configuration));
  await notSupported(registry.getConfiguration('c1'));
  await notSupported(registry.getConfigurations());
  await notSupported(registry.updateConfiguration(configuration, true));
  await notSupported(registry.removeConfiguration('c1'));
  await notSupported(registry.applyConfigurationContentOnDevice(name(), { modulesContent: {} }));
});

check('scheduled jobs are not there', ['jobs'], async () => {
  const jobs = JobClient.fromConnectionString(service);
  await notSupported(jobs.scheduleTwinUpdate('j1', '*', { tags: { a: 1 } }, new Date(), 60));
  await notSupported(jobs.scheduleDeviceMethod('j1', '*', { methodName: 'reboot' }, new Date(), 60));
  await notSupported(jobs.getJob('j1'));
  await notSupported(jobs.cancelJob('j1'));
  await notSupported(jobs.createQuery().next());
});

check('import and export are not there', ['jobs'], async () => {
  await notSupported(registry.importDevicesFromBlob('https://in.example', 'https://out.example'));
  await notSupported(registry.importDevicesFromBlobByIdentity('https://in.example', 'https://out.example'));
  await notSupported(registry.exportDevicesToBlob('https://out.example', true));
  await notSupported(registry.exportDevicesToBlobByIdentity('https://out.example', true));
  await notSupported(registry.listJobs());
  await notSupported(registry.getJob('j1'));
  await notSupported(registry.cancelJob('j1'));
});

check('query of jobs is ArgumentError', ['query'], async () => {
  await assert.rejects(registry.createQuery('SELECT * FROM devices.jobs').next(), { name: 'ArgumentError' });
});

check('direct methods are not there', ['unknown'], async () => {
  const { deviceId } = await identity();
  const hub = Client.fromConnectionString(service);
  await notSupported(hub.invokeDeviceMethod(deviceId, { methodName: 'reboot' }));
  await notSupported(hub.invokeDeviceMethod(deviceId, 'm1', { methodName: 'reboot' }));
});

check('digital twins are not there', ['unknown'], async () => {
  const twins = new DigitalTwinClient(new IoTHubTokenCredentials(service));
  const { deviceId } = await identity();
  await notSupported(twins.getDigitalTwin(deviceId));
  await notSupported(twins.updateDigitalTwin(deviceId, []));
  await notSupported(twins.invokeCommand(deviceId, 'reboot', {}));
  await notSupported(twins.invokeComponentCommand(deviceId, 'pump', 'reboot', {}));
});

check('file upload is not there', ['unknown'], async () => {
  const hub = await opened(await identity());
  await assert.rejects(hub.getBlobSharedAccessSignature('file'), (error) => /FeatureNotSupported/.test(error.responseBody));
});

check('token that was made elsewhere is taken', ['twin.get'], async () => {
  const { SharedAccessKey } = Object.fromEntries(service.split(';').map((part) => part.split(/=(.*)/s)));
  const token = SharedAccessSignature.create(process.env.HUB_HOST, 'iothubowner', SharedAccessKey, anHourFromNow());
  const { deviceId } = await identity();
  assert.equal((await body(Registry.fromSharedAccessSignature(token.toString()).getTwin(deviceId))).deviceId, deviceId);
});

check('token of Entra is UnauthorizedError', ['twin.get'], async () => {
  const entra = { getToken: async () => ({ token: 'eyJhbGciOiJub25lIn0.e30.', expiresOnTimestamp: Date.now() + 3600000 }) };
  const { deviceId } = await identity();
  const other = Registry.fromTokenCredential(process.env.HUB_HOST, entra);
  await assert.rejects(other.getTwin(deviceId), { name: 'UnauthorizedError' });
});
