#!/bin/sh
# kubernetes_rollout.sh URL: wait until every workload has rolled out, check the API through the router, and undo the
# rollout if the check fails.
set -eu
url=$1
workloads="statefulset/infer-prod statefulset/infer-cand deployment/router deployment/frontend deployment/mlflow deployment/exporter"

rolled_out() {
  for workload in $workloads; do
    kubectl -n homeprices rollout status "$workload" --timeout 10m || return 1
  done
}

python=${PYTHON:-.venv/bin/python}
if rolled_out && "$python" -m iac.rollout check --url "$url"; then
  exit 0
fi
echo "kubernetes_rollout: going back" >&2
for workload in $workloads; do
  kubectl -n homeprices rollout undo "$workload" || true
done
rolled_out && "$python" -m iac.rollout check --url "$url" && exit 1
exit 2
