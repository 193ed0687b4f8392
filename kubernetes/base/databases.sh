#!/bin/sh
# The databases and their roles, brought to what they should be: at every start, so that a password changed in .env
# is changed in PostgreSQL. Passwords go through the environment: a command line can be read by everybody.
set -eu
exec psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname postgres --file /sql/databases.sql
