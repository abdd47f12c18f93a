# syntax=suture:lab
ARG IMAGE=lab/debian:hermetic
ARG REPORT=report.json
