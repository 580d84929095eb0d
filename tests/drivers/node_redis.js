// The tour of node-redis.
'use strict';
const assert = require('assert');
const tour = require('./tour.js');
const redis = tour.library('redis');

const options = { socket: { port: tour.port, host: '127.0.0.1' }, database: 12 };
const client = redis.createClient(options);
const other = client.duplicate();
const key = (name) => `node-redis:${name}`;

async function plain() {
    await client.connect();
    await other.connect();
    await client.flushDb();
    assert.equal(await client.set(key('a'), '1', { EX: 100 }), 'OK');
    assert.equal(await client.get(key('a')), '1');
    assert.equal(await client.get(key('none')), null);
    assert.equal(await client.hSet(key('h'), { x: 1, y: 2 }), 2);
    assert.deepEqual({ ...(await client.hGetAll(key('h'))) }, { x: '1', y: '2' });
    const big = 'x'.repeat(3000000);
    await client.set(key('big'), big);
    assert.equal(await client.get(key('big')), big);
    await assert.rejects(client.incr(key('h')), /WRONGTYPE/);
}

async function pipelines() {
    const replies = [];
    for (let i = 0; i < 500; i++) {
        replies.push(client.set(key(`p${i}`), `${i}`), client.get(key(`p${i}`)));
    }
    const expected = [];
    for (let i = 0; i < 500; i++) expected.push('OK', `${i}`);
    assert.deepEqual(await Promise.all(replies), expected);
}

async function transactions() {
    const replies = await client.multi().set(key('t'), '0').incr(key('t')).get(key('t')).exec();
    assert.deepEqual(replies, ['OK', 1, '1']);
    await assert.rejects(client.executeIsolated(async (alone) => {
        await alone.watch(key('t'));
        await other.set(key('t'), 'changed');
        await alone.multi().set(key('t'), 'mine').exec();
    }), redis.WatchError);
    assert.equal(await client.get(key('t')), 'changed');
}

async function scripts() {
    const script = "return redis.call('incrby', KEYS[1], ARGV[1])";
    const call = { keys: [key('s')], arguments: ['5'] };
    assert.equal(await client.eval(script, call), 5);
    const sha = await client.scriptLoad(script);
    assert.equal(await client.evalSha(sha, call), 10);
}

async function blocking() {
    const popped = other.blPop(key('queue'), 20);
    await client.rPush(key('queue'), 'job');
    assert.deepEqual({ ...(await popped) }, { key: key('queue'), element: 'job' });
}

async function subscriptions() {
    const listener = client.duplicate();
    await listener.connect();
    const message = new Promise((resolve) => listener.subscribe(key('news'), resolve));
    while ((await client.publish(key('news'), 'hello')) === 0);
    assert.equal(await message, 'hello');
    await listener.unsubscribe();
    assert.equal(await listener.ping(), 'PONG');
    await listener.quit();
}

async function identities() {
    await client.sendCommand(['ACL', 'SETUSER', 'node-redis', 'reset', 'on', '>secret',
        '~node-redis:*', '+@all']);
    const named = redis.createClient({
        ...options, database: 4, username: 'node-redis', password: 'secret', name: 'tour',
    });
    await named.connect();
    assert.equal(await named.sendCommand(['ACL', 'WHOAMI']), 'node-redis');
    assert.equal(await named.sendCommand(['CLIENT', 'GETNAME']), 'tour');
    await assert.rejects(named.get('foreign'), /NOPERM/);
    await named.set(key('db'), '4');
    assert.equal(await client.get(key('db')), null);
    await named.del(key('db'));
    await named.quit();
    await client.sendCommand(['ACL', 'DELUSER', 'node-redis']);
}

tour.run([plain, pipelines, transactions, scripts, blocking, subscriptions, identities],
    async () => {
        await client.flushDb();
        await other.quit();
        await client.quit();
    });
