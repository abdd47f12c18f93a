# syntax=suture:h0
FROM lab/alpine:3.20 AS base
USER root
ARG REPORT=x
RUN --mount=type=secret,id=s echo hello $REPORT > /hello; cat /run/secrets/s
ENTRYPOINT ["cat","/hello"]
FROM scratch AS empty
COPY --from=base /hello /
FROM base
