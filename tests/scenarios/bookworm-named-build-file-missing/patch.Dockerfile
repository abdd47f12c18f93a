# syntax=registry.example.org/suture:1
ARG IMAGE=app:1
ARG REPROT=report.json
