-- The roles and the database of the tests' PostgreSQL. Every password is the role's own name.
-- pg_hba.conf says which method each role meets.
ALTER ROLE postgres PASSWORD 'postgres';

SET password_encryption = 'md5';
CREATE ROLE md5user LOGIN PASSWORD 'md5user';
SET password_encryption = 'scram-sha-256';

CREATE ROLE bench LOGIN PASSWORD 'bench';
CREATE ROLE plainuser LOGIN PASSWORD 'plainuser';
CREATE ROLE trustuser LOGIN PASSWORD 'trustuser';
CREATE ROLE rejectuser LOGIN PASSWORD 'rejectuser';
CREATE ROLE user1 LOGIN PASSWORD 'user1';
CREATE ROLE user2 LOGIN PASSWORD 'user2';
CREATE ROLE user3 LOGIN PASSWORD 'user3';
CREATE ROLE user4 LOGIN PASSWORD 'user4';
-- Its second connection is refused with SQLSTATE 53300, in the server's own words.
CREATE ROLE limited LOGIN PASSWORD 'limited' CONNECTION LIMIT 1;

CREATE DATABASE bench OWNER bench;
\connect bench
GRANT ALL ON SCHEMA public TO PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE bench GRANT SELECT ON TABLES TO PUBLIC;

-- What each test's own database is a copy of.
CREATE DATABASE empty;
\connect empty
GRANT ALL ON SCHEMA public TO PUBLIC;
