#!/bin/sh
# Entry point of every Airflow container: sets the executor, the revision and the users.
set -eu

case ",${COMPOSE_PROFILES:-}," in
  *,celery,*)
    export AIRFLOW__CORE__EXECUTOR=CeleryExecutor
    export AIRFLOW__CELERY__BROKER_URL="redis://:${REDIS_PASSWORD:?}@redis:6379/0"
    export AIRFLOW__CELERY__RESULT_BACKEND="db+${AIRFLOW__DATABASE__SQL_ALCHEMY_CONN:?}"
    export AIRFLOW__CELERY__FLOWER_BASIC_AUTH="${HOMEPRICES_AIRFLOW_USER:?}:${HOMEPRICES_AIRFLOW_PASSWORD:?}"
    ;;
  *)
    export AIRFLOW__CORE__EXECUTOR=compose.airflow_executor.WarmLocalExecutor
    if [ "${2:-}" = celery ]; then
      echo "airflow.sh: the scheduler runs tasks itself; set COMPOSE_PROFILES=celery in .env or in the environment," \
        "so that all of Airflow switches to the workers (--profile celery alone starts them without using them)" >&2
      exit 78
    fi
    ;;
esac

# Recorded in every bundle. The default is the commit that the image was built from.
export HOMEPRICES_GIT_REVISION="${HOMEPRICES_GIT_REVISION:-$(cat /app/revision)}"

umask 077
export AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS="${HOMEPRICES_AIRFLOW_USER:?}:admin,homeprices-service:viewer"
export AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE=/tmp/passwords.json
python -I -S -c 'import json, os; print(json.dumps({
  os.environ["HOMEPRICES_AIRFLOW_USER"]: os.environ["HOMEPRICES_AIRFLOW_PASSWORD"],
  "homeprices-service": os.environ["AIRFLOW_SERVICE_PASSWORD"]}))' \
  >"$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"
exec "$@"
