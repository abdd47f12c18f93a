# The frontend image from prebuilt static binaries, dist/<architecture>/suture. `cargo lab image`
# makes the binary and builds this; `Dockerfile` builds the same image from source.
FROM scratch
ARG TARGETARCH
ARG VERSION=0.0.0
COPY --chmod=0755 dist/${TARGETARCH}/suture /suture
LABEL moby.buildkit.frontend.network.none="true" \
      moby.buildkit.frontend.caps="moby.buildkit.frontend.inputs,moby.buildkit.frontend.subrequests,moby.buildkit.frontend.contexts" \
      org.opencontainers.image.title="suture" \
      org.opencontainers.image.description="A BuildKit frontend that patches container images with their own package manager" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["/suture"]
