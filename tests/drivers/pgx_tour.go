// The tour of pgx, of Go.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgconn"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

var ctx = context.Background()

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func same(got, expected interface{}) {
	if !reflect.DeepEqual(got, expected) {
		panic(fmt.Sprintf("%v is not %v", got, expected))
	}
}

func fails(err error, state string) {
	var told *pgconn.PgError
	if !errors.As(err, &told) || told.Code != state {
		panic(fmt.Sprintf("%v is not %s", err, state))
	}
}

func connect(more string) *pgx.Conn {
	db, err := pgx.Connect(ctx, more)
	must(err)
	return db
}

func exec(db *pgx.Conn, sql string, arguments ...interface{}) {
	_, err := db.Exec(ctx, sql, arguments...)
	must(err)
}

func parameters(db *pgx.Conn) {
	var small int16
	var large int64
	var float float64
	var truth bool
	var text string
	var nothing *string
	var raw []byte
	var day, moment time.Time
	var numbers []int32
	var document map[string]interface{}
	at := time.Date(2024, 2, 29, 12, 30, 1, 5000, time.UTC)
	for i := 0; i < 20; i++ {
		must(db.QueryRow(ctx, `select $1::int2, $2::int8, $3::float8, $4::bool, $5::text, $6::text,
			$7::bytea, $8::date, $9::timestamptz, $10::int4[], $11::jsonb`,
			int16(-i), int64(1)<<40, 1.5, true, "ä'\\\"%\n", nil, []byte{0, 1, 255}, at, at,
			[]int32{1, 2, 3}, map[string]interface{}{"a": "b"}).Scan(&small, &large, &float, &truth,
			&text, &nothing, &raw, &day, &moment, &numbers, &document))
		same(small, int16(-i))
		same(large, int64(1)<<40)
		same(float, 1.5)
		same(truth, true)
		same(text, "ä'\\\"%\n")
		same(nothing == nil, true)
		same(raw, []byte{0, 1, 255})
		same(day.Format("2006-01-02"), "2024-02-29")
		same(moment.Equal(at), true)
		same(numbers, []int32{1, 2, 3})
		same(document["a"], "b")
	}
}

func prepared(db *pgx.Conn) {
	_, err := db.Prepare(ctx, "plus", "select $1::int4 + 1")
	must(err)
	for i := 0; i < 20; i++ {
		tx, err := db.Begin(ctx)
		must(err)
		var got int
		must(tx.QueryRow(ctx, "plus", i).Scan(&got))
		same(got, i+1)
		must(tx.Commit(ctx))
	}
	must(db.Deallocate(ctx, "plus"))
	batch := &pgx.Batch{}
	for i := 0; i < 50; i++ {
		batch.Queue("select $1::int4", i)
	}
	results := db.SendBatch(ctx, batch)
	for i := 0; i < 50; i++ {
		var got int
		must(results.QueryRow().Scan(&got))
		same(got, i)
	}
	must(results.Close())
}

func failures(db *pgx.Conn) {
	_, err := db.Exec(ctx, "select 1/$1::int4", 0)
	fails(err, "22012")
	_, err = db.Exec(ctx, "selec")
	fails(err, "42601")
	exec(db, "drop table if exists tour_pgx")
	exec(db, "create table tour_pgx (a int primary key, b text)")
	tx, err := db.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "insert into tour_pgx values (0, 'line 0')")
	must(err)
	nested, err := tx.Begin(ctx)
	must(err)
	_, err = nested.Exec(ctx, "insert into tour_pgx values ($1, 'again')", 0)
	fails(err, "23505")
	_, err = nested.Exec(ctx, "select 1")
	fails(err, "25P02")
	must(nested.Rollback(ctx))
	must(tx.Commit(ctx))
}

func copies(db *pgx.Conn) {
	rows := make([][]interface{}, 0, 20000)
	var wanted strings.Builder
	wanted.WriteString("0\tline 0\n")
	for i := 1; i < 20000; i++ {
		rows = append(rows, []interface{}{int32(i), fmt.Sprintf("line %d", i)})
		fmt.Fprintf(&wanted, "%d\tline %d\n", i, i)
	}
	count, err := db.CopyFrom(ctx, pgx.Identifier{"tour_pgx"}, []string{"a", "b"},
		pgx.CopyFromRows(rows))
	must(err)
	same(count, int64(19999))
	var out bytes.Buffer
	_, err = db.PgConn().CopyTo(ctx, &out, "copy (select * from tour_pgx order by a) to stdout")
	must(err)
	same(out.String() == wanted.String(), true)
	_, err = db.PgConn().CopyFrom(ctx, strings.NewReader("no number\tx\n"),
		"copy tour_pgx from stdin")
	fails(err, "22P02")
}

func cursors(db *pgx.Conn) {
	tx, err := db.Begin(ctx)
	must(err)
	_, err = tx.Exec(ctx, "declare c cursor for select a from tour_pgx order by a")
	must(err)
	for i := 0; i < 10; i++ {
		var got int
		must(tx.QueryRow(ctx, "fetch 1 from c").Scan(&got))
		same(got, i)
	}
	must(tx.Rollback(ctx))
}

func cancels(db *pgx.Conn) {
	other := connect("")
	defer other.Close(ctx)
	done := make(chan error)
	go func() {
		_, err := db.Exec(ctx, "select pg_sleep(60)")
		done <- err
	}()
	for seen := 0; seen == 0; {
		must(other.QueryRow(ctx, `select count(*) from pg_stat_activity
			where query = 'select pg_sleep(60)' and state = 'active'`).Scan(&seen))
	}
	must(db.PgConn().CancelRequest(ctx))
	fails(<-done, "57014")
	exec(db, "select 1")
}

func tls() {
	secure := connect("sslmode=verify-full sslrootcert=" + os.Getenv("SLUICE_TOUR_CA"))
	var text string
	must(secure.QueryRow(ctx, "select repeat('x', 1000000)").Scan(&text))
	same(len(text), 1000000)
	must(secure.Close(ctx))
}

func many() {
	pool, err := pgxpool.Connect(ctx, "pool_max_conns=50")
	must(err)
	defer pool.Close()
	var guard sync.Mutex
	servers := map[int]bool{}
	var all sync.WaitGroup
	for number := 0; number < 50; number++ {
		all.Add(1)
		go func(number int) {
			defer all.Done()
			mine, err := pool.Acquire(ctx)
			must(err)
			defer mine.Release()
			for i := 0; i < 20; i++ {
				var pid, a, b int
				must(mine.QueryRow(ctx, "select pg_backend_pid(), $1::int4, $2::int4", number,
					i).Scan(&pid, &a, &b))
				same([]int{a, b}, []int{number, i})
				guard.Lock()
				servers[pid] = true
				guard.Unlock()
			}
		}(number)
	}
	all.Wait()
	same(len(servers) >= 1 && len(servers) <= 5, true)
}

func main() {
	db := connect("")
	parameters(db)
	prepared(db)
	failures(db)
	copies(db)
	cursors(db)
	cancels(db)
	tls()
	many()
	exec(db, "drop table tour_pgx")
	must(db.Close(ctx))
}
