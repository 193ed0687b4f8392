#!/bin/sh
# Print the secrets of `.env` (make env) as Kubernetes secrets; values never appear on a command line.
#   sh kubernetes/overlays/local/secrets.sh | kubectl apply -f -
set -eu
env_file=${1:-.env}

value() { sed -n "s/^$1=//p" "$env_file" | tail -1; }

# secret NAME KEY[=VARIABLE] ...
secret() {
  printf -- '---\napiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: homeprices}\ntype: Opaque\ndata:\n' "$1"
  shift
  for pair in "$@"; do
    held=$(value "${pair#*=}")
    [ -n "$held" ] || { echo "secrets.sh: ${pair#*=} is not in $env_file; run make env" >&2; exit 1; }
    printf '  %s: %s\n' "${pair%%=*}" "$(printf %s "$held" | base64 | tr -d '\n')"
  done
}

# The key of one service to the bucket.
key() { printf 'AWS_ACCESS_KEY_ID=%s_S3_ACCESS_KEY AWS_SECRET_ACCESS_KEY=%s_S3_SECRET_KEY' "$1" "$1"; }

every_key="AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY"
secret homeprices-bucket $every_key
for service in INFERENCE ROUTER MLFLOW EXPORTER PIPELINE AIRFLOW; do
  every_key="$every_key ${service}_S3_ACCESS_KEY ${service}_S3_SECRET_KEY"
done
secret homeprices-seaweedfs $every_key
secret homeprices-router HOMEPRICES_AIRFLOW_PASSWORD=AIRFLOW_SERVICE_PASSWORD $(key ROUTER)
secret homeprices-inference POSTGRES_PASSWORD HOMEPRICES_VISITOR_KEY $(key INFERENCE)
secret homeprices-mlflow MLFLOW_DATABASE_PASSWORD MLFLOW_TRACKING_PASSWORD
secret homeprices-tracking $(key MLFLOW)
secret homeprices-exporter POSTGRES_PASSWORD=MONITORING_DATABASE_PASSWORD \
  HOMEPRICES_AIRFLOW_PASSWORD=AIRFLOW_SERVICE_PASSWORD $(key EXPORTER)
secret homeprices-databases POSTGRES_SUPERUSER_PASSWORD POSTGRES_PASSWORD AIRFLOW_DATABASE_PASSWORD \
  MLFLOW_DATABASE_PASSWORD MONITORING_DATABASE_PASSWORD
secret homeprices-airflow HOMEPRICES_AIRFLOW_PASSWORD AIRFLOW_SERVICE_PASSWORD POSTGRES_PASSWORD $(key AIRFLOW)
secret homeprices-pipeline $(key PIPELINE)
secret airflow-keys fernet-key=AIRFLOW_FERNET_KEY jwt-secret=AIRFLOW_JWT_SECRET api-secret-key=AIRFLOW_API_SECRET_KEY
connection="postgresql://airflow:$(value AIRFLOW_DATABASE_PASSWORD)@postgres/airflow"
printf -- '---\napiVersion: v1\nkind: Secret\nmetadata: {name: airflow-database, namespace: homeprices}\ntype: Opaque\n'
printf 'data:\n  connection: %s\n' "$(printf %s "$connection" | base64 | tr -d '\n')"
