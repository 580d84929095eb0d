<?php
// PDO's tour, of PHP.
if (!extension_loaded('pdo_pgsql')) {
    echo "there is no pdo_pgsql\n";
    exit(77);
}

function connect(string $more = ''): PDO
{
    $port = getenv('PGPORT');
    return new PDO("pgsql:host=localhost;port=$port;dbname=bench;$more", 'bench', 'bench',
        [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION, PDO::ATTR_STRINGIFY_FETCHES => false]);
}

function same($got, $expected): void
{
    if ($got !== $expected) {
        throw new Exception(var_export($got, true) . ' is not ' . var_export($expected, true));
    }
}

function fails(string $state, callable $function): void
{
    try {
        $function();
    } catch (PDOException $error) {
        same((string)$error->getCode(), $state);
        return;
    }
    throw new Exception("no error $state");
}

$db = connect();
$db->exec('drop table if exists tour_php');
$db->exec('create table tour_php (a int primary key, b text)');

// Parameters, in a prepared statement over several transactions.
$statement = $db->prepare('select ?::int, ?::text, ?::bool, ?::numeric, ?::text');
for ($i = 0; $i < 20; $i++) {
    $db->beginTransaction();
    $statement->bindValue(1, $i, PDO::PARAM_INT);
    $statement->bindValue(2, "ä'\\\"%\n");
    $statement->bindValue(3, true, PDO::PARAM_BOOL);
    $statement->bindValue(4, '12.340');
    $statement->bindValue(5, null, PDO::PARAM_NULL);
    $statement->execute();
    same($statement->fetch(PDO::FETCH_NUM), [$i, "ä'\\\"%\n", true, '12.340', null]);
    $db->commit();
}
for ($i = 0; $i < 20; $i++) { // each is deallocated when its object goes
    $one = $db->prepare("select ?::int + $i");
    $one->execute([1]);
    same($one->fetchColumn(), $i + 1);
    $one = null;
}

// Errors.
$zero = $db->prepare('select 1/?::int');
fails('22012', fn() => $zero->execute([0]));
fails('42601', fn() => $db->query('selec'));
$db->beginTransaction();
$db->exec("insert into tour_php values (1, 'one')");
fails('23505', fn() => $db->exec("insert into tour_php values (1, 'again')"));
fails('25P02', fn() => $db->query('select 1'));
$db->rollBack();
same($db->query('select count(*) from tour_php')->fetchColumn(), 0);

// COPY both ways.
$lines = array_map(fn($i) => "$i\tline $i\n", range(1, 5000));
same($db->pgsqlCopyFromArray('tour_php', $lines), true);
same($db->pgsqlCopyToArray('tour_php'), $lines);

// A cursor.
$db->beginTransaction();
$cursor = $db->prepare('select a from tour_php order by a',
    [PDO::ATTR_CURSOR => PDO::CURSOR_SCROLL]);
$cursor->execute();
for ($i = 1; $i <= 100; $i++) {
    same($cursor->fetchColumn(), $i);
}
same($cursor->fetch(PDO::FETCH_NUM, PDO::FETCH_ORI_ABS, 5000), [5000]);
$cursor = null;
$db->commit();

// TLS.
$secure = connect('sslmode=verify-full;sslrootcert=' . getenv('SLUICE_TOUR_CA'));
same(strlen($secure->query("select repeat('x', 1000000)")->fetchColumn()), 1000000);
$secure = null;

// 50 connections, on a pool of 5.
$servers = [];
$clients = array_map(fn() => connect(), range(1, 50));
for ($round = 0; $round < 3; $round++) {
    foreach ($clients as $number => $client) {
        $one = $client->prepare('select pg_backend_pid(), ?::int');
        $one->execute([$number]);
        [$pid, $got] = $one->fetch(PDO::FETCH_NUM);
        same($got, $number);
        $servers[$pid] = true;
    }
}
same(count($servers) <= 5, true);
$one = $clients = $client = $statement = $zero = null;
$db->exec('drop table tour_php');
