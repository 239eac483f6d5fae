// azure-iothub: twins of devices and modules, and queries over them.
'use strict';

const assert = require('node:assert/strict');
const { before, test } = require('node:test');
const { body, identity, name, own, registry } = require('./support.js');

const STALE = 'AAAAAAAAAAA=';
const desired = (properties) => ({ properties: { desired: properties } });

test('twin of a new device is empty', async () => {
  const { deviceId } = await identity();
  const twin = await body(registry.getTwin(deviceId));
  assert.deepEqual([own(twin.tags), own(twin.properties.desired), own(twin.properties.reported)], [{}, {}, {}]);
  assert.deepEqual([twin.properties.desired.$version, twin.properties.reported.$version], [1, 1]);
  assert.deepEqual([twin.status, twin.connectionState], ['enabled', 'Disconnected']);
});

test('getTwin of an unknown device is DeviceNotFoundError', async () => {
  await assert.rejects(registry.getTwin(name()), { name: 'DeviceNotFoundError' });
});

test('updateTwin merges tags and desired at every depth', async () => {
  const { deviceId } = await identity();
  await registry.updateTwin(deviceId, { tags: { a: { b: 1 } }, ...desired({ c: { d: [1] } }) }, '*');
  await registry.updateTwin(deviceId, { tags: { a: { e: 2 } }, ...desired({ c: { f: true } }) }, '*');
  const twin = await body(registry.getTwin(deviceId));
  assert.deepEqual(own(twin.tags), { a: { b: 1, e: 2 } });
  assert.deepEqual(own(twin.properties.desired), { c: { d: [1], f: true } });
});

test('updateTwin raises etag and version', async () => {
  const { deviceId } = await identity();
  const first = await body(registry.getTwin(deviceId));
  const twin = await body(registry.updateTwin(deviceId, desired({ a: 1 }), first.etag));
  assert.notEqual(twin.etag, first.etag);
  assert.equal(twin.properties.desired.$version, 2);
  assert.equal((await body(registry.getTwin(deviceId))).etag, twin.etag);
});

test('updateTwin with a stale etag is InvalidEtagError', async () => {
  const { deviceId } = await identity();
  await assert.rejects(registry.updateTwin(deviceId, desired({ a: 1 }), STALE), { name: 'InvalidEtagError' });
  assert.deepEqual(own((await body(registry.getTwin(deviceId))).properties.desired), {});
});

test('null removes from tags and desired at any depth', async () => {
  const { deviceId } = await identity();
  await registry.updateTwin(deviceId, { tags: { a: 1, b: { c: 2, d: 3 } }, ...desired({ e: 4, f: { g: 5, h: 6 } }) }, '*');
  const nulls = { tags: { a: null, b: { c: null } }, ...desired({ e: null, f: { g: null } }) };
  const twin = await body(registry.updateTwin(deviceId, nulls, '*'));
  assert.deepEqual([own(twin.tags), own(twin.properties.desired)], [{ b: { d: 3 } }, { f: { h: 6 } }]);
});

test('twin object updates again and again with the etag of each answer', async () => {
  const { deviceId } = await identity();
  const twin = await body(registry.getTwin(deviceId));
  const etags = [twin.etag];
  for (const a of [1, 2]) {
    await twin.update(desired({ a }));
    etags.push(twin.etag);
    assert.equal(twin.properties.desired.a, a);
  }
  assert.equal(new Set(etags).size, 3);
});

test('twin object that is out of date cannot update until it is read again', async () => {
  const { deviceId } = await identity();
  const twin = await body(registry.getTwin(deviceId));
  await registry.updateTwin(deviceId, desired({ a: 1 }), '*');
  await assert.rejects(twin.update(desired({ a: 2 })), { name: 'InvalidEtagError' });
  await twin.get();
  await twin.update(desired({ a: 3 }));
  assert.equal((await body(registry.getTwin(deviceId))).properties.desired.a, 3);
});

for (const key of ['a.b', 'a b', '$a']) {
  test(`updateTwin with the key ${JSON.stringify(key)} is ArgumentError`, async () => {
    const { deviceId } = await identity();
    await assert.rejects(registry.updateTwin(deviceId, desired({ [key]: 1 }), '*'), { name: 'ArgumentError' });
  });
}

test('module twin is its own', async () => {
  const { deviceId } = await identity();
  await registry.addModule({ deviceId, moduleId: 'm1' });
  await registry.updateModuleTwin(deviceId, 'm1', desired({ a: 1 }), '*');
  const twin = await body(registry.getModuleTwin(deviceId, 'm1'));
  assert.deepEqual([twin.deviceId, twin.moduleId, own(twin.properties.desired)], [deviceId, 'm1', { a: 1 }]);
  assert.deepEqual(own((await body(registry.getTwin(deviceId))).properties.desired), {});
});

test('updateModuleTwin with a stale etag is InvalidEtagError', async () => {
  const { deviceId } = await identity();
  await registry.addModule({ deviceId, moduleId: 'm1' });
  const update = registry.updateModuleTwin(deviceId, 'm1', desired({ a: 1 }), STALE);
  await assert.rejects(update, { name: 'InvalidEtagError' });
});

// Seven devices with tags of their own: the fleet that they share, and a number each.
const devices = [];
let fleet;
before(async () => {
  for (let n = 0; n < 7; n += 1) {
    const { deviceId } = await identity();
    devices.push(deviceId);
    fleet = devices[0];
    await registry.updateTwin(deviceId, { tags: { fleet, n, odd: n % 2 === 1 } }, '*');
  }
});
const where = () => `WHERE tags.fleet = '${fleet}'`;

test('query answers twins', async () => {
  const query = registry.createQuery(`SELECT * FROM devices ${where()} AND tags.n = 4`, 100);
  const { result } = await query.nextAsTwin();
  assert.deepEqual(result.map((twin) => twin.deviceId), [devices[4]]);
  assert.deepEqual(own(result[0].tags), { fleet, n: 4, odd: false });
  assert.equal(query.hasMoreResults, false);
});

test('twin of a query can be updated', async () => {
  const { result } = await registry.createQuery(`SELECT * FROM devices ${where()} AND tags.n = 5`).nextAsTwin();
  await result[0].update(desired({ a: 1 }));
  assert.equal((await body(registry.getTwin(devices[5]))).properties.desired.a, 1);
});

test('query that matches nothing answers an empty page', async () => {
  const query = registry.createQuery("SELECT * FROM devices WHERE tags.fleet = 'nobody'");
  assert.deepEqual((await query.nextAsTwin()).result, []);
  assert.equal(query.hasMoreResults, false);
});

test('query goes on page by page until there are no more', async () => {
  const query = registry.createQuery(`SELECT * FROM devices ${where()}`, 3);
  const pages = [];
  while (query.hasMoreResults) pages.push((await query.nextAsTwin()).result.map((twin) => twin.deviceId));
  assert.deepEqual(pages.map((page) => page.length), [3, 3, 1]);
  assert.deepEqual(pages.flat().sort(), [...devices].sort());
});

test('query goes on from a token that is handed over', async () => {
  const text = `SELECT deviceId FROM devices ${where()}`;
  const first = registry.createQuery(text, 4);
  const rows = (await first.next()).result;
  rows.push(...(await registry.createQuery(text, 4).next(first.continuationToken)).result);
  assert.deepEqual(rows.map((row) => row.deviceId).sort(), [...devices].sort());
});

test('query groups with aggregates', async () => {
  const text = 'SELECT tags.odd AS odd, COUNT() AS n, SUM(tags.n) AS sum, MIN(tags.n) AS min, MAX(tags.n) AS max, AVG(tags.n) AS avg';
  const { result } = await registry.createQuery(`${text} FROM devices ${where()} GROUP BY tags.odd`).next();
  assert.deepEqual(
    result.sort((a, b) => a.odd - b.odd),
    [
      { odd: false, n: 4, sum: 12, min: 0, max: 6, avg: 3 },
      { odd: true, n: 3, sum: 9, min: 1, max: 5, avg: 3 },
    ],
  );
});

test('query projects with an alias', async () => {
  const { result } = await registry.createQuery(`SELECT deviceId, tags.n AS number FROM devices ${where()} AND tags.n = 2`).next();
  assert.deepEqual(result, [{ deviceId: devices[2], number: 2 }]);
});

test('query of modules answers module twins', async () => {
  await registry.addModule({ deviceId: fleet, moduleId: 'm1' });
  const { result } = await registry.createQuery(`SELECT * FROM devices.modules WHERE deviceId = '${fleet}'`).nextAsTwin();
  assert.deepEqual(result.map((twin) => [twin.deviceId, twin.moduleId]), [[fleet, 'm1']]);
});

test('query that cannot be read is ArgumentError', async () => {
  await assert.rejects(registry.createQuery('SELECT * FROM devices WHERE').next(), { name: 'ArgumentError' });
});
