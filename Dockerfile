# syntax=docker/dockerfile:1
# The service alone, to be run beside a PostgreSQL: compose.yaml and deploy/kubernetes show how.

# By digest, so that a rebuild gets the same bytes. `docker buildx imagetools inspect` shows a tag's present one.
ARG BUILD_IMAGE=rust:1.95.0-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1
# glibc, libgcc and the certificate authorities, without a shell; its user is 65532.
ARG RUN_IMAGE=gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
ENV SQLX_OFFLINE=true
# What `--version` says, if it is not the version in Cargo.toml.
ARG SKYCMS_CDN_VERSION
COPY . .
# Caches for the next build, kept out of the image.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --bin skycms-cdn \
    && install -D target/release/skycms-cdn /out/skycms-cdn

FROM ${RUN_IMAGE}
COPY --from=build /out/skycms-cdn /usr/bin/skycms-cdn
ENV LISTEN_ADDR=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=10s --start-period=40s --retries=3 CMD ["/usr/bin/skycms-cdn", "health"]
ENTRYPOINT ["/usr/bin/skycms-cdn"]
