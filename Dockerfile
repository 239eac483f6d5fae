# Two images from one set of steps: `docker build --target hubtwin .` for production, `--target hubtwin-full` with the local
# hub and simulated devices. `image/build` makes the same with nothing pulled.
#
# --build-arg COMMIT=$(git rev-parse --short=12 HEAD) is what `hubtwin --version` then tells.
FROM rust:1.95-bookworm AS source
WORKDIR /src
COPY . .
ARG COMMIT=
ENV HUBTWIN_COMMIT=${COMMIT}

FROM source AS build
RUN image/rootfs "$(image/program hubtwin)" /root-of-image

FROM source AS build-full
RUN image/rootfs "$(image/program hubtwin-full)" /root-of-image

FROM scratch AS base
USER 65532:65532
WORKDIR /
ENV PATH=/usr/bin SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
ENTRYPOINT ["/usr/bin/hubtwin"]

FROM base AS hubtwin-full
COPY --from=build-full /root-of-image /

FROM base AS hubtwin
COPY --from=build /root-of-image /
