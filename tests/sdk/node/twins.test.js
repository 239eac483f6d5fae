// azure-iothub: twins of devices and modules, and queries over them.
'use strict';

const assert = require('node:assert/strict');
const { before } = require('node:test');
const { body, check, identity, name, own, registry } = require('./support.js');

const STALE = 'AAAAAAAAAAA=';
const desired = (properties) => ({ properties: { desired: properties } });

check('twin of a new device is empty', ['twin.get'], async () => {
  const { deviceId } = await identity();
  const twin = await body(registry.getTwin(deviceId));
  assert.deepEqual([own(twin.tags), own(twin.properties.desired), own(twin.properties.reported)], [{}, {}, {}]);
  assert.deepEqual([twin.properties.desired.$version, twin.properties.reported.$version], [1, 1]);
  assert.deepEqual([twin.status, twin.connectionState], ['enabled', 'Disconnected']);
});

check('getTwin of an unknown device is DeviceNotFoundError', ['twin.get'], async () => {
  await assert.rejects(registry.getTwin(name()), { name: 'DeviceNotFoundError' });
});

check('updateTwin merges tags and desired at every depth', ['twin.patch'], async () => {
  const { deviceId } = await identity();
  await registry.updateTwin(deviceId, { tags: { a: { b: 1 } }, ...desired({ c: { d: [1] } }) }, '*');
  await registry.updateTwin(deviceId, { tags: { a: { e: 2 } }, ...desired({ c: { f: true } }) }, '*');
  const twin = await body(registry.getTwin(deviceId));
  assert.deepEqual(own(twin.tags), { a: { b: 1, e: 2 } });
  assert.deepEqual(own(twin.properties.desired), { c: { d: [1], f: true } });
});

check('updateTwin raises etag and version', ['twin.patch', 'twin.get'], async () => {
  const { deviceId } = await identity();
  const first = await body(registry.getTwin(deviceId));
  const twin = await body(registry.updateTwin(deviceId, desired({ a: 1 }), first.etag));
  assert.notEqual(twin.etag, first.etag);
  assert.equal(twin.properties.desired.$version, 2);
  assert.equal((await body(registry.getTwin(deviceId))).etag, twin.etag);
});

check('updateTwin with a stale etag is InvalidEtagError', ['twin.patch'], async () => {
  const { deviceId } = await identity();
  await assert.rejects(registry.updateTwin(deviceId, desired({ a: 1 }), STALE), { name: 'InvalidEtagError' });
  assert.deepEqual(own((await body(registry.getTwin(deviceId))).properties.desired), {});
});

check('null removes from tags and desired at any depth', ['twin.patch'], async () => {
  const { deviceId } = await identity();
  await registry.updateTwin(deviceId, { tags: { a: 1, b: { c: 2, d: 3 } }, ...desired({ e: 4, f: { g: 5, h: 6 } }) }, '*');
  const nulls = { tags: { a: null, b: { c: null } }, ...desired({ e: null, f: { g: null } }) };
  const twin = await body(registry.updateTwin(deviceId, nulls, '*'));
  assert.deepEqual([own(twin.tags), own(twin.properties.desired)], [{ b: { d: 3 } }, { f: { h: 6 } }]);
});

check('twin object updates again and again with the etag of each answer', ['twin.patch', 'twin.get'], async () => {
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

check('twin object that is out of date cannot update until it is read again', ['twin.patch', 'twin.get'], async () => {
  const { deviceId } = await identity();
  const twin = await body(registry.getTwin(deviceId));
  await registry.updateTwin(deviceId, desired({ a: 1 }), '*');
  await assert.rejects(twin.update(desired({ a: 2 })), { name: 'InvalidEtagError' });
  await twin.get();
  await twin.update(desired({ a: 3 }));
  assert.equal((await body(registry.getTwin(deviceId))).properties.desired.a, 3);
});

for (const key of ['a.b', 'a b', '$a']) {
  check(`updateTwin with the key ${JSON.stringify(key)} is ArgumentError`, ['twin.patch'], async () => {
    const { deviceId } = await identity();
    await assert.rejects(registry.updateTwin(deviceId, desired({ [key]: 1 }), '*'), { name: 'ArgumentError' });
  });
}

check('module twin is its own', ['twin.patch', 'twin.get'], async () => {
  const { deviceId } = await identity();
  await registry.addModule({ deviceId, moduleId: 'm1' });
  await registry.updateModuleTwin(deviceId, 'm1', desired({ a: 1 }), '*');
  const twin = await body(registry.getModuleTwin(deviceId, 'm1'));
  assert.deepEqual([twin.deviceId, twin.moduleId, own(twin.properties.desired)], [deviceId, 'm1', { a: 1 }]);
  assert.deepEqual(own((await body(registry.getTwin(deviceId))).properties.desired), {});
});

check('updateModuleTwin with a stale etag is InvalidEtagError', ['twin.patch'], async () => {
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

check('query answers twins', ['query'], async () => {
  const query = registry.createQuery(`SELECT * FROM devices ${where()} AND tags.n = 4`, 100);
  const { result } = await query.nextAsTwin();
  assert.deepEqual(result.map((twin) => twin.deviceId), [devices[4]]);
  assert.deepEqual(own(result[0].tags), { fleet, n: 4, odd: false });
  assert.equal(query.hasMoreResults, false);
});

check('twin of a query can be updated', ['query', 'twin.patch'], async () => {
  const { result } = await registry.createQuery(`SELECT * FROM devices ${where()} AND tags.n = 5`).nextAsTwin();
  await result[0].update(desired({ a: 1 }));
  assert.equal((await body(registry.getTwin(devices[5]))).properties.desired.a, 1);
});

check('query that matches nothing answers an empty page', ['query'], async () => {
  const query = registry.createQuery("SELECT * FROM devices WHERE tags.fleet = 'nobody'");
  assert.deepEqual((await query.nextAsTwin()).result, []);
  assert.equal(query.hasMoreResults, false);
});

check('query goes on page by page until there are no more', ['query'], async () => {
  const query = registry.createQuery(`SELECT * FROM devices ${where()}`, 3);
  const pages = [];
  while (query.hasMoreResults) pages.push((await query.nextAsTwin()).result.map((twin) => twin.deviceId));
  assert.deepEqual(pages.map((page) => page.length), [3, 3, 1]);
  assert.deepEqual(pages.flat().sort(), [...devices].sort());
});

check('query goes on from a token that is handed over', ['query'], async () => {
  const text = `SELECT deviceId FROM devices ${where()}`;
  const first = registry.createQuery(text, 4);
  const rows = (await first.next()).result;
  rows.push(...(await registry.createQuery(text, 4).next(first.continuationToken)).result);
  assert.deepEqual(rows.map((row) => row.deviceId).sort(), [...devices].sort());
});

check('query groups with aggregates', ['query'], async () => {
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

check('query projects with an alias', ['query'], async () => {
  const { result } = await registry.createQuery(`SELECT deviceId, tags.n AS number FROM devices ${where()} AND tags.n = 2`).next();
  assert.deepEqual(result, [{ deviceId: devices[2], number: 2 }]);
});

check('query of modules answers module twins', ['query'], async () => {
  await registry.addModule({ deviceId: fleet, moduleId: 'm1' });
  const { result } = await registry.createQuery(`SELECT * FROM devices.modules WHERE deviceId = '${fleet}'`).nextAsTwin();
  assert.deepEqual(result.map((twin) => [twin.deviceId, twin.moduleId]), [[fleet, 'm1']]);
});

check('query that cannot be read is ArgumentError', ['query'], async () => {
  await assert.rejects(registry.createQuery('SELECT * FROM devices WHERE').next(), { name: 'ArgumentError' });
});
