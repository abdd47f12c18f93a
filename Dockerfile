# The frontend image from source, for several architectures at once:
#
#   docker buildx build --platform linux/amd64,linux/arm64 --tag REGISTRY/suture:1 --push .
#
# `cargo lab image` makes the same image from a binary built outside (frontend.Dockerfile), and
# `cargo lab image --from-source` builds this file without a registry.

# The version is that of rust-toolchain.toml.
ARG RUST_IMAGE=docker.io/library/rust:1.95.0-slim-bookworm

# The compiler always runs on the builder's own architecture, and compiles for the target's.
FROM --platform=${BUILDPLATFORM} ${RUST_IMAGE} AS build
ARG BUILDARCH
ARG TARGETARCH
RUN set -eu; \
    case "${TARGETARCH}" in \
        amd64) target=x86_64-unknown-linux-gnu packages="gcc-x86-64-linux-gnu libc6-dev-amd64-cross" ;; \
        arm64) target=aarch64-unknown-linux-gnu packages="gcc-aarch64-linux-gnu libc6-dev-arm64-cross" ;; \
        *) echo "no support for architecture ${TARGETARCH}" >&2; exit 1 ;; \
    esac; \
    echo "${target}" > /target-name; \
    if [ "${BUILDARCH}" != "${TARGETARCH}" ]; then \
        apt-get update; \
        apt-get install --yes --no-install-recommends ${packages}; \
        rm -rf /var/lib/apt/lists/*; \
        rustup target add "${target}"; \
    fi
# Debian's compilers have these names both as the native ones and as cross compilers. A C library
# that is linked statically leaves a binary that needs nothing of the image it runs in.
ENV CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc \
    CARGO_TARGET_DIR=/target \
    RUSTFLAGS=-Ctarget-feature=+crt-static
WORKDIR /source
# The platforms of one build take turns in the caches: cargo would wait inside them anyway.
RUN --mount=type=bind,target=/source \
    --mount=type=cache,id=suture-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=suture-target,target=/target,sharing=locked \
    target="$(cat /target-name)" && \
    cargo build --locked --release --package suture --target "${target}" && \
    cp "/target/${target}/release/suture" /suture

FROM scratch
ARG VERSION=0.0.0
COPY --chmod=0755 --from=build /suture /suture
LABEL moby.buildkit.frontend.network.none="true" \
      moby.buildkit.frontend.caps="moby.buildkit.frontend.inputs,moby.buildkit.frontend.subrequests,moby.buildkit.frontend.contexts" \
      org.opencontainers.image.title="suture" \
      org.opencontainers.image.description="A BuildKit frontend that patches container images with their own package manager" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/suture"]
