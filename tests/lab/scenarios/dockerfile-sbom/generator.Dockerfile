# The least that BuildKit takes for a generator of bills of materials (docs/attestations/sbom-protocol.md).
FROM lab/alpine:3.20
USER root
COPY generate /
ENTRYPOINT ["/bin/sh", "/generate"]
