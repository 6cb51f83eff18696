# One image for every Slipway process: Airflow's components, the workers, MLflow, and the one-shot tasks.

FROM python:3.12-slim-bookworm AS packages
RUN python -m venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.txt /tmp/
# The lock has hashes: pip refuses what is not exactly the file that was resolved. Bytecode is compiled here, once.
RUN pip install --no-deps --require-hashes -r /tmp/requirements.txt

FROM python:3.12-slim-bookworm
RUN useradd --uid 10001 --user-group --create-home --shell /usr/sbin/nologin slipway \
    # A named volume takes owner and mode from the folder it is mounted on.
    && install --directory --owner=slipway --group=slipway --mode=750 \
        /var/lib/airflow /var/lib/airflow/logs /var/lib/slipway /var/lib/slipway-keys /var/lib/mlflow/artifacts
COPY --from=packages /opt/venv /opt/venv
WORKDIR /opt/slipway
COPY pyproject.toml README.md LICENSE ./
COPY config config
COPY deploy deploy
COPY include include
COPY plugins plugins
COPY dags dags
# The code belongs to root, so no task can change it; therefore its bytecode is compiled now.
RUN /opt/venv/bin/pip install --no-deps --no-build-isolation --no-cache-dir --editable . \
    && /opt/venv/bin/python -m compileall -q config dags include plugins
ARG SLIPWAY_GIT_REVISION=""
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/slipway:/opt/slipway/config \
    PYTHONUNBUFFERED=1 \
    AIRFLOW_HOME=/var/lib/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/slipway/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/slipway/plugins \
    SLIPWAY_HOME=/var/lib/slipway \
    SLIPWAY_GIT_REVISION=$SLIPWAY_GIT_REVISION
USER 10001:10001
CMD ["slipway", "--help"]
