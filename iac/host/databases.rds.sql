-- Made by `make aws-files` from compose/databases.sql; change iac/host/override.py instead.
set createrole_self_grant = 'set, inherit';
-- A database for each program, with a role that owns it and may connect to no other. The role `monitoring` may read
-- PostgreSQL's statistics and the homeprices database, and may not write.
\getenv airflow AIRFLOW_PASSWORD
\getenv mlflow MLFLOW_PASSWORD
\getenv homeprices HOMEPRICES_PASSWORD
\getenv monitoring MONITORING_PASSWORD

revoke connect on database postgres from public;

select format('create role %I login', name) from unnest(array['airflow', 'mlflow', 'homeprices', 'monitoring']) as name
  where not exists (select from pg_roles where rolname = name) \gexec

alter role airflow login nocreatedb nocreaterole password :'airflow';
alter role mlflow login nocreatedb nocreaterole password :'mlflow';
alter role homeprices login nocreatedb nocreaterole password :'homeprices';
-- The connection options of homeprices/adapters/database.py, for connections through PgBouncer, which drops them.
alter role homeprices set timezone = 'UTC';
alter role homeprices set statement_timeout = '5s';
alter role homeprices set idle_in_transaction_session_timeout = '30s';
alter role monitoring login nocreatedb nocreaterole connection limit 20 password :'monitoring';
alter role monitoring set default_transaction_read_only = on;
alter role monitoring set statement_timeout = '15s';

select format('create database %I owner %I', name, name) from unnest(array['airflow', 'mlflow', 'homeprices']) as name
  where not exists (select from pg_database where datname = name) \gexec

revoke all on database airflow, mlflow, homeprices from public;
grant pg_monitor to monitoring;
grant connect on database postgres, homeprices to monitoring;

\connect homeprices
revoke create on schema public from public;
alter schema public owner to homeprices;
grant usage on schema public to monitoring;
grant select on all tables in schema public to monitoring;
alter default privileges for role homeprices in schema public grant select on tables to monitoring;
