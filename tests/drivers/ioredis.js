// The tour of ioredis.
'use strict';
const assert = require('assert');
const tour = require('./tour.js');
const Redis = tour.library('ioredis');

const options = { port: tour.port, host: '127.0.0.1', db: 13 };
const client = new Redis(options);
const other = new Redis(options);
const key = (name) => `ioredis:${name}`;

async function plain() {
    await client.flushdb();
    assert.equal(await client.set(key('a'), '1', 'EX', 100), 'OK');
    assert.equal(await client.get(key('a')), '1');
    assert.equal(await client.get(key('none')), null);
    assert.equal(await client.hset(key('h'), { x: 1, y: 2 }), 2);
    assert.deepEqual(await client.hgetall(key('h')), { x: '1', y: '2' });
    const big = 'x'.repeat(3000000);
    await client.set(key('big'), big);
    assert.equal(await client.get(key('big')), big);
    await assert.rejects(client.incr(key('h')), /WRONGTYPE/);
}

async function pipelines() {
    const pipeline = client.pipeline();
    for (let i = 0; i < 500; i++) pipeline.set(key(`p${i}`), i).get(key(`p${i}`));
    const expected = [];
    for (let i = 0; i < 500; i++) expected.push([null, 'OK'], [null, `${i}`]);
    assert.deepEqual(await pipeline.exec(), expected);
}

async function transactions() {
    const replies = await client.multi().set(key('t'), 0).incr(key('t')).get(key('t')).exec();
    assert.deepEqual(replies, [[null, 'OK'], [null, 1], [null, '1']]);
    await client.watch(key('t'));
    await other.set(key('t'), 'changed');
    assert.equal(await client.multi().set(key('t'), 'mine').exec(), null);
    await client.multi({ pipeline: false });
    assert.equal(await client.get(key('t')), 'QUEUED');
    assert.deepEqual(await client.exec(), [[null, 'changed']]);
}

async function scripts() {
    client.defineCommand('increase', {
        numberOfKeys: 1, lua: "return redis.call('incrby', KEYS[1], ARGV[1])",
    });
    assert.equal(await client.increase(key('s'), 5), 5);
    assert.equal(await client.increase(key('s'), 5), 10);
}

async function blocking() {
    const popped = other.blpop(key('queue'), 20);
    await client.rpush(key('queue'), 'job');
    assert.deepEqual(await popped, [key('queue'), 'job']);
}

async function subscriptions() {
    const listener = new Redis(options);
    assert.equal(await listener.subscribe(key('news')), 1);
    const message = new Promise((resolve) => listener.on('message', (_, text) => resolve(text)));
    assert.equal(await client.publish(key('news'), 'hello'), 1);
    assert.equal(await message, 'hello');
    await listener.unsubscribe();
    assert.equal(await listener.get(key('none')), null);
    await listener.quit();
}

async function identities() {
    await client.call('ACL', 'SETUSER', 'ioredis', 'reset', 'on', '>secret', '~ioredis:*', '+@all');
    const named = new Redis({
        ...options, db: 5, username: 'ioredis', password: 'secret', connectionName: 'tour',
    });
    assert.equal(await named.call('ACL', 'WHOAMI'), 'ioredis');
    assert.equal(await named.client('GETNAME'), 'tour');
    await assert.rejects(named.get('foreign'), /NOPERM/);
    await named.set(key('db'), 5);
    assert.equal(await client.get(key('db')), null);
    await named.del(key('db'));
    await named.quit();
    await client.call('ACL', 'DELUSER', 'ioredis');
}

tour.run([plain, pipelines, transactions, scripts, blocking, subscriptions, identities],
    async () => {
        await client.flushdb();
        await other.quit();
        await client.quit();
    });
