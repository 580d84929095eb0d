# The tour of pg, of Ruby.
begin
  require 'pg'
rescue LoadError
  puts 'there is no pg'
  exit 77
end

def same(got, expected)
  raise "#{got.inspect} is not #{expected.inspect}" unless got == expected
end

def fails(error)
  yield
rescue error
  nil
else
  raise "no #{error}"
end

db = PG.connect
db.exec('drop table if exists tour_ruby')

# Parameters of many types.
[
  ['int2', '-7'], ['int8', '1099511627776'], ['float8', '1.5'], ['numeric', '12.340'],
  ['bool', 't'], ['text', "ä'\\\"%\n"], ['bytea', '\x0001ff'], ['date', '2024-02-29'],
  ['timestamptz', '2024-02-29 12:30:01.000005+00'], ['interval', '3 days 00:00:04'],
  ['uuid', '00000000-0000-0000-0000-000000000007'], ['int4[]', '{1,2,NULL}'],
  ['jsonb', '{"a": [1, null]}'], ['text', nil]
].each do |type, value|
  same(db.exec_params("select $1::#{type}", [value]).getvalue(0, 0), value)
end
binary = { value: "\0\1\xff".b, format: 1 }
same(db.exec_params('select $1::bytea', [binary], 1).getvalue(0, 0), "\0\1\xff".b)

# Prepared statements over several transactions.
db.prepare('plus', 'select $1::int + 1')
20.times do |i|
  db.transaction { |t| same(t.exec_prepared('plus', [i]).getvalue(0, 0), (i + 1).to_s) }
end
same(db.describe_prepared('plus').nfields, 1)
db.exec('deallocate plus')
fails(PG::InvalidSqlStatementName) { db.exec_prepared('plus', [1]) }

# Errors outside and inside of transactions.
fails(PG::DivisionByZero) { db.exec('select 1/0') }
fails(PG::SyntaxError) { db.exec_params('selec', []) }
db.exec('create table tour_ruby (a int primary key, b text)')
fails(PG::UniqueViolation) do
  db.transaction { |t| 2.times { t.exec("insert into tour_ruby values (1, 'one')") } }
end
same(db.exec('select count(*) from tour_ruby').getvalue(0, 0), '0')
db.transaction do |t|
  t.exec('savepoint here')
  fails(PG::SyntaxError) { t.exec('selec') }
  fails(PG::InFailedSqlTransaction) { t.exec('select 1') }
  t.exec('rollback to here')
  t.exec("insert into tour_ruby values (0, 'line 0')")
end

# COPY both ways.
db.copy_data('copy tour_ruby from stdin') do
  1.upto(19_999) { |i| db.put_copy_data("#{i}\tline #{i}\n") }
end
lines = []
db.copy_data('copy (select * from tour_ruby order by a) to stdout') do
  while (line = db.get_copy_data)
    lines << line
  end
end
same(lines, (0..19_999).map { |i| "#{i}\tline #{i}\n" })
fails(PG::InvalidTextRepresentation) do
  db.copy_data('copy tour_ruby from stdin') { db.put_copy_data("no number\tx\n") }
end

# Cursors.
db.transaction do |t|
  t.exec('declare c cursor for select a from tour_ruby order by a')
  same(t.exec('fetch 100 from c').column_values(0).last, '99')
  t.exec('move 400 in c')
  same(t.exec('fetch 1 from c').getvalue(0, 0), '500')
end

# A pipeline.
db.enter_pipeline_mode
10.times { |i| db.send_query_params('select $1::int', [i]) }
db.pipeline_sync
10.times do |i|
  same(db.get_result.getvalue(0, 0), i.to_s)
  same(db.get_result, nil)
end
same(db.get_result.result_status, PG::PGRES_PIPELINE_SYNC)
db.exit_pipeline_mode

# Rows one by one.
db.send_query('select a from tour_ruby order by a')
db.set_single_row_mode
count = 0
while (result = db.get_result)
  result.check
  count += result.ntuples
end
same(count, 20_000)

# Cancel.
other = PG.connect
db.send_query('select pg_sleep(60)')
nil until other.exec("select 1 from pg_stat_activity where query = 'select pg_sleep(60)'" \
                     " and state = 'active'").ntuples.positive?
same(db.cancel, nil)
fails(PG::QueryCanceled) { db.get_last_result }
same(db.exec('select 1').getvalue(0, 0), '1')
other.close

# TLS.
secure = PG.connect(sslmode: 'verify-full', sslrootcert: ENV.fetch('SLUICE_TOUR_CA'),
                    channel_binding: 'require')
same(secure.exec("select repeat('x', 1000000)").getvalue(0, 0).length, 1_000_000)
secure.close

# Many connections on a pool of 5.
servers = Queue.new
(0...50).map do |number|
  Thread.new do
    mine = PG.connect
    20.times do |i|
      row = mine.exec_params('select pg_backend_pid(), $1::int, $2::int', [number, i]).values[0]
      servers << row[0]
      same(row[1..], [number.to_s, i.to_s])
    end
    mine.close
  end
end.each(&:join)
seen = Array.new(servers.size) { servers.pop }.uniq
raise "#{seen.size} servers" if seen.size > 5

db.exec('drop table tour_ruby')
db.close
