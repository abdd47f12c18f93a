# syntax=suture:lab
# The image, and what to upgrade.
ARG IMAGE=lab/debian:hermetic
ARG PACKAGES=apt
