# The tag is pinned to a patch release. To pin its digest too, write FROM …@sha256:…, as shown by
# docker buildx imagetools inspect python:3.13.9-slim-bookworm
FROM python:3.13.9-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /src
RUN python -m venv /opt/bridge
# The dependencies are a layer of their own, which is reused until one of these two files changes.
COPY setup.cfg constraints.txt ./
RUN python -c "from configparser import ConfigParser as C; c = C(); c.read('setup.cfg'); e = c['options.extras_require']; print(c['options']['install_requires'], e['postgres'], e['classic'], e['alerts'], e['otel'])" > requirements.txt \
    && /opt/bridge/bin/pip install -c constraints.txt -r requirements.txt
COPY . .
RUN /opt/bridge/bin/pip install --no-deps .

FROM python:3.13.9-slim-bookworm
RUN groupadd --gid 10001 bridge \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /data bridge \
    && install -d -o bridge -g bridge -m 700 /data
COPY --from=build /opt/bridge /opt/bridge
COPY config/container-entrypoint.sh /usr/local/bin/container-entrypoint
ENV PATH=/opt/bridge/bin:$PATH HOME=/data PYTHONUNBUFFERED=1 \
    BIND=0.0.0.0:8000 DATABASE_URL=sqlite:////data/bridge.db LOG_FORMAT=json
WORKDIR /data
EXPOSE 8000
# serve finishes the work in progress within 25 seconds: allow 40 (docker run --stop-timeout 40).
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --start-interval=2s \
    CMD ["python", "-c", "import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:8000/readyz', timeout=4)"]
# Starts as root only to take over a volume that belongs to root, and drops to the user 10001 before anything else.
ENTRYPOINT ["container-entrypoint"]
CMD ["serve"]
