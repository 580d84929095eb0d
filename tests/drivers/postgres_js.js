// The tour of postgres.js (postgres).
'use strict';
const assert = require('assert');
const { readFileSync } = require('fs');
const { Readable } = require('stream');
const { pipeline } = require('stream/promises');
const tour = require('./tour.js');
const postgres = tour.library('postgres');

const options = { ssl: false, max: 1, onnotice: () => {} };
const sql = postgres(options);
const other = postgres(options);

async function parameters() {
    const date = new Date(Date.UTC(2024, 1, 29, 12, 30, 1));
    for (let i = 0; i < 5; i++) {
        const [row] = await sql`
            select ${1}::int4 a, ${'1099511627776'}::int8 b, ${1.5}::float8 c,
            ${'12.340'}::numeric d, ${true}::bool e, ${null}::text f, ${'ä\'\\"%\n'}::text g,
            ${Buffer.from([0, 1, 255])}::bytea h, ${date}::timestamptz i,
            ${sql.json({ a: [1, null] })}::jsonb j, ${[1, 2, 3]}::int4[] k`;
        assert.deepEqual({ ...row }, {
            a: 1, b: '1099511627776', c: 1.5, d: '12.340', e: true, f: null, g: 'ä\'\\"%\n',
            h: Buffer.from([0, 1, 255]), i: date, j: { a: [1, null] }, k: [1, 2, 3],
        });
    }
}

// postgres.js prepares each text once and then sends many executions without waiting.
async function prepared() {
    await sql`drop table if exists tour_postgres_js`;
    await sql`create table tour_postgres_js (a int primary key, b text)`;
    for (let round = 0; round < 3; round++) {
        const made = Array.from({ length: 100 }, (_, i) => sql`select ${i}::int * 2 as twice`);
        (await Promise.all(made)).forEach(([row], i) => assert.equal(row.twice, 2 * i));
        await sql.begin(async (inside) => {
            const [row] = await inside`select ${round}::int * 2 as twice`;
            assert.equal(row.twice, 2 * round);
        });
    }
    const [described] = (await sql`select ${1}::int as a`.describe()).columns;
    assert.equal(described.type, 23);
}

async function errors() {
    for (let i = 0; i < 3; i++) {
        await assert.rejects(sql`select 1/${0}::int`, { code: '22012' });
        await assert.rejects(sql`selec ${0}`, { code: '42601' });
        const mixed = await Promise.allSettled(
            [sql`select ${1}::int a`, sql`select 1/${0}::int`, sql`select ${2}::int a`]);
        assert.deepEqual(mixed.map(({ status }) => status),
            ['fulfilled', 'rejected', 'fulfilled']);
    }
    await sql.begin(async (inside) => {
        await inside`insert into tour_postgres_js values (1, 'one')`;
        await assert.rejects(inside.savepoint(
            (deeper) => deeper`insert into tour_postgres_js values (${1}, 'again')`),
        { code: '23505' });
    });
    await assert.rejects(sql.begin(async (inside) => {
        await inside`insert into tour_postgres_js values (2, 'two')`;
        await inside`select nothing`;
    }), { code: '42703' });
    assert.deepEqual((await sql`select * from tour_postgres_js`.values())[0], [1, 'one']);
}

async function copies() {
    const lines = [];
    for (let i = 2; i <= 20000; i++) lines.push(`${i}\tline ${i}\n`);
    await pipeline(Readable.from(lines), await sql`copy tour_postgres_js from stdin`.writable());
    // The library may leave a connection paused that it has read a COPY from.
    const reader = postgres(options);
    const out = await reader`
        copy (select * from tour_postgres_js where a > 1 order by a) to stdout`.readable();
    const parts = [];
    for await (const part of out) parts.push(part);
    assert.equal(Buffer.concat(parts).toString(), lines.join(''));
    await reader.end({ timeout: 0 });
}

async function cursors() {
    let seen = 0;
    for await (const rows of sql`
        select a from tour_postgres_js where a > ${0} order by a`.cursor(1000)) {
        for (const row of rows) assert.equal(row.a, ++seen);
    }
    assert.equal(seen, 20000);
    for await (const rows of sql`select a from tour_postgres_js order by a`.cursor(10)) {
        assert.equal(rows.length, 10);
        break;
    }
    assert.equal((await sql`select ${1}::int as a`)[0].a, 1);
}

async function notifications() {
    let listening;
    const heard = new Promise((resolve) => { listening = sql.listen('tour', resolve); });
    const { unlisten } = await listening;
    await other.notify('tour', 'hello');
    assert.equal(await heard, 'hello');
    await unlisten();
}

async function cancels() {
    const query = sql`select pg_sleep(63)`;
    const refused = assert.rejects(query, { code: '57014' });
    const look = () => other`
        select 1 from pg_stat_activity where query = 'select pg_sleep(' || '63)'`;
    while ((await look()).length === 0);
    query.cancel();
    await refused;
    assert.equal((await sql`select ${1}::int as a`)[0].a, 1);
}

async function tls() {
    const ca = readFileSync(process.env.SLUICE_TOUR_CA, 'utf8');
    const secure = postgres({ ...options, ssl: { ca } });
    const [row] = await secure`select repeat(${'x'}, 1000000) as text`;
    assert.equal(row.text.length, 1000000);
    await secure.end();
}

async function many() {
    const pool = postgres({ ...options, max: 50 });
    const servers = new Set();
    await Promise.all(Array.from({ length: 500 }, async (_, i) => {
        await pool.begin(async (inside) => {
            const [row] = await inside`select pg_backend_pid() as pid, ${i}::int as i`;
            servers.add(row.pid);
            assert.equal(row.i, i);
        });
    }));
    await pool.end();
    assert(servers.size >= 1 && servers.size <= 5, `${servers.size} servers`);
}

tour.run([parameters, prepared, errors, copies, cursors, notifications, cancels, tls, many],
    async () => {
        await sql`drop table tour_postgres_js`;
        await other.end();
        await sql.end();
    });
