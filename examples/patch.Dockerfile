# syntax=suture:lab
#
# Patches a container image: the whole file is options, each with its default.
#
#   docker buildx build -f examples/patch.Dockerfile --build-arg IMAGE=nginx:1.21.6 \
#     -t nginx:1.21.6-patched .
#
# The first line names the frontend; `cargo lab image` makes this one.

# The image to patch.
ARG IMAGE=debian:bookworm

# The vulnerability report that says what to patch, in the build's context.
ARG REPORT=report.json
