# syntax=docker/dockerfile:1
# The service alone, to be run beside a PostgreSQL: compose.yaml and deploy/kubernetes show how.

FROM rust:1.95.0-bookworm AS build
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

# glibc, libgcc and the certificate authorities, without a shell; its user is 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/skycms-cdn /usr/bin/skycms-cdn
ENV LISTEN_ADDR=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=10s --start-period=40s --retries=3 CMD ["/usr/bin/skycms-cdn", "health"]
ENTRYPOINT ["/usr/bin/skycms-cdn"]
