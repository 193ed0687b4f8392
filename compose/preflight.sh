#!/bin/sh
# Fails, so that no service starts, if a secret is missing, a placeholder, or a published default. Prints one line for
# each, with the variable's name and never a value.
set -u
refused=0

refuse() {
  echo "preflight: $1" >&2
  refused=1
}

is_placeholder() {
  case $(printf %s "$1" | tr '[:upper:]' '[:lower:]') in
    '' | *change*me* | *placeholder* | *example* | *your*here* | '<'*'>' | password | secret | xxx* | todo) return 0 ;;
    *) return 1 ;;
  esac
}

s3_keys=""
if [ "${SEAWEEDFS_REPLICAS:-1}" != 0 ]; then
  for service in INFERENCE ROUTER MLFLOW EXPORTER PIPELINE AIRFLOW; do
    s3_keys="$s3_keys ${service}_S3_ACCESS_KEY ${service}_S3_SECRET_KEY"
  done
fi

for name in $s3_keys POSTGRES_SUPERUSER_PASSWORD POSTGRES_PASSWORD AIRFLOW_DATABASE_PASSWORD MLFLOW_DATABASE_PASSWORD \
  MONITORING_DATABASE_PASSWORD AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY HOMEPRICES_AIRFLOW_PASSWORD \
  HOMEPRICES_VISITOR_KEY AIRFLOW_FERNET_KEY AIRFLOW_JWT_SECRET AIRFLOW_API_SECRET_KEY AIRFLOW_SERVICE_PASSWORD REDIS_PASSWORD \
  MLFLOW_TRACKING_PASSWORD; do
  eval "value=\${$name:-}"
  if is_placeholder "$value"; then
    refuse "$name is missing or a placeholder; run make env"
    continue
  fi
  case $name in
    *_DATABASE_PASSWORD | POSTGRES_*PASSWORD | REDIS_PASSWORD) # goes into a URL
      case $value in *[!A-Za-z0-9_.~-]*) refuse "$name may only have letters, digits, and _ . ~ -" ;; esac ;;
    AWS_ACCESS_KEY_ID | AWS_SECRET_ACCESS_KEY | *_S3_*_KEY) # goes into a JSON file
      case $value in *[!A-Za-z0-9/+=_.~-]*) refuse "$name may only have letters, digits, and / + = _ . ~ -" ;; esac ;;
    HOMEPRICES_VISITOR_KEY | AIRFLOW_JWT_SECRET | AIRFLOW_API_SECRET_KEY | MLFLOW_TRACKING_PASSWORD)
      [ "${#value}" -ge 16 ] || refuse "$name is shorter than 16 characters" ;;
    AIRFLOW_FERNET_KEY)
      [ "${#value}" -eq 44 ] || refuse "AIRFLOW_FERNET_KEY is not 32 bytes in URL-safe base64 (44 characters)" ;;
  esac
done

case ${BIND_ADDRESS:-127.0.0.1} in
  127.*) ;;
  *)
    case ${HOMEPRICES_AIRFLOW_PASSWORD:-} in
      airflow | admin | homeprices)
        refuse "HOMEPRICES_AIRFLOW_PASSWORD is one that everybody knows, and BIND_ADDRESS lets others in" ;;
    esac ;;
esac

# MLflow asks for a password, which must not cross a network in clear text.
case ${MLFLOW_BIND_ADDRESS:-127.0.0.1} in
  127.*) ;;
  10.* | 192.168.* | 172.1[6-9].* | 172.2[0-9].* | 172.3[01].*)
    [ "${MLFLOW_BEHIND_LOGIN:-}" = true ] ||
      refuse "MLFLOW_BIND_ADDRESS sends passwords in clear text; MLFLOW_BEHIND_LOGIN=true says that a proxy with TLS and a login is before it" ;;
  *) refuse "MLFLOW_BIND_ADDRESS is not 127.* nor a private address; MLflow is never public" ;;
esac

if [ "${SEAWEEDFS_REPLICAS:-1}" = 0 ]; then
  case ${AWS_ENDPOINT_URL_S3:-} in
    *//seaweedfs:*) refuse "SEAWEEDFS_REPLICAS is 0, but AWS_ENDPOINT_URL_S3 names SeaweedFS; for AWS it is empty" ;;
  esac
fi

[ "$refused" = 0 ] && echo "preflight: every secret is set"
exit "$refused"
