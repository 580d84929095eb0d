// The tour of node-postgres (pg), with its cursors and COPY streams.
'use strict';
const assert = require('assert');
const { readFileSync } = require('fs');
const { Readable } = require('stream');
const { pipeline } = require('stream/promises');
const tour = require('./tour.js');
const pg = tour.library('pg');
const Cursor = tour.library('pg-cursor');
const copyStreams = tour.library('pg-copy-streams');

const options = { ssl: false };
const client = new pg.Client(options);
const other = new pg.Client(options);

const values = async (text, parameters) =>
    (await client.query({ text, values: parameters, rowMode: 'array' })).rows;

async function parameters() {
    await client.connect();
    await other.connect();
    const given = [1, '1099511627776', 1.5, '12.340', true, null, 'ä\'\\"%\n',
        Buffer.from([0, 1, 255]), new Date(Date.UTC(2024, 1, 29, 12, 30, 1)), { a: [1, null] },
        [1, 2, 3], ['a', null], '00000000-0000-0000-0000-000000000007'];
    const types = ['int4', 'int8', 'float8', 'numeric', 'bool', 'text', 'text', 'bytea',
        'timestamptz', 'jsonb', 'int4[]', 'text[]', 'uuid'];
    const text = `select ${types.map((type, i) => `$${i + 1}::${type}`).join(', ')}`;
    for (let i = 0; i < 5; i++) assert.deepEqual(await values(text, given), [given]);
}

async function prepared() {
    await client.query('drop table if exists tour_node_pg');
    await client.query('create table tour_node_pg (a int primary key, b text)');
    for (let i = 0; i < 100; i++) {
        const query = { name: `plus ${i % 10}`, text: `select $1::int + ${i % 10} as sum` };
        if (i === 50) await client.query('begin');
        const { rows } = await client.query({ ...query, values: [i] });
        assert.equal(rows[0].sum, i + (i % 10));
        if (i === 60) await client.query('commit');
    }
    const queries = [];
    for (let i = 0; i < 100; i++) {
        queries.push(client.query({ name: 'twice', text: 'select $1::int * 2 as b', values: [i] }));
    }
    (await Promise.all(queries)).forEach(({ rows }, i) => assert.equal(rows[0].b, 2 * i));
}

async function errors() {
    for (let i = 0; i < 3; i++) {
        await assert.rejects(client.query('select 1/0'), { code: '22012' });
        await assert.rejects(client.query({ name: 'bad', text: 'selec $1', values: [1] }),
            { code: '42601' });
        await assert.rejects(client.query({ name: 'zero', text: 'select 1/$1::int', values: [0] }),
            { code: '22012' });
    }
    await client.query('begin');
    await client.query("insert into tour_node_pg values (1, 'one')");
    await client.query('savepoint here');
    await assert.rejects(client.query('insert into tour_node_pg values ($1, $2)', [1, 'again']),
        { code: '23505' });
    await assert.rejects(client.query('select 1'), { code: '25P02' });
    await client.query('rollback to here');
    await client.query('commit');
    assert.deepEqual(await values('select * from tour_node_pg'), [[1, 'one']]);
}

async function copies() {
    const lines = [];
    for (let i = 2; i <= 20000; i++) lines.push(`${i}\tline ${i}\n`);
    await pipeline(Readable.from(lines),
        client.query(copyStreams.from('copy tour_node_pg from stdin')));
    const parts = [];
    for await (const part of client.query(copyStreams.to(
        'copy (select * from tour_node_pg where a > 1 order by a) to stdout'))) parts.push(part);
    assert.equal(Buffer.concat(parts).toString(), lines.join(''));
    await assert.rejects(pipeline(Readable.from(['no number\tx\n']),
        client.query(copyStreams.from('copy tour_node_pg from stdin'))), { code: '22P02' });
}

async function cursors() {
    const cursor = client.query(new Cursor('select a from tour_node_pg where a > $1 order by a',
        [0]));
    let seen = 0;
    for (let rows = await cursor.read(1000); rows.length > 0; rows = await cursor.read(1000)) {
        for (const row of rows) assert.equal(row.a, ++seen);
    }
    assert.equal(seen, 20000);
    const closed = client.query(new Cursor('select a from tour_node_pg'));
    assert.equal((await closed.read(3)).length, 3);
    await closed.close();
    assert.deepEqual(await values('select 1', []), [[1]]);
}

async function notifications() {
    await client.query('listen tour');
    const heard = new Promise((resolve) => client.on('notification', resolve));
    await other.query("notify tour, 'hello'");
    assert.equal((await heard).payload, 'hello');
    await client.query('unlisten *');
}

// node-postgres cancels by a connection of its own.
async function cancels() {
    const refused = assert.rejects(client.query('select pg_sleep(62)'), { code: '57014' });
    const look = "select 1 from pg_stat_activity where query = 'select pg_sleep(62)'";
    while ((await other.query(look)).rows.length === 0);
    const connection = new pg.Connection({ ssl: false });
    const ended = new Promise((resolve) => connection.on('end', resolve));
    connection.on('connect', () => connection.cancel(client.processID, client.secretKey));
    connection.connect(Number(process.env.PGPORT), process.env.PGHOST);
    await Promise.all([refused, ended]);
    assert.deepEqual(await values('select 1', []), [[1]]);
}

async function tls() {
    const ca = readFileSync(process.env.SLUICE_TOUR_CA, 'utf8');
    const secure = new pg.Client({ ssl: { ca }, enableChannelBinding: true });
    await secure.connect();
    const { rows } = await secure.query("select repeat($1, 1000000) as text", ['x']);
    assert.equal(rows[0].text.length, 1000000);
    await secure.end();
}

async function many() {
    const pool = new pg.Pool({ ...options, max: 50 });
    const servers = new Set();
    const clients = await Promise.all(Array.from({ length: 50 }, () => pool.connect()));
    await Promise.all(clients.map(async (one, number) => {
        for (let i = 0; i < 10; i++) {
            const text = 'select pg_backend_pid() as pid, $1::int as number, $2::int as i';
            const { rows } = await one.query({ name: 'who', text, values: [number, i] });
            servers.add(rows[0].pid);
            assert.deepEqual([rows[0].number, rows[0].i], [number, i]);
        }
        one.release();
    }));
    await pool.end();
    assert(servers.size >= 1 && servers.size <= 5, `${servers.size} servers`);
}

tour.run([parameters, prepared, errors, copies, cursors, notifications, cancels, tls, many],
    async () => {
        await client.query('drop table tour_node_pg');
        await other.end();
        await client.end();
    });
