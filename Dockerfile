FROM python:3.13-slim
RUN useradd --system --create-home --home-dir /data bridge
COPY . /src
RUN pip install --no-cache-dir "/src[postgres,classic]" && rm -rf /src
USER bridge
WORKDIR /data
VOLUME /data
ENV BIND=0.0.0.0:8000 DATABASE_URL=sqlite:////data/bridge.db LOG_FORMAT=json
EXPOSE 8000
CMD ["pulsora-bridge", "serve"]
