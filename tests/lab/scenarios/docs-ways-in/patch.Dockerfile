# syntax=REGISTRY/suture:1
ARG IMAGE=app:1
ARG REPORT=report.json
