# syntax=REGISTRY/suture:1
ARG IMAGE=app:1
