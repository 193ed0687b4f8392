#!/bin/sh
# Bring the databases and roles to their target state at every start, so that a password changed in .env is changed in
# PostgreSQL too. Passwords are in the environment, because every user can read a command line.
set -eu
exec psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --dbname postgres --file /databases.sql
