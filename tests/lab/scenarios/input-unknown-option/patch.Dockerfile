# syntax=suture:lab
ARG IMAGE=lab/debian:hermetic
ARG REPROT=report.json
ARG ON_UNMET=perhaps
